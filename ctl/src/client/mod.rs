//! Asking the controller, or an agent through its socket. Messages end here:
//! what comes out are views, and what fails is a [`Failure`].

mod connect;
mod convert;
mod refusal;

use futures_util::{Stream, StreamExt as _};
use ha_proto::v1;
use ha_proto::v1::fleet_client::FleetClient;
use ha_proto::v1::local_client::LocalClient;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::error::Failure;
use crate::span;
use crate::view::{
    Event, FleetStatus, JoinToken, LocalStatus, Manifests, Node, PlanReport, Progress,
    RenderedPlan, Revision, RevisionRef, Secret, Uplink,
};

pub use connect::{agent, controller};
pub(crate) use refusal::is_lost;

/// Largest answer that is taken: the status of some thousand clusters.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A manifest on its way to the controller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// As the user named it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What is asked of an apply.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The manifests.
    pub files: Vec<File>,
    /// Why.
    pub message: String,
    /// The revision that was shown when the user agreed.
    pub base: Option<RevisionRef>,
    /// The files are the whole wish.
    pub replace: bool,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only of these nodes.
    pub nodes: Vec<String>,
    /// Only of these clusters.
    pub clusters: Vec<String>,
    /// Only after this index.
    pub after_index: u64,
    /// Only at or after this wall clock.
    pub since_us: u64,
    /// The newest so many; 0: all.
    pub limit: u32,
    /// Go on with new ones.
    pub follow: bool,
}

/// A controller.
#[derive(Clone, Debug)]
pub struct Controller {
    client: FleetClient<Channel>,
    uplink: Uplink,
}

/// Attaches the trace of this command.
fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    span::inject(request.metadata_mut());
    request
}

impl Controller {
    /// Talks through `channel`.
    #[must_use]
    pub fn new(channel: Channel, uplink: Uplink) -> Self {
        let client = FleetClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Self { client, uplink }
    }

    fn failed(&self, status: Status) -> Failure {
        refusal::failure(&self.uplink.controller, status)
    }

    /// The fleet as it is now.
    ///
    /// # Errors
    /// All that [`refusal`] knows; so for every call below.
    pub async fn status(&mut self, clusters: Vec<String>) -> Result<FleetStatus, Failure> {
        let answer = self.client.status(request(v1::StatusRequest { clusters })).await;
        let answer = answer.map_err(|status| self.failed(status))?;
        Ok(convert::fleet_status(&self.uplink, answer.into_inner()))
    }

