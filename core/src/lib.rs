//! Pure machines of one node: VRRP, the announcement schedule, and the desired
//! state of the kernel.
//!
//! No I/O, no clock, no randomness. Time is an argument; every deadline is an
//! output. [`NodeCore`] is the entry point, and its methods are of four kinds:
//!
//! - `handle` takes an [`Event`] at a [`Timestamp`];
//! - `next_effect` hands out what has to be done, in order, until it is empty;
//! - `next_deadline` tells when `handle` wants to be called at the latest;
//! - `desired`, `advert` and `status` are views of the present.
//!
//! After every `handle` the shell drains `next_effect`, then converges
//! `desired` if its generation rose, then sleeps until `next_deadline`. When it
//! wakes it hands in every waiting packet first, then says [`Event::Tick`].

pub mod desired;
pub mod effect;
pub mod event;
pub mod kernel;
pub mod node;
pub mod time;
pub mod vrrp;

pub use desired::Desired;
pub use effect::{Advert, Effect, InstanceId};
pub use event::{Event, Link, Received};
pub use node::{Deadline, DeadlineReason, NodeCore, NodeCounters};
pub use time::Timestamp;
pub use vrrp::rules::Rules;
