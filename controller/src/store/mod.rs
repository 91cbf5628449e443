//! Where the controller keeps what must not be lost.
//!
//! A store maps keys to values. Every transaction has an index, one higher than
//! the one before; an entry remembers the index of the transaction that wrote
//! it, and a transaction can demand that entries are still as they were read.
//! The limits are those of etcd, so that it fits behind the same trait.

pub mod check;
mod memory;
mod secrets;
mod sled;
mod state_dir;
mod transaction;
mod watch;

#[cfg(test)]
mod conformance;

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

pub use memory::MemoryStore;
pub use secrets::{MAX_SECRET, SecretError, SecretStore};
pub use sled::{Limits, OpenError, OpenReport, SledStore};
pub use state_dir::{StateDir, StateDirError};
pub use transaction::{
    Change, Compare, LimitError, MAX_KEY, MAX_OPERATIONS, MAX_TRANSACTION, MAX_VALUE, Transaction,
};
pub use watch::{Update, Watch};

/// Any backend, shared.
pub type SharedStore = Arc<dyn Store>;

/// What the operations of a store return.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A value and where it came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Bytes,
    /// Index of the transaction that wrote it.
    pub modified: u64,
}

/// Entries as they were together at one index.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// The last transaction that is contained; watch from the one after it.
    pub index: u64,
    /// The entries, in the order of their keys.
    pub entries: Vec<Entry>,
}

/// Why a store did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// An entry is not as the transaction demands; nothing was changed.
    #[error("{key} was changed meanwhile")]
    Conflict {
        /// Which.
        key: String,
        /// Index of the transaction that wrote it; `None`: there is none.
        found: Option<u64>,
    },
    /// The transaction breaks a limit; nothing was changed.
    #[error("the transaction can't be stored")]
    Limit(#[source] LimitError),
    /// The disk is full; nothing was changed. The same transaction can succeed
    /// later.
    #[error("the disk of the store is full")]
    Full(#[source] Arc<dyn Error + Send + Sync>),
    /// The disk, or a file on it, failed; nothing was changed.
    #[error("the store failed to {step}")]
    Failed {
        /// What was tried, as a verb with its object.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The transaction is safe on the disk, but can't be read back yet.
    #[error("transaction {index} is stored, but the index failed and could not be opened again")]
    Unindexed {
        /// Of the transaction.
        index: u64,
        /// Why.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// A watch asked for updates that are no longer kept: read a snapshot, and
    /// watch from its index.
    #[error("updates before {oldest} are no longer kept")]
    Compacted {
        /// The oldest index that is kept.
        oldest: u64,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// A store with compare-and-swap transactions.
///
/// All operations can be called from async code; those that touch a disk do it
/// elsewhere. Dropping a pending operation never leaves half of it done, but a
/// transaction that was handed over may still be carried out.
pub trait Store: Send + Sync + 'static {
    /// The entry with the key, as the last transaction left it.
    fn get(&self, key: &str) -> Pending<'_, Option<Entry>>;

    /// The entries whose key is `from` or comes after it, and comes before `to`
    /// (no such end if it is empty), at most `limit` of them.
    fn range(&self, from: &str, to: &str, limit: usize) -> Pending<'_, Snapshot>;

    /// Carries out the transaction if all its demands hold, and returns its
    /// index. By then it survives a power cut.
    fn transact(&self, transaction: Transaction) -> Pending<'_, u64>;

    /// Follows transactions with the index `from` and later that change keys
    /// with the prefix `prefix`. A recent window of them is kept.
    ///
    /// # Errors
    /// [`StoreError::Compacted`], here or from the watch later.
    fn watch(&self, from: u64, prefix: &str) -> Result<Watch, StoreError>;

    /// Index of the last transaction; 0 when there was none.
    fn index(&self) -> u64;

    /// Brings everything to the disk, also what is there only to make the next
    /// start faster.
    fn flush(&self) -> Pending<'_, ()>;
}

/// All entries whose key begins with `prefix`.
///
/// # Errors
/// As [`Store::range`].
pub async fn range_prefix(store: &dyn Store, prefix: &str) -> Result<Snapshot, StoreError> {
    store.range(prefix, &prefix_end(prefix), usize::MAX).await
}

/// The first key behind all keys with `prefix`; empty if there is none.
#[must_use]
pub fn prefix_end(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // The code point after the surrogates, where the next one is one.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            end.push(next);
            return end;
        }
    }
    end
}
