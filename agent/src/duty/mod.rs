//! The duty thread: VRRP on one plain OS thread that never waits.
//!
//! [`start`] brings up the duty thread and the kernel thread and gives back a
//! [`DutyHandle`], the only way to them.

mod handle;

pub use handle::{DutyGone, DutyHandle, DutyStatus, StopMode};
