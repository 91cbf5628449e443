//! Answers that are lists: nodes, changes, manifests, revisions.

use std::collections::{BTreeMap, BTreeSet};

use ha_model::compile::compile;
use ha_model::diff::{class_of, diff};
use ha_model::ids::{NodeName, RevisionId};
use ha_model::manifest::ManifestSet;
use ha_model::plan::NodePlan;
use ha_proto::v1;
use tonic::Status;

use super::applier::{Applier, Candidate, Refusal, too_old};
use super::convert;
use crate::fleet::{Connection, FleetState};
use crate::revisions::{Revision, Revisions};
use crate::rollout::Document;

/// Every node of the wish, and every other that was heard or has a certificate.
pub(super) fn nodes(fleet: &FleetState, now_us: u64) -> Vec<v1::NodeInfo> {
    let names: BTreeSet<&NodeName> = fleet.wish.members.keys().chain(fleet.nodes.keys()).collect();
    names.into_iter().map(|name| node(fleet, name, now_us)).collect()
}

fn node(fleet: &FleetState, name: &NodeName, now_us: u64) -> v1::NodeInfo {
    let state = fleet.nodes.get(name);
    let heard = state.and_then(|state| state.heard.as_ref());
    let facts = state.and_then(|state| state.facts.as_ref());
    v1::NodeInfo {
        name: name.to_string(),
        cluster: fleet.wish.members.get(name).map(ToString::to_string).unwrap_or_default(),
        connection: convert::connection(fleet.connection(name, now_us)).into(),
        heard_at_us: heard.map_or(0, |heard| heard.at_us),
        agent_version: facts.map(|facts| facts.version.clone()).unwrap_or_default(),
        certificate_expires_at_us: state
            .and_then(|state| state.certificate_expires_at_us)
            .unwrap_or(0),
        wanted: fleet.wish.plan_of(name).map(Into::into),
        running: heard.and_then(|heard| heard.status.running).map(Into::into),
        offered: heard.and_then(|heard| heard.status.offered.clone()).map(Into::into),
        duplicate_streams: state.map_or(0, |state| state.duplicates),
    }
}

/// What the candidate would change on each node.
pub(super) async fn changes(
    applier: &Applier,
    candidate: Candidate,
    fleet: &FleetState,
    now_us: u64,
) -> Result<Vec<v1::NodeChange>, Refusal> {
    let before = running(applier.revisions()).await?;
    let after = candidate.plans;
    let old: BTreeMap<_, _> = too_old(&after, fleet)
        .into_iter()
        .map(|one| (one.node.clone(), convert::too_old(&one)))
        .collect();
    let names: BTreeSet<&NodeName> = before.keys().chain(after.keys()).collect();
    let changes = names.into_iter().filter_map(|name| {
        let (before, after) = (before.get(name), after.get(name));
        let fields = diff(before, after);
        let class = class_of(&fields)?;
        let plan = after.or(before)?;
        Some(v1::NodeChange {
            cluster: plan.cluster.to_string(),
            node: name.to_string(),
            class: convert::class(class).into(),
            fields: fields.into_iter().map(convert::field).collect(),
            errors: old.get(name).cloned().map(Into::into).into_iter().collect(),
            offline: fleet.connection(name, now_us) != Connection::Online,
        })
    });
    Ok(changes.collect())
}

/// The plans of the head; nodes that have left are not among them.
async fn running(revisions: &Revisions) -> Result<BTreeMap<NodeName, NodePlan>, Refusal> {
    let mut plans = BTreeMap::new();
    for (node, record) in revisions.plans().await.map_err(Refusal::Revision)? {
        let Some(digest) = record.digest else { continue };
        let bytes = revisions.document(digest).await.map_err(Refusal::Revision)?;
        let (_, plan) = Document::parse(bytes).map_err(Refusal::Plan)?;
        if !plan.instances.is_empty() {
            plans.insert(node, plan);
        }
    }
    Ok(plans)
}

/// Revision `number`, or the head for 0; `None` if there is none at all.
pub(super) async fn revision(
    revisions: &Revisions,
    number: u64,
) -> Result<Option<Revision>, Status> {
    let failed = |error| convert::revision(&error);
    let number = match number {
        0 => match revisions.head().await.map_err(failed)? {
            Some(RevisionId { number, .. }) => number,
            None => return Ok(None),
        },
        number => number,
    };
    let revision = revisions.get(number).await.map_err(failed)?;
    revision.map(Some).ok_or_else(|| Status::not_found(format!("there is no revision {number}")))
}

/// The plan of `node`: as it is stored for the head, compiled again for an
/// older revision.
pub(super) async fn plan(
    applier: &Applier,
    node: &NodeName,
    number: u64,
) -> Result<v1::RenderPlanResponse, Status> {
    let failed = |error| convert::revision(&error);
    let missing = || Status::not_found(format!("no cluster has a node {node}"));
    let revisions = applier.revisions();
    if number == 0 {
        let plans = revisions.plans().await.map_err(failed)?;
        let id = plans.get(node).and_then(|record| record.plan(revisions.epoch()));
        let id = id.ok_or_else(missing)?;
        let document = revisions.document(id.digest).await.map_err(failed)?.to_vec();
        return Ok(v1::RenderPlanResponse { plan: Some(id.into()), document });
    }
    let revision = revision(revisions, number).await?.ok_or_else(missing)?;
    let texts = revisions.texts(&revision).await.map_err(failed)?;
    let keyed = texts.into_iter().filter_map(|(key, text)| Some((key.parse().ok()?, text)));
    let unreadable = |_| Status::internal("this build can't read the objects of that revision");
    let set = ManifestSet::from_texts(keyed.collect::<Vec<_>>()).map_err(unreadable)?;
    let secrets = applier.secrets().await.map_err(|_| Status::internal("no secrets"))?;
    let (fleet, _) = set.fleet(&secrets).map_err(unreadable)?;
    let plan = compile(&fleet).remove(node).ok_or_else(missing)?;
    Ok(v1::RenderPlanResponse { plan: None, document: plan.to_document() })
}
