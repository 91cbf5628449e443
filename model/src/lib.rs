//! Pure data of the fleet: identifiers and units, manifests, the validated
//! fleet, the compiler, and the documents that the programs exchange.
//!
//! Nothing here performs I/O, reads a clock or draws a random number: equal
//! inputs give equal outputs, byte for byte.

pub mod event;
pub mod ids;
pub mod plan;
pub mod secret;
pub mod status;
pub mod units;
