//! `ha.v1.Fleet`.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha_model::ids::{ClusterName, NodeName};
use ha_model::manifest::{ManifestFile, Mode};
use ha_proto::v1;
use ha_proto::v1::apply_progress::Event;
use ha_proto::v1::fleet_server::Fleet;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;

use super::applier::NewWish;
use super::follow::{self, Outbox};
use super::{Applied, Applier, convert, listing, status};
use crate::auth;
use crate::clock::now_us;
use crate::error_chain;
use crate::events::{End, Events, Query};
use crate::fleet::{FleetHandle, FleetState};
use crate::pki::{CreateTokenError, Pki, token_life};
use crate::rollout::{RolloutHandle, RolloutView};

/// Messages on their way to one caller; a slow one holds up only itself.
const OUTBOX: usize = 32;

/// What the service is made of.
#[derive(Clone)]
pub struct Parts {
    /// The wish.
    pub applier: Arc<Applier>,
    /// What the fleet is.
    pub fleet: FleetHandle,
    /// How plans reach the nodes.
    pub rollouts: RolloutHandle,
    /// What happened.
    pub events: Arc<Events>,
    /// Join tokens.
    pub pki: Arc<Pki>,
    /// Turns true once the controller stops.
    pub stop: watch::Receiver<bool>,
}

/// Serves people and their tools.
#[derive(Clone)]
pub struct FleetService {
    parts: Parts,
}

type Stream<T> = ReceiverStream<Result<T, Status>>;

impl FleetService {
    /// Serves `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Answers with a stream that `feed` fills until the controller stops.
    fn stream<T, F>(&self, feed: impl FnOnce(Self, Outbox<T>) -> F) -> Response<Stream<T>>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let fed = feed(self.clone(), outbox.clone());
        tokio::spawn(follow::until_stop(outbox, self.parts.stop.clone(), fed));
        Response::new(ReceiverStream::new(messages))
    }
}

fn files(files: Vec<v1::ManifestFile>) -> Vec<ManifestFile> {
    files.into_iter().map(|v1::ManifestFile { name, text }| ManifestFile { name, text }).collect()
}

fn mode(replace: bool) -> Mode {
    if replace { Mode::Replace } else { Mode::Merge }
}

fn clusters(names: &[String], fleet: &FleetState) -> Result<BTreeSet<ClusterName>, Status> {
    let known = |name: &String| {
        let name: Option<ClusterName> = name.parse().ok();
        name.filter(|name| fleet.wish.clusters.contains_key(name))
    };
    names
        .iter()
        .map(|name| known(name).ok_or_else(|| Status::not_found(format!("no cluster {name}"))))
        .collect()
}

/// The nodes that are asked for; none if that is all.
fn wanted_nodes(
    request: &v1::ListEventsRequest,
    fleet: &FleetState,
) -> Result<Option<BTreeSet<NodeName>>, Status> {
    if request.nodes.is_empty() && request.clusters.is_empty() {
        return Ok(None);
    }
    let mut nodes = BTreeSet::new();
    for name in &request.nodes {
        let bad = |error| Status::invalid_argument(format!("the name of the node {error}"));
        nodes.insert(name.parse().map_err(bad)?);
    }
    for cluster in clusters(&request.clusters, fleet)? {
        let members = fleet.wish.members.iter().filter(|(_, of)| **of == cluster);
        nodes.extend(members.map(|(node, _)| node.clone()));
    }
    Ok(Some(nodes))
}

/// Applies, tells what came of it, and follows the rollout.
async fn apply(parts: Parts, wish: NewWish, outbox: Outbox<v1::ApplyProgress>) {
    let Applied { revision, changed, begun } = match parts.applier.apply(wish).await {
        Ok(applied) => applied,
        Err(refusal) => {
            let told = convert::refusal(refusal)
                .map(|errors| follow::message(Event::Invalid(v1::ManifestErrors { errors })));
            let _ = outbox.send(told).await;
            return;
        }
    };
    let stored = v1::RevisionStored {
        revision: Some(revision.into()),
        rollout: begun.rollout.map(|id| id.to_string()).unwrap_or_default(),
        changed,
        clusters: begun.nodes.keys().map(ToString::to_string).collect(),
        nodes: begun.nodes.values().flatten().map(ToString::to_string).collect(),
    };
    // The caller may be gone; the rollout goes on without.
    if outbox.send(Ok(follow::message(Event::Stored(stored)))).await.is_err() {
        return;
    }
    match begun.rollout {
        Some(id) => follow::rollout(id, parts.rollouts.follow(), &outbox).await,
        None => {
            let done = nothing_to_do(&parts.fleet.snapshot());
            let _ = outbox.send(Ok(follow::message(done))).await;
        }
    }
}

