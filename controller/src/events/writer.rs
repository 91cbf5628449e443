//! The one writer of the history.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ha_durable::atomic;
use ha_durable::log::{Log, ReadError};
use ha_model::event::{EventKind, FleetEvent, NodeEvent, SpoolPosition};
use ha_model::ids::NodeName;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::positions::{Admission, Positions};
use super::{EventError, Incoming, OpenEventsError, Retention, Shared};

/// Events that go to the disk together at most: so long does the first of them
/// wait for the last.
const GROUP: usize = 4096;
/// 5,000 nodes with three spool epochs each are 1 MiB.
const MAX_POSITIONS: u64 = 64 << 20;

pub(super) type Reply = Result<BTreeMap<NodeName, SpoolPosition>, EventError>;

/// Asks the writer to store a batch.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) batch: Vec<Incoming>,
    pub(super) stored_at_us: u64,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// An event as it stands in the log; its index is its position there.
#[derive(Debug, Deserialize, Serialize)]
struct Stored {
    stored_at_us: u64,
    node: NodeName,
    position: SpoolPosition,
    event: NodeEvent,
}

/// What a start finds out from the disk.
#[derive(Debug, Default)]
pub(super) struct State {
    positions: Positions,
    /// When the newest event of each segment was stored, by first position.
    newest_us: BTreeMap<u64, u64>,
}

/// Reads back where each node's history stands.
pub(super) fn load(dir: &Path, log: &Log) -> Result<State, OpenEventsError> {
    let mut state = State::default();
    if let Some(bytes) = atomic::read_limited(&positions_path(dir), MAX_POSITIONS)? {
        match serde_json::from_slice(&bytes) {
            Ok(positions) => state.positions = positions,
            // Worst case: events that were dropped long ago are stored again.
            Err(error) => tracing::warn!(%error, "the file of event positions is damaged"),
        }
    }
    let firsts: Vec<u64> = log.segments().collect();
    for record in log.read_from(0) {
        let record = record?;
        let Some(event) = decode(record.position, &record.payload) else { continue };
        state.positions.note(&event.node, event.position);
        let segment = firsts.partition_point(|first| *first <= event.index);
        if let Some(first) = segment.checked_sub(1).and_then(|at| firsts.get(at)) {
            state.newest_us.insert(*first, event.stored_at_us);
        }
    }
    Ok(state)
}

fn positions_path(dir: &Path) -> PathBuf {
    dir.join("positions.json")
}

/// The event in a record; `None`, and said so, if a newer release wrote it.
pub(super) fn decode(index: u64, payload: &[u8]) -> Option<FleetEvent> {
    match serde_json::from_slice::<Stored>(payload) {
        Ok(Stored { stored_at_us, node, position, event }) => {
            Some(FleetEvent { index, stored_at_us, node, position, event })
        }
        Err(error) => {
            tracing::debug!(index, %error, "an event of the history is unknown to this release");
            None
        }
    }
}

pub(super) struct Writer {
    dir: PathBuf,
    retention: Retention,
    state: State,
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn new(
        dir: PathBuf,
        retention: Retention,
        state: State,
        shared: Arc<Shared>,
    ) -> Self {
        Self { dir, retention, state, shared }
    }

