//! `ha.v1.Agent`.

use std::sync::Arc;

use ha_proto::v1;
use ha_proto::v1::agent_server::Agent;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Caller, Shared, stream};
use crate::auth;

/// Messages on their way to one agent: an offer with its secrets, and an
/// acknowledgement. With 5,000 agents every place counts.
const OUTBOX: usize = 4;

/// Serves sessions.
#[derive(Clone)]
pub struct AgentService {
    shared: Arc<Shared>,
}

impl AgentService {
    /// Sessions that share `shared`.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl Agent for AgentService {
    type SessionStream = ReceiverStream<Result<v1::FromController, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::FromAgent>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let node = auth::node(&request)?;
        let certificate = auth::peer(&request)?.certificate.as_ref();
        let certificate =
            certificate.ok_or_else(|| Status::unauthenticated("a session needs a certificate"))?;
        let caller =
            Caller { node, serial: certificate.serial, not_after_us: certificate.not_after_us };
        let (outbox, messages) = mpsc::channel(OUTBOX);
        tokio::spawn(stream::run(self.shared.clone(), caller, request.into_inner(), outbox));
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}
