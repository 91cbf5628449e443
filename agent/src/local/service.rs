use std::pin::Pin;

use futures_util::Stream;
use ha_model::event::SpoolPosition;
use ha_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Response, Status};

use super::LocalConfig;
use crate::session::SessionView;
use crate::spool::{READ_LIMIT, SpoolHandle, SpooledEvent};

/// Events on their way to one reader: one more page than it has taken.
const PAGE: usize = READ_LIMIT;

#[derive(Debug)]
pub(super) struct Local {
    config: LocalConfig,
}

impl Local {
    pub(super) fn new(config: LocalConfig) -> Self {
        Self { config }
    }

    fn session(&self) -> v1::SessionStatus {
        let spool = *self.config.spool.level().borrow();
        let spooled_events = spool.next.saturating_sub(spool.acked.max(spool.first - 1) + 1);
        let Some(session) = &self.config.session else {
            return v1::SessionStatus { spooled_events, ..v1::SessionStatus::default() };
        };
        let SessionView { controller, connected, since_us, last_error } = session.borrow().clone();
        v1::SessionStatus {
            configured: true,
            connected,
            controller,
            since_us,
            last_error,
            spooled_events,
        }
    }
}

type Events = Pin<Box<dyn Stream<Item = Result<v1::LocalEvent, Status>> + Send>>;

#[tonic::async_trait]
impl v1::local_server::Local for Local {
    async fn status(
        &self,
        request: Request<v1::LocalStatusRequest>,
    ) -> Result<Response<v1::LocalStatusResponse>, Status> {
        log_caller(&request, "Status");
        let view = self.config.node.view().borrow().clone();
        Ok(Response::new(v1::LocalStatusResponse {
            status: Some(view.status.clone().into()),
            source: view.source.as_str().into(),
            session: Some(self.session()),
        }))
    }

    async fn render_plan(
        &self,
        request: Request<v1::LocalRenderPlanRequest>,
    ) -> Result<Response<v1::LocalRenderPlanResponse>, Status> {
        log_caller(&request, "RenderPlan");
        let view = self.config.node.view().borrow().clone();
        let document =
            view.document.clone().ok_or_else(|| Status::not_found("no plan runs on this node"))?;
        let plan = view.status.running.map(Into::into);
        Ok(Response::new(v1::LocalRenderPlanResponse { plan, document }))
    }

    type ListEventsStream = Events;

    async fn list_events(
        &self,
        request: Request<v1::LocalListEventsRequest>,
    ) -> Result<Response<Events>, Status> {
        log_caller(&request, "ListEvents");
        let v1::LocalListEventsRequest { limit, follow } = request.into_inner();
        let (sender, receiver) = mpsc::channel(PAGE);
        let mut stop = self.config.stop.clone();
        let spool = self.config.spool.clone();
        tokio::spawn(async move {
            // Cancel-safe: a reader loses nothing that it could not read again.
            tokio::select! {
                () = list(spool, limit, follow, sender) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Sends the newest `limit` events (0: all), then, if `follow`, those to come.
async fn list(
    spool: SpoolHandle,
    limit: u32,
    follow: bool,
    to: mpsc::Sender<Result<v1::LocalEvent, Status>>,
) {
    let mut level = spool.level();
    let start = *level.borrow_and_update();
    let mut from = match limit {
        0 => start.first,
        limit => start.next.saturating_sub(limit.into()).max(start.first),
    };
    loop {
        let now = *level.borrow_and_update();
        while from < now.next {
            let Ok(events) = spool.read(from, PAGE).await else { return };
            let Some(last) = events.last() else { break };
            from = last.sequence + 1;
            for event in events {
                if to.send(Ok(local_event(now.epoch, event))).await.is_err() {
                    return;
                }
            }
        }
        if !follow {
            return;
        }
        // Cancel-safe: both only look.
        tokio::select! {
            changed = level.changed() => if changed.is_err() { return },
            () = to.closed() => return,
        }
        if level.borrow().epoch != now.epoch {
            from = level.borrow().first;
        }
    }
}

fn local_event(spool_epoch: u64, event: SpooledEvent) -> v1::LocalEvent {
    let position = SpoolPosition { spool_epoch, sequence: event.sequence };
    v1::LocalEvent { position: Some(position.into()), event: Some(event.event.into()) }
}

fn log_caller<T>(request: &Request<T>, method: &'static str) {
    let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
    tracing::debug!(
        method,
        uid = peer.map(|peer| peer.uid()),
        pid = peer.and_then(|peer| peer.pid()),
        "local call"
    );
}