    /// The fleet, anew whenever it changes.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn watch_status(
        &mut self,
        clusters: Vec<String>,
    ) -> Result<impl Stream<Item = Result<FleetStatus, Failure>> + use<>, Failure> {
        let answer = self.client.watch_status(request(v1::StatusRequest { clusters })).await;
        let stream = answer.map_err(|status| self.failed(status))?.into_inner();
        let uplink = self.uplink.clone();
        Ok(self.stream(stream).map(move |message| Ok(convert::fleet_status(&uplink, message?))))
    }

    fn stream<T>(&self, stream: Streaming<T>) -> impl Stream<Item = Result<T, Failure>> + use<T> {
        let address = self.uplink.controller.clone();
        stream.map(move |message| message.map_err(|status| refusal::failure(&address, status)))
    }

    /// Events, oldest first.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn events(
        &mut self,
        filter: EventFilter,
    ) -> Result<impl Stream<Item = Result<Event, Failure>> + use<>, Failure> {
        let EventFilter { nodes, clusters, after_index, since_us, limit, follow } = filter;
        let message =
            v1::ListEventsRequest { nodes, clusters, after_index, since_us, limit, follow };
        let answer = self.client.list_events(request(message)).await;
        let stream = answer.map_err(|status| self.failed(status))?.into_inner();
        Ok(self.stream(stream).map(|event| Ok(convert::fleet_event(event?))))
    }

    /// What applying these files would change.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn plan(&mut self, files: Vec<File>, replace: bool) -> Result<PlanReport, Failure> {
        let message = v1::PlanRequest { files: manifest_files(files), replace };
        let answer = self.client.plan(request(message)).await;
        Ok(convert::plan_report(answer.map_err(|status| self.failed(status))?.into_inner()))
    }

    /// Stores and rolls out.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn apply(
        &mut self,
        wish: Wish,
    ) -> Result<impl Stream<Item = Result<Progress, Failure>> + use<>, Failure> {
        let message = v1::ApplyRequest {
            files: manifest_files(wish.files),
            message: wish.message,
            base: wish.base.as_ref().map(convert::revision_id),
            replace: wish.replace,
        };
        let answer = self.client.apply(request(message)).await;
        let stream = answer.map_err(|status| self.failed(status))?.into_inner();
        Ok(known(self.stream(stream)))
    }

    /// Follows a rollout; an empty name is the newest.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn watch_rollout(
        &mut self,
        rollout: String,
    ) -> Result<impl Stream<Item = Result<Progress, Failure>> + use<>, Failure> {
        let answer = self.client.watch_rollout(request(v1::WatchRolloutRequest { rollout })).await;
        let stream = answer.map_err(|status| self.failed(status))?.into_inner();
        Ok(known(self.stream(stream)))
    }

    /// The manifests of a revision; 0 is the newest.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn manifests(&mut self, revision: u64) -> Result<Manifests, Failure> {
        let answer = self.client.get_manifests(request(v1::GetManifestsRequest { revision })).await;
        Ok(convert::manifests(answer.map_err(|status| self.failed(status))?.into_inner()))
    }

    /// The plan of a node; revision 0 is the newest.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn render(&mut self, node: String, revision: u64) -> Result<RenderedPlan, Failure> {
        let answer =
            self.client.render_plan(request(v1::RenderPlanRequest { node, revision })).await;
        let plan = answer.map_err(|status| self.failed(status))?.into_inner();
        Ok(convert::rendered(plan.plan, plan.document))
    }

    /// The newest revisions, newest first; 0 is all.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn revisions(&mut self, limit: u32) -> Result<Vec<Revision>, Failure> {
        let answer = self.client.list_revisions(request(v1::ListRevisionsRequest { limit })).await;
        let list = answer.map_err(|status| self.failed(status))?.into_inner().revisions;
        let mut list: Vec<Revision> = list.into_iter().map(convert::revision).collect();
        list.sort_by_key(|revision| {
            (std::cmp::Reverse(revision.at_us), std::cmp::Reverse(revision.id.number))
        });
        Ok(list)
    }

    /// All nodes, by name.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn nodes(&mut self) -> Result<Vec<Node>, Failure> {
        let answer = self.client.list_nodes(request(v1::ListNodesRequest {})).await;
        let list = answer.map_err(|status| self.failed(status))?.into_inner().nodes;
        let mut list: Vec<Node> = list.into_iter().map(convert::node).collect();
        list.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(list)
    }

    /// All secrets, by name; never a value.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn secrets(&mut self) -> Result<Vec<Secret>, Failure> {
        let answer = self.client.list_secrets(request(v1::ListSecretsRequest {})).await;
        let list = answer.map_err(|status| self.failed(status))?.into_inner().secrets;
        let mut list: Vec<Secret> = list
            .into_iter()
            .map(|v1::SecretInfo { name, version }| Secret { name, version })
            .collect();
        list.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(list)
    }

    /// A token for one node.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn join_token(&mut self, node: &str, ttl_us: u64) -> Result<JoinToken, Failure> {
        let message = v1::CreateJoinTokenRequest { node: node.to_owned(), ttl_us };
        let answer = self.client.create_join_token(request(message)).await;
        let token = answer.map_err(|status| self.failed(status))?.into_inner();
        Ok(convert::join_token(node, &self.uplink.controller, token))
    }
}

fn manifest_files(files: Vec<File>) -> Vec<v1::ManifestFile> {
    files.into_iter().map(|File { name, text }| v1::ManifestFile { name, text }).collect()
}

/// Without the messages that this hactl does not know.
fn known(
    stream: impl Stream<Item = Result<v1::ApplyProgress, Failure>>,
) -> impl Stream<Item = Result<Progress, Failure>> {
    stream.filter_map(async |message| match message {
        Ok(message) => convert::progress(message).map(Ok),
        Err(failure) => Some(Err(failure)),
    })
}

/// An agent, through its socket.
#[derive(Clone, Debug)]
pub struct Agent {
    client: LocalClient<Channel>,
    socket: String,
}

impl Agent {
    /// Talks through `channel`; `socket` is for messages.
    #[must_use]
    pub fn new(channel: Channel, socket: String) -> Self {
        let client = LocalClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Self { client, socket }
    }

    fn failed(&self, status: Status) -> Failure {
        refusal::local_failure(&self.socket, status)
    }

    /// The node as it is now.
    ///
    /// # Errors
    /// The socket does not answer, or the agent refuses; so for every call
    /// below.
    pub async fn status(&mut self) -> Result<LocalStatus, Failure> {
        let answer = self.client.status(request(v1::LocalStatusRequest {})).await;
        Ok(convert::local_status(answer.map_err(|status| self.failed(status))?.into_inner()))
    }

    /// The plan that runs.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn render(&mut self) -> Result<RenderedPlan, Failure> {
        let answer = self.client.render_plan(request(v1::LocalRenderPlanRequest {})).await;
        let plan = answer.map_err(|status| self.failed(status))?.into_inner();
        Ok(convert::rendered(plan.plan, plan.document))
    }

    /// Events in the spool, oldest first.
    ///
    /// # Errors
    /// See [`Self::status`].
    pub async fn events(
        &mut self,
        limit: u32,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<Event, Failure>> + use<>, Failure> {
        let answer =
            self.client.list_events(request(v1::LocalListEventsRequest { limit, follow })).await;
        let stream = answer.map_err(|status| self.failed(status))?.into_inner();
        let socket = self.socket.clone();
        Ok(stream.map(move |event| match event {
            Ok(event) => Ok(convert::local_event(event)),
            Err(status) => Err(refusal::local_failure(&socket, status)),
        }))
    }
}