/// Every node has its plan, or has rejected it before.
fn nothing_to_do(fleet: &FleetState) -> Event {
    let mut rejected = vec![];
    for (node, cluster) in &fleet.wish.members {
        let status = fleet.nodes.get(node).and_then(|state| state.heard.as_ref());
        let offered = status.and_then(|heard| heard.status.offered.clone());
        let Some(offered) =
            offered.filter(|offered| Some(offered.plan) == fleet.wish.plan_of(node))
        else {
            continue;
        };
        if !offered.errors.is_empty() {
            rejected.push(v1::NodeProgress {
                cluster: cluster.to_string(),
                node: node.to_string(),
                phase: v1::PlanPhase::from(offered.phase).into(),
                errors: offered.errors.into_iter().map(Into::into).collect(),
                offline: false,
            });
        }
    }
    let outcome = if rejected.is_empty() {
        v1::rollout_done::Outcome::Complete
    } else {
        v1::rollout_done::Outcome::Rejected
    };
    Event::Done(v1::RolloutDone { outcome: outcome.into(), rejected, ..v1::RolloutDone::default() })
}

#[tonic::async_trait]
impl Fleet for FleetService {
    type ApplyStream = Stream<v1::ApplyProgress>;
    type WatchRolloutStream = Stream<v1::ApplyProgress>;
    type WatchStatusStream = Stream<v1::StatusResponse>;
    type ListEventsStream = Stream<v1::FleetEvent>;

    async fn apply(
        &self,
        request: Request<v1::ApplyRequest>,
    ) -> Result<Response<Self::ApplyStream>, Status> {
        let author = auth::user(&request)?;
        let message = request.into_inner();
        let bad = |error| Status::invalid_argument(format!("base: {}", error_chain(&error)));
        let wish = NewWish {
            files: files(message.files),
            mode: mode(message.replace),
            base: message.base.map(TryInto::try_into).transpose().map_err(bad)?,
            author,
            message: message.message,
            traceparent: ha_telemetry::trace::current_traceparent(),
        };
        let (outbox, messages) = mpsc::channel(OUTBOX);
        // A task of its own: what is begun is ended whether or not somebody
        // waits for it.
        tokio::spawn(apply(self.parts.clone(), wish, outbox).in_current_span());
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn watch_rollout(
        &self,
        request: Request<v1::WatchRolloutRequest>,
    ) -> Result<Response<Self::WatchRolloutStream>, Status> {
        let name = request.into_inner().rollout;
        let bad = |_| Status::invalid_argument(format!("{name} is not the name of a rollout"));
        let asked = (!name.is_empty()).then(|| name.parse()).transpose().map_err(bad)?;
        let failed = |error| Status::internal(format!("E3002: {}", error_chain(&error)));
        let newest = self.parts.rollouts.stored(None).await.map_err(failed)?;
        let newest = newest.map(|rollout| rollout.header.id);
        let none = || Status::not_found("there is no such rollout");
        let id = asked.or(newest).ok_or_else(none)?;
        if Some(id) == newest {
            let views = self.parts.rollouts.follow();
            return Ok(self.stream(|_, outbox| async move {
                follow::rollout(id, views, &outbox).await;
            }));
        }
        let rollout = self.parts.rollouts.stored(Some(id)).await.map_err(failed)?;
        let mut rollout = rollout.ok_or_else(none)?;
        rollout.supersede();
        let view = RolloutView::ended(&rollout);
        Ok(self.stream(|_, outbox| async move { follow::ended(&view, &outbox).await }))
    }

    async fn plan(
        &self,
        request: Request<v1::PlanRequest>,
    ) -> Result<Response<v1::PlanResponse>, Status> {
        let v1::PlanRequest { files: given, replace } = request.into_inner();
        let applier = &self.parts.applier;
        let present = applier.present().await;
        let base = present.id.map(Into::into);
        let changes = async {
            let candidate = applier.check(&present, files(given), mode(replace)).await?;
            let fleet = self.parts.fleet.snapshot();
            listing::changes(applier, candidate, &fleet, now_us()).await
        };
        let response = match changes.await {
            Ok(changes) => v1::PlanResponse { base, changes, errors: vec![] },
            Err(refusal) => {
                let errors = convert::refusal(refusal)?;
                v1::PlanResponse { base, changes: vec![], errors }
            }
        };
        Ok(Response::new(response))
    }

    async fn get_manifests(
        &self,
        request: Request<v1::GetManifestsRequest>,
    ) -> Result<Response<v1::GetManifestsResponse>, Status> {
        let revisions = self.parts.applier.revisions();
        let Some(revision) = listing::revision(revisions, request.into_inner().revision).await?
        else {
            return Ok(Response::new(v1::GetManifestsResponse::default()));
        };
        let texts = revisions.texts(&revision).await.map_err(|error| convert::revision(&error))?;
        let files = texts.into_iter().map(|(name, text)| v1::ManifestFile { name, text }).collect();
        let revision = Some(revision.id.into());
        Ok(Response::new(v1::GetManifestsResponse { revision, files }))
    }

    async fn render_plan(
        &self,
        request: Request<v1::RenderPlanRequest>,
    ) -> Result<Response<v1::RenderPlanResponse>, Status> {
        let v1::RenderPlanRequest { node, revision } = request.into_inner();
        let bad = |error| Status::invalid_argument(format!("the name of the node {error}"));
        let node = node.parse().map_err(bad)?;
        Ok(Response::new(listing::plan(&self.parts.applier, &node, revision).await?))
    }

    async fn list_revisions(
        &self,
        request: Request<v1::ListRevisionsRequest>,
    ) -> Result<Response<v1::ListRevisionsResponse>, Status> {
        let limit = match request.into_inner().limit {
            0 => usize::MAX,
            limit => limit as usize,
        };
        let found = self.parts.applier.revisions().list(limit).await;
        let revisions = found
            .map_err(|error| convert::revision(&error))?
            .into_iter()
            .map(|revision| v1::Revision {
                id: Some(revision.id.into()),
                at_us: revision.at_us,
                author: revision.author,
                message: revision.message,
            })
            .collect();
        Ok(Response::new(v1::ListRevisionsResponse { revisions }))
    }

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let fleet = self.parts.fleet.snapshot();
        let clusters = clusters(&request.into_inner().clusters, &fleet)?;
        Ok(Response::new(status::response(&fleet, &clusters, now_us()).0))
    }

