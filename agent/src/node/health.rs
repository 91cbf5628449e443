//! When a plan that runs is healthy. Pure.

use ha_model::plan::NodePlan;
use ha_model::status::{InstanceStatus, VrrpState};

use crate::duty::DutyStatus;

/// Whether the kernel shows what `plan` wants, and every virtual router of it
/// is master or hears one.
#[must_use]
pub(super) fn is_healthy(plan: &NodePlan, duty: &DutyStatus) -> bool {
    let takes_part = |instance: &InstanceStatus| match instance.state {
        VrrpState::Master => instance.faults.is_empty(),
        VrrpState::Backup => instance.faults.is_empty() && !instance.masters_seen.is_empty(),
        VrrpState::Init | VrrpState::Fault => false,
    };
    let named = |instance: &InstanceStatus| plan.instances.iter().any(|p| p.name == instance.name);
    duty.settled
        && duty.instances.len() == plan.instances.len()
        && duty.instances.iter().all(|instance| named(instance) && takes_part(instance))
}
