//! Who may call what. Identity comes from the certificate alone; what it opens
//! is in one [`table`].

mod counters;
mod layer;
mod serve;
pub mod table;
mod until;

use ha_certs::identity::Identity;
use ha_certs::server::Peer;
use ha_model::ids::NodeName;
use tonic::{Request, Status};

pub use counters::{AuthCounters, Refusal};
pub use layer::{AuthLayer, AuthService};
pub use serve::{
    AuthServer, MAX_CALLS, MAX_MESSAGE, MAX_STREAMS, TraceLayer, TraceService, server,
};

/// Whoever makes this call.
///
/// # Errors
/// `INTERNAL` if the call did not come through [`server`].
pub fn peer<T>(request: &Request<T>) -> Result<&Peer, Status> {
    request.extensions().get().ok_or_else(|| Status::internal("the connection has no peer"))
}

/// The node that makes this call.
///
/// # Errors
/// `PERMISSION_DENIED` if it is none.
pub fn node<T>(request: &Request<T>) -> Result<NodeName, Status> {
    let refused = || Status::permission_denied("only the agent of a node may do this");
    match peer(request)?.identity() {
        // Both kinds of name have the same rule; a test holds it.
        Some(Identity::Node(name)) => name.as_str().parse().map_err(|_| refused()),
        Some(Identity::Controller(_) | Identity::User { .. }) | None => Err(refused()),
    }
}

/// The name of the user that makes this call: the author of what it changes.
///
/// # Errors
/// `PERMISSION_DENIED` if it is none.
pub fn user<T>(request: &Request<T>) -> Result<String, Status> {
    match peer(request)?.identity() {
        Some(Identity::User { name, .. }) => Ok(name.to_string()),
        Some(Identity::Node(_) | Identity::Controller(_)) | None => {
            Err(Status::permission_denied("only a user may do this"))
        }
    }
}

#[cfg(test)]
mod tests;
