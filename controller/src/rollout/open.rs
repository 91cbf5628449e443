//! What is open: which nodes a new rollout is made of. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ha_model::ids::{ClusterName, NodeName, RevisionId};

use super::{Document, PlannedNode, Release, Rollout, RolloutId, Step, StepState};

/// What the whole fleet should run. A rollout is made of the nodes that do not.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The revision that it brings.
    pub revision: RevisionId,
    /// W3C trace context of the apply behind it.
    pub traceparent: Option<String>,
    /// Every node with its plan, preferred master first.
    pub wanted: BTreeMap<ClusterName, Vec<WantedNode>>,
    /// Whether the apply changed the wish. If it did, a cluster that a rollout
    /// before stopped, and that it does not touch, stays as it is; if it did
    /// not, somebody asks for another try.
    pub changed: bool,
    /// Whether this is only to go on with what an end of the controller cut
    /// short: then nothing begins that has begun already.
    pub resume: bool,
}

/// What a node should run.
#[derive(Clone, Debug)]
pub struct WantedNode {
    /// Which node, which plan, how long it may take.
    pub planned: PlannedNode,
    /// The plan itself.
    pub document: Arc<Document>,
    /// The node has left the fleet: its plan is an empty one. Once it has had
    /// its turn and was offline, later rollouts name it no more.
    pub retired: bool,
}

/// What became of a [`Begin`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Begun {
    /// The rollout; `None`: every node has its plan or has rejected it.
    pub rollout: Option<RolloutId>,
    /// The nodes that it brings a plan, by cluster.
    pub nodes: BTreeMap<ClusterName, Vec<NodeName>>,
}

/// What is open when a rollout begins.
#[derive(Default)]
pub(super) struct Open {
    pub(super) planned: BTreeMap<ClusterName, Vec<PlannedNode>>,
    pub(super) documents: BTreeMap<NodeName, Arc<Document>>,
    pub(super) carried: BTreeSet<ClusterName>,
    pub(super) at_once: Vec<WantedNode>,
    /// Something is no part of the rollout at hand.
    pub(super) news: bool,
}

/// Why a node is part of a new rollout.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Need {
    /// It is not.
    Nothing,
    /// The rollout at hand has not come to it, or is waiting for it.
    Open,
    /// No rollout has it under way.
    New,
}

/// What has been settled so far.
pub(super) struct Settled<'a> {
    /// The rollout at hand.
    pub(super) rollout: Option<&'a Rollout>,
    /// What each node may run.
    pub(super) releases: &'a BTreeMap<NodeName, Arc<Release>>,
    /// Whether a node has a session.
    pub(super) online: &'a dyn Fn(&NodeName) -> bool,
}

impl Settled<'_> {
    /// What of `wanted` is to be part of a new rollout.
    pub(super) fn open(
        &self,
        wanted: BTreeMap<ClusterName, Vec<WantedNode>>,
        changed: bool,
    ) -> Open {
        let mut open = Open::default();
        for (cluster, nodes) in wanted {
            if self.is_carried(&cluster, &nodes, changed) {
                open.carried.insert(cluster);
                continue;
            }
            let mut planned = vec![];
            for node in nodes {
                let need = self.need(&cluster, &node);
                if need == Need::Nothing {
                    continue;
                }
                let away = || !(self.online)(&node.planned.node);
                if node.retired && need == Need::Open && away() {
                    open.at_once.push(node);
                    continue;
                }
                open.news |= need == Need::New;
                open.documents.insert(node.planned.node.clone(), node.document);
                planned.push(node.planned);
            }
            if !planned.is_empty() {
                open.planned.insert(cluster, planned);
            }
        }
        open
    }

    fn step(&self, cluster: &ClusterName, wanted: &PlannedNode) -> Option<&Step> {
        let cluster = self.rollout?.clusters.get(cluster)?;
        cluster.steps.iter().find(|step| step.node == wanted.node && step.plan == wanted.plan)
    }

    fn is_released(&self, wanted: &PlannedNode) -> bool {
        self.releases.get(&wanted.node).is_some_and(|release| release.plan == wanted.plan)
    }

    /// Whether a cluster stays stopped: nothing in it changed since, and it is
    /// not somebody who asks for another try, or that would be in vain.
    fn is_carried(&self, name: &ClusterName, nodes: &[WantedNode], changed: bool) -> bool {
        let before = self.rollout.and_then(|rollout| rollout.clusters.get(name));
        let Some(before) = before.filter(|before| before.stopped) else { return false };
        let touched = nodes.iter().any(|node| {
            self.step(name, &node.planned).is_none() && !self.is_released(&node.planned)
        });
        let rejected = |step: &Step| matches!(step.state, StepState::Rejected { .. });
        !touched && (changed || before.steps.iter().any(rejected))
    }

    /// Whether a node is to be part of a new rollout. What it rejected is not
    /// offered again unless it changes.
    fn need(&self, cluster: &ClusterName, wanted: &WantedNode) -> Need {
        let planned = &wanted.planned;
        match self.step(cluster, planned).map(|step| &step.state) {
            Some(StepState::Healthy | StepState::Rejected { .. }) => Need::Nothing,
            Some(StepState::TimedOut { .. } | StepState::Ahead { .. }) => Need::New,
            Some(StepState::Waiting | StepState::Offered { .. }) => Need::Open,
            // It never ran anything of ours.
            None if wanted.retired && !self.releases.contains_key(&planned.node) => Need::Nothing,
            None if self.is_released(planned) => Need::Nothing,
            None => Need::New,
        }
    }
}

