//! Tests of the whole: real programs in network namespaces, beside real peers.
//!
//! This library is what the tests share: [`lab`] makes the hosts and networks,
//! [`programs`] finds and starts our programs, [`skip`] says and counts what a
//! machine could not show.

pub mod collector;
pub mod controller;
pub mod durability;
pub mod fleet;
pub mod forge;
pub mod interop;
pub mod lab;
pub mod metrics;
pub mod pair;
pub mod probe;
pub mod programs;
pub mod router;
pub mod skip;
pub mod swarm;
pub mod uml;
