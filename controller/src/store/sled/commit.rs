//! The one writer of the store: a thread, for it waits for the disk.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use ha_durable::log::Log;
use nix::sys::statvfs::statvfs;
use tokio::sync::{mpsc, oneshot};

use super::super::watch::History;
use super::super::{Change, Entry, Snapshot, StoreError, Transaction};
use super::index::{Index, IndexError};
use super::recover::{self, OpenReport};
use super::{Limits, checkpoint, journal};

/// Transactions that share one write to the journal.
const GROUP: usize = 256;
/// Bytes that do; one transaction more fits in any case.
const GROUP_BYTES: usize = 8 << 20;
/// After a failed checkpoint, the journal grows by so much before the next try.
const RETRY_AFTER: u64 = 16 << 20;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer can be told.
#[derive(Debug)]
pub(super) enum Message {
    /// Carry out.
    Transact { transaction: Transaction, reply: Reply<u64> },
    /// Bring all to the disk.
    Flush { reply: Reply<()> },
    /// A reader found the index failing: open it again.
    Repair,
}

/// What the writer and the readers share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The writer holds this only while a group of transactions goes into the
    /// index, so that readers see all of a transaction or nothing.
    index: RwLock<Result<Index, Failure>>,
    pub(super) history: Arc<History>,
}

/// Why there is no index at the moment.
type Failure = Arc<dyn Error + Send + Sync>;

impl Shared {
    pub(super) fn new(index: Index, history: Arc<History>) -> Self {
        Self { index: RwLock::new(Ok(index)), history }
    }

    fn lock(&self) -> RwLockReadGuard<'_, Result<Index, Failure>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, read: impl FnOnce(&Index) -> Result<T, IndexError>) -> Result<T, StoreError> {
        match &*self.lock() {
            Ok(index) => read(index).map_err(|error| failed("read the index", error)),
            Err(failure) => Err(unreadable(failure)),
        }
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.with(|index| index.get(key))
    }

    pub(super) fn range(&self, from: &str, to: &str, limit: usize) -> Result<Snapshot, StoreError> {
        self.with(|index| {
            let entries = index.range(from, to, limit)?;
            Ok(Snapshot { index: index.applied()?, entries })
        })
    }
}

fn failed(step: &'static str, error: impl Error + Send + Sync + 'static) -> StoreError {
    StoreError::Failed { step, source: Arc::new(error) }
}

fn unreadable(failure: &Failure) -> StoreError {
    StoreError::Failed { step: "open the index again", source: Arc::clone(failure) }
}

/// There is room on the disk, but it is kept.
#[derive(Debug, thiserror::Error)]
#[error("{free} bytes are free, {reserve} are kept for the index")]
struct NoRoom {
    free: u64,
    reserve: u64,
}

#[derive(Debug)]
pub(super) struct Committer {
    dir: PathBuf,
    limits: Limits,
    journal: Log,
    shared: Arc<Shared>,
    /// In the journal, but not known to watches: the index failed in between.
    unpublished: Vec<(u64, Vec<Change>)>,
    /// Bytes of the journal at which the next checkpoint is due.
    checkpoint_at: u64,
}

impl Committer {
    pub(super) fn new(dir: PathBuf, limits: Limits, journal: Log, shared: Arc<Shared>) -> Self {
        let checkpoint_at = limits.checkpoint_after;
        let mut new = Self { dir, limits, journal, shared, unpublished: Vec::new(), checkpoint_at };
        new.checkpoint_at = new.after_checkpoint();
        new
    }

