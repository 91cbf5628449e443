//! The store on one machine's disk.
//!
//! The **journal** is the truth: a transaction is acknowledged when its record
//! is on the disk. The **index** (sled) is what reads are answered from; it is
//! brought up to the journal at every start, and made anew from **checkpoint**
//! and journal when it is damaged. The checkpoint holds all entries at one
//! index, so that the journal before it can go.

mod checkpoint;
mod commit;
mod index;
mod journal;
mod recover;
#[cfg(test)]
mod tests;

pub(super) mod check;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

pub use recover::{OpenError, OpenReport};

use super::watch::History;
use super::{Entry, Pending, Snapshot, Store, StoreError, Transaction, Watch};
use commit::{Committer, Message, Shared};

/// Transactions that wait for the disk. A caller whose transaction finds no
/// place waits, so this bounds memory only: a transaction has at most 1.4 MB.
const QUEUE: usize = 256;

/// When the journal is shortened, and what room is left for the index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of the journal after which a checkpoint is made. It also has to be
    /// four times the last checkpoint, so that checkpoints stay rare in a large
    /// store.
    pub checkpoint_after: u64,
    /// Bytes of the disk that transactions leave free. The index writes later
    /// than the journal, and must not find the disk full.
    pub reserve: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { checkpoint_after: 64 << 20, reserve: 32 << 20 }
    }
}

/// The store on one machine's disk.
#[derive(Debug)]
pub struct SledStore {
    messages: Option<mpsc::Sender<Message>>,
    committer: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl SledStore {
    /// Opens the store in `dir`, which is made if there is none, and says what
    /// had to be done for it. Only one process may do so at a time:
    /// [`super::StateDir`] sees to it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(dir: &Path, limits: Limits) -> Result<(Self, OpenReport), OpenError> {
        ha_durable::atomic::create_dir(dir, 0o700)?;
        let mut report = OpenReport::default();
        let mut journal = recover::open_journal(dir, &mut report)?;
        let index = recover::open_index(dir, &mut journal, &mut report)?;
        let history = History::new(journal.next() - 1);
        let shared = Arc::new(Shared::new(index, history));
        let (messages, queue) = mpsc::channel(QUEUE);
        let committer = Committer::new(dir.to_owned(), limits, journal, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || committer.run(queue))
            .map_err(OpenError::Thread)?;
        Ok((Self { messages: Some(messages), committer: Some(thread), shared }, report))
    }

    /// Hands a message over and waits for its answer.
    async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Message,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let messages = self.messages.as_ref().ok_or(StoreError::Closed)?;
        messages.send(message(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads from the index, which may have to read the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        let found = tokio::task::spawn_blocking(move || read(&shared)).await;
        let found = found.map_err(|_| StoreError::Closed)?;
        if found.is_err()
            && let Some(messages) = &self.messages
        {
            // If the queue is full, the next transaction finds the failure.
            drop(messages.try_send(Message::Repair));
        }
        found
    }
}

impl Store for SledStore {
    fn get(&self, key: &str) -> Pending<'_, Option<Entry>> {
        let key = key.to_owned();
        Box::pin(self.read(move |shared| shared.get(&key)))
    }

    fn range(&self, from: &str, to: &str, limit: usize) -> Pending<'_, Snapshot> {
        let (from, to) = (from.to_owned(), to.to_owned());
        Box::pin(self.read(move |shared| shared.range(&from, &to, limit)))
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, u64> {
        Box::pin(async {
            transaction.check_limits().map_err(StoreError::Limit)?;
            self.ask(|reply| Message::Transact { transaction, reply }).await
        })
    }

    fn watch(&self, from: u64, prefix: &str) -> Result<Watch, StoreError> {
        self.shared.history.watch(from, prefix)
    }

    fn index(&self) -> u64 {
        self.shared.history.last()
    }

    fn flush(&self) -> Pending<'_, ()> {
        Box::pin(self.ask(|reply| Message::Flush { reply }))
    }
}

impl Drop for SledStore {
    /// Waits for the transactions that were handed over.
    fn drop(&mut self) {
        self.messages = None;
        if let Some(committer) = self.committer.take()
            && committer.join().is_err()
        {
            tracing::error!("the thread of the store panicked");
        }
    }
}
