//! Channels to a controller and to an agent's socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ha_certs::Credentials;
use ha_certs::client::ClientTls;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;

/// A socket on this machine answers at once or not at all.
const LOCAL_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A channel to the controller of `context`. It connects with the first
/// request.
///
/// # Errors
/// The credentials can't be read or do not fit, or the address is none.
pub fn controller(context: &Context) -> Result<Channel, Failure> {
    let [ca, certificate, key] = [&context.ca, &context.cert, &context.key].map(|path| read(path));
    let credentials = Credentials::from_pem(&ca?, &certificate?, &key?)
        .map_err(|error| unusable(context).caused_by(&error))?;
    let tls = ClientTls::new(&credentials).map_err(|error| unusable(context).caused_by(&error))?;
    tls.channel(&context.controller).map_err(|error| {
        Failure::new("E5001", Exit::Usage, "the context has no usable address")
            .at(&context.controller)
            .caused_by(&error)
            .then("hactl context add, with --controller HOST:PORT")
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        Failure::new("E5004", Exit::Error, "can't read a file that the context names")
            .at(path.display())
            .caused_by(&error)
            .then("hactl context show")
    })
}

fn unusable(context: &Context) -> Failure {
    Failure::new("E5004", Exit::Error, "the certificate of the context can't be used")
        .at(context.cert.display())
        .then("hactl context show")
}

/// A channel to the agent that listens at `socket`. It connects with the first
/// request.
#[must_use]
pub fn agent(socket: PathBuf) -> Channel {
    // The address is never looked at: the connector knows the way.
    Endpoint::from_static("http://agent.invalid")
        .connect_timeout(LOCAL_CONNECT_TIMEOUT)
        .connect_with_connector_lazy(tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
}
