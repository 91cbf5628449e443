//! The agent: VRRP on one node, with or without a controller.

pub mod duty;
pub mod kernel;
