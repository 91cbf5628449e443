//! Transactions and their limits.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::StoreError;

/// Most demands and changes in one transaction (etcd: 128 of each).
pub const MAX_OPERATIONS: usize = 100;
/// Every value is smaller than this, bytes.
pub const MAX_VALUE: usize = 1024 * 1024;
/// Most bytes of all keys and values in one transaction (etcd: 1.5 MiB a
/// request).
pub const MAX_TRANSACTION: usize = 1_400_000;
/// Most bytes in a key.
pub const MAX_KEY: usize = 512;

/// A limit that a transaction breaks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// Too many operations.
    #[error("it has {count} operations, at most {MAX_OPERATIONS} are allowed")]
    Operations {
        /// How many.
        count: usize,
    },
    /// A value is too large.
    #[error("the value of {key} has {bytes} bytes, fewer than {MAX_VALUE} are allowed")]
    Value {
        /// Whose.
        key: String,
        /// Bytes in it.
        bytes: usize,
    },
    /// All together is too large.
    #[error("it has {bytes} bytes, at most {MAX_TRANSACTION} are allowed")]
    Total {
        /// Bytes in it.
        bytes: usize,
    },
    /// A key is empty or too long.
    #[error("a key has {bytes} bytes, 1 to {MAX_KEY} are allowed")]
    Key {
        /// Bytes in it.
        bytes: usize,
    },
    /// A key is changed twice.
    #[error("{key} is changed twice")]
    Twice {
        /// Which.
        key: String,
    },
}

/// What a transaction demands of an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Compare {
    /// There is none with this key.
    Absent {
        /// Of the entry.
        key: String,
    },
    /// It was last written by this transaction.
    Modified {
        /// Of the entry.
        key: String,
        /// Index of the transaction.
        at: u64,
    },
}

/// What a transaction does to an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Writes it.
    Put {
        /// Of the entry.
        key: String,
        /// The new value.
        value: Bytes,
    },
    /// Removes it; that there is none is no error.
    Delete {
        /// Of the entry.
        key: String,
    },
}

impl Change {
    /// Of the entry.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// Changes that are made together or not at all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Transaction {
    compares: Vec<Compare>,
    changes: Vec<Change>,
}

impl Transaction {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Demands that there is no entry with `key`.
    #[must_use]
    pub fn if_absent(mut self, key: impl Into<String>) -> Self {
        self.compares.push(Compare::Absent { key: key.into() });
        self
    }

    /// Demands that the entry with `key` was last written by transaction `at`.
    #[must_use]
    pub fn if_modified_at(mut self, key: impl Into<String>, at: u64) -> Self {
        self.compares.push(Compare::Modified { key: key.into(), at });
        self
    }

    /// Demands that the entry is as it was read: `None` is that there was none.
    #[must_use]
    pub fn if_unchanged(self, key: impl Into<String>, modified: Option<u64>) -> Self {
        match modified {
            Some(at) => self.if_modified_at(key, at),
            None => self.if_absent(key),
        }
    }

    /// Writes an entry.
    #[must_use]
    pub fn put(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.changes.push(Change::Put { key: key.into(), value: value.into() });
        self
    }

    /// Removes an entry.
    #[must_use]
    pub fn delete(mut self, key: impl Into<String>) -> Self {
        self.changes.push(Change::Delete { key: key.into() });
        self
    }

    /// Its demands and changes together.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.compares.len() + self.changes.len()
    }

    /// What it does.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(super) fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Bytes of its keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.changes.iter().map(change_bytes).sum()
    }

    /// Whether it keeps the limits.
    ///
    /// # Errors
    /// The first limit that it breaks.
    pub fn check_limits(&self) -> Result<(), LimitError> {
        let count = self.operations();
        if count > MAX_OPERATIONS {
            return Err(LimitError::Operations { count });
        }
        for compare in &self.compares {
            match compare {
                Compare::Absent { key } | Compare::Modified { key, .. } => check_key(key)?,
            }
        }
        let mut seen = BTreeSet::new();
        for change in &self.changes {
            check_change(change)?;
            if !seen.insert(change.key()) {
                return Err(LimitError::Twice { key: change.key().to_owned() });
            }
        }
        let bytes = self.bytes();
        if bytes > MAX_TRANSACTION { Err(LimitError::Total { bytes }) } else { Ok(()) }
    }

    /// Whether its demands hold; `modified` tells which transaction wrote an
    /// entry.
    pub(super) fn check_demands(
        &self,
        mut modified: impl FnMut(&str) -> Result<Option<u64>, StoreError>,
    ) -> Result<(), StoreError> {
        for compare in &self.compares {
            let (key, wanted) = match compare {
                Compare::Absent { key } => (key, None),
                Compare::Modified { key, at } => (key, Some(*at)),
            };
            let found = modified(key)?;
            if found != wanted {
                return Err(StoreError::Conflict { key: key.clone(), found });
            }
        }
        Ok(())
    }
}

fn change_bytes(change: &Change) -> usize {
    match change {
        Change::Put { key, value } => key.len() + value.len(),
        Change::Delete { key } => key.len(),
    }
}

fn check_key(key: &str) -> Result<(), LimitError> {
    match key.len() {
        1..=MAX_KEY => Ok(()),
        bytes => Err(LimitError::Key { bytes }),
    }
}

fn check_change(change: &Change) -> Result<(), LimitError> {
    check_key(change.key())?;
    match change {
        Change::Put { key, value } if value.len() >= MAX_VALUE => {
            Err(LimitError::Value { key: key.clone(), bytes: value.len() })
        }
        Change::Put { .. } | Change::Delete { .. } => Ok(()),
    }
}
