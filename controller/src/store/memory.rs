//! A store that forgets: for tests.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::watch::History;
use super::{Change, Entry, Pending, Snapshot, Store, StoreError, Transaction, Watch};

/// Keeps everything in memory, under the same rules as the others.
#[derive(Debug)]
pub struct MemoryStore {
    entries: Mutex<BTreeMap<String, (Bytes, u64)>>,
    history: Arc<History>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self { entries: Mutex::default(), history: History::new(0) }
    }
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Bytes, u64)>> {
        // A transaction is applied without anything in between that can panic.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transact_now(&self, transaction: Transaction) -> Result<u64, StoreError> {
        transaction.check_limits().map_err(StoreError::Limit)?;
        let mut entries = self.lock();
        transaction.check_demands(|key| Ok(entries.get(key).map(|(_, modified)| *modified)))?;
        let index = self.history.last() + 1;
        for change in transaction.changes() {
            match change {
                Change::Put { key, value } => {
                    entries.insert(key.clone(), (value.clone(), index));
                }
                Change::Delete { key } => {
                    entries.remove(key);
                }
            }
        }
        self.history.publish(index, transaction.into_changes());
        Ok(index)
    }
}

fn entry((key, (value, modified)): (&String, &(Bytes, u64))) -> Entry {
    Entry { key: key.clone(), value: value.clone(), modified: *modified }
}

impl Store for MemoryStore {
    fn get(&self, key: &str) -> Pending<'_, Option<Entry>> {
        let found = self.lock().get_key_value(key).map(entry);
        Box::pin(async { Ok(found) })
    }

    fn range(&self, from: &str, to: &str, limit: usize) -> Pending<'_, Snapshot> {
        let entries = self.lock();
        let end = if to.is_empty() { Bound::Unbounded } else { Bound::Excluded(to) };
        let found = if !to.is_empty() && to <= from {
            Vec::new()
        } else {
            let range = entries.range::<str, _>((Bound::Included(from), end));
            range.take(limit).map(entry).collect()
        };
        let snapshot = Snapshot { index: self.history.last(), entries: found };
        Box::pin(async { Ok(snapshot) })
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, u64> {
        Box::pin(async { self.transact_now(transaction) })
    }

    fn watch(&self, from: u64, prefix: &str) -> Result<Watch, StoreError> {
        self.history.watch(from, prefix)
    }

    fn index(&self) -> u64 {
        self.history.last()
    }

    fn flush(&self) -> Pending<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance;
    use super::*;

    struct Factory;

    impl conformance::Factory for Factory {
        fn open(&self) -> super::super::SharedStore {
            Arc::new(MemoryStore::new())
        }
    }

    #[tokio::test]
    async fn conforms() {
        conformance::run(&Factory).await;
    }
}
