//! The durable history of what happened on all nodes.
//!
//! Events are kept in segment files for 30 days, or up to 1 GiB. Each is stored
//! once, however often its node sends it, and is on the disk when its node is
//! told so. Missing sequence numbers are stored as a gap.

mod positions;
mod query;
mod recent;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ha_durable::atomic;
use ha_durable::log::{AppendError, Log, OpenError, Options, ReadError, Recovery};
use ha_model::event::{EventKind, FleetEvent, NodeEvent, SpoolPosition};
use ha_model::ids::NodeName;
use tokio::sync::{mpsc, oneshot, watch};

pub use query::{End, Follow, MAX_EVENTS, Query};
use recent::Recent;
use writer::{Request, Writer};

/// Longest that an event is kept.
pub const KEEP_US: u64 = 30 * 24 * 3600 * 1_000_000;
/// Most bytes that the history takes, but for the newest segment.
pub const KEEP_BYTES: u64 = 1 << 30;
/// Segments are dropped whole: so much is dropped at once.
const SEGMENT_BYTES: u64 = 8 << 20;
/// An event is some hundred bytes; one with many rejected fields is larger.
const MAX_EVENT: u32 = 256 * 1024;
/// Batches that wait for the disk. Each session has one under way at most; more
/// wait in their sessions, and their events in the spools of the nodes.
const QUEUE: usize = 256;

const LOG: Options =
    Options { tag: *b"events  ", max_record: MAX_EVENT, segment_bytes: SEGMENT_BYTES, first: 1 };

/// How long and how much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Microseconds.
    pub keep_us: u64,
    /// Bytes.
    pub keep_bytes: u64,
    /// Bytes after which a new segment is begun.
    pub segment_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_us: KEEP_US, keep_bytes: KEEP_BYTES, segment_bytes: SEGMENT_BYTES }
    }
}

/// An event as a node reports it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Incoming {
    /// Which node.
    pub node: NodeName,
    /// Its place in the node's spool.
    pub position: SpoolPosition,
    /// The event.
    pub event: NodeEvent,
}

/// Why the history could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenEventsError {
    /// The log of the events.
    #[error("the history of events can't be opened")]
    Log(#[from] OpenError),
    /// An event can't be read back.
    #[error("the history of events can't be read")]
    Read(#[from] ReadError),
    /// The file of the last positions.
    #[error("the positions of the events can't be read")]
    Positions(#[from] atomic::ReadError),
    /// Its thread could not be started.
    #[error("the thread of the events can't be started")]
    Thread(#[source] io::Error),
}

/// Why events were not stored or read. Of a batch that was not stored, nothing
/// was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EventError {
    /// The disk failed or is full.
    #[error("the events can't be stored")]
    Append(#[source] Arc<AppendError>),
    /// The disk failed.
    #[error("the events can't be read")]
    Read(#[source] Arc<ReadError>),
    /// The history was closed.
    #[error("the history of events is closed")]
    Closed,
}

impl EventError {
    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Append(error) => error.is_full(),
            Self::Read(_) | Self::Closed => false,
        }
    }
}

/// The history. Its writer is a thread of its own: it waits for the disk.
#[derive(Debug)]
pub struct Events {
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// What the writer and the readers share.
#[derive(Debug)]
struct Shared {
    log: Mutex<Log>,
    recent: Mutex<Recent>,
    last: watch::Sender<u64>,
}

impl Events {
    /// Opens the history in `dir`, and says what had to be repaired.
    ///
    /// # Errors
    /// When the disk fails, or the directory holds something else.
    pub fn open(dir: &Path, retention: Retention) -> Result<(Self, Recovery), OpenEventsError> {
        let options = Options { segment_bytes: retention.segment_bytes, ..LOG };
        let (log, recovery) = Log::open(&dir.join("log"), options)?;
        let state = writer::load(dir, &log)?;
        let shared = Arc::new(Shared {
            last: watch::Sender::new(log.next() - 1),
            recent: Mutex::new(Recent::new(log.next())),
            log: Mutex::new(log),
        });
        let (requests, queue) = mpsc::channel(QUEUE);
        let writer = Writer::new(dir.to_owned(), retention, state, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(OpenEventsError::Thread)?;
        Ok((Self { requests: Some(requests), writer: Some(thread), shared }, recovery))
    }

    /// Stores those of `batch` that are not stored yet, and returns how far the
    /// history of each of their nodes is stored by then: what can be
    /// acknowledged. `stored_at_us` is the wall clock. If this is dropped the
    /// batch may still be stored, which does no harm.
    ///
    /// # Errors
    /// Nothing of the batch is stored, then.
    pub async fn append(
        &self,
        batch: Vec<Incoming>,
        stored_at_us: u64,
    ) -> Result<BTreeMap<NodeName, SpoolPosition>, EventError> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(EventError::Closed)?;
        let request = Request { batch, stored_at_us, reply };
        requests.send(request).await.map_err(|_| EventError::Closed)?;
        answer.await.map_err(|_| EventError::Closed)?
    }

    /// The last event of a spool that is stored; 0: none.
    ///
    /// # Errors
    /// [`EventError::Closed`].
    pub async fn stored(&self, node: NodeName, spool_epoch: u64) -> Result<u64, EventError> {
        // No event has the number 0, so this one is never stored.
        let position = SpoolPosition { spool_epoch, sequence: 0 };
        let event =
            NodeEvent { at_us: 0, boot_us: 0, kind: EventKind::AgentStopping, traceparent: None };
        let question = Incoming { node: node.clone(), position, event };
        let stored = self.append(vec![question], 0).await?;
        Ok(stored.get(&node).map_or(0, |position| position.sequence))
    }

    /// Index of the newest event; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        *self.shared.last.borrow()
    }

    /// Events that `query` selects, oldest first.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn query(&self, query: Query) -> Result<Vec<Arc<FleetEvent>>, EventError> {
        query::run(&self.shared, query).await
    }

    /// Follows the history from `query.after` on; `query.end` has no meaning
    /// here, and `query.limit` is the most that come at once.
    #[must_use]
    pub fn follow(&self, query: Query) -> Follow {
        Follow::new(Arc::clone(&self.shared), query)
    }
}

impl Drop for Events {
    /// Waits for the batch that is being written.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the thread of the events panicked");
        }
    }
}

impl Shared {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        // The log is whole at every point where something could panic.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
