//! A controller and an agent that say what a test wants.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::{Stream, StreamExt as _, stream};
use ha_certs::files::CredentialFiles;
use ha_certs::server::{AcceptLimits, ServerTls, accept};
use ha_proto::v1;
use ha_proto::v1::fleet_server::{Fleet, FleetServer};
use ha_proto::v1::local_server::{Local, LocalServer};
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// How a stream goes on after its messages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Then {
    /// It ends.
    #[default]
    End,
    /// Nothing more comes.
    Hang,
    /// The connection is lost.
    Lost,
}

/// Messages of a stream and what comes after them.
#[derive(Clone, Debug)]
pub(super) struct Script<T> {
    pub(super) messages: Vec<T>,
    pub(super) then: Then,
}

impl<T> Script<T> {
    pub(super) fn new(messages: Vec<T>, then: Then) -> Self {
        Self { messages, then }
    }
}

impl<T> Default for Script<T> {
    fn default() -> Self {
        Self { messages: Vec::new(), then: Then::End }
    }
}

impl<T: Send + 'static> Script<T> {
    fn play(self) -> Answers<T> {
        let messages = stream::iter(self.messages.into_iter().map(Ok));
        match self.then {
            Then::End => Box::pin(messages),
            Then::Hang => Box::pin(messages.chain(stream::pending())),
            Then::Lost => {
                let lost = Err(Status::unavailable("the connection was reset"));
                Box::pin(messages.chain(stream::once(async { lost })))
            }
        }
    }
}

/// What the controller says, and what it was asked.
#[derive(Default)]
pub(super) struct State {
    /// Every call fails with this.
    pub(super) refuse: Option<Status>,
    pub(super) status: v1::StatusResponse,
    pub(super) plan: v1::PlanResponse,
    pub(super) apply: Script<v1::ApplyProgress>,
    pub(super) watch: Vec<Script<v1::ApplyProgress>>,
    /// One script a call.
    pub(super) events: Vec<Script<v1::FleetEvent>>,
    /// One script a call.
    pub(super) statuses: Vec<Script<v1::StatusResponse>>,
    pub(super) nodes: Vec<v1::NodeInfo>,
    pub(super) revisions: Vec<v1::Revision>,
    pub(super) secrets: Vec<v1::SecretInfo>,
    pub(super) manifests: Vec<(u64, Vec<v1::ManifestFile>)>,
    pub(super) document: Vec<u8>,
    pub(super) applied: Vec<v1::ApplyRequest>,
    pub(super) listed: Vec<v1::ListEventsRequest>,
    pub(super) traceparents: Vec<String>,
}

/// A handle to a fake controller.
#[derive(Clone, Default)]
pub(super) struct FakeFleet(Arc<Mutex<State>>);

impl FakeFleet {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panicked")
    }

    /// Takes note of a call.
    fn called<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let mut state = self.state();
        let parent = request.metadata().get("traceparent").and_then(|value| value.to_str().ok());
        state.traceparents.extend(parent.map(str::to_owned));
        state.refuse.clone().map_or(Ok(()), Err)
    }

    /// Serves in this process; the way to it.
    pub(super) fn serve(&self) -> Channel {
        let (incoming, connections) = mpsc::channel(8);
        let router = Server::builder().add_service(FleetServer::new(self.clone()));
        tokio::spawn(router.serve_with_incoming(
            ReceiverStream::new(connections).map(Ok::<DuplexStream, std::io::Error>),
        ));
        channel(incoming)
    }
}

/// The script of this call; an empty one when all are played.
fn next<T>(scripts: &mut Vec<Script<T>>) -> Script<T> {
    if scripts.is_empty() { Script::default() } else { scripts.remove(0) }
}

impl FakeFleet {
    /// Serves over mTLS with the credentials of a fleet that `hactl init` made;
    /// its port.
    pub(super) async fn serve_tls(&self, pki: &std::path::Path) -> u16 {
        let credentials = CredentialFiles::controller(pki).load().expect("credentials");
        let tls = ServerTls::new(&credentials).expect("TLS");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let incoming = accept(listener, tls, AcceptLimits::default());
        let router = Server::builder().add_service(FleetServer::new(self.clone()));
        tokio::spawn(router.serve_with_incoming(incoming));
        port
    }
}

fn channel(incoming: mpsc::Sender<DuplexStream>) -> Channel {
    Endpoint::from_static("http://fake.invalid").connect_with_connector_lazy(tower::service_fn(
        move |_| {
            let incoming = incoming.clone();
            async move {
                let (ours, theirs) = tokio::io::duplex(1 << 20);
                incoming.send(theirs).await.map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(TokioIo::new(ours))
            }
        },
    ))
}

#[tonic::async_trait]
impl Fleet for FakeFleet {
    type ApplyStream = Answers<v1::ApplyProgress>;
    type WatchRolloutStream = Answers<v1::ApplyProgress>;
    type WatchStatusStream = Answers<v1::StatusResponse>;
    type ListEventsStream = Answers<v1::FleetEvent>;

    async fn apply(
        &self,
        request: Request<v1::ApplyRequest>,
    ) -> Result<Response<Self::ApplyStream>, Status> {
        self.called(&request)?;
        let mut state = self.state();
        state.applied.push(request.into_inner());
        Ok(Response::new(state.apply.clone().play()))
    }

