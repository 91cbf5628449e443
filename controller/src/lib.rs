//! The controller: holds the wish for the whole fleet, hands every node its
//! part, and hears back what became of it.

pub mod auth;
pub mod clock;
pub mod events;
pub mod fleet;
pub mod pki;
pub mod revisions;
pub mod rollout;
pub mod store;
