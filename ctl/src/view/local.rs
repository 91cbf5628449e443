//! What an agent says about itself.

use serde::Serialize;

use super::{NodeInstance, OfferedPlan, PlanPhase, PlanRef};

/// An agent, asked through its socket.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalStatus {
    /// The node.
    pub node: String,
    /// Version of its agent.
    pub agent_version: String,
    /// Time on the node when this was true.
    pub at_us: u64,
    /// Where its plan comes from: `controller`, `manifest` or `plan`.
    pub source: String,
    /// The plan that it runs.
    pub running: Option<PlanRef>,
    /// What became of the newest plan that it was offered.
    pub offered: Option<OfferedPlan>,
    /// Its connection to the controller; none if it has no controller.
    pub session: Option<Session>,
    /// Its virtual routers.
    pub instances: Vec<NodeInstance>,
}

/// The connection of an agent to its controller.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Address of the controller.
    pub controller: String,
    /// The stream is up.
    pub connected: bool,
    /// Since when it is so.
    pub since_us: u64,
    /// Why it is not.
    pub last_error: String,
    /// Events that the controller has not stored yet.
    pub spooled_events: u64,
}

impl LocalStatus {
    /// Nothing needs attention on this node.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let instance_is_well = |instance: &NodeInstance| {
            instance.faults.is_empty()
                && instance.state != "fault"
                && instance.addresses_failed.is_empty()
                && (instance.state != "master" || instance.masters_seen.is_empty())
        };
        let offer_is_well = self.offered.as_ref().is_none_or(|offered| {
            !matches!(offered.phase, PlanPhase::Rejected | PlanPhase::RolledBack)
        });
        offer_is_well
            && self.session.as_ref().is_none_or(|session| session.connected)
            && self.instances.iter().all(instance_is_well)
    }
}
