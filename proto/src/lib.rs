//! What the programs say to each other: generated messages and services, and
//! the conversions between them and the model. Protobuf types go no further
//! than the code that talks gRPC.

/// Generated from `proto/ha/v1`; documented there.
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    clippy::use_self,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("ha.v1");
}

pub mod convert;

/// Descriptors of all messages and services, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
