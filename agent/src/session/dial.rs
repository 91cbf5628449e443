//! Ways to the controller.

use std::future::Future;
use std::sync::Arc;

use ha_certs::client::{AddressError, ClientTls};
use tonic::transport::Channel;

/// Makes connections.
pub trait Dial: Send + Sync + 'static {
    /// A new channel to the controller, connected at the first call.
    fn dial(&self) -> impl Future<Output = Result<Channel, AddressError>> + Send;
}

/// Over mutual TLS, each time with the newest certificate.
#[derive(Clone, Debug)]
pub struct TlsDial {
    /// The certificates.
    pub tls: Arc<ClientTls>,
    /// `HOST:PORT`.
    pub controller: String,
}

impl Dial for TlsDial {
    async fn dial(&self) -> Result<Channel, AddressError> {
        self.tls.channel(&self.controller)
    }
}
