//! All entries at one index, in one file: what the journal begins from.
//!
//! ```text
//! magic "HACP" | version u32 | index u64 | count u64 | entries | crc32 u32
//! entry   key length u16 | key | modified u64 | value length u32 | value
//! ```

use std::path::{Path, PathBuf};

use ha_durable::{FileError, atomic};

use super::super::Entry;
use super::journal::Parts;

const MAGIC: &[u8; 4] = b"HACP";
const VERSION: u32 = 1;
/// More than a store that holds its entries in memory once could need.
const MAX_BYTES: u64 = 4 << 30;

/// All entries at one index.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Checkpoint {
    /// The last transaction contained.
    pub(super) index: u64,
    /// In the order of their keys.
    pub(super) entries: Vec<Entry>,
}

/// What was found in the place of a checkpoint.
#[derive(Debug)]
pub(super) enum Found {
    /// There is none yet: the journal begins at index 1.
    None,
    /// A sound one.
    Sound(Checkpoint),
    /// One that can't be used.
    Damaged,
}

impl Found {
    /// The checkpoint to begin from, if that is possible.
    pub(super) fn usable(self) -> Option<Checkpoint> {
        match self {
            Self::None => Some(Checkpoint::default()),
            Self::Sound(checkpoint) => Some(checkpoint),
            Self::Damaged => None,
        }
    }
}

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("checkpoint")
}

pub(super) fn read(dir: &Path) -> Result<Found, atomic::ReadError> {
    Ok(match atomic::read_limited(&path(dir), MAX_BYTES)? {
        None => Found::None,
        Some(bytes) => decode(&bytes).map_or(Found::Damaged, Found::Sound),
    })
}

pub(super) fn write(dir: &Path, checkpoint: &Checkpoint) -> Result<(), FileError> {
    atomic::replace(&path(dir), &encode(checkpoint), 0o600)
}

fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&checkpoint.index.to_le_bytes());
    bytes.extend_from_slice(&(checkpoint.entries.len() as u64).to_le_bytes());
    for Entry { key, value, modified } in &checkpoint.entries {
        bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(&modified.to_le_bytes());
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        bytes.extend_from_slice(value);
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Checkpoint> {
    let (content, crc) = bytes.split_last_chunk()?;
    let body = content.strip_prefix(MAGIC)?;
    if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut parts = Parts(body);
    if parts.u32()? != VERSION {
        return None;
    }
    let index = parts.u64()?;
    let count = parts.u64()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let (key, modified) = (parts.key()?, parts.u64()?);
        entries.push(Entry { key, modified, value: parts.value()? });
    }
    parts.is_empty().then_some(Checkpoint { index, entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(dir.path()).unwrap(), Found::None));
        let entry = |key: &str, n: u64| Entry {
            key: key.to_owned(),
            value: format!("value {n}").into(),
            modified: n,
        };
        let checkpoint = Checkpoint { index: 9, entries: vec![entry("a", 3), entry("b", 9)] };
        write(dir.path(), &checkpoint).unwrap();
        let bytes = std::fs::read(path(dir.path())).unwrap();
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 4;
            assert_eq!(decode(&wrong), None, "a flip at {at} goes unseen");
            assert_eq!(decode(&bytes[..at]), None);
        }
        assert_eq!(read(dir.path()).unwrap().usable(), Some(checkpoint));
    }
}
