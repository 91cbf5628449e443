//! What a judgement says.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_model::ids::{ClusterName, InstanceName, NodeName, PlanId};
use ha_model::status::NodeStatus;
use ipnet::IpNet;

/// How a cluster, or a part of it, does. Ordered: the worst is the greatest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Health {
    /// All well.
    Ok,
    /// Served, but something is missing.
    Degraded,
    /// Not enough is known to tell.
    Unknown,
    /// A virtual router has no master.
    Down,
    /// A virtual router has more than one master.
    Split,
}

/// Whether a node's agent is heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Connection {
    /// It is.
    Online,
    /// It is not. Says nothing about the node's services.
    Unknown,
    /// It never was.
    Never,
}

/// Something that needs attention.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Health,
    /// What, for people.
    pub what: String,
    /// Since when, in the controller's time, microseconds.
    pub since_us: u64,
    /// A command to type next.
    pub next: String,
}

/// A cluster, judged.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// Which.
    pub name: ClusterName,
    /// How it does.
    pub health: Health,
    /// What needs attention, worst first.
    pub findings: Vec<Finding>,
    /// Its virtual routers.
    pub instances: Vec<InstanceView>,
    /// Its nodes, preferred master first.
    pub nodes: Vec<NodeView>,
    /// Labels of its manifest.
    pub labels: BTreeMap<String, String>,
}

/// A virtual router across the nodes of its cluster.
#[derive(Clone, Debug)]
pub struct InstanceView {
    /// Which.
    pub name: InstanceName,
    /// Its id.
    pub vrid: u8,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// Its masters, as nodes or, where no node is known to have it, addresses.
    pub masters: Vec<String>,
    /// Since when that is so, in the controller's time; 0: not known.
    pub since_us: u64,
}

/// A node, judged.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Which.
    pub name: NodeName,
    /// Whether it is heard.
    pub connection: Connection,
    /// When it was heard last, microseconds; 0: never.
    pub heard_at_us: u64,
    /// What it said then.
    pub status: Option<Arc<NodeStatus>>,
    /// The plan that it should run.
    pub wanted: PlanId,
}

/// Clusters judged at one moment.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// Each cluster, by name.
    pub clusters: Vec<ClusterView>,
    /// When the same observations may be judged otherwise, microseconds.
    pub recheck_us: Option<u64>,
}
