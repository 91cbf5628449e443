//! What findings say.

use ha_model::ids::{Generation, NodeName};
use ha_model::status::{FaultReason, FieldError, InstanceStatus, VrrpState};

use super::{NodeState, SessionEnd};

/// The state of a virtual router, with the first reason of a fault.
pub(super) fn state(instance: &InstanceStatus) -> String {
    match instance.state {
        VrrpState::Init => "not started".to_owned(),
        VrrpState::Backup => "backup".to_owned(),
        VrrpState::Master => "master".to_owned(),
        VrrpState::Fault => match instance.faults.first() {
            None => "FAULT".to_owned(),
            Some(reason) => format!("FAULT ({})", fault(reason)),
        },
    }
}

fn fault(reason: &FaultReason) -> String {
    match reason {
        FaultReason::InterfaceMissing(name) => format!("{name} does not exist"),
        FaultReason::InterfaceDown(name) => format!("{name} is down"),
        FaultReason::NoSourceAddress(name) => format!("{name} has no address"),
        FaultReason::SecretMissing(name) => format!("secret {name} has no value"),
    }
}

/// Since when a node is silent, and what it was when it was heard last.
pub(super) fn silent(node: &NodeState) -> String {
    if node.facts.is_none() {
        return "has not come back since the controller started".to_owned();
    }
    let stopped = match node.ended {
        Some(SessionEnd::Bye) => " (its agent was stopped)",
        Some(SessionEnd::Lost | SessionEnd::Replaced) | None => "",
    };
    let masters: Vec<&str> = node
        .heard
        .iter()
        .flat_map(|heard| &heard.status.instances)
        .filter(|instance| instance.state == VrrpState::Master)
        .map(|instance| instance.name.as_str())
        .collect();
    match (node.heard.is_some(), masters.is_empty()) {
        (false, _) => format!("is silent{stopped}"),
        (true, true) => format!("is silent{stopped}; last seen as backup"),
        (true, false) => {
            format!("is silent{stopped}; last seen as master of {}", masters.join(", "))
        }
    }
}

/// Why a node keeps its old plan.
pub(super) fn rejected(node: &NodeName, plan: Generation, error: Option<&FieldError>) -> String {
    match error {
        None => format!("{node} rejected plan {plan}"),
        Some(FieldError { code, path, message, .. }) if path.is_empty() => {
            format!("{node} rejected plan {plan}: {code}: {message}")
        }
        Some(FieldError { code, path, message, .. }) => {
            format!("{node} rejected plan {plan}: {code}: {message} ({path})")
        }
    }
}
