//! Following transactions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{Change, StoreError};

/// Transactions kept for watches. A watcher that falls further behind reads a
/// snapshot instead; more than this would not be faster than that.
const WINDOW: usize = 1024;
/// Bytes of changes kept for watches, so that large ones do not fill the memory.
const WINDOW_BYTES: usize = 16 * 1024 * 1024;

/// A transaction as a watch sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Update {
    /// Of the transaction.
    pub index: u64,
    /// Its changes of keys with the watched prefix; never empty.
    pub changes: Vec<Change>,
}

/// The recent transactions of a store and who waits for the next.
#[derive(Debug)]
pub(super) struct History {
    window: Mutex<Window>,
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Window {
    updates: VecDeque<Arc<Update>>,
    bytes: usize,
    /// The lowest index that a watch may ask for.
    oldest: u64,
}

impl History {
    /// Of a store whose last transaction was `last`.
    pub(super) fn new(last: u64) -> Arc<Self> {
        let window = Window { oldest: last + 1, ..Window::default() };
        Arc::new(Self { window: Mutex::new(window), last: watch::Sender::new(last) })
    }

    /// Makes a transaction known. Indices come in their order, without a gap.
    pub(super) fn publish(&self, index: u64, changes: Vec<Change>) {
        let mut window = self.lock();
        window.bytes += size(&changes);
        window.updates.push_back(Arc::new(Update { index, changes }));
        while window.updates.len() > WINDOW || window.bytes > WINDOW_BYTES {
            let Some(dropped) = window.updates.pop_front() else { break };
            window.bytes -= size(&dropped.changes);
            window.oldest = dropped.index + 1;
        }
        drop(window);
        self.last.send_replace(index);
    }

    /// Index of the last transaction.
    pub(super) fn last(&self) -> u64 {
        *self.last.borrow()
    }

    pub(super) fn watch(self: &Arc<Self>, from: u64, prefix: &str) -> Result<Watch, StoreError> {
        let last = self.last.subscribe();
        let watch = Watch { history: Arc::clone(self), last, next: from, prefix: prefix.into() };
        watch.history.lock().check(from)?;
        Ok(watch)
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        // The window is whole between any two statements that hold the lock.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn check(&self, from: u64) -> Result<(), StoreError> {
        if from < self.oldest {
            return Err(StoreError::Compacted { oldest: self.oldest });
        }
        Ok(())
    }

    fn from(&self, from: u64) -> Option<Arc<Update>> {
        let skip = usize::try_from(from - self.oldest).ok()?;
        self.updates.get(skip).cloned()
    }
}

fn size(changes: &[Change]) -> usize {
    let bytes = |change: &Change| match change {
        Change::Put { key, value } => key.len() + value.len(),
        Change::Delete { key } => key.len(),
    };
    changes.iter().map(bytes).sum()
}

/// Follows the transactions of a store.
#[derive(Debug)]
pub struct Watch {
    history: Arc<History>,
    last: watch::Receiver<u64>,
    next: u64,
    prefix: String,
}

impl Watch {
    /// The next transaction with changes of the watched keys; waits for it. Can
    /// be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] if this watch fell too far behind.
    pub async fn next(&mut self) -> Result<Update, StoreError> {
        loop {
            self.last.mark_unchanged();
            while let Some(update) = self.take()? {
                if let Some(update) = self.select(&update) {
                    return Ok(update);
                }
            }
            self.last.changed().await.map_err(|_| StoreError::Closed)?;
        }
    }

    fn take(&mut self) -> Result<Option<Arc<Update>>, StoreError> {
        let window = self.history.lock();
        window.check(self.next)?;
        let update = window.from(self.next);
        drop(window);
        if update.is_some() {
            self.next += 1;
        }
        Ok(update)
    }

    fn select(&self, update: &Update) -> Option<Update> {
        let wanted = |change: &&Change| change.key().starts_with(&self.prefix);
        let changes: Vec<_> = update.changes.iter().filter(wanted).cloned().collect();
        (!changes.is_empty()).then_some(Update { index: update.index, changes })
    }
}
