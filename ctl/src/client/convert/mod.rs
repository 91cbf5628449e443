//! From messages to views. Lenient where a newer controller may say more than
//! this hactl knows: an unknown number becomes `unknown`, never an error.

mod change;
mod fleet;
mod object;
mod progress;

use ha_proto::v1;
use serde_json::Value;

use crate::view::{Event, OfferedPlan, PlanPhase, PlanRef, Problem, RevisionRef};

pub(super) use change::plan_report;
pub(super) use fleet::{fleet_status, local_status};
pub(super) use object::{join_token, manifests, node, rendered, revision};
pub(super) use progress::progress;

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn epoch(epoch: u64) -> String {
    format!("{epoch:016x}")
}

fn plan_ref(id: v1::PlanId) -> PlanRef {
    PlanRef { epoch: epoch(id.epoch), generation: id.generation, sha256: hex(&id.sha256) }
}

fn revision_ref(id: v1::RevisionId) -> RevisionRef {
    RevisionRef { epoch: epoch(id.epoch), number: id.number, sha256: hex(&id.sha256) }
}

/// Back again, for a request that names what it was decided on.
pub(super) fn revision_id(revision: &RevisionRef) -> v1::RevisionId {
    let digits = revision.sha256.as_bytes().chunks(2);
    v1::RevisionId {
        epoch: u64::from_str_radix(&revision.epoch, 16).unwrap_or(0),
        number: revision.number,
        sha256: digits
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect(),
    }
}

fn problem(error: v1::FieldError) -> Problem {
    let v1::FieldError { code, path, message, hint } = error;
    Problem { code, path, message, hint }
}

fn phase(phase: v1::PlanPhase) -> PlanPhase {
    match phase {
        v1::PlanPhase::Unspecified => PlanPhase::Unknown,
        v1::PlanPhase::Received => PlanPhase::Received,
        v1::PlanPhase::Prepared => PlanPhase::Prepared,
        v1::PlanPhase::Applied => PlanPhase::Applied,
        v1::PlanPhase::Healthy => PlanPhase::Healthy,
        v1::PlanPhase::Rejected => PlanPhase::Rejected,
        v1::PlanPhase::RolledBack => PlanPhase::RolledBack,
    }
}

fn offered(status: v1::PlanStatus) -> OfferedPlan {
    OfferedPlan {
        phase: phase(status.phase()),
        plan: status.plan.map(plan_ref),
        revision: status.revision.map(|revision| revision.number),
        errors: status.errors.into_iter().map(problem).collect(),
    }
}

/// An event of the controller's history.
pub(super) fn fleet_event(event: v1::FleetEvent) -> Event {
    Event {
        index: Some(event.index),
        stored_at_us: Some(event.stored_at_us),
        node: event.node,
        ..node_event(event.position, event.event)
    }
}

/// An event of an agent's spool.
pub(super) fn local_event(event: v1::LocalEvent) -> Event {
    node_event(event.position, event.event)
}

fn node_event(position: Option<v1::SpoolPosition>, event: Option<v1::NodeEvent>) -> Event {
    let (position, event) = (position.unwrap_or_default(), event.unwrap_or_default());
    Event {
        index: None,
        stored_at_us: None,
        node: String::new(),
        spool_epoch: position.spool_epoch,
        sequence: position.sequence,
        at_us: event.at_us,
        boot_us: event.boot_us,
        what: serde_json::from_str(&event.kind_json)
            .unwrap_or_else(|_| Value::String(event.kind_json.clone())),
        traceparent: Some(event.traceparent).filter(|text| !text.is_empty()),
    }
}
