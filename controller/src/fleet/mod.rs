//! What the fleet is: observations go in, a judgement comes out.
//!
//! [`FleetState`] is pure. One task owns it ([`FleetTask`]); readers take a
//! snapshot, which costs one reference count, and judge it at the time they
//! show it, because silence is told by time alone. Nothing here touches the
//! store: status works when the store does not.
//!
//! A node that is not heard is unknown, never down: what its peers hear of its
//! adverts decides. Times are the controller's own clock; times that a node
//! reports are moved by the difference of the two clocks.

mod judge;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod view;
mod words;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ha_model::ids::{ClusterName, InstanceName, NodeName, PlanId, RevisionId};
use ha_model::plan::{NodePlan, Transport};
use ha_model::status::{NodeStatus, PlanStatus, VrrpState};
use ipnet::IpNet;

use crate::rollout::{Outcome, RolloutId};

pub use state::FleetState;
pub use task::{FleetGone, FleetHandle, FleetTask};
pub use view::{ClusterView, Connection, Finding, Health, InstanceView, Judgement, NodeView};

/// Between two summaries of an agent when nothing changes, microseconds.
pub const SUMMARY_INTERVAL_US: u64 = 5_000_000;

/// A connected agent that has said nothing for this long is unknown: two
/// summaries missed, and some slack for a busy node. Microseconds.
pub const SILENT_AFTER_US: u64 = 2 * SUMMARY_INTERVAL_US + 2_000_000;

/// Two claims, or none, must last this long before they are shown as such: the
/// two halves of one handover come over two connections. Microseconds.
pub const SETTLE_US: u64 = 300_000;

/// A session of this controller, unique while it runs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub u64);

/// What the fleet should be: the head revision, compiled.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The revision; `None` before the first apply.
    pub head: Option<Head>,
    /// Its clusters.
    pub clusters: BTreeMap<ClusterName, WishedCluster>,
    /// The cluster of each node.
    pub members: BTreeMap<NodeName, ClusterName>,
}

/// The newest revision.
#[derive(Clone, Debug)]
pub struct Head {
    /// Which.
    pub id: RevisionId,
    /// When it was stored, microseconds since 1970.
    pub at_us: u64,
    /// Who applied it.
    pub author: String,
    /// What they said about it.
    pub message: String,
}

/// A cluster as it should be.
#[derive(Clone, Debug, Default)]
pub struct WishedCluster {
    /// Labels of its manifest.
    pub labels: BTreeMap<String, String>,
    /// Its nodes, preferred master first.
    pub nodes: Vec<WishedNode>,
    /// Its virtual routers, by name.
    pub instances: BTreeMap<InstanceName, WishedInstance>,
}

/// A node as it should be.
#[derive(Clone, Debug)]
pub struct WishedNode {
    /// Which.
    pub name: NodeName,
    /// The plan that it should run.
    pub plan: PlanId,
    /// Sum of its priorities: orders the nodes of a cluster.
    pub weight: u32,
}

/// A virtual router as it should be.
#[derive(Clone, Debug)]
pub struct WishedInstance {
    /// Its id.
    pub vrid: u8,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// Whose adverts come from which address, where the plan says so.
    pub sources: BTreeMap<IpAddr, NodeName>,
    /// Nodes that run it.
    pub nodes: Vec<NodeName>,
}

impl Wish {
    /// The wish that `plans` make up.
    #[must_use]
    pub fn of<'a>(
        head: Option<Head>,
        mut labels: BTreeMap<ClusterName, BTreeMap<String, String>>,
        plans: impl IntoIterator<Item = (&'a NodePlan, PlanId)>,
    ) -> Self {
        let mut wish = Self { head, ..Self::default() };
        for (plan, id) in plans {
            let cluster = wish.clusters.entry(plan.cluster.clone()).or_insert_with(|| {
                let labels = labels.remove(&plan.cluster).unwrap_or_default();
                WishedCluster { labels, ..WishedCluster::default() }
            });
            cluster.add(plan, id);
            wish.members.insert(plan.node.clone(), plan.cluster.clone());
        }
        for cluster in wish.clusters.values_mut() {
            cluster.nodes.sort_by(|a, b| b.weight.cmp(&a.weight).then(a.name.cmp(&b.name)));
        }
        wish
    }

    /// The plan that `node` should run.
    #[must_use]
    pub fn plan_of(&self, node: &NodeName) -> Option<PlanId> {
        let cluster = self.clusters.get(self.members.get(node)?)?;
        cluster.nodes.iter().find(|wished| wished.name == *node).map(|wished| wished.plan)
    }
}

