//! The validated fleet: every setting decided, every reference good. What is
//! here can be compiled without a further question.

mod build;
mod instance;
mod rules;
mod unique;

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::ids::{
    ClusterName, InstanceName, InterfaceName, NodeName, Priority, SecretName, SegmentName, Vrid,
};
use crate::plan::{Accept, Auth, Checksum, Family, Garp, Preempt, VirtualAddress, VrrpVersion};
use crate::units::Micros;

pub(crate) use build::build;
pub(crate) use rules::possible_interval;

/// All clusters of a controller.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fleet {
    /// Its clusters.
    pub clusters: BTreeMap<ClusterName, Cluster>,
    /// Its secrets, each with the version that is to be used now.
    pub secrets: BTreeMap<SecretName, u64>,
}

impl Fleet {
    /// The cluster that `node` is in.
    #[must_use]
    pub fn cluster_of(&self, node: &NodeName) -> Option<&Cluster> {
        self.clusters.values().find(|cluster| cluster.nodes.contains(node))
    }
}

/// The nodes that share virtual addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cluster {
    /// Name, unique in the fleet.
    pub name: ClusterName,
    /// For people and selectors.
    pub labels: BTreeMap<String, String>,
    /// The network in which its virtual router ids are unique; none: its own.
    pub segment: Option<SegmentName>,
    /// Its nodes, in the order of preference.
    pub nodes: Vec<NodeName>,
    /// Its virtual routers, sorted by name.
    pub instances: Vec<Instance>,
}

/// A virtual router of a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instance {
    /// Name, unique in the cluster.
    pub name: InstanceName,
    /// The same on every node.
    pub interface: InterfaceName,
    /// Virtual router id.
    pub vrid: Vrid,
    /// Family of its addresses and adverts.
    pub family: Family,
    /// Protocol version.
    pub version: VrrpVersion,
    /// Time between two adverts, possible in that version.
    pub interval: Micros,
    /// Adverts go to each node by itself; else to the multicast group.
    pub unicast: bool,
    /// Lowest TTL or hop limit of adverts from other nodes (unicast).
    pub min_ttl: u8,
    /// Virtual addresses, in advert order.
    pub vips: Vec<VirtualAddress>,
    /// Whether a higher priority takes over.
    pub preempt: Preempt,
    /// Checksum of version 3 over IPv4.
    pub checksum: Checksum,
    /// Authentication of version 2.
    pub auth: Auth,
    /// Gratuitous ARP and unsolicited NA.
    pub garp: Garp,
    /// What is accepted beyond what is sent.
    pub accept: Accept,
    /// What differs from node to node: an entry for every node of the cluster.
    pub members: BTreeMap<NodeName, Member>,
}

/// The part of a node in an instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Base priority.
    pub priority: Priority,
    /// Source of its adverts. Always there for unicast; for multicast only
    /// where the manifest names one.
    pub source: Option<IpAddr>,
}
