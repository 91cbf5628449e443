//! Streams to callers: a rollout, the status, events. A caller that goes away
//! ends its stream and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ha_model::event::FleetEvent;
use ha_model::ids::ClusterName;
use ha_proto::v1;
use ha_proto::v1::apply_progress::Event;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::{convert, progress, status};
use crate::clock::now_us;
use crate::error_chain;
use crate::events::{End, EventError, Events, MAX_EVENTS, Query};
use crate::fleet::FleetHandle;
use crate::rollout::{Outcome, RolloutId, RolloutView};

/// Between two statuses to one watcher: faster than the eye, and a hundred
/// watchers of a storm cost a tenth of a core.
const STATUS_GAP: Duration = Duration::from_millis(100);
/// A status comes at least so often, since ages are in it.
const STATUS_TICK: Duration = Duration::from_secs(5);
/// Events that are read at once.
const PAGE: usize = 1_000;

/// Where messages of one stream go.
pub(super) type Outbox<T> = mpsc::Sender<Result<T, Status>>;

/// The caller went away.
struct Gone;

async fn send<T>(outbox: &Outbox<T>, message: T) -> Result<(), Gone> {
    outbox.send(Ok(message)).await.map_err(|_| Gone)
}

/// One message of a rollout.
pub(super) fn message(event: Event) -> v1::ApplyProgress {
    v1::ApplyProgress { at_us: now_us(), event: Some(event) }
}

/// Runs `stream` until it ends, the caller goes, or the controller stops.
pub(super) async fn until_stop<T>(
    outbox: Outbox<T>,
    mut stop: watch::Receiver<bool>,
    stream: impl Future<Output = ()>,
) {
    // Cancel-safe: what is dropped is a stream that nobody reads any more.
    tokio::select! {
        () = stream => {}
        () = outbox.closed() => {}
        _ = stop.wait_for(|stop| *stop) => {
            // A caller that does not read learns it from the connection's end.
            let _ = outbox.try_send(Err(Status::unavailable("the controller is stopping")));
        }
    }
}

/// Tells of rollout `id` until it has ended or another took its place.
pub(super) async fn rollout(
    id: RolloutId,
    mut views: watch::Receiver<Option<Arc<RolloutView>>>,
    outbox: &Outbox<v1::ApplyProgress>,
) {
    let mut before: Option<Arc<RolloutView>> = None;
    loop {
        let view = views.borrow_and_update().clone();
        if let Some(view) = view.filter(|view| view.rollout.header.id >= id) {
            if view.rollout.header.id > id {
                let _ = send(outbox, message(superseded(id))).await;
                return;
            }
            match tell(before.as_deref(), &view, outbox).await {
                Ok(Told::Open) => before = Some(view),
                Ok(Told::Done) | Err(Gone) => return,
            }
        }
        if views.changed().await.is_err() {
            return;
        }
    }
}

enum Told {
    Open,
    Done,
}

async fn tell(
    before: Option<&RolloutView>,
    view: &RolloutView,
    outbox: &Outbox<v1::ApplyProgress>,
) -> Result<Told, Gone> {
    for event in progress::changes(before, view) {
        send(outbox, message(event)).await?;
    }
    let Some(done) = progress::done(view) else { return Ok(Told::Open) };
    send(outbox, message(done)).await?;
    Ok(Told::Done)
}

/// Tells of a rollout that is over.
pub(super) async fn ended(view: &RolloutView, outbox: &Outbox<v1::ApplyProgress>) {
    // It is told whole, or the caller is gone.
    let _ = tell(None, view, outbox).await;
}

fn superseded(id: RolloutId) -> Event {
    Event::Done(v1::RolloutDone {
        outcome: convert::outcome(Some(Outcome::Superseded)).into(),
        rollout: id.to_string(),
        ..v1::RolloutDone::default()
    })
}

/// Sends the status whenever it changes, and now and then.
pub(super) async fn statuses(
    fleet: FleetHandle,
    clusters: BTreeSet<ClusterName>,
    outbox: &Outbox<v1::StatusResponse>,
) {
    let mut changes = fleet.follow();
    loop {
        let snapshot = changes.borrow_and_update().clone();
        let now = now_us();
        let (response, recheck_us) = status::response(&snapshot, &clusters, now);
        if send(outbox, response).await.is_err() {
            return;
        }
        tokio::time::sleep(STATUS_GAP).await;
        let recheck = recheck_us.map(|at| Duration::from_micros(at.saturating_sub(now)));
        let wait = recheck.unwrap_or(STATUS_TICK).min(STATUS_TICK).saturating_sub(STATUS_GAP);
        // Cancel-safe: both are computed anew.
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Sends the events that `query` selects, page by page, then goes on with new
/// ones if they are followed.
pub(super) async fn events(
    events: Arc<Events>,
    query: Query,
    follow: bool,
    outbox: &Outbox<v1::FleetEvent>,
) {
    if let Err(Stop::Failed(error)) = all_events(&events, query, follow, outbox).await {
        let status = Status::internal(format!("events can't be read: {}", error_chain(&error)));
        let _ = outbox.send(Err(status)).await;
    }
}

enum Stop {
    Gone,
    Failed(EventError),
}

impl From<EventError> for Stop {
    fn from(error: EventError) -> Self {
        Self::Failed(error)
    }
}

async fn all_events(
    events: &Events,
    mut query: Query,
    follow: bool,
    outbox: &Outbox<v1::FleetEvent>,
) -> Result<(), Stop> {
    // New ones are told after this, so none is told twice or left out.
    let last = events.last();
    match query.end {
        End::Newest => send_all(events.query(query.clone()).await?, outbox).await?,
        End::Oldest => loop {
            let page = events.query(Query { limit: PAGE, ..query.clone() }).await?;
            let Some(newest) = page.last() else { break };
            query.after = newest.index;
            send_all(page, outbox).await?;
        },
    }
    if !follow {
        return Ok(());
    }
    query.after = query.after.max(last);
    let mut following = events.follow(Query { limit: PAGE.min(MAX_EVENTS), ..query });
    loop {
        send_all(following.next().await?, outbox).await?;
    }
}

async fn send_all(
    events: Vec<Arc<FleetEvent>>,
    outbox: &Outbox<v1::FleetEvent>,
) -> Result<(), Stop> {
    for event in events {
        let event = Arc::unwrap_or_clone(event).into();
        send(outbox, event).await.map_err(|Gone| Stop::Gone)?;
    }
    Ok(())
}
