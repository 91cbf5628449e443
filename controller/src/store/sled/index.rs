//! The index: a sled database that can always be made again from the
//! checkpoint and the journal, and so need not be trusted.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::{Change, Entry};
use super::checkpoint::Checkpoint;

/// Entries begin with this byte; nothing else does.
const ENTRY: u8 = b'k';
/// The last transaction that the index contains.
const APPLIED: &[u8] = b"applied";
/// The store is small; sled's own default is 1 GiB.
const CACHE_BYTES: u64 = 64 << 20;
/// A database that this process has closed keeps its lock until a thread of
/// sled's own lets go of it. No other process is in the way: the state directory
/// has a lock.
const RELEASE: Duration = Duration::from_secs(10);
/// Entries loaded from a checkpoint at once.
const LOAD: usize = 1000;

/// Why the index did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    /// sled says so.
    #[error("sled failed")]
    Sled(#[from] sled::Error),
    /// sled panics where it finds itself damaged.
    #[error("sled panicked: {0}")]
    Panic(String),
    /// An entry is not in the form that we wrote.
    #[error("the index holds something that is no entry")]
    Malformed,
}

impl IndexError {
    /// Whether sled's own lock on its file is held.
    fn is_locked(&self) -> bool {
        match self {
            // sled gives this text and no kind.
            Self::Sled(sled::Error::Io(error)) => {
                error.to_string().contains("could not acquire lock")
            }
            Self::Sled(_) | Self::Panic(_) | Self::Malformed => false,
        }
    }

    /// Whether the files are to blame, so that making them anew helps. A disk
    /// that is full or fails is not that.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Sled(error) => !matches!(error, sled::Error::Io(_)),
            Self::Panic(_) | Self::Malformed => true,
        }
    }
}

#[derive(Debug)]
pub(super) struct Index {
    db: sled::Db,
    dir: PathBuf,
}

impl Index {
    pub(super) fn open(dir: &Path) -> Result<Self, IndexError> {
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES);
        let end = Instant::now() + RELEASE;
        loop {
            match guard(|| Ok(config.open()?)) {
                Err(error) if error.is_locked() && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                opened => return Ok(Self { db: opened?, dir: dir.to_owned() }),
            }
        }
    }

    /// The last transaction contained; 0 for an empty index, and for one whose
    /// loading was cut short.
    pub(super) fn applied(&self) -> Result<u64, IndexError> {
        guard(|| match self.db.get(APPLIED)? {
            None => Ok(0),
            Some(bytes) => {
                let bytes = bytes.first_chunk().copied().ok_or(IndexError::Malformed)?;
                Ok(u64::from_le_bytes(bytes))
            }
        })
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Entry>, IndexError> {
        guard(|| match self.db.get(entry_key(key))? {
            None => Ok(None),
            Some(stored) => Ok(Some(entry(key.to_owned(), &stored)?)),
        })
    }

    pub(super) fn range(
        &self,
        from: &str,
        to: &str,
        limit: usize,
    ) -> Result<Vec<Entry>, IndexError> {
        if !to.is_empty() && to <= from {
            return Ok(Vec::new());
        }
        let end = if to.is_empty() { vec![ENTRY + 1] } else { entry_key(to) };
        guard(|| {
            let mut entries = Vec::new();
            for stored in self.db.range(entry_key(from)..end).take(limit) {
                let (key, stored) = stored?;
                let key = key.get(1..).and_then(|key| std::str::from_utf8(key).ok());
                entries.push(entry(key.ok_or(IndexError::Malformed)?.to_owned(), &stored)?);
            }
            Ok(entries)
        })
    }

    /// Carries out transactions, all in one step.
    pub(super) fn apply(&self, transactions: &[(u64, Vec<Change>)]) -> Result<(), IndexError> {
        let Some((last, _)) = transactions.last() else { return Ok(()) };
        let mut batch = sled::Batch::default();
        for (index, changes) in transactions {
            for change in changes {
                match change {
                    Change::Put { key, value } => {
                        batch.insert(entry_key(key), stored(*index, value));
                    }
                    Change::Delete { key } => batch.remove(entry_key(key)),
                }
            }
        }
        batch.insert(APPLIED, &last.to_le_bytes());
        guard(|| Ok(self.db.apply_batch(batch)?))
    }

    /// Makes the index what the checkpoint says.
    pub(super) fn load(&self, checkpoint: &Checkpoint) -> Result<(), IndexError> {
        // A crash before the end leaves an index that contains nothing.
        guard(|| Ok(self.db.clear()?))?;
        for chunk in checkpoint.entries.chunks(LOAD) {
            let mut batch = sled::Batch::default();
            for Entry { key, value, modified } in chunk {
                batch.insert(entry_key(key), stored(*modified, value));
            }
            guard(|| Ok(self.db.apply_batch(batch)?))?;
        }
        guard(|| {
            self.db.insert(APPLIED, &checkpoint.index.to_le_bytes())?;
            Ok(())
        })
    }

    /// Brings all to the disk. sled's own flush leaves out the file's metadata,
    /// without which its newest part is lost in a power cut.
    pub(super) fn flush(&self) -> Result<(), IndexError> {
        guard(|| {
            self.db.flush()?;
            let file = File::open(self.dir.join("db")).map_err(sled::Error::Io)?;
            Ok(file.sync_all().map_err(sled::Error::Io)?)
        })
    }
}

fn entry_key(key: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 1);
    bytes.push(ENTRY);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

fn stored(modified: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + 8);
    bytes.extend_from_slice(&modified.to_le_bytes());
    bytes.extend_from_slice(value);
    bytes
}

fn entry(key: String, stored: &[u8]) -> Result<Entry, IndexError> {
    let (modified, value) = stored.split_first_chunk().ok_or(IndexError::Malformed)?;
    let modified = u64::from_le_bytes(*modified);
    Ok(Entry { key, value: Bytes::copy_from_slice(value), modified })
}

/// Runs sled, which panics on damage, so that only the operation fails.
fn guard<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    // After a panic the database is dropped and opened anew, so nothing that it
    // left half done is looked at again.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(IndexError::Panic(text.unwrap_or("no reason given").to_owned()))
    })
}
