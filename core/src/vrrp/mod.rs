//! The Virtual Router Redundancy Protocol: version 2 (RFC 3768, with the
//! authentication of RFC 2338) and version 3 (RFC 9568).

pub(crate) mod check;
pub(crate) mod checksum;
pub(crate) mod instance;
pub mod packet;
pub mod rules;
pub(crate) mod settings;