    /// Carries out what comes until all senders are gone.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        while let Some(first) = queue.blocking_recv() {
            let mut next = Some(first);
            let mut group = Vec::new();
            let mut bytes = 0;
            while let Some(Message::Transact { transaction, reply }) = next {
                bytes += transaction.bytes();
                group.push((transaction, reply));
                let is_full = group.len() == GROUP || bytes >= GROUP_BYTES;
                next = if is_full { None } else { queue.try_recv().ok() };
            }
            if !group.is_empty() {
                self.commit(group);
            }
            match next {
                Some(Message::Flush { reply }) => drop(reply.send(self.flush())),
                Some(Message::Repair) => drop(self.ensure_index()),
                Some(Message::Transact { .. }) | None => {}
            }
        }
        if let Err(error) = self.flush() {
            tracing::warn!(error = &error as &dyn Error, "the index was not flushed");
        }
    }

    /// One write to the journal for the whole group; answers when it is done.
    fn commit(&mut self, group: Vec<(Transaction, Reply<u64>)>) {
        if let Err(error) = self.ensure_index().and_then(|()| self.check_room()) {
            for (_, reply) in group {
                drop(reply.send(Err(error.clone())));
            }
            return;
        }
        let (accepted, replies) = self.check(group);
        let outcome = self.store(accepted);
        for (reply, checked) in replies {
            // What was refused was perhaps refused because of what is not
            // stored now; and who has gone away waits for no answer.
            drop(reply.send(outcome.clone().and(checked)));
        }
        self.checkpoint_if_due();
    }

    /// Which transactions hold what they demand, each seeing those before it,
    /// and what to answer if they can be stored.
    #[expect(clippy::type_complexity, reason = "two lists, taken apart at once")]
    fn check(
        &self,
        group: Vec<(Transaction, Reply<u64>)>,
    ) -> (Vec<(u64, Vec<Change>)>, Vec<(Reply<u64>, Result<u64, StoreError>)>) {
        let mut written: BTreeMap<String, Option<u64>> = BTreeMap::new();
        let (mut accepted, mut replies) = (Vec::new(), Vec::new());
        let mut next = self.journal.next();
        for (transaction, reply) in group {
            let demands = transaction.check_demands(|key| match written.get(key) {
                Some(modified) => Ok(*modified),
                None => Ok(self.shared.get(key)?.map(|entry| entry.modified)),
            });
            let checked = demands.map(|()| {
                let changes = transaction.into_changes();
                for change in &changes {
                    let modified = match change {
                        Change::Put { .. } => Some(next),
                        Change::Delete { .. } => None,
                    };
                    written.insert(change.key().to_owned(), modified);
                }
                accepted.push((next, changes));
                next += 1;
                next - 1
            });
            replies.push((reply, checked));
        }
        (accepted, replies)
    }

    fn store(&mut self, accepted: Vec<(u64, Vec<Change>)>) -> Result<(), StoreError> {
        let Some(&(first, _)) = accepted.first() else { return Ok(()) };
        let records: Vec<Vec<u8>> =
            accepted.iter().map(|(_, changes)| journal::encode(changes)).collect();
        self.journal.append(&records).map_err(|error| {
            if error.is_full() {
                StoreError::Full(Arc::new(error))
            } else {
                failed("write the journal", error)
            }
        })?;
        let applied = {
            let mut index = self.shared.index.write().unwrap_or_else(PoisonError::into_inner);
            let applied = match &*index {
                Ok(index) => index.apply(&accepted),
                // Opened again before this group; nobody but this thread closes it.
                Err(_) => Ok(()),
            };
            if let Err(error) = applied {
                let failure: Failure = Arc::new(error);
                tracing::error!(error = &*failure as &dyn Error, "the index failed");
                *index = Err(failure);
            }
            index.is_ok()
        };
        self.unpublished.extend(accepted);
        if applied {
            self.publish();
            return Ok(());
        }
        self.ensure_index()
            .map_err(|error| StoreError::Unindexed { index: first, source: Arc::new(error) })
    }

    fn publish(&mut self) {
        for (index, changes) in self.unpublished.drain(..) {
            self.shared.history.publish(index, changes);
        }
    }

    /// Opens the index again if it failed.
    fn ensure_index(&mut self) -> Result<(), StoreError> {
        {
            let mut index = self.shared.index.write().unwrap_or_else(PoisonError::into_inner);
            let is_sound = index.as_ref().is_ok_and(|index| index.applied().is_ok());
            if !is_sound {
                // The old one is closed before the new one is opened.
                *index = Err(Arc::new(NotOpen));
                let mut report = OpenReport::default();
                match recover::open_index(&self.dir, &mut self.journal, &mut report) {
                    Ok(opened) => {
                        tracing::warn!(?report, "the index was opened again");
                        *index = Ok(opened);
                    }
                    Err(error) => {
                        let failure: Failure = Arc::new(error);
                        *index = Err(Arc::clone(&failure));
                        return Err(unreadable(&failure));
                    }
                }
            }
        }
        self.publish();
        Ok(())
    }

    fn check_room(&self) -> Result<(), StoreError> {
        let reserve = self.limits.reserve;
        let disk = statvfs(&self.dir).map_err(|error| failed("look at the disk", error))?;
        let free = disk.blocks_available() * disk.fragment_size();
        if free < reserve {
            return Err(StoreError::Full(Arc::new(NoRoom { free, reserve })));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.ensure_index()?;
        match &*self.shared.lock() {
            Ok(index) => index.flush().map_err(|error| failed("flush the index", error)),
            Err(failure) => Err(unreadable(failure)),
        }
    }

    fn checkpoint_if_due(&mut self) {
        if self.journal.bytes() < self.checkpoint_at {
            return;
        }
        let written = match &*self.shared.lock() {
            Ok(index) => recover::write_checkpoint(&self.dir, &mut self.journal, index),
            Err(_) => return,
        };
        match written {
            Ok(()) => {
                tracing::info!(index = self.journal.next() - 1, "wrote a checkpoint");
                self.checkpoint_at = self.after_checkpoint();
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "no checkpoint, the journal grows");
                self.checkpoint_at = self.journal.bytes() + RETRY_AFTER;
            }
        }
    }

    /// How large the journal may become before the next checkpoint.
    fn after_checkpoint(&self) -> u64 {
        let last = std::fs::metadata(checkpoint::path(&self.dir)).map_or(0, |file| file.len());
        self.limits.checkpoint_after.max(last * 4)
    }
}

/// The index is being opened.
#[derive(Debug, thiserror::Error)]
#[error("it is not open")]
struct NotOpen;
