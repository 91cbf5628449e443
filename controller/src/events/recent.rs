//! The newest events, in memory: what followers and most queries ask for.

use std::collections::VecDeque;
use std::sync::Arc;

use ha_model::event::FleetEvent;

/// Events kept in memory. A follower that is further behind reads the disk.
const RECENT: usize = 4096;

#[derive(Debug)]
pub(super) struct Recent {
    events: VecDeque<Arc<FleetEvent>>,
    /// All stored events with this index and later are here.
    since: u64,
}

impl Recent {
    /// Empty, of a history whose next event will have the index `next`.
    pub(super) fn new(next: u64) -> Self {
        Self { events: VecDeque::new(), since: next }
    }

    pub(super) fn push(&mut self, event: Arc<FleetEvent>) {
        self.events.push_back(event);
        if self.events.len() > RECENT
            && let Some(dropped) = self.events.pop_front()
        {
            self.since = dropped.index + 1;
        }
    }

    /// All events after the index, oldest first; `None` if that needs the disk.
    pub(super) fn after(
        &self,
        index: u64,
    ) -> Option<impl DoubleEndedIterator<Item = &Arc<FleetEvent>>> {
        if index + 1 < self.since {
            return None;
        }
        let skip = self.events.partition_point(|event| event.index <= index);
        Some(self.events.range(skip..))
    }

    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<FleetEvent>> {
        self.events.iter()
    }
}