    async fn watch_rollout(
        &self,
        request: Request<v1::WatchRolloutRequest>,
    ) -> Result<Response<Self::WatchRolloutStream>, Status> {
        self.called(&request)?;
        let mut state = self.state();
        if state.watch.is_empty() {
            return Err(Status::not_found("there is no such rollout"));
        }
        Ok(Response::new(state.watch.remove(0).play()))
    }

    async fn plan(
        &self,
        request: Request<v1::PlanRequest>,
    ) -> Result<Response<v1::PlanResponse>, Status> {
        self.called(&request)?;
        Ok(Response::new(self.state().plan.clone()))
    }

    async fn get_manifests(
        &self,
        request: Request<v1::GetManifestsRequest>,
    ) -> Result<Response<v1::GetManifestsResponse>, Status> {
        self.called(&request)?;
        let wanted = request.into_inner().revision;
        let state = self.state();
        let found = state.manifests.iter().rfind(|(number, _)| wanted == 0 || *number == wanted);
        let (number, files) =
            found.ok_or_else(|| Status::not_found("there is no such revision"))?;
        let revision = Some(revision_id(*number));
        Ok(Response::new(v1::GetManifestsResponse { revision, files: files.clone() }))
    }

    async fn render_plan(
        &self,
        request: Request<v1::RenderPlanRequest>,
    ) -> Result<Response<v1::RenderPlanResponse>, Status> {
        self.called(&request)?;
        let document = self.state().document.clone();
        Ok(Response::new(v1::RenderPlanResponse { plan: None, document }))
    }

    async fn list_revisions(
        &self,
        request: Request<v1::ListRevisionsRequest>,
    ) -> Result<Response<v1::ListRevisionsResponse>, Status> {
        self.called(&request)?;
        let revisions = self.state().revisions.clone();
        Ok(Response::new(v1::ListRevisionsResponse { revisions }))
    }

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        self.called(&request)?;
        let wanted = request.into_inner().clusters;
        let mut status = self.state().status.clone();
        for name in &wanted {
            if !status.clusters.iter().any(|cluster| cluster.name == *name) {
                return Err(Status::not_found(format!("no cluster {name}")));
            }
        }
        status.clusters.retain(|cluster| wanted.is_empty() || wanted.contains(&cluster.name));
        Ok(Response::new(status))
    }

    async fn watch_status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        self.called(&request)?;
        Ok(Response::new(next(&mut self.state().statuses).play()))
    }

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<Self::ListEventsStream>, Status> {
        self.called(&request)?;
        let mut state = self.state();
        state.listed.push(request.into_inner());
        Ok(Response::new(next(&mut state.events).play()))
    }

    async fn create_join_token(
        &self,
        request: Request<v1::CreateJoinTokenRequest>,
    ) -> Result<Response<v1::CreateJoinTokenResponse>, Status> {
        self.called(&request)?;
        Ok(Response::new(v1::CreateJoinTokenResponse {
            token: "t0ken".to_owned(),
            ca_sha256: vec![0xab; 32],
            expires_at_us: super::bench::NOW_US + request.into_inner().ttl_us,
        }))
    }

    async fn list_nodes(
        &self,
        request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        self.called(&request)?;
        Ok(Response::new(v1::ListNodesResponse { nodes: self.state().nodes.clone() }))
    }

    async fn list_secrets(
        &self,
        request: Request<v1::ListSecretsRequest>,
    ) -> Result<Response<v1::ListSecretsResponse>, Status> {
        self.called(&request)?;
        Ok(Response::new(v1::ListSecretsResponse { secrets: self.state().secrets.clone() }))
    }
}

pub(super) fn revision_id(number: u64) -> v1::RevisionId {
    v1::RevisionId { epoch: 0x1234, number, sha256: vec![0xcd; 32] }
}

pub(super) fn plan_id(generation: u64) -> v1::PlanId {
    v1::PlanId { epoch: 0x1234, generation, sha256: vec![0xef; 32] }
}

/// A fake agent.
#[derive(Clone, Default)]
pub(super) struct FakeAgent {
    pub(super) status: v1::LocalStatusResponse,
    pub(super) document: Vec<u8>,
    pub(super) events: Vec<v1::LocalEvent>,
}

impl FakeAgent {
    /// Serves on a socket.
    pub(super) fn serve(self, socket: &std::path::Path) {
        let listener = tokio::net::UnixListener::bind(socket).expect("binds");
        let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
        tokio::spawn(
            Server::builder().add_service(LocalServer::new(self)).serve_with_incoming(incoming),
        );
    }
}

#[tonic::async_trait]
impl Local for FakeAgent {
    type ListEventsStream = Answers<v1::LocalEvent>;

    async fn status(
        &self,
        _: Request<v1::LocalStatusRequest>,
    ) -> Result<Response<v1::LocalStatusResponse>, Status> {
        Ok(Response::new(self.status.clone()))
    }

    async fn render_plan(
        &self,
        _: Request<v1::LocalRenderPlanRequest>,
    ) -> Result<Response<v1::LocalRenderPlanResponse>, Status> {
        let document = self.document.clone();
        Ok(Response::new(v1::LocalRenderPlanResponse { plan: None, document }))
    }

    async fn list_events(
        &self,
        _: Request<v1::LocalListEventsRequest>,
    ) -> Result<Response<Self::ListEventsStream>, Status> {
        Ok(Response::new(Script::new(self.events.clone(), Then::End).play()))
    }
}
