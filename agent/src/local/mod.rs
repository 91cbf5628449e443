//! The agent's own socket on its node: what runs, how it is, what happened.
//! Works without a controller. Who may connect is told by the socket's owner
//! and mode; what it offers only reads.

mod service;
mod socket;

use std::path::Path;

use ha_proto::v1::local_server::LocalServer;
use tokio::sync::watch;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use crate::node::NodeHandle;
use crate::session::SessionView;
use crate::spool::SpoolHandle;

pub use socket::SocketError;

/// What the socket shows.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// The node.
    pub node: NodeHandle,
    /// Its events.
    pub spool: SpoolHandle,
    /// Its session, where a controller is configured.
    pub session: Option<watch::Receiver<SessionView>>,
    /// Turns true once the agent stops.
    pub stop: watch::Receiver<bool>,
}

/// A socket that is bound and waits to be served.
#[derive(Debug)]
pub struct LocalTask {
    bound: socket::Bound,
    config: LocalConfig,
}

impl LocalTask {
    /// Binds the socket at `path`. One that was left behind is replaced; one
    /// that somebody serves is not.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn bind(path: &Path, config: LocalConfig) -> Result<Self, SocketError> {
        Ok(Self { bound: socket::bind(path).await?, config })
    }

    /// Serves until the agent stops, then removes the socket.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(self) -> Result<(), tonic::transport::Error> {
        let Self { bound, config } = self;
        let mut stop = config.stop.clone();
        let (listener, _remove) = bound.into_parts();
        let served = Server::builder()
            .add_service(LocalServer::new(service::Local::new(config)))
            .serve_with_incoming(UnixListenerStream::new(listener));
        // Cancel-safe: connections that are dropped only read.
        tokio::select! {
            result = served => result,
            _ = stop.wait_for(|stop| *stop) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
