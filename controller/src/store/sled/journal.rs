//! Transactions as the journal holds them. The position of a record is the
//! index of its transaction.
//!
//! ```text
//! count u32, then for each change
//! 1 u8 | key length u16 | key | value length u32 | value
//! 2 u8 | key length u16 | key
//! ```

use bytes::Bytes;
use ha_durable::log::Options;

use super::super::{Change, MAX_OPERATIONS, MAX_TRANSACTION};

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// The log that the journal is; `first` is the index of its first transaction.
pub(super) fn options(first: u64) -> Options {
    Options {
        tag: *b"journal ",
        // What the limits of a transaction allow, and the lengths of its parts.
        max_record: (MAX_TRANSACTION + 4 + MAX_OPERATIONS * 7) as u32,
        segment_bytes: 16 << 20,
        first,
    }
}

/// A transaction that has kept the limits, as bytes.
pub(super) fn encode(changes: &[Change]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&(changes.len() as u32).to_le_bytes());
    for change in changes {
        match change {
            Change::Put { key, value } => {
                bytes.push(PUT);
                put_key(&mut bytes, key);
                bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
                bytes.extend_from_slice(value);
            }
            Change::Delete { key } => {
                bytes.push(DELETE);
                put_key(&mut bytes, key);
            }
        }
    }
    bytes
}

fn put_key(bytes: &mut Vec<u8>, key: &str) {
    bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
    bytes.extend_from_slice(key.as_bytes());
}

/// The changes in a record; `None` if it holds something else.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Change>> {
    let mut bytes = Parts(bytes);
    let count = bytes.u32()?;
    let mut changes = Vec::new();
    for _ in 0..count {
        let kind = bytes.u8()?;
        let key = bytes.key()?;
        changes.push(match kind {
            PUT => Change::Put { key, value: bytes.value()? },
            DELETE => Change::Delete { key },
            _ => return None,
        });
    }
    bytes.is_empty().then_some(changes)
}

/// Takes parts off the front of bytes.
pub(super) struct Parts<'a>(pub(super) &'a [u8]);

impl<'a> Parts<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A text behind its length of two bytes.
    pub(super) fn key(&mut self) -> Option<String> {
        let length = self.array().map(u16::from_le_bytes)?;
        let key = self.take(usize::from(length))?;
        String::from_utf8(key.to_vec()).ok()
    }

    /// Bytes behind their length of four bytes.
    pub(super) fn value(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length).map(Bytes::copy_from_slice)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            ("[a-zß/]{1,20}", prop::collection::vec(any::<u8>(), 0..50))
                .prop_map(|(key, value)| Change::Put { key, value: value.into() }),
            "[a-zß/]{1,20}".prop_map(|key| Change::Delete { key }),
        ]
    }

    proptest! {
        #[test]
        fn decoding_is_the_inverse_of_encoding(
            changes in prop::collection::vec(change(), 0..20)
        ) {
            prop_assert_eq!(decode(&encode(&changes)), Some(changes));
        }

        #[test]
        fn other_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(changes) = decode(&bytes) {
                prop_assert_eq!(encode(&changes), bytes);
            }
        }
    }
}
