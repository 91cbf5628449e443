//! Objects that are listed.

use ha_proto::v1;

use super::{fleet, hex, offered, plan_ref, revision_ref};
use crate::view::{JoinToken, Manifest, Manifests, Node, RenderedPlan, Revision, RevisionRef};

/// A node of the list.
pub(in crate::client) fn node(node: v1::NodeInfo) -> Node {
    Node {
        connection: fleet::connection(node.connection()),
        name: node.name,
        cluster: node.cluster,
        heard_at_us: node.heard_at_us,
        agent_version: node.agent_version,
        certificate_expires_at_us: node.certificate_expires_at_us,
        wanted: node.wanted.map(plan_ref),
        running: node.running.map(plan_ref),
        offered: node.offered.map(offered),
        duplicate_streams: node.duplicate_streams,
    }
}

/// A revision of the list.
pub(in crate::client) fn revision(revision: v1::Revision) -> Revision {
    let none = || RevisionRef { epoch: super::epoch(0), number: 0, sha256: String::new() };
    Revision {
        id: revision.id.map_or_else(none, revision_ref),
        at_us: revision.at_us,
        author: revision.author,
        message: revision.message,
    }
}

/// The manifests of a revision.
pub(in crate::client) fn manifests(response: v1::GetManifestsResponse) -> Manifests {
    let mut files: Vec<Manifest> = response
        .files
        .into_iter()
        .map(|v1::ManifestFile { name, text }| Manifest { name, text })
        .collect();
    files.sort_by(|left, right| left.name.cmp(&right.name));
    Manifests { revision: response.revision.map(revision_ref), files }
}

/// A plan document.
pub(in crate::client) fn rendered(plan: Option<v1::PlanId>, document: Vec<u8>) -> RenderedPlan {
    RenderedPlan { plan: plan.map(plan_ref), document }
}

/// A token, and what to type with it.
pub(in crate::client) fn join_token(
    node: &str,
    controller: &str,
    response: v1::CreateJoinTokenResponse,
) -> JoinToken {
    let ca_sha256 = hex(&response.ca_sha256);
    JoinToken {
        node: node.to_owned(),
        command: format!(
            "ha-agent enroll --controller {controller} --node {node} --token {} --ca-sha256 {ca_sha256}",
            response.token
        ),
        token: response.token,
        ca_sha256,
        expires_at_us: response.expires_at_us,
    }
}
