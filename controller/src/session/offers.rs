//! What to offer a node over one session. Pure.
//!
//! A level against a level: what the node may run, and what it says of itself.
//! Nothing is offered before its first summary, since only that tells what it
//! rejected before.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha_model::ids::PlanId;
use ha_model::secret::SecretRef;
use ha_model::status::{NodeStatus, PlanStatus};

use crate::rollout::Release;

/// Decides offers of one session.
#[derive(Debug, Default)]
pub(super) struct Offers {
    release: Option<Arc<Release>>,
    heard: bool,
    running: Option<PlanId>,
    answered: Option<PlanId>,
    /// Offered over this session and not answered.
    open: Option<PlanId>,
    /// Secrets whose values the agent has.
    held: BTreeSet<SecretRef>,
}

/// A plan to offer.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// Which.
    pub(super) release: Arc<Release>,
    /// Secrets whose values go before it.
    pub(super) lacking: Vec<SecretRef>,
}

impl Offers {
    /// A session whose agent has the values of `held`.
    pub(super) fn new(held: impl IntoIterator<Item = SecretRef>) -> Self {
        Self { held: held.into_iter().collect(), ..Self::default() }
    }

    /// What the node may run. A newer one takes the place of one that waits.
    pub(super) fn released(&mut self, release: Option<Arc<Release>>) {
        self.release = release;
    }

    /// What is released.
    pub(super) fn release(&self) -> Option<&Arc<Release>> {
        self.release.as_ref()
    }

    /// The full state of the node.
    pub(super) fn summary(&mut self, status: &NodeStatus) {
        self.heard = true;
        self.running = status.running;
        if let Some(offered) = &status.offered {
            self.status(offered);
        }
    }

    /// How far the node is with a plan: whatever it is, it is an answer.
    pub(super) fn status(&mut self, status: &PlanStatus) {
        self.answered = Some(status.plan);
        if self.open == Some(status.plan) {
            self.open = None;
        }
    }

    /// What to offer now.
    pub(super) fn next(&self) -> Option<Offer> {
        let release = self.release.as_ref()?;
        let plan = release.plan;
        let newer = |running: PlanId| running.generation > plan.generation;
        let settled = self.answered == Some(plan) || self.running == Some(plan);
        if !self.heard || self.open.is_some() || settled || self.running.is_some_and(newer) {
            return None;
        }
        let secrets = release.document.secrets.iter();
        let lacking = secrets.filter(|secret| !self.held.contains(secret)).cloned().collect();
        Some(Offer { release: release.clone(), lacking })
    }

    /// The values of `secrets` were sent.
    pub(super) fn gave(&mut self, secrets: impl IntoIterator<Item = SecretRef>) {
        self.held.extend(secrets);
    }

    /// `plan` was offered.
    pub(super) fn offered(&mut self, plan: PlanId) {
        self.open = Some(plan);
    }
}
