//! Objects that are listed.

use serde::Serialize;

use super::{Connection, OfferedPlan, PlanRef};

/// Identity of a revision.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionRef {
    /// Life of the controller's store, 16 hex digits.
    pub epoch: String,
    /// Order within it.
    pub number: u64,
    /// SHA-256 of the wish, 64 hex digits.
    pub sha256: String,
}

/// A revision.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Which.
    pub id: RevisionRef,
    /// When it was applied.
    pub at_us: u64,
    /// By whom.
    pub author: String,
    /// Why.
    pub message: String,
}

/// A node of the fleet.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its cluster; empty if none names it.
    pub cluster: String,
    /// Whether it is connected.
    pub connection: Connection,
    /// When it was last heard; 0: never.
    pub heard_at_us: u64,
    /// Version of its agent.
    pub agent_version: String,
    /// When its certificate ends; 0: it has none.
    pub certificate_expires_at_us: u64,
    /// The plan that it should run.
    pub wanted: Option<PlanRef>,
    /// The plan that it runs.
    pub running: Option<PlanRef>,
    /// What became of the newest plan that it was offered.
    pub offered: Option<OfferedPlan>,
    /// Streams refused because another one with its identity answered.
    pub duplicate_streams: u64,
}

/// A secret: never its value.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Rises with every new value.
    pub version: u64,
}

/// One manifest of a revision.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The file, as whoever applied it named it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The manifests of a revision.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifests {
    /// Which revision.
    pub revision: Option<RevisionRef>,
    /// In the order of their names.
    pub files: Vec<Manifest>,
}

/// A token that lets one node join once.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinToken {
    /// The node.
    pub node: String,
    /// The token. Whoever has it can join as this node.
    pub token: String,
    /// SHA-256 of the CA's certificate (DER), 64 hex digits.
    pub ca_sha256: String,
    /// When it ends.
    pub expires_at_us: u64,
    /// What to type on the node.
    pub command: String,
}

/// A plan document.
#[derive(Clone, Debug)]
pub struct RenderedPlan {
    /// Which plan.
    pub plan: Option<PlanRef>,
    /// Its bytes; the digest is over exactly these.
    pub document: Vec<u8>,
}

/// A context.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContextView {
    /// Its name.
    pub name: String,
    /// It is used when none is named.
    pub current: bool,
    /// Name of the fleet.
    pub fleet: String,
    /// Address of the controller.
    pub controller: String,
    /// File of the CA's certificate.
    pub ca: String,
    /// File of the user's certificate.
    pub cert: String,
    /// File of its key.
    pub key: String,
}
