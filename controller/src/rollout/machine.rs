//! The turns of a rollout.

use std::collections::{BTreeMap, BTreeSet};

use ha_model::ids::{ClusterName, NodeName};
use ha_model::status::PlanPhase;

use super::{
    ClusterPhase, ClusterRollout, Draining, Header, Levels, NodeLevel, Offer, Outcome, PlannedNode,
    Presence, Rollout, Step, StepState, Turn,
};

impl Rollout {
    /// A rollout of `planned`, whose nodes stand preferred master first. What
    /// `previous` left under way is waited for before anybody else of that
    /// cluster gets a turn. Clusters of `previous` that are `carried` stay as
    /// they are.
    #[must_use]
    pub fn begin(
        header: Header,
        planned: BTreeMap<ClusterName, Vec<PlannedNode>>,
        carried: &BTreeSet<ClusterName>,
        previous: Option<&Self>,
    ) -> Self {
        let mut clusters: BTreeMap<_, _> = planned
            .into_iter()
            .map(|(name, nodes)| {
                let before = previous.and_then(|rollout| rollout.clusters.get(&name));
                let cluster = ClusterRollout::begin(nodes, before);
                (name, cluster)
            })
            .collect();
        let stopped = previous.iter().flat_map(|rollout| &rollout.clusters);
        for (name, cluster) in stopped.filter(|(name, _)| carried.contains(*name)) {
            clusters.insert(name.clone(), ClusterRollout { carried: true, ..cluster.clone() });
        }
        Self { header, clusters, stopped: false, outcome: None }
    }

    /// Gives nodes that were under way when the controller ended their full
    /// time again: how long it was away says nothing about them.
    pub fn resume(&mut self, now_us: u64) {
        for cluster in self.clusters.values_mut() {
            if let Some(busy) = &mut cluster.draining {
                busy.deadline_us = now_us.saturating_add(busy.allowed.0);
            }
            for step in &mut cluster.steps {
                if let StepState::Offered { deadline_us } = &mut step.state {
                    *deadline_us = now_us.saturating_add(step.allowed.0);
                }
            }
        }
    }

    /// One turn: takes in `levels`, decides what to do at `now_us`.
    pub fn advance(&mut self, levels: &Levels, now_us: u64) -> Turn {
        let mut turn = Turn::default();
        if self.outcome == Some(Outcome::Superseded) {
            return turn;
        }
        let mut rejected = false;
        for (name, cluster) in &mut self.clusters {
            rejected |= cluster.observe(name, levels, now_us, &mut turn) && !cluster.carried;
        }
        if rejected && !self.stopped {
            self.stopped = true;
            turn.header = true;
        }
        if !self.stopped {
            for (name, cluster) in &mut self.clusters {
                cluster.offer_next(name, levels, now_us, &mut turn);
            }
        }
        let outcome = self.judge(levels);
        if outcome != self.outcome && outcome.is_some() {
            self.outcome = outcome;
            turn.header = true;
        }
        turn.clusters.sort();
        turn.clusters.dedup();
        turn
    }

    /// A newer rollout takes over.
    pub fn supersede(&mut self) {
        self.outcome = Some(Outcome::Superseded);
    }

    /// Nodes of which something has to be known to take a turn.
    pub fn unfinished(&self) -> impl Iterator<Item = &NodeName> {
        self.clusters.values().flat_map(|cluster| {
            let draining = cluster.draining.iter().map(|busy| &busy.node);
            let steps = cluster.steps.iter().filter(|step| match step.state {
                StepState::Waiting | StepState::Offered { .. } | StepState::TimedOut { .. } => true,
                StepState::Healthy | StepState::Rejected { .. } | StepState::Ahead { .. } => false,
            });
            draining.chain(steps.map(|step| &step.node))
        })
    }

    /// When a turn is due although nothing was heard, microseconds.
    #[must_use]
    pub fn next_deadline_us(&self) -> Option<u64> {
        if self.outcome == Some(Outcome::Superseded) {
            return None;
        }
        self.clusters.values().filter_map(ClusterRollout::next_deadline_us).min()
    }

