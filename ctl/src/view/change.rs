//! What applying would change.

use serde::Serialize;

use super::{ManifestError, Problem, RevisionRef};

/// How hard a change is for the node's traffic, the easiest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ChangeClass {
    /// This hactl does not know the class.
    Unknown,
    /// Takes effect at once; no address moves.
    Live,
    /// Backups first, then the master.
    Ordered,
    /// All nodes accept the new form before any sends it.
    ExpandContract,
    /// Needs a moment that all nodes agree on.
    Coordinated,
    /// Traffic is cut.
    Disruptive,
}

/// One field of a plan.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// Where in the plan.
    pub path: String,
    /// JSON before; empty if it was not there.
    pub before: String,
    /// JSON after; empty if it goes away.
    pub after: String,
}

/// The change of one node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeChange {
    /// Its cluster.
    pub cluster: String,
    /// The node.
    pub node: String,
    /// How hard.
    pub class: ChangeClass,
    /// Which fields.
    pub fields: Vec<FieldChange>,
    /// Why the node can't take it, where that is known before it is asked.
    pub errors: Vec<Problem>,
    /// It is not connected: it converges on return.
    pub offline: bool,
}

/// What applying would change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// The revision that it was compared with; none before the first.
    pub base: Option<RevisionRef>,
    /// Mistakes in the manifests; then there are no changes.
    pub errors: Vec<ManifestError>,
    /// Changes, by cluster and node.
    pub changes: Vec<NodeChange>,
}
