//! The client's side of TLS: connections to a controller, which must show the
//! identity of a controller of the fleet. A name or address in its certificate
//! does not matter: controllers may move.

mod verifier;

pub use verifier::ServerRefused;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use crate::certificate::Fingerprint;
use crate::credentials::Credentials;
use crate::verify::{self, AnchorError};
use verifier::{FleetController, PinnedController};

/// Longest time for a connection, handshake included.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// The client's TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// The CA.
    #[error(transparent)]
    Anchor(AnchorError),
    /// The certificate or the key.
    #[error("the client's certificate can't be used")]
    Certificate(#[source] rustls::Error),
}

/// TLS of a client, with a certificate that can be changed while it runs: new
/// connections show the new one, open ones are not touched.
#[derive(Debug)]
pub struct ClientTls {
    config: ArcSwap<ClientConfig>,
}

impl ClientTls {
    /// Shows these credentials and wants a controller of their fleet.
    ///
    /// # Errors
    /// See [`ClientTlsError`].
    pub fn new(credentials: &Credentials) -> Result<Arc<Self>, ClientTlsError> {
        Ok(Arc::new(Self { config: ArcSwap::from_pointee(with_credentials(credentials)?) }))
    }

    /// For enrolment: shows nothing, and wants a controller of the fleet whose
    /// CA certificate has this fingerprint.
    ///
    /// # Errors
    /// See [`ClientTlsError`].
    pub fn pinned(ca: Fingerprint) -> Result<Arc<Self>, ClientTlsError> {
        let mut config = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PinnedController::new(ca)))
            .with_no_client_auth();
        settle(&mut config);
        Ok(Arc::new(Self { config: ArcSwap::from_pointee(config) }))
    }

    /// Shows other credentials on all connections from now on.
    ///
    /// # Errors
    /// See [`ClientTlsError`]; then the old ones stay.
    pub fn reload(&self, credentials: &Credentials) -> Result<(), ClientTlsError> {
        self.config.store(Arc::new(with_credentials(credentials)?));
        Ok(())
    }

    /// For `Endpoint::connect_with_connector_lazy`.
    #[must_use]
    pub fn connector(self: &Arc<Self>) -> Connector {
        Connector { tls: Arc::clone(self) }
    }

    /// A channel to the controller at `HOST:PORT`, connected at the first call,
    /// with the settings of [`endpoint`].
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn channel(self: &Arc<Self>, controller: &str) -> Result<Channel, AddressError> {
        Ok(endpoint(controller)?.connect_with_connector_lazy(self.connector()))
    }
}

type WantsVerifier = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn builder() -> Result<WantsVerifier, ClientTlsError> {
    ClientConfig::builder_with_provider(verify::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(ClientTlsError::Certificate)
}

fn with_credentials(credentials: &Credentials) -> Result<ClientConfig, ClientTlsError> {
    let controller = FleetController::new(credentials.ca()).map_err(ClientTlsError::Anchor)?;
    let mut config = builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(controller))
        .with_client_auth_cert(vec![credentials.certificate().clone()], credentials.key().der())
        .map_err(ClientTlsError::Certificate)?;
    settle(&mut config);
    Ok(config)
}

fn settle(config: &mut ClientConfig) {
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would go on with the old certificate.
    config.resumption = Resumption::disabled();
    // The server has one certificate; its name need not be on the wire.
    config.enable_sni = false;
}

/// A text is not an address of a controller.
#[derive(Debug, thiserror::Error)]
#[error("{address:?} is not an address of a controller; HOST:PORT is wanted")]
pub struct AddressError {
    /// The text.
    pub address: String,
    /// What is wrong.
    #[source]
    pub source: tonic::transport::Error,
}

/// An endpoint for the controller at `HOST:PORT`. A dead connection is found
/// within 15 s, whether a call is under way or not.
///
/// # Errors
/// See [`AddressError`].
pub fn endpoint(controller: &str) -> Result<Endpoint, AddressError> {
    let endpoint = Endpoint::from_shared(format!("https://{controller}"))
        .map_err(|source| AddressError { address: controller.to_owned(), source })?;
    Ok(endpoint
        .connect_timeout(CONNECT_DEADLINE)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true))
}

/// No connection to the controller.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URI has no host that could be connected to.
    #[error("{uri} has no usable host")]
    Host {
        /// The URI.
        uri: Uri,
    },
    /// TCP failed, or the name is unknown.
    #[error("can't reach {address}")]
    Tcp {
        /// Host and port.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The handshake failed: one side does not accept the other.
    #[error("no TLS with {address}")]
    Tls {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing in time.
    #[error("{address} did not answer within {} s", CONNECT_DEADLINE.as_secs())]
    Timeout {
        /// Host and port.
        address: String,
    },
}

/// Connects to controllers, for tonic.
#[derive(Clone, Debug)]
pub struct Connector {
    tls: Arc<ClientTls>,
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<TlsStream<TcpStream>, ConnectError> {
        let host = uri.host().ok_or_else(|| ConnectError::Host { uri: uri.clone() })?;
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ConnectError::Host { uri: uri.clone() })?;
        let port = uri.port_u16().unwrap_or(443);
        let address = || format!("{}:{port}", uri.host().unwrap_or(host));
        let connect = async {
            let stream = TcpStream::connect((host, port))
                .await
                .map_err(|source| ConnectError::Tcp { address: address(), source })?;
            // Only delays small messages.
            stream
                .set_nodelay(true)
                .map_err(|source| ConnectError::Tcp { address: address(), source })?;
            TlsConnector::from(self.tls.config.load_full())
                .connect(name, stream)
                .await
                .map_err(|source| ConnectError::Tls { address: address(), source })
        };
        tokio::time::timeout(CONNECT_DEADLINE, connect)
            .await
            .unwrap_or_else(|_| Err(ConnectError::Timeout { address: address() }))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(uri).await.map(TokioIo::new) })
    }
}
