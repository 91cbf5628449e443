//! Observations in.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_model::ids::NodeName;
use ha_model::status::{InstanceStatus, NodeStatus, PlanPhase, PlanStatus, VrrpState};

use super::{
    Heard, Hears, NodeState, Observation, RolloutGlance, SILENT_AFTER_US, SessionId, Track, Wish,
};
use crate::rollout::{Levels, NodeLevel, Presence};

/// Everything that is known of the fleet. Cloning it is cheap: nodes and wish
/// are shared.
#[derive(Clone, Debug, Default)]
pub struct FleetState {
    /// What it should be.
    pub wish: Arc<Wish>,
    /// What it is.
    pub nodes: BTreeMap<NodeName, Arc<NodeState>>,
    /// The rollout at hand.
    pub rollout: Option<RolloutGlance>,
    /// Why the store takes no writes, and since when.
    pub store_failing: Option<(String, u64)>,
    /// Until then a node without a session may only not have come back yet
    /// after the controller's start, microseconds.
    pub settled_at_us: u64,
}

impl FleetState {
    /// Takes in what was seen at `now_us`.
    pub fn apply(&mut self, observation: Observation, now_us: u64) {
        match observation {
            Observation::Wished(wish) => self.wish = wish,
            Observation::Rollout(glance) => self.rollout = Some(glance),
            Observation::Enrolled { node, certificate_expires_at_us } => {
                let state = self.node(node);
                if state.certificate_expires_at_us.is_none() {
                    state.since_us = now_us;
                }
                state.certificate_expires_at_us = Some(certificate_expires_at_us);
            }
            Observation::Connected { node, session, facts } => {
                let state = self.node(node);
                state.session = Some(session);
                state.since_us = now_us;
                state.ended = None;
                state.facts = Some(facts);
            }
            Observation::Ended { node, session, how } => {
                let state = self.node(node);
                if state.session == Some(session) {
                    state.session = None;
                    state.since_us = now_us;
                    state.ended = Some(how);
                }
            }
            Observation::Summary { session, status } => {
                self.node(status.node.clone()).hear(session, status, now_us);
            }
            Observation::Plan { node, session, status } => {
                self.node(node).hear_plan(session, status);
            }
            Observation::Duplicate { node } => {
                let state = self.node(node);
                state.duplicates += 1;
                state.duplicate_at_us = now_us;
            }
            Observation::Misnamed { node } => self.node(node).misnamed += 1,
            Observation::StoreFailing(reason) => {
                let since = self.store_failing.take().map_or(now_us, |(_, since)| since);
                self.store_failing = reason.map(|reason| (reason, since));
            }
        }
    }

    fn node(&mut self, name: NodeName) -> &mut NodeState {
        Arc::make_mut(self.nodes.entry(name).or_default())
    }

    /// What a rollout has to know of `nodes`.
    pub fn levels<'a>(&self, nodes: impl IntoIterator<Item = &'a NodeName>, now_us: u64) -> Levels {
        let absent =
            if now_us < self.settled_at_us { Presence::Settling } else { Presence::Offline };
        let level = |name| match self.nodes.get(name) {
            Some(node) => node.level(absent, now_us),
            // It has no certificate, so it can't come.
            None => NodeLevel::unheard(Presence::Offline),
        };
        nodes.into_iter().map(|name| (name.clone(), level(name))).collect()
    }
}

impl NodeState {
    /// Whether it ever had a certificate of this fleet.
    #[must_use]
    pub fn enrolled(&self) -> bool {
        self.certificate_expires_at_us.is_some() || self.facts.is_some()
    }

    /// Whether what the node said last still counts.
    #[must_use]
    pub fn fresh(&self, now_us: u64) -> Option<&Heard> {
        let session = self.session?;
        let heard = self.heard.as_ref().filter(|heard| heard.session == session)?;
        (now_us.saturating_sub(heard.at_us) < SILENT_AFTER_US).then_some(heard)
    }

    fn level(&self, absent: Presence, now_us: u64) -> NodeLevel {
        let presence = match (self.session, self.fresh(now_us)) {
            (Some(_), Some(_)) => Presence::Online,
            // It has opened a session; its first summary is on the way.
            (Some(_), None) if now_us.saturating_sub(self.since_us) < SILENT_AFTER_US => {
                Presence::Settling
            }
            (Some(_), None) => Presence::Offline,
            (None, _) => absent,
        };
        let status = self.heard.as_ref().map(|heard| &heard.status);
        let is_master = |one: &&InstanceStatus| one.state == VrrpState::Master;
        let masters = status.map_or(0, |status| status.instances.iter().filter(is_master).count());
        NodeLevel {
            presence,
            masters: u32::try_from(masters).unwrap_or(u32::MAX),
            running: status.and_then(|status| status.running),
            offered: status.and_then(|status| status.offered.clone()),
        }
    }

    /// What became of a plan, between two summaries.
    fn hear_plan(&mut self, session: SessionId, status: PlanStatus) {
        let Some(heard) = self.heard.as_mut().filter(|heard| heard.session == session) else {
            return;
        };
        let node = Arc::make_mut(&mut heard.status);
        match status.phase {
            PlanPhase::Applied | PlanPhase::Healthy => node.running = Some(status.plan),
            PlanPhase::Received
            | PlanPhase::Prepared
            | PlanPhase::Rejected
            | PlanPhase::RolledBack => {}
        }
        node.offered = Some(status);
    }

    fn hear(&mut self, session: SessionId, status: Arc<NodeStatus>, now_us: u64) {
        // A summary of a stream that was replaced says nothing any more.
        if self.session != Some(session) {
            return;
        }
        let mut tracks = std::mem::take(&mut self.tracks);
        self.tracks = status
            .instances
            .iter()
            .map(|instance| {
                let before = tracks.remove(&instance.name);
                (instance.name.clone(), Track::after(before, instance, now_us))
            })
            .collect();
        self.heard = Some(Heard { at_us: now_us, session, status });
    }
}

impl Track {
    fn after(before: Option<Self>, instance: &InstanceStatus, now_us: u64) -> Self {
        let state = instance.state;
        let was_master = before.as_ref().is_some_and(|track| track.state == VrrpState::Master);
        let released_us = match (state, was_master) {
            (VrrpState::Master, _) => None,
            (VrrpState::Init | VrrpState::Backup | VrrpState::Fault, true) => Some(now_us),
            (VrrpState::Init | VrrpState::Backup | VrrpState::Fault, false) => {
                before.as_ref().and_then(|track| track.released_us)
            }
        };
        let since_us = before
            .as_ref()
            .filter(|track| track.state == state)
            .map_or(now_us, |track| track.since_us);
        let known = before.map(|track| track.hears).unwrap_or_default();
        let hears = instance
            .masters_seen
            .iter()
            .map(|seen| {
                let last_us = seen.heard_at_us;
                let hears = known
                    .get(&seen.address)
                    .map_or(Hears { first_us: last_us, last_us, since_us: now_us }, |known| {
                        Hears { last_us, ..*known }
                    });
                (seen.address, hears)
            })
            .collect();
        Self { state, since_us, released_us, hears }
    }
}

impl Heard {
    /// A time of the node's clock in the controller's, microseconds.
    #[must_use]
    pub fn to_controller_time(&self, node_us: u64) -> u64 {
        self.at_us.saturating_sub(self.status.at_us.saturating_sub(node_us))
    }
}
