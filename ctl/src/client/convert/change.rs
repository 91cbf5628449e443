//! What applying would change.

use ha_proto::v1;

use super::{problem, progress, revision_ref};
use crate::view::{ChangeClass, FieldChange, NodeChange, PlanReport};

/// The whole answer, in a stable order.
pub(in crate::client) fn plan_report(response: v1::PlanResponse) -> PlanReport {
    let mut changes: Vec<NodeChange> = response.changes.into_iter().map(node_change).collect();
    changes.sort_by(|left, right| (&left.cluster, &left.node).cmp(&(&right.cluster, &right.node)));
    PlanReport {
        base: response.base.filter(|base| base.number > 0).map(revision_ref),
        errors: response.errors.into_iter().map(progress::manifest_error).collect(),
        changes,
    }
}

fn node_change(change: v1::NodeChange) -> NodeChange {
    NodeChange {
        class: class(change.class()),
        cluster: change.cluster,
        node: change.node,
        fields: change.fields.into_iter().map(field).collect(),
        errors: change.errors.into_iter().map(problem).collect(),
        offline: change.offline,
    }
}

fn field(change: v1::FieldChange) -> FieldChange {
    let v1::FieldChange { path, before, after } = change;
    FieldChange { path, before, after }
}

fn class(class: v1::ChangeClass) -> ChangeClass {
    match class {
        v1::ChangeClass::Unspecified => ChangeClass::Unknown,
        v1::ChangeClass::Live => ChangeClass::Live,
        v1::ChangeClass::Ordered => ChangeClass::Ordered,
        v1::ChangeClass::ExpandContract => ChangeClass::ExpandContract,
        v1::ChangeClass::Coordinated => ChangeClass::Coordinated,
        v1::ChangeClass::Disruptive => ChangeClass::Disruptive,
    }
}
