//! The server's side of TLS: one listener for agents and people, a client
//! certificate optional, everything that it says in [`Peer`].

mod accept;
mod counters;
mod io;
mod peer;
mod verifier;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;

pub use accept::{AcceptLimits, accept};
pub use counters::{HandshakeCounters, HandshakeFailure};
pub use io::TlsIo;
pub use peer::{Peer, PeerCertificate};

use crate::credentials::Credentials;
use crate::verify::{self, AnchorError};
use verifier::FleetClients;

/// How long after its end a client certificate still opens a connection, marked
/// as expired: enough for a renewal, and for nothing else.
pub const RENEWAL_GRACE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The server's TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum ServerTlsError {
    /// The CA.
    #[error(transparent)]
    Anchor(AnchorError),
    /// The certificate or the key.
    #[error("the server's certificate can't be used")]
    Certificate(#[source] rustls::Error),
}

/// TLS of a server, with a certificate that can be changed while it runs: new
/// connections get the new one, open ones are not touched.
#[derive(Debug)]
pub struct ServerTls {
    config: ArcSwap<ServerConfig>,
    counters: Arc<HandshakeCounters>,
}

impl ServerTls {
    /// TLS 1.3 with these credentials.
    ///
    /// # Errors
    /// See [`ServerTlsError`].
    pub fn new(credentials: &Credentials) -> Result<Arc<Self>, ServerTlsError> {
        let counters = Arc::new(HandshakeCounters::default());
        let config = config(credentials, Arc::clone(&counters))?;
        Ok(Arc::new(Self { config: ArcSwap::from_pointee(config), counters }))
    }

    /// Takes other credentials for all connections from now on.
    ///
    /// # Errors
    /// See [`ServerTlsError`]; then the old ones stay.
    pub fn reload(&self, credentials: &Credentials) -> Result<(), ServerTlsError> {
        let config = config(credentials, Arc::clone(&self.counters))?;
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// Handshakes by outcome.
    #[must_use]
    pub fn counters(&self) -> &HandshakeCounters {
        &self.counters
    }

    fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

fn config(
    credentials: &Credentials,
    counters: Arc<HandshakeCounters>,
) -> Result<ServerConfig, ServerTlsError> {
    let clients = FleetClients::new(credentials.ca(), counters).map_err(ServerTlsError::Anchor)?;
    // The CA goes along, for agents that have only its fingerprint yet.
    let chain = vec![credentials.certificate().clone(), credentials.ca().der().clone()];
    let mut config = ServerConfig::builder_with_provider(verify::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(ServerTlsError::Certificate)?
        .with_client_cert_verifier(Arc::new(clients))
        .with_single_cert(chain, credentials.key().der())
        .map_err(ServerTlsError::Certificate)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would skip the check of the client's certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

#[cfg(test)]
mod tests;
