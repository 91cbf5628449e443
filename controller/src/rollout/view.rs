//! A rollout as others see it.

use std::collections::{BTreeMap, BTreeSet};

use ha_model::ids::{ClusterName, NodeName};

use super::{ClusterPhase, Levels, Rollout, StepState, machine};
use crate::fleet::RolloutGlance;

/// What a rollout looks like now.
#[derive(Clone, Debug)]
pub struct RolloutView {
    /// The rollout.
    pub rollout: Rollout,
    /// How far each cluster is.
    pub phases: BTreeMap<ClusterName, ClusterPhase>,
    /// Nodes without a session that have not got their plan.
    pub offline: BTreeSet<NodeName>,
}

impl RolloutView {
    pub(super) fn of(rollout: &Rollout, levels: &Levels) -> Self {
        let own = || rollout.clusters.iter().filter(|(_, cluster)| !cluster.carried);
        let phases =
            own().map(|(name, cluster)| (name.clone(), rollout.phase(cluster, levels))).collect();
        let offline = own()
            .flat_map(|(_, cluster)| &cluster.steps)
            .filter(|step| step.state == StepState::Waiting)
            .filter(|step| machine::is_offline(levels, &step.node))
            .map(|step| step.node.clone())
            .collect();
        Self { rollout: rollout.clone(), phases, offline }
    }

    /// As it was when it was stored: for one that is over.
    #[must_use]
    pub fn ended(rollout: &Rollout) -> Self {
        Self::of(rollout, &Levels::new())
    }

    pub(super) fn differs(&self, other: &Self) -> bool {
        let phases = |view: &Self| -> Vec<_> {
            let clusters = view.rollout.clusters.values();
            clusters.flat_map(|cluster| &cluster.steps).map(|step| step.phase).collect()
        };
        self.phases != other.phases
            || self.offline != other.offline
            || self.rollout != other.rollout
            || phases(self) != phases(other)
    }

    pub(super) fn glance(&self) -> RolloutGlance {
        let done = self.phases.values().filter(|phase| match phase {
            ClusterPhase::Done | ClusterPhase::DoneOffline => true,
            ClusterPhase::Waiting | ClusterPhase::Rolling | ClusterPhase::Stopped => false,
        });
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        RolloutGlance {
            id: self.rollout.header.id,
            clusters_total: count(self.phases.len()),
            clusters_done: count(done.count()),
            active: self.rollout.outcome.is_none(),
            outcome: self.rollout.outcome,
        }
    }
}