impl WishedCluster {
    fn add(&mut self, plan: &NodePlan, id: PlanId) {
        let weight = plan.instances.iter().map(|one| u32::from(one.priority.get())).sum();
        self.nodes.push(WishedNode { name: plan.node.clone(), plan: id, weight });
        for instance in &plan.instances {
            let wished =
                self.instances.entry(instance.name.clone()).or_insert_with(|| WishedInstance {
                    vrid: instance.vrid.get(),
                    addresses: instance.addresses.iter().map(|one| one.address).collect(),
                    sources: BTreeMap::new(),
                    nodes: vec![],
                });
            wished.nodes.push(plan.node.clone());
            let source = match &instance.transport {
                Transport::Unicast { source, .. } => Some(*source),
                Transport::Multicast { source } => *source,
            };
            if let Some(source) = source {
                wished.sources.insert(source, plan.node.clone());
            }
        }
    }
}

/// What an agent says of itself when it connects.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AgentFacts {
    /// Version of the agent.
    pub version: String,
    /// Identity of the node's boot.
    pub boot_id: String,
    /// Lowest plan schema that it understands.
    pub schema_min: u32,
    /// Highest plan schema that it understands.
    pub schema_max: u32,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionEnd {
    /// The agent said goodbye.
    Bye,
    /// It fell silent: the stream ended with no goodbye.
    Lost,
    /// Another stream with the same identity took its place.
    Replaced,
}

/// What the rollout at hand looks like from afar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RolloutGlance {
    /// Which.
    pub id: RolloutId,
    /// Clusters that it touches.
    pub clusters_total: u32,
    /// Clusters that are done.
    pub clusters_done: u32,
    /// Under way, or about to be.
    pub active: bool,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// Something seen, for the fleet's state.
#[derive(Clone, Debug)]
pub enum Observation {
    /// There is a new wish.
    Wished(Arc<Wish>),
    /// The rollout moved.
    Rollout(RolloutGlance),
    /// A node has a certificate of this fleet.
    Enrolled {
        /// Which.
        node: NodeName,
        /// When the certificate expires, microseconds since 1970.
        certificate_expires_at_us: u64,
    },
    /// A session opened.
    Connected {
        /// With whom.
        node: NodeName,
        /// Which.
        session: SessionId,
        /// What the agent said of itself.
        facts: AgentFacts,
    },
    /// A session ended. Ignored if another one took its place.
    Ended {
        /// With whom.
        node: NodeName,
        /// Which.
        session: SessionId,
        /// How.
        how: SessionEnd,
    },
    /// A node told its full present state.
    Summary {
        /// Over which session.
        session: SessionId,
        /// The state.
        status: Arc<NodeStatus>,
    },
    /// A node told how far it is with a plan.
    Plan {
        /// Which node.
        node: NodeName,
        /// Over which session.
        session: SessionId,
        /// How far.
        status: PlanStatus,
    },
    /// A second stream with the identity of a node was refused.
    Duplicate {
        /// Whose identity.
        node: NodeName,
    },
    /// An agent gave a name that is not the one in its certificate.
    Misnamed {
        /// The name in the certificate.
        node: NodeName,
    },
    /// The store took no write; `None`: it does again.
    StoreFailing(Option<String>),
}

/// What is known of one node.
#[derive(Clone, Debug, Default)]
pub struct NodeState {
    /// When its newest certificate expires, microseconds since 1970; `None`:
    /// it never had one.
    pub certificate_expires_at_us: Option<u64>,
    /// The session that it has.
    pub session: Option<SessionId>,
    /// When that began, or the last one ended, microseconds.
    pub since_us: u64,
    /// How the last one ended.
    pub ended: Option<SessionEnd>,
    /// What its agent said of itself last.
    pub facts: Option<AgentFacts>,
    /// Its last summary.
    pub heard: Option<Heard>,
    /// Its virtual routers in the controller's time.
    pub tracks: BTreeMap<InstanceName, Track>,
    /// Streams refused because another with the same identity answered.
    pub duplicates: u64,
    /// When the last of them was, microseconds.
    pub duplicate_at_us: u64,
    /// Messages with another node's name.
    pub misnamed: u64,
}

/// A summary and when it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When, microseconds.
    pub at_us: u64,
    /// Over which session.
    pub session: SessionId,
    /// What it said.
    pub status: Arc<NodeStatus>,
}

/// A virtual router on a node, in the controller's time.
#[derive(Clone, Debug)]
pub struct Track {
    /// State.
    pub state: VrrpState,
    /// Since when it is reported, microseconds.
    pub since_us: u64,
    /// Since when it is not reported as master any more, microseconds.
    pub released_us: Option<u64>,
    /// Masters that the node hears.
    pub hears: BTreeMap<IpAddr, Hears>,
}

/// A master that a node hears.
#[derive(Clone, Copy, Debug)]
pub struct Hears {
    /// Advert with which this spell began, in the node's time, microseconds.
    pub first_us: u64,
    /// Its last advert, in the node's time, microseconds.
    pub last_us: u64,
    /// When the spell was first reported, in the controller's time.
    pub since_us: u64,
}