    async fn watch_status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let clusters = clusters(&request.into_inner().clusters, &self.parts.fleet.snapshot())?;
        Ok(self.stream(|service, outbox| async move {
            follow::statuses(service.parts.fleet, clusters, &outbox).await;
        }))
    }

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<Self::ListEventsStream>, Status> {
        let request = request.into_inner();
        let nodes = wanted_nodes(&request, &self.parts.fleet.snapshot())?;
        let end = if request.limit == 0 { End::Oldest } else { End::Newest };
        let query = Query {
            after: request.after_index,
            since_us: request.since_us,
            nodes,
            limit: request.limit as usize,
            end,
        };
        Ok(self.stream(|service, outbox| async move {
            follow::events(service.parts.events, query, request.follow, &outbox).await;
        }))
    }

    async fn create_join_token(
        &self,
        request: Request<v1::CreateJoinTokenRequest>,
    ) -> Result<Response<v1::CreateJoinTokenResponse>, Status> {
        let v1::CreateJoinTokenRequest { node, ttl_us } = request.into_inner();
        let bad = |error| Status::invalid_argument(format!("the name of the node {error}"));
        let node = node.parse().map_err(bad)?;
        let made = self.parts.pki.create_token(&node, token_life(ttl_us), now_us()).await;
        let new = made.map_err(|error| match error {
            CreateTokenError::Life { .. } => Status::invalid_argument(error.to_string()),
            CreateTokenError::Random(_) | CreateTokenError::Store(_) => {
                Status::internal(format!("E3002: {}", error_chain(&error)))
            }
        })?;
        Ok(Response::new(v1::CreateJoinTokenResponse {
            token: new.token.expose().to_string(),
            ca_sha256: self.parts.pki.ca().trusted().fingerprint().0.to_vec(),
            expires_at_us: new.expires_at_us,
        }))
    }

    async fn list_nodes(
        &self,
        _request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        let nodes = listing::nodes(&self.parts.fleet.snapshot(), now_us());
        Ok(Response::new(v1::ListNodesResponse { nodes }))
    }

    async fn list_secrets(
        &self,
        _request: Request<v1::ListSecretsRequest>,
    ) -> Result<Response<v1::ListSecretsResponse>, Status> {
        let present = self.parts.applier.present().await;
        let secrets = present
            .fleet
            .secrets
            .iter()
            .map(|(name, version)| v1::SecretInfo { name: name.to_string(), version: *version })
            .collect();
        Ok(Response::new(v1::ListSecretsResponse { secrets }))
    }
}
