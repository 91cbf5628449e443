//! Sessions with agents: one stream each, over which plans go out and what
//! became of them comes back.
//!
//! Who the agent is says its certificate alone; the name in its hello is
//! compared and never trusted. What it is offered is decided by [`offers`],
//! who is let in by [`admission`]; both are pure. [`stream`] runs one session,
//! and [`RegistryTask`] holds which session each node has.

mod admission;
mod batch;
mod offers;
mod registry;
mod service;
mod stream;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use ha_certs::certificate::Serial;
use ha_model::event::{NodeEvent, SpoolPosition};
use ha_model::ids::{Epoch, NodeName};
use ha_model::secret::{SecretRef, Secrets};
use tokio::sync::watch;

use crate::fleet::FleetHandle;
use crate::rollout::RolloutHandle;

pub use admission::Bucket;
pub use registry::{RegistryHandle, RegistryTask};
pub use service::AgentService;
#[cfg(test)]
pub(crate) use stream::run as run_stream;

/// Error codes of sessions, as `hactl explain` knows them.
pub mod code {
    /// Another stream with the same identity answers.
    pub const SECOND_STREAM: &str = "E4001";
    /// The name in the hello is not the one in the certificate.
    pub const OTHER_NAME: &str = "E4002";
    /// The certificate is not good, or not good any more.
    pub const CERTIFICATE: &str = "E4003";
    /// A message that breaks the protocol.
    pub const PROTOCOL: &str = "E4004";
}

/// What an async call into another part of the controller returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Another part of the controller did not do what was asked.
pub type PartError = Box<dyn std::error::Error + Send + Sync>;

/// Where events go.
pub trait History: Send + Sync + 'static {
    /// Last event of a spool that is stored; 0: none.
    fn stored(&self, node: NodeName, spool_epoch: u64) -> Pending<'_, Result<u64, PartError>>;

    /// Stores events; returns how far the spool is stored by then.
    fn append(
        &self,
        node: NodeName,
        events: Vec<(SpoolPosition, NodeEvent)>,
    ) -> Pending<'_, Result<u64, PartError>>;
}

/// Where the values of secrets are.
pub trait Values: Send + Sync + 'static {
    /// The values of `wanted`, as far as there are any.
    fn values(&self, wanted: Vec<SecretRef>) -> Pending<'_, Result<Secrets, PartError>>;
}

/// Who knows which certificates are good.
pub trait Gate: Send + Sync + 'static {
    /// Whether the certificate may open a session.
    fn admit(&self, node: NodeName, serial: Serial) -> Pending<'_, Result<(), PartError>>;
}

/// What all sessions share.
pub struct Shared {
    /// Life of the store.
    pub epoch: Epoch,
    /// What the fleet is.
    pub fleet: FleetHandle,
    /// What nodes may run.
    pub rollouts: RolloutHandle,
    /// Which session each node has.
    pub registry: RegistryHandle,
    /// Where events go.
    pub history: Arc<dyn History>,
    /// Where the values of secrets are.
    pub values: Arc<dyn Values>,
    /// Who knows which certificates are good.
    pub gate: Arc<dyn Gate>,
    /// How many may come at once.
    pub bucket: Mutex<Bucket>,
    /// Turns true once the controller stops.
    pub stop: watch::Receiver<bool>,
}

/// Who is at the other end, as its certificate says.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The node.
    pub node: NodeName,
    /// Which of its certificates.
    pub serial: Serial,
    /// Until when that is valid, microseconds since 1970.
    pub not_after_us: u64,
}

/// Session numbers, and what is drawn for challenges: no secret, only not the
/// same twice.
fn nonce() -> u64 {
    getrandom::u64().unwrap_or_else(|_| crate::clock::now_us())
}

#[cfg(test)]
mod tests;
