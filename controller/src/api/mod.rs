//! What people and their tools call: `ha.v1.Fleet`.
//!
//! [`Applier`] owns the wish: it takes one apply at a time from text to a
//! stored revision and a rollout. Protobuf types stay in this module.

mod applier;
mod assemble;
mod convert;
mod follow;
mod listing;
mod progress;
mod service;
mod status;
#[cfg(test)]
mod tests;
mod vault;

pub use applier::{Applied, Applier, LoadError, NewWish, Refusal, TooOld};
pub use service::{FleetService, Parts};
pub use vault::{MemoryVault, Vault};

/// Error codes of the controller, as `hactl explain` knows them.
pub mod code {
    /// The revision is stored, but its rollout is not.
    pub const ROLLOUT_NOT_STORED: &str = "E3002";
    /// A node can't run its plan: its agent is too old.
    pub const AGENT_TOO_OLD: &str = "E3005";
    /// A node was not healthy in time.
    pub const NOT_HEALTHY: &str = "E3006";
    /// A node runs a newer plan than this controller knows.
    pub const NODE_AHEAD: &str = "E3007";
}