    /// How far a cluster of this rollout is.
    #[must_use]
    pub fn phase(&self, cluster: &ClusterRollout, levels: &Levels) -> ClusterPhase {
        let healthy = |step: &Step| step.state == StepState::Healthy;
        let offered = |step: &Step| matches!(step.state, StepState::Offered { .. });
        if cluster.steps.iter().all(healthy) {
            ClusterPhase::Done
        } else if cluster.steps.iter().any(offered) {
            ClusterPhase::Rolling
        } else if cluster.stopped || self.stopped {
            ClusterPhase::Stopped
        } else if cluster.steps.iter().all(|step| healthy(step) || is_offline(levels, &step.node)) {
            ClusterPhase::DoneOffline
        } else if cluster.steps.iter().any(healthy) {
            ClusterPhase::Rolling
        } else {
            ClusterPhase::Waiting
        }
    }

    /// `None` while something is under way or about to be.
    fn judge(&self, levels: &Levels) -> Option<Outcome> {
        let mut worst = Outcome::Complete;
        for cluster in self.clusters.values().filter(|cluster| !cluster.carried) {
            match self.phase(cluster, levels) {
                ClusterPhase::Done => {}
                ClusterPhase::DoneOffline => {
                    if worst == Outcome::Complete {
                        worst = Outcome::Offline;
                    }
                }
                ClusterPhase::Stopped => worst = Outcome::Rejected,
                ClusterPhase::Waiting | ClusterPhase::Rolling => return None,
            }
        }
        Some(worst)
    }
}

impl ClusterRollout {
    fn begin(nodes: Vec<PlannedNode>, before: Option<&Self>) -> Self {
        let mut draining = before.and_then(Self::under_way);
        let steps = nodes
            .into_iter()
            .map(|PlannedNode { node, plan, allowed }| {
                let same = draining.take_if(|busy| busy.node == node && busy.plan == plan);
                let state = match same {
                    Some(busy) => StepState::Offered { deadline_us: busy.deadline_us },
                    None => StepState::Waiting,
                };
                Step { node, plan, allowed, state, phase: None }
            })
            .collect();
        Self { steps, stopped: false, carried: false, draining }
    }

    /// The node that has been given a plan and has not said how it went.
    fn under_way(&self) -> Option<Draining> {
        let offered = self.steps.iter().find_map(|step| match step.state {
            StepState::Offered { deadline_us } => {
                let Step { node, plan, allowed, .. } = step.clone();
                Some(Draining { node, plan, allowed, deadline_us })
            }
            StepState::Waiting
            | StepState::Healthy
            | StepState::Rejected { .. }
            | StepState::TimedOut { .. }
            | StepState::Ahead { .. } => None,
        });
        offered.or_else(|| self.draining.clone())
    }

    fn next_deadline_us(&self) -> Option<u64> {
        self.under_way().map(|busy| busy.deadline_us)
    }

    /// Takes in what the nodes say. True if one of them did not take its plan.
    fn observe(
        &mut self,
        name: &ClusterName,
        levels: &Levels,
        now_us: u64,
        turn: &mut Turn,
    ) -> bool {
        let mut rejected = false;
        for step in &mut self.steps {
            let Some(next) = next_state(step, levels.get(&step.node), now_us) else { continue };
            if next.phase != step.phase || next.state != step.state {
                turn.nodes.push((name.clone(), step.node.clone()));
            }
            step.phase = next.phase;
            if next.state == step.state {
                continue;
            }
            turn.clusters.push(name.clone());
            step.state = next.state;
            match step.state {
                StepState::Rejected { .. } => {
                    rejected = true;
                    self.stopped = true;
                }
                StepState::TimedOut { .. } | StepState::Ahead { .. } => self.stopped = true,
                StepState::Waiting | StepState::Offered { .. } | StepState::Healthy => {}
            }
        }
        if self.draining.take_if(|busy| drained(busy, levels, now_us)).is_some() {
            turn.clusters.push(name.clone());
        }
        rejected
    }

