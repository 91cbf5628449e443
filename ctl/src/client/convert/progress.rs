//! How a rollout goes on.

use ha_proto::v1;
use v1::apply_progress::Event;
use v1::rollout_done;

use super::{phase, problem, revision_ref};
use crate::view::{ClusterPhase, ManifestError, NodeProgress, Outcome, Progress, ProgressEvent};

/// One message of the stream; none if it says nothing that is known here.
pub(in crate::client) fn progress(message: v1::ApplyProgress) -> Option<Progress> {
    let event = match message.event? {
        Event::Invalid(invalid) => ProgressEvent::Invalid {
            errors: invalid.errors.into_iter().map(manifest_error).collect(),
        },
        Event::Stored(stored) => ProgressEvent::Stored {
            revision: stored.revision.map(revision_ref),
            rollout: stored.rollout,
            changed: stored.changed,
            clusters: stored.clusters,
            nodes: stored.nodes,
        },
        Event::Node(node) => ProgressEvent::Node(node_progress(node)),
        Event::Cluster(cluster) => ProgressEvent::Cluster {
            phase: cluster_phase(cluster.phase())?,
            cluster: cluster.cluster,
            offline: cluster.offline,
        },
        Event::Done(done) => ProgressEvent::Done {
            outcome: outcome(done.outcome()),
            rollout: done.rollout,
            offline: done.offline,
            rejected: done.rejected.into_iter().map(node_progress).collect(),
        },
    };
    Some(Progress { at_us: message.at_us, event })
}

/// A mistake in a manifest.
pub(super) fn manifest_error(error: v1::ManifestError) -> ManifestError {
    let v1::ManifestError { code, file, line, column, message, hint, rendered } = error;
    ManifestError { code, file, line, column, message, hint, rendered }
}

/// How a rollout ended.
pub(super) fn outcome(outcome: rollout_done::Outcome) -> Outcome {
    match outcome {
        rollout_done::Outcome::Unspecified => Outcome::None,
        rollout_done::Outcome::Complete => Outcome::Complete,
        rollout_done::Outcome::Offline => Outcome::Offline,
        rollout_done::Outcome::Rejected => Outcome::Rejected,
        rollout_done::Outcome::Superseded => Outcome::Superseded,
    }
}

fn cluster_phase(phase: v1::ClusterPhase) -> Option<ClusterPhase> {
    match phase {
        v1::ClusterPhase::Unspecified => None,
        v1::ClusterPhase::Waiting => Some(ClusterPhase::Waiting),
        v1::ClusterPhase::Rolling => Some(ClusterPhase::Rolling),
        v1::ClusterPhase::Done => Some(ClusterPhase::Done),
        v1::ClusterPhase::DoneOffline => Some(ClusterPhase::DoneOffline),
        v1::ClusterPhase::Stopped => Some(ClusterPhase::Stopped),
    }
}

fn node_progress(node: v1::NodeProgress) -> NodeProgress {
    NodeProgress {
        phase: phase(node.phase()),
        cluster: node.cluster,
        node: node.node,
        errors: node.errors.into_iter().map(problem).collect(),
        offline: node.offline,
    }
}
