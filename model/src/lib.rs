//! Pure data of the fleet: identifiers and units, manifests, the validated
//! fleet, the compiler, and the documents that the programs exchange.
//!
//! Nothing here performs I/O, reads a clock or draws a random number: equal
//! inputs give equal outputs, byte for byte.

pub mod compile;
pub mod diagnostic;
pub mod diff;
pub mod document;
pub mod event;
pub mod explain;
pub mod fleet;
pub mod ids;
pub mod manifest;
pub mod plan;
pub mod secret;
pub mod status;
pub mod units;