impl Open {
    /// The nodes that are planned.
    pub(super) fn names(&self) -> BTreeMap<ClusterName, Vec<NodeName>> {
        let names = |nodes: &Vec<PlannedNode>| nodes.iter().map(|one| one.node.clone()).collect();
        self.planned.iter().map(|(cluster, nodes)| (cluster.clone(), names(nodes))).collect()
    }
}

#[cfg(test)]
mod tests {
    use ha_model::ids::{Digest, Epoch, Generation, PlanId};
    use ha_model::units::Micros;

    use super::*;
    use crate::rollout::{ClusterRollout, Header};

    fn plan(generation: u64) -> PlanId {
        let digest = Digest::of(&generation.to_be_bytes());
        PlanId { epoch: Epoch(1), generation: Generation(generation), digest }
    }

    fn document() -> Arc<Document> {
        Arc::new(Document { bytes: bytes::Bytes::new(), schema: 1, secrets: BTreeSet::new() })
    }

    fn revision() -> RevisionId {
        RevisionId { epoch: Epoch(1), number: 1, digest: Digest::of(b"wish") }
    }

    fn wanted(node: &str, generation: u64, retired: bool) -> WantedNode {
        let (node, plan) = (node.parse().unwrap(), plan(generation));
        let planned = PlannedNode { node, plan, allowed: Micros(1) };
        WantedNode { planned, document: document(), retired }
    }

    /// Nodes `a` and `b` of one cluster: what a rollout before left of them.
    struct Before {
        rollout: Rollout,
        releases: BTreeMap<NodeName, Arc<Release>>,
        away: BTreeSet<NodeName>,
    }

    impl Before {
        fn new(a: StepState, b: StepState, stopped: bool) -> Self {
            let step = |node: &str, state: StepState| Step {
                node: node.parse().unwrap(),
                plan: plan(1),
                allowed: Micros(1),
                state,
                phase: None,
            };
            let steps = vec![step("a", a), step("b", b)];
            let releases = steps
                .iter()
                .filter(|step| step.state != StepState::Waiting)
                .map(|step| {
                    let release = Release {
                        plan: step.plan,
                        revision: revision(),
                        traceparent: None,
                        document: document(),
                    };
                    (step.node.clone(), Arc::new(release))
                })
                .collect();
            let cluster = ClusterRollout { steps, stopped, ..ClusterRollout::default() };
            let header = Header {
                id: RolloutId(1),
                revision: revision(),
                traceparent: None,
                begun_at_us: 0,
            };
            let clusters = [("fra".parse().unwrap(), cluster)].into();
            let rollout = Rollout { header, clusters, stopped: false, outcome: None };
            Self { rollout, releases, away: BTreeSet::new() }
        }

        fn open(&self, nodes: Vec<WantedNode>, changed: bool) -> (Vec<String>, Open) {
            let online = |node: &NodeName| !self.away.contains(node);
            let settled =
                Settled { rollout: Some(&self.rollout), releases: &self.releases, online: &online };
            let open = settled.open([("fra".parse().unwrap(), nodes)].into(), changed);
            let names = open.names().into_values().flatten().map(String::from).collect();
            (names, open)
        }
    }

    fn both(a: u64, b: u64) -> Vec<WantedNode> {
        vec![wanted("a", a, false), wanted("b", b, false)]
    }

    #[test]
    fn only_what_is_not_settled_is_open() {
        let healthy = Before::new(StepState::Healthy, StepState::Healthy, false);
        assert_eq!(healthy.open(both(1, 1), true).0, [""; 0]);
        assert_eq!(healthy.open(both(1, 2), true).0, ["b"]);
        let half = Before::new(StepState::Waiting, StepState::Healthy, false);
        let (names, open) = half.open(both(1, 1), true);
        assert_eq!((names, open.news), (vec!["a".to_owned()], false));
    }

    #[test]
    fn a_stopped_cluster_is_left_until_it_changes_or_somebody_asks_again() {
        let late = StepState::TimedOut { silent: false };
        let late = Before::new(StepState::Waiting, late, true);
        let (names, open) = late.open(both(1, 1), true);
        assert_eq!((names.len(), open.carried.len()), (0, 1));
        assert_eq!(late.open(both(1, 1), false).0, ["a", "b"], "asked again");
        assert_eq!(late.open(both(1, 2), true).0, ["a", "b"], "changed");
        let rejected = StepState::Rejected { errors: vec![] };
        let rejected = Before::new(StepState::Waiting, rejected, true);
        assert_eq!(rejected.open(both(1, 1), true).1.carried.len(), 1);
        assert_eq!(rejected.open(both(1, 1), false).1.carried.len(), 1, "in vain");
        assert_eq!(rejected.open(both(1, 2), true).0, ["a", "b"]);
    }

    #[test]
    fn a_node_that_left_and_is_away_is_waited_for_once() {
        let mut before = Before::new(StepState::Healthy, StepState::Waiting, false);
        before
            .releases
            .insert("b".parse().unwrap(), before.releases.values().next().unwrap().clone());
        before.away.insert("b".parse().unwrap());
        let left = || vec![wanted("a", 1, false), wanted("b", 2, true)];
        assert_eq!(before.open(left(), true).0, ["b"], "its turn has not come before");
        let had_turn = vec![wanted("a", 1, false), wanted("b", 1, true)];
        let (names, open) = before.open(had_turn, true);
        assert_eq!((names.len(), open.at_once.len()), (0, 1));
        before.releases.clear();
        assert_eq!(before.open(left(), true).0, [""; 0], "it never ran anything");
    }
}