    /// Offers the next node its plan, if it is anybody's turn.
    fn offer_next(&mut self, name: &ClusterName, levels: &Levels, now_us: u64, turn: &mut Turn) {
        let busy = |step: &Step| matches!(step.state, StepState::Offered { .. });
        if self.stopped || self.steps.iter().any(busy) {
            return;
        }
        let Some(index) = self.pick(levels) else { return };
        let step = &mut self.steps[index];
        if self.draining.as_ref().is_some_and(|busy| busy.node != step.node) {
            return;
        }
        // The new plan takes the place of the one under way on the same node.
        self.draining = None;
        step.state = StepState::Offered { deadline_us: now_us.saturating_add(step.allowed.0) };
        turn.offers.push(Offer { node: step.node.clone(), plan: step.plan });
        turn.nodes.push((name.clone(), step.node.clone()));
        turn.clusters.push(name.clone());
    }

    /// Whose turn it is: who is master of least, then who is busy anyway, then
    /// who is least preferred as master. Nobody while a node may yet turn up:
    /// it could be the backup that has to go first.
    fn pick(&self, levels: &Levels) -> Option<usize> {
        let mut best: Option<((u32, bool), usize)> = None;
        for (index, step) in self.steps.iter().enumerate() {
            if step.state != StepState::Waiting {
                continue;
            }
            let Some(level) = levels.get(&step.node) else { continue };
            match level.presence {
                Presence::Offline => continue,
                Presence::Settling => return None,
                Presence::Online => {}
            }
            let idle = self.draining.as_ref().is_none_or(|busy| busy.node != step.node);
            let key = (level.masters, idle);
            if best.is_none_or(|(least, _)| key <= least) {
                best = Some((key, index));
            }
        }
        best.map(|(_, index)| index)
    }
}

struct Next {
    state: StepState,
    phase: Option<PlanPhase>,
}

/// What a step becomes. `None`: nothing is heard of it, nothing is due.
fn next_state(step: &Step, level: Option<&NodeLevel>, now_us: u64) -> Option<Next> {
    let said = level.and_then(|level| level.phase_of(&step.plan));
    let phase = said.map_or(step.phase, |status| Some(status.phase));
    let state = match &step.state {
        StepState::Waiting | StepState::Offered { .. } => {
            match said.map(|status| (status.phase, &status.errors)) {
                Some((PlanPhase::Healthy, _)) => StepState::Healthy,
                Some((PlanPhase::Rejected | PlanPhase::RolledBack, errors)) => {
                    StepState::Rejected { errors: errors.clone() }
                }
                Some((PlanPhase::Received | PlanPhase::Prepared | PlanPhase::Applied, _))
                | None => not_answered(step, level, now_us),
            }
        }
        // Too late to go on, but not too late to say that it got there.
        StepState::TimedOut { .. } if phase == Some(PlanPhase::Healthy) => StepState::Healthy,
        StepState::TimedOut { .. }
        | StepState::Healthy
        | StepState::Rejected { .. }
        | StepState::Ahead { .. } => step.state.clone(),
    };
    (state != step.state || phase != step.phase).then_some(Next { state, phase })
}

fn not_answered(step: &Step, level: Option<&NodeLevel>, now_us: u64) -> StepState {
    if let Some(running) = level.and_then(|level| level.running) {
        // By generation alone, as the node itself orders plans: a store that
        // was restored has another epoch, and must not take a node back.
        if running.generation > step.plan.generation {
            return StepState::Ahead { running };
        }
    }
    match step.state {
        StepState::Offered { deadline_us } if now_us >= deadline_us => {
            let silent = level.is_none_or(|level| level.presence != Presence::Online);
            StepState::TimedOut { silent }
        }
        StepState::Waiting
        | StepState::Offered { .. }
        | StepState::Healthy
        | StepState::Rejected { .. }
        | StepState::TimedOut { .. }
        | StepState::Ahead { .. } => step.state.clone(),
    }
}

/// Whether nobody has to wait for what the rollout before left under way.
fn drained(busy: &Draining, levels: &Levels, now_us: u64) -> bool {
    let said = levels.get(&busy.node).and_then(|level| level.phase_of(&busy.plan));
    let ended = said.is_some_and(|status| match status.phase {
        PlanPhase::Healthy | PlanPhase::Rejected | PlanPhase::RolledBack => true,
        PlanPhase::Received | PlanPhase::Prepared | PlanPhase::Applied => false,
    });
    ended || now_us >= busy.deadline_us
}

/// Whether a node has no session and none is about to open.
pub(super) fn is_offline(levels: &Levels, node: &NodeName) -> bool {
    levels.get(node).is_none_or(|level| level.presence == Presence::Offline)
}
