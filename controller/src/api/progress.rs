//! A rollout as its followers see it: what changed from one view to the next.

use ha_model::ids::{ClusterName, Generation};
use ha_model::status::FieldError;
use ha_proto::v1;
use ha_proto::v1::apply_progress::Event;

use super::{code, convert};
use crate::rollout::{ClusterPhase, RolloutView, Step, StepState};

/// What changed since `before`; all of it if there is no view before.
pub(super) fn changes(before: Option<&RolloutView>, now: &RolloutView) -> Vec<Event> {
    let mut events = vec![];
    let own = now.rollout.clusters.iter().filter(|(_, cluster)| !cluster.carried);
    for (name, cluster) in own {
        for (index, step) in cluster.steps.iter().enumerate() {
            let new = node(name, step, now);
            let old = before.and_then(|view| {
                let step = view.rollout.clusters.get(name)?.steps.get(index)?;
                Some(node(name, step, view))
            });
            let untouched = step.state == StepState::Waiting && !new.offline;
            if old.as_ref() != Some(&new) && !(old.is_none() && untouched) {
                events.push(Event::Node(new));
            }
        }
        let new = self::cluster(name, now);
        if before.map(|view| self::cluster(name, view)).as_ref() != Some(&new) {
            events.push(Event::Cluster(new));
        }
    }
    events
}

/// The end, if it has come.
pub(super) fn done(view: &RolloutView) -> Option<Event> {
    let outcome = view.rollout.outcome?;
    Some(Event::Done(v1::RolloutDone {
        outcome: convert::outcome(Some(outcome)).into(),
        rollout: view.rollout.header.id.to_string(),
        offline: view.offline.iter().map(ToString::to_string).collect(),
        rejected: failed(view),
    }))
}

/// The nodes that did not take their plan or did not get healthy on it.
fn failed(view: &RolloutView) -> Vec<v1::NodeProgress> {
    let mut failed = vec![];
    let own = view.rollout.clusters.iter().filter(|(_, cluster)| !cluster.carried);
    for (name, cluster) in own {
        let steps = cluster.steps.iter().map(|step| node(name, step, view));
        failed.extend(steps.filter(|node| !node.errors.is_empty()));
    }
    failed
}

fn node(cluster: &ClusterName, step: &Step, view: &RolloutView) -> v1::NodeProgress {
    let (phase, errors) = match &step.state {
        StepState::Waiting => (v1::PlanPhase::Unspecified, vec![]),
        StepState::Offered { .. } => {
            let phase = step.phase.map_or(v1::PlanPhase::Unspecified, Into::into);
            (phase, vec![])
        }
        StepState::Healthy => (v1::PlanPhase::Healthy, vec![]),
        StepState::Rejected { errors } => (v1::PlanPhase::Rejected, rejection(errors)),
        StepState::TimedOut { silent } => {
            let phase = step.phase.map_or(v1::PlanPhase::Unspecified, Into::into);
            (phase, vec![timed_out(step, *silent)])
        }
        StepState::Ahead { running } => {
            (v1::PlanPhase::Unspecified, vec![ahead(step, running.generation)])
        }
    };
    v1::NodeProgress {
        cluster: cluster.to_string(),
        node: step.node.to_string(),
        phase: phase.into(),
        errors: errors.into_iter().map(Into::into).collect(),
        offline: view.offline.contains(&step.node),
    }
}

/// A rejection always says something.
fn rejection(errors: &[FieldError]) -> Vec<FieldError> {
    if errors.is_empty() {
        return vec![FieldError {
            code: code::NOT_HEALTHY.to_owned(),
            path: String::new(),
            message: "the node took its plan back".to_owned(),
            hint: String::new(),
        }];
    }
    errors.to_vec()
}

fn timed_out(step: &Step, silent: bool) -> FieldError {
    let seconds = step.allowed.0 / 1_000_000;
    let message = if silent {
        format!("{} fell silent when it was offered its plan", step.node)
    } else {
        format!("{} was not healthy on its plan within {seconds} s", step.node)
    };
    FieldError {
        code: code::NOT_HEALTHY.to_owned(),
        path: String::new(),
        message,
        hint: format!("hactl describe node {}", step.node),
    }
}

fn ahead(step: &Step, running: Generation) -> FieldError {
    FieldError {
        code: code::NODE_AHEAD.to_owned(),
        path: String::new(),
        message: format!(
            "{} runs plan {running}, newer than {} here",
            step.node, step.plan.generation
        ),
        hint: "was the controller's store restored?".to_owned(),
    }
}

fn cluster(name: &ClusterName, view: &RolloutView) -> v1::ClusterProgress {
    let phase = cluster_phase(view.phases.get(name).copied());
    let steps = view.rollout.clusters.get(name).into_iter().flat_map(|cluster| &cluster.steps);
    let offline = steps
        .filter(|step| view.offline.contains(&step.node))
        .map(|step| step.node.to_string())
        .collect();
    v1::ClusterProgress { cluster: name.to_string(), phase: phase.into(), offline }
}

pub(super) fn cluster_phase(phase: Option<ClusterPhase>) -> v1::ClusterPhase {
    match phase {
        Some(ClusterPhase::Waiting) => v1::ClusterPhase::Waiting,
        Some(ClusterPhase::Rolling) => v1::ClusterPhase::Rolling,
        Some(ClusterPhase::Done) => v1::ClusterPhase::Done,
        Some(ClusterPhase::DoneOffline) => v1::ClusterPhase::DoneOffline,
        Some(ClusterPhase::Stopped) => v1::ClusterPhase::Stopped,
        None => v1::ClusterPhase::Unspecified,
    }
}
