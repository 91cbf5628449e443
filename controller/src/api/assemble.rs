//! The plans of the head as the fleet's state and the rollouts need them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ha_model::fleet::Fleet;
use ha_model::ids::{ClusterName, NodeName, PlanId};
use ha_model::plan::NodePlan;
use ha_model::units::Micros;

use crate::fleet::{Head, Wish};
use crate::rollout::{Document, PlannedNode, WantedNode};

/// Time of a node from the offer until it is healthy, beside what its advert
/// intervals take.
const ALLOWED_BASE: Micros = Micros::from_secs(30);
/// Intervals until a node is master or hears one: the master-down interval is
/// just under four.
const ALLOWED_INTERVALS: u64 = 5;
/// A plan of the head, with its bytes.
pub(super) struct Planned {
    pub(super) plan: NodePlan,
    pub(super) id: PlanId,
    pub(super) bytes: Bytes,
}

/// The wish and what every node should run, from the plans of the head.
pub(super) fn assemble(
    head: Option<Head>,
    fleet: &Fleet,
    planned: Vec<Planned>,
) -> (Wish, BTreeMap<ClusterName, Vec<WantedNode>>) {
    let members: BTreeSet<&NodeName> =
        fleet.clusters.values().flat_map(|cluster| &cluster.nodes).collect();
    let retired = |plan: &NodePlan| plan.instances.is_empty() && !members.contains(&plan.node);
    let labels = fleet
        .clusters
        .iter()
        .map(|(name, cluster)| (name.clone(), cluster.labels.clone()))
        .collect();
    let present = planned.iter().filter(|one| !retired(&one.plan));
    let wish = Wish::of(head, labels, present.map(|one| (&one.plan, one.id)));
    let mut wanted: BTreeMap<ClusterName, Vec<WantedNode>> = BTreeMap::new();
    for Planned { plan, id, bytes } in planned {
        let node = WantedNode {
            retired: retired(&plan),
            planned: PlannedNode { node: plan.node.clone(), plan: id, allowed: allowed(&plan) },
            document: Arc::new(Document::of(&plan, bytes)),
        };
        wanted.entry(plan.cluster).or_default().push(node);
    }
    for (name, nodes) in &mut wanted {
        let order: BTreeMap<&NodeName, usize> = wish
            .clusters
            .get(name)
            .map(|cluster| cluster.nodes.iter().map(|node| &node.name).zip(0..).collect())
            .unwrap_or_default();
        // Those that left come last, and so get their turn first.
        nodes.sort_by_key(|node| order.get(&node.planned.node).copied().unwrap_or(usize::MAX));
    }
    (wish, wanted)
}

/// How long a node may take from the offer until it is healthy.
fn allowed(plan: &NodePlan) -> Micros {
    let slowest = plan.instances.iter().map(|instance| instance.interval_us.0).max().unwrap_or(0);
    Micros(ALLOWED_BASE.0 + ALLOWED_INTERVALS * slowest)
}
