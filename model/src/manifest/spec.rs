//! Manifests as they were written: every value with its place, nothing
//! resolved. What is not good is left out and marked as not sound.

use std::net::IpAddr;

use ipnet::IpNet;

use super::decode::Spanned;
use crate::diagnostic::Span;
use crate::ids::{
    ClusterName, InstanceName, InterfaceName, NodeName, Priority, SecretName, SegmentName, Vrid,
};
use crate::plan::{Checksum, VrrpVersion};
use crate::units::Micros;

/// A Cluster.
#[derive(Clone, Debug)]
pub(crate) struct ClusterSpec {
    pub(crate) name: Spanned<ClusterName>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) segment: Option<SegmentName>,
    pub(crate) nodes: Vec<NodeSpec>,
    pub(crate) vrrp: VrrpSpec,
    pub(crate) instances: Vec<InstanceSpec>,
    /// Every node could be read: nothing is missing from `nodes`.
    pub(crate) nodes_sound: bool,
}

/// A node of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct NodeSpec {
    pub(crate) name: Spanned<NodeName>,
    pub(crate) addresses: Vec<Spanned<IpAddr>>,
    pub(crate) interface_addresses: Vec<(InterfaceName, Vec<Spanned<IpAddr>>)>,
    pub(crate) priority: Option<Spanned<Priority>>,
    /// All of its fields could be read.
    pub(crate) sound: bool,
}

/// How adverts travel, as a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TransportKind {
    Unicast,
    Multicast,
}

/// Settings that a cluster gives to all its instances and an instance may
/// change.
#[derive(Clone, Debug, Default)]
pub(crate) struct VrrpSpec {
    pub(crate) version: Option<Spanned<VrrpVersion>>,
    pub(crate) transport: Option<TransportKind>,
    pub(crate) interval: Option<Spanned<Micros>>,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) min_ttl: Option<u8>,
    /// All of its fields could be read.
    pub(crate) sound: bool,
}

/// A virtual router.
#[derive(Clone, Debug)]
pub(crate) struct InstanceSpec {
    pub(crate) name: Spanned<InstanceName>,
    pub(crate) interface: InterfaceName,
    pub(crate) vrid: Spanned<Vrid>,
    pub(crate) vips: Vec<VipSpec>,
    pub(crate) vrrp: VrrpSpec,
    pub(crate) preempt: PreemptSpec,
    pub(crate) order: Vec<Spanned<NodeName>>,
    pub(crate) priorities: Vec<(Spanned<NodeName>, Spanned<Priority>)>,
    pub(crate) auth: Option<Spanned<SecretName>>,
    pub(crate) garp: GarpSpec,
    pub(crate) accept: AcceptSpec,
    /// All of its fields could be read.
    pub(crate) sound: bool,
}

/// A virtual address.
#[derive(Clone, Debug)]
pub(crate) struct VipSpec {
    pub(crate) address: Spanned<IpNet>,
    pub(crate) interface: Option<InterfaceName>,
}

/// `preempt`.
#[derive(Clone, Debug, Default)]
pub(crate) struct PreemptSpec {
    pub(crate) enabled: Option<bool>,
    pub(crate) delay: Option<Spanned<Micros>>,
}

/// `garp`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GarpSpec {
    pub(crate) repeat: Option<u8>,
    pub(crate) delay: Option<Micros>,
    pub(crate) refresh: Option<Micros>,
    pub(crate) refresh_repeat: Option<u8>,
}

/// `accept`.
#[derive(Clone, Debug, Default)]
pub(crate) struct AcceptSpec {
    pub(crate) peers: Vec<Spanned<IpAddr>>,
    pub(crate) other_transport: bool,
    pub(crate) intervals: Vec<Spanned<Micros>>,
    pub(crate) secrets: Vec<Spanned<SecretName>>,
    pub(crate) no_auth: Option<Spanned<bool>>,
    pub(crate) require_addresses: bool,
    pub(crate) addresses: Vec<Spanned<IpAddr>>,
}

/// A Secret, without its value.
#[derive(Clone, Debug)]
pub(crate) struct SecretSpec {
    pub(crate) name: Spanned<SecretName>,
    pub(crate) labels: Vec<(String, String)>,
    /// Given in place of a value.
    pub(crate) version: Option<Spanned<u64>>,
    /// Where the value, or the version, stands.
    pub(crate) at: Span,
}
