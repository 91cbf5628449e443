//! Values under their digest.

use bytes::Bytes;
use ha_model::ids::Digest;
use serde::{Deserialize, Serialize};

use super::{RevisionError, json, parse};
use crate::store::{MAX_OPERATIONS, MAX_TRANSACTION, MAX_VALUE, SharedStore, Transaction};

/// Entries of a list in one object: a list of so many long names stays below
/// the limit of a value, and a change of one entry rewrites no more than this.
const CHUNK: usize = 1000;

#[derive(Clone)]
pub(super) struct Objects {
    store: SharedStore,
}

impl Objects {
    pub(super) fn new(store: SharedStore) -> Self {
        Self { store }
    }

    pub(super) async fn get(&self, digest: Digest) -> Result<Bytes, RevisionError> {
        let key = key(digest);
        match self.store.get(&key).await? {
            Some(entry) if Digest::of(&entry.value) == digest => Ok(entry.value),
            Some(_) | None => Err(RevisionError::Damaged { key }),
        }
    }

    /// Stores those that are not there yet. The names are for errors only.
    pub(super) async fn put_all(&self, objects: Vec<(String, Bytes)>) -> Result<(), RevisionError> {
        let mut batch = Transaction::new();
        for (name, bytes) in objects {
            if bytes.len() >= MAX_VALUE {
                let bytes = bytes.len();
                return Err(RevisionError::TooLarge { name, bytes, limit: MAX_VALUE });
            }
            let key = key(Digest::of(&bytes));
            let is_queued = batch.changes().iter().any(|change| change.key() == key);
            if is_queued || self.store.get(&key).await?.is_some() {
                continue;
            }
            let full = batch.operations() == MAX_OPERATIONS
                || batch.bytes() + key.len() + bytes.len() > MAX_TRANSACTION;
            if full {
                self.store.transact(std::mem::take(&mut batch)).await?;
            }
            batch = batch.put(key, bytes);
        }
        if !batch.changes().is_empty() {
            self.store.transact(batch).await?;
        }
        Ok(())
    }

    /// Stores a list in chunks; returns their digests.
    pub(super) async fn put_list<T: Serialize>(
        &self,
        list: &[T],
    ) -> Result<Vec<Digest>, RevisionError> {
        let chunk = |chunk: &[T]| ("a list".to_owned(), json(&chunk));
        let chunks: Vec<(String, Bytes)> = list.chunks(CHUNK).map(chunk).collect();
        let digests = chunks.iter().map(|(_, chunk)| Digest::of(chunk)).collect();
        self.put_all(chunks).await?;
        Ok(digests)
    }

    pub(super) async fn list<T: for<'a> Deserialize<'a>>(
        &self,
        chunks: &[Digest],
    ) -> Result<Vec<T>, RevisionError> {
        let mut list = Vec::new();
        for digest in chunks {
            let bytes = self.get(*digest).await?;
            list.extend(parse::<Vec<T>>(&key(*digest), &bytes)?);
        }
        Ok(list)
    }
}

fn key(digest: Digest) -> String {
    format!("object/{digest}")
}
