//! What `hactl status` shows.

use std::collections::BTreeSet;

use ha_model::ids::ClusterName;
use ha_proto::v1;

use super::convert;
use crate::fleet::FleetState;

/// The status of `clusters` (all, if there is none) at `now_us`, and when the
/// same observations may look different.
pub(super) fn response(
    fleet: &FleetState,
    clusters: &BTreeSet<ClusterName>,
    now_us: u64,
) -> (v1::StatusResponse, Option<u64>) {
    let all = clusters.is_empty();
    let judgement = fleet.judge(now_us, |name| all || clusters.contains(name));
    let mut response = v1::StatusResponse {
        clusters: judgement.clusters.into_iter().map(convert::cluster).collect(),
        at_us: now_us,
        rollout: fleet.rollout.map(convert::rollout),
        ..v1::StatusResponse::default()
    };
    convert::head(&mut response, fleet.wish.head.as_ref());
    (response, judgement.recheck_us)
}
