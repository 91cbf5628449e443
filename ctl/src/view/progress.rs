//! How a rollout goes on.

use serde::Serialize;

use super::RevisionRef;

/// How far a plan got on a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PlanPhase {
    /// Nothing was reported, or this hactl does not know the phase.
    Unknown,
    /// The bytes are there.
    Received,
    /// Checked and written to the node's disk.
    Prepared,
    /// The machines run it.
    Applied,
    /// The kernel shows it, and every instance has a master.
    Healthy,
    /// Not taken; the plan before it keeps running.
    Rejected,
    /// Taken back.
    RolledBack,
}

/// How far a cluster is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterPhase {
    /// Its turn has not come.
    Waiting,
    /// Its nodes take their plans, one at a time.
    Rolling,
    /// Every node has its plan.
    Done,
    /// Done but for nodes that are offline.
    DoneOffline,
    /// Stopped at a rejection.
    Stopped,
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It has not ended, or this hactl does not know how.
    None,
    /// Every node has its plan.
    Complete,
    /// Every node that is online has it.
    Offline,
    /// Stopped at a rejection.
    Rejected,
    /// A newer apply took its place.
    Superseded,
}

/// Why a plan was not taken.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Stable code.
    pub code: String,
    /// Path in the plan; empty: the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// A mistake in a manifest.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestError {
    /// Stable code.
    pub code: String,
    /// The file; empty: no single place.
    pub file: String,
    /// Line, from 1; 0: none.
    pub line: u32,
    /// Column, from 1; 0: none.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// With source lines and carets.
    #[serde(skip)]
    pub rendered: String,
}

/// News of a node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeProgress {
    /// Its cluster.
    pub cluster: String,
    /// The node.
    pub node: String,
    /// How far its plan got.
    pub phase: PlanPhase,
    /// Why it was not taken.
    pub errors: Vec<Problem>,
    /// It is not connected.
    pub offline: bool,
}

/// One thing that happened in a rollout.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Time on the controller.
    pub at_us: u64,
    /// What.
    pub event: ProgressEvent,
}

/// What happened in a rollout.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ProgressEvent {
    /// The manifests are wrong; nothing was stored.
    Invalid {
        /// All mistakes.
        errors: Vec<ManifestError>,
    },
    /// The revision is on the controller's disk.
    Stored {
        /// Which.
        revision: Option<RevisionRef>,
        /// The rollout that takes it to the nodes.
        rollout: String,
        /// Off: the wish was the same already.
        changed: bool,
        /// Clusters that it changes.
        clusters: Vec<String>,
        /// Nodes that it changes.
        nodes: Vec<String>,
    },
    /// News of a node.
    Node(NodeProgress),
    /// News of a cluster.
    Cluster {
        /// Which.
        cluster: String,
        /// How far it is.
        phase: ClusterPhase,
        /// Its nodes that are offline.
        offline: Vec<String>,
    },
    /// The end.
    Done {
        /// How.
        outcome: Outcome,
        /// The rollout.
        rollout: String,
        /// Nodes that are offline.
        offline: Vec<String>,
        /// Nodes that rejected their plan.
        rejected: Vec<NodeProgress>,
    },
}
