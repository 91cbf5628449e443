//! How a revision reaches the nodes.
//!
//! The machine is pure and driven by levels: every turn it looks at what the
//! nodes say of themselves *now* and decides whom to offer its plan. A lost
//! report, a controller that was killed, a report that comes twice: the next
//! level repairs all of them, because nothing hangs on an edge.
//!
//! Rules: all clusters at once, one node at a time inside a cluster, backups
//! before masters, the next one when the one before is healthy. The first
//! rejection stops everything; a node that does not get healthy in time stops
//! its cluster; an offline node is named, holds nobody up, and gets its plan
//! when it comes back.

mod handle;
mod keep;
mod machine;
mod open;
mod release;
mod task;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::fmt;

use ha_model::ids::{ClusterName, NodeName, PlanId, RevisionId};
use ha_model::status::{FieldError, PlanPhase, PlanStatus};
use ha_model::units::Micros;
use serde::{Deserialize, Serialize};

pub use handle::{BeginError, RolloutGone, RolloutHandle};
pub use keep::KeepError;
pub use open::{Begin, Begun, WantedNode};
pub use release::{Document, Release};
pub use task::RolloutTask;
pub use view::RolloutView;

/// Number of a rollout, from 1; printed as `r-7`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct RolloutId(pub u64);

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r-{}", self.0)
    }
}

impl std::str::FromStr for RolloutId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("r-").unwrap_or(text).parse().map(Self)
    }
}

/// A node that gets a plan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlannedNode {
    /// Which node.
    pub node: NodeName,
    /// The plan it is to run.
    pub plan: PlanId,
    /// How long it may take from the offer until it is healthy.
    pub allowed: Micros,
}

/// What a rollout is about; what never changes while it runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Header {
    /// Which rollout.
    pub id: RolloutId,
    /// The revision that it brings.
    pub revision: RevisionId,
    /// W3C trace context of the apply that began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Wall clock of its begin, microseconds since 1970.
    pub begun_at_us: u64,
}

/// A rollout: persisted whole, resumed from what was persisted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rollout {
    /// What it is about.
    pub header: Header,
    /// How far each cluster is.
    pub clusters: BTreeMap<ClusterName, ClusterRollout>,
    /// A node rejected its plan: nobody is offered anything any more.
    pub stopped: bool,
    /// How it ended. Set when nothing more can be done now; goes on to change
    /// while offline nodes come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every node is healthy on its plan.
    Complete,
    /// Every node that is online is; the others get theirs on return.
    Offline,
    /// A node rejected its plan, did not get healthy in time, or runs a newer
    /// plan than this controller knows.
    Rejected,
    /// A newer rollout took its place.
    Superseded,
}

/// A rollout in one cluster.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClusterRollout {
    /// The nodes that get a plan, preferred master first.
    pub steps: Vec<Step>,
    /// A node failed here: no other node of this cluster is offered anything.
    pub stopped: bool,
    /// It was stopped by a rollout before this one, and the revision of this
    /// one did not touch it: kept, so that it is known, but no part of this
    /// rollout's work or outcome.
    #[serde(default, skip_serializing_if = "is_false")]
    pub carried: bool,
    /// A node that was given a plan by the rollout before this one and has not
    /// said yet how it went. Others wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining: Option<Draining>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What the rollout before this one left under way.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Draining {
    /// Which node.
    pub node: NodeName,
    /// The plan that it was given.
    pub plan: PlanId,
    /// From its offer until it must be healthy.
    pub allowed: Micros,
    /// Nobody waits for it after this wall clock, microseconds.
    pub deadline_us: u64,
}

/// One node's part in a rollout.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Step {
    /// Which node.
    pub node: NodeName,
    /// Its plan.
    pub plan: PlanId,
    /// From the offer until it must be healthy.
    pub allowed: Micros,
    /// How far it is.
    pub state: StepState,
    /// What the node last said of this plan. For show only, and not kept:
    /// every summary says it again.
    #[serde(skip)]
    pub phase: Option<PlanPhase>,
}

/// How far a node is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Its turn has not come, or it is offline.
    Waiting,
    /// It was offered its plan.
    Offered {
        /// Wall clock by which it must be healthy, microseconds.
        deadline_us: u64,
    },
    /// It runs its plan and is healthy.
    Healthy,
    /// It did not take its plan.
    Rejected {
        /// Why.
        errors: Vec<FieldError>,
    },
    /// It was not healthy in time.
    TimedOut {
        /// Whether it had no session when the time was over.
        silent: bool,
    },
    /// It runs a plan with a higher generation than this controller gave out,
    /// as after a store was restored. It is left alone.
    Ahead {
        /// What it runs.
        running: PlanId,
    },
}

/// Whether a node has a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// It has one and has told its state.
    Online,
    /// It has none.
    Offline,
    /// It may come: its session is being opened, or the controller has only
    /// just started.
    Settling,
}

/// What is known of a node now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeLevel {
    /// Whether it has a session.
    pub presence: Presence,
    /// Virtual routers that it is master of.
    pub masters: u32,
    /// The plan that it runs.
    pub running: Option<PlanId>,
    /// The newest plan that it was offered and what became of it.
    pub offered: Option<PlanStatus>,
}

impl NodeLevel {
    /// A node of which nothing is known.
    #[must_use]
    pub fn unheard(presence: Presence) -> Self {
        Self { presence, masters: 0, running: None, offered: None }
    }

    /// What the node says of `plan`.
    fn phase_of(&self, plan: &PlanId) -> Option<&PlanStatus> {
        self.offered.as_ref().filter(|status| status.plan == *plan)
    }
}

/// Levels by node. A node that is missing here is offline.
pub type Levels = BTreeMap<NodeName, NodeLevel>;

/// What one turn of the machine decided.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Turn {
    /// Plans to hand out, after the state has been stored.
    pub offers: Vec<Offer>,
    /// Nodes whose step or phase changed.
    pub nodes: Vec<(ClusterName, NodeName)>,
    /// Clusters whose stored state changed.
    pub clusters: Vec<ClusterName>,
    /// The part that belongs to no cluster changed.
    pub header: bool,
}

impl Turn {
    /// Whether something changed that must survive a restart.
    #[must_use]
    pub fn must_store(&self) -> bool {
        self.header || !self.clusters.is_empty()
    }
}

/// A plan to hand out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Offer {
    /// To whom.
    pub node: NodeName,
    /// What.
    pub plan: PlanId,
}

/// How far a cluster is, for people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClusterPhase {
    /// No node has been offered its plan yet.
    Waiting,
    /// Under way.
    Rolling,
    /// Every node is healthy on its plan.
    Done,
    /// Every node that is online is.
    DoneOffline,
    /// Stopped; some nodes keep their old plan.
    Stopped,
}
