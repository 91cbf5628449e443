//! Reading the history.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use ha_durable::log::{Reader, Record};
use ha_model::event::FleetEvent;
use ha_model::ids::NodeName;
use tokio::sync::watch;

use super::{EventError, Shared, writer};

/// Most events in one answer, so that a question can't fill the memory; ask
/// again after the last one.
pub const MAX_EVENTS: usize = 10_000;

/// Which end of what was selected, if it is more than the limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The first ones.
    Oldest,
    /// The last ones.
    Newest,
}

/// Selects events.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    /// Only those with a higher index.
    pub after: u64,
    /// Only those that happened at or after this wall clock, microseconds.
    pub since_us: u64,
    /// Only those of these nodes; `None`: of all.
    pub nodes: Option<BTreeSet<NodeName>>,
    /// At most so many; never more than [`MAX_EVENTS`].
    pub limit: usize,
    /// Which, if there are more.
    pub end: End,
}

impl Query {
    /// The newest `limit` events.
    #[must_use]
    pub fn newest(limit: usize) -> Self {
        Self { after: 0, since_us: 0, nodes: None, limit, end: End::Newest }
    }

    /// The first `limit` events after the index.
    #[must_use]
    pub fn after(index: u64, limit: usize) -> Self {
        Self { after: index, since_us: 0, nodes: None, limit, end: End::Oldest }
    }

    fn selects(&self, event: &FleetEvent) -> bool {
        event.index > self.after
            && event.event.at_us >= self.since_us
            && self.nodes.as_ref().is_none_or(|nodes| nodes.contains(&event.node))
    }

    fn limit(&self) -> usize {
        self.limit.min(MAX_EVENTS)
    }
}

pub(super) async fn run(
    shared: &Arc<Shared>,
    query: Query,
) -> Result<Vec<Arc<FleetEvent>>, EventError> {
    if let Some(found) = in_memory(shared, &query) {
        return Ok(found);
    }
    let shared = Arc::clone(shared);
    let read = tokio::task::spawn_blocking(move || match query.end {
        End::Oldest => oldest_on_disk(&shared, &query),
        End::Newest => newest_on_disk(&shared, &query),
    });
    read.await.map_err(|_| EventError::Closed)?
}

/// The answer, if what is in memory suffices for it.
fn in_memory(shared: &Shared, query: &Query) -> Option<Vec<Arc<FleetEvent>>> {
    let recent = shared.recent();
    let selected = |event: &&Arc<FleetEvent>| query.selects(event);
    match query.end {
        End::Oldest => {
            let events = recent.after(query.after)?;
            Some(events.filter(selected).take(query.limit()).cloned().collect())
        }
        End::Newest => {
            let complete = recent.after(query.after).is_some();
            let mut found: Vec<_> =
                recent.all().rev().filter(selected).take(query.limit()).cloned().collect();
            found.reverse();
            (complete || found.len() == query.limit()).then_some(found)
        }
    }
}

fn oldest_on_disk(shared: &Shared, query: &Query) -> Result<Vec<Arc<FleetEvent>>, EventError> {
    let reader = shared.log().read_from(query.after + 1);
    let mut found = Vec::new();
    for event in events(reader) {
        let event = event?;
        if found.len() == query.limit() {
            break;
        }
        if query.selects(&event) {
            found.push(Arc::new(event));
        }
    }
    Ok(found)
}

/// Reads segments from the newest to the oldest until there is enough.
fn newest_on_disk(shared: &Shared, query: &Query) -> Result<Vec<Arc<FleetEvent>>, EventError> {
    let (readers, mut end) = {
        let log = shared.log();
        let firsts: Vec<u64> = log.segments().collect();
        let readers: Vec<_> = firsts.iter().map(|first| (*first, log.read_from(*first))).collect();
        (readers, log.next())
    };
    let mut found = VecDeque::new();
    for (first, reader) in readers.into_iter().rev() {
        if found.len() == query.limit() || end <= query.after + 1 {
            break;
        }
        let mut segment = VecDeque::new();
        for event in events(reader) {
            let event = event?;
            if event.index >= end {
                break;
            }
            if query.selects(&event) {
                segment.push_back(Arc::new(event));
            }
        }
        while found.len() < query.limit()
            && let Some(event) = segment.pop_back()
        {
            found.push_front(event);
        }
        end = first;
    }
    Ok(found.into())
}

/// The events that a reader finds; a segment that was dropped meanwhile ends
/// the reading as if it had never been there.
fn events(reader: Reader) -> impl Iterator<Item = Result<FleetEvent, EventError>> {
    reader.filter_map(|record| match record {
        Ok(Record { position, payload }) => writer::decode(position, &payload).map(Ok),
        Err(ha_durable::log::ReadError::File(error)) if error.is_missing() => None,
        Err(error) => Some(Err(EventError::Read(Arc::new(error)))),
    })
}

/// Follows the history.
#[derive(Debug)]
pub struct Follow {
    shared: Arc<Shared>,
    last: watch::Receiver<u64>,
    query: Query,
}

impl Follow {
    pub(super) fn new(shared: Arc<Shared>, query: Query) -> Self {
        let last = shared.last.subscribe();
        Self { shared, last, query: Query { end: End::Oldest, ..query } }
    }

    /// The next events, at least one; waits for it. Can be dropped and called
    /// again: nothing is lost or told twice.
    ///
    /// # Errors
    /// When the disk fails; [`EventError::Closed`] at the end of the history.
    pub async fn next(&mut self) -> Result<Vec<Arc<FleetEvent>>, EventError> {
        loop {
            let last = *self.last.borrow_and_update();
            let found = run(&self.shared, self.query.clone()).await?;
            if let Some(newest) = found.last() {
                self.query.after = newest.index;
                return Ok(found);
            }
            // Nothing up to here is selected: not to be looked at again.
            self.query.after = self.query.after.max(last);
            self.last.changed().await.map_err(|_| EventError::Closed)?;
        }
    }
}