    /// Stores what comes, many batches with one write, until all senders are
    /// gone.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        while let Some(first) = queue.blocking_recv() {
            let mut count = first.batch.len();
            let mut requests = vec![first];
            while count < GROUP
                && let Ok(request) = queue.try_recv()
            {
                count += request.batch.len();
                requests.push(request);
            }
            self.store(requests);
        }
    }

    fn store(&mut self, requests: Vec<Request>) {
        let mut newer = Positions::default();
        let mut events = Vec::new();
        for request in &requests {
            for incoming in &request.batch {
                self.admit(incoming, request.stored_at_us, &mut newer, &mut events);
            }
        }
        let result = self.append(events).map(|()| self.state.positions.merge(newer));
        for request in requests {
            let reply = result.clone().map(|()| self.stored(&request.batch));
            // A session that went away does not wait for its answer.
            let _ = request.reply.send(reply);
        }
    }

    /// Adds the event to `events` unless it is stored, or stands in them.
    fn admit(
        &self,
        incoming: &Incoming,
        stored_at_us: u64,
        newer: &mut Positions,
        events: &mut Vec<Stored>,
    ) {
        let Incoming { node, position, event } = incoming;
        let in_batch = newer.last(node, position.spool_epoch) > 0;
        let known = if in_batch { &*newer } else { &self.state.positions };
        match known.admit(node, *position) {
            Admission::Duplicate => return,
            Admission::Next => {}
            Admission::Gap(lost) => {
                let position = SpoolPosition { sequence: position.sequence - 1, ..*position };
                let event = gap(event, lost);
                events.push(Stored { stored_at_us, node: node.clone(), position, event });
            }
        }
        newer.note(node, *position);
        let (node, event) = (node.clone(), event.clone());
        events.push(Stored { stored_at_us, node, position: *position, event });
    }

    fn append(&mut self, events: Vec<Stored>) -> Result<(), EventError> {
        if events.is_empty() {
            return Ok(());
        }
        let records: Vec<Vec<u8>> = events
            .iter()
            .map(|event| serde_json::to_vec(event).expect("events have string keys only"))
            .collect();
        let mut log = self.shared.log();
        let stored = log.append(&records).map_err(|error| EventError::Append(Arc::new(error)))?;
        let segment = log.segments().next_back().unwrap_or(stored.start);
        drop(log);
        let mut recent = self.shared.recent();
        for (index, event) in stored.clone().zip(events) {
            let Stored { stored_at_us, node, position, event } = event;
            self.state.newest_us.insert(segment, stored_at_us);
            recent.push(Arc::new(FleetEvent { index, stored_at_us, node, position, event }));
        }
        drop(recent);
        self.shared.last.send_replace(stored.end - 1);
        self.forget();
        Ok(())
    }

    /// How far the histories of the batch's nodes are stored.
    fn stored(&self, batch: &[Incoming]) -> BTreeMap<NodeName, SpoolPosition> {
        let position = |incoming: &Incoming| {
            let spool_epoch = incoming.position.spool_epoch;
            let sequence = self.state.positions.last(&incoming.node, spool_epoch);
            (incoming.node.clone(), SpoolPosition { spool_epoch, sequence })
        };
        batch.iter().map(position).collect()
    }

    /// Drops the segments that are too old or too much. How far each node's
    /// history was stored is kept before.
    fn forget(&mut self) {
        let mut log = self.shared.log();
        let firsts: Vec<u64> = log.segments().collect();
        let now_us = self.state.newest_us.values().next_back().copied().unwrap_or(0);
        let mut bytes = log.bytes();
        let mut keep_from = None;
        for pair in firsts.windows(2) {
            let [first, next] = *pair else { continue };
            let newest_us = self.state.newest_us.get(&first).copied().unwrap_or(0);
            let is_old = newest_us.saturating_add(self.retention.keep_us) < now_us;
            if !is_old && bytes <= self.retention.keep_bytes {
                break;
            }
            bytes = bytes.saturating_sub(self.retention.segment_bytes);
            keep_from = Some(next);
        }
        let Some(keep_from) = keep_from else { return };
        let positions =
            serde_json::to_vec(&self.state.positions).expect("positions have string keys only");
        let dropped = atomic::replace(&positions_path(&self.dir), &positions, 0o600)
            .and_then(|()| log.drop_before(keep_from));
        drop(log);
        match dropped {
            Ok(bytes) => {
                self.state.newest_us = self.state.newest_us.split_off(&keep_from);
                tracing::debug!(bytes, keep_from, "dropped old events");
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "old events stay");
            }
        }
    }
}

/// Stands for `lost` events that never came, before `next`.
fn gap(next: &NodeEvent, lost: u64) -> NodeEvent {
    let reason = "the node sent later events, but not these".to_owned();
    NodeEvent { kind: EventKind::Gap { lost, reason }, traceparent: None, ..next.clone() }
}

impl From<ReadError> for EventError {
    fn from(error: ReadError) -> Self {
        Self::Read(Arc::new(error))
    }
}
