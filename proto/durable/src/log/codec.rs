//! Bytes of a segment file. All numbers are little-endian.
//!
//! ```text
//! header  magic "HALG" | version u16 | 0 u16 | tag [u8; 8] | first u64 | 0 u32 | crc32 u32
//! record  length u32 | crc32 u32 | position u64 | unsynced u32 | payload
//! ```
//!
//! `unsynced` counts the records before this one that were not yet known to be
//! on the disk when it was written. It tells a torn append (nobody was told that
//! it is stored) from damage to records that were acknowledged. A record without
//! a payload says that all positions up to its own are lost.

/// Bytes of a segment's header.
pub(super) const HEADER: usize = 32;
/// Bytes of a record without its payload.
pub(super) const RECORD: usize = 20;

const MAGIC: &[u8; 4] = b"HALG";
const VERSION: u16 = 1;

/// Why a header is not one of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum HeaderError {
    /// Too short, no magic, or its checksum is wrong.
    Damaged,
    /// Sound, but of a version that this program does not know.
    Version(u16),
    /// Sound, but of a log that holds something else.
    Tag([u8; 8]),
}

pub(super) fn header(tag: [u8; 8], first: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..4].copy_from_slice(MAGIC);
    bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
    bytes[8..16].copy_from_slice(&tag);
    bytes[16..24].copy_from_slice(&first.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The first position that a segment holds.
pub(super) fn parse_header(bytes: &[u8], tag: [u8; 8]) -> Result<u64, HeaderError> {
    let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or(HeaderError::Damaged)?;
    let crc = u32_at(bytes, 28).ok_or(HeaderError::Damaged)?;
    if &bytes[..4] != MAGIC || crc != crc32fast::hash(&bytes[..28]) {
        return Err(HeaderError::Damaged);
    }
    let version = u16::from_le_bytes([bytes[4], bytes[5]]);
    if version != VERSION {
        return Err(HeaderError::Version(version));
    }
    let found: [u8; 8] = bytes[8..].first_chunk().copied().ok_or(HeaderError::Damaged)?;
    if found != tag {
        return Err(HeaderError::Tag(found));
    }
    u64_at(bytes, 16).ok_or(HeaderError::Damaged)
}

/// A record as it stands in a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Found<'a> {
    pub(super) position: u64,
    pub(super) unsynced: u32,
    pub(super) payload: &'a [u8],
}

impl Found<'_> {
    /// Bytes that it takes in the segment.
    pub(super) fn bytes(&self) -> usize {
        RECORD + self.payload.len()
    }

    /// Whether it stands for lost positions.
    pub(super) fn is_gap(&self) -> bool {
        self.payload.is_empty()
    }
}

/// Appends a record to `out`. `length` is the payload's, which the caller has
/// checked against the limit of the log.
pub(super) fn encode(
    out: &mut Vec<u8>,
    tag: [u8; 8],
    position: u64,
    unsynced: u32,
    length: u32,
    payload: &[u8],
) {
    let crc = checksum(tag, length, position, unsynced, payload);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&position.to_le_bytes());
    out.extend_from_slice(&unsynced.to_le_bytes());
    out.extend_from_slice(payload);
}

/// The sound record that begins with the first byte of `bytes`, if there is one
/// whose position `plausible` accepts. That test comes before the checksum is
/// computed, so that a search over damaged bytes stays linear.
pub(super) fn decode(
    bytes: &[u8],
    tag: [u8; 8],
    max_record: u32,
    plausible: impl FnOnce(u64) -> bool,
) -> Option<Found<'_>> {
    let length = u32_at(bytes, 0)?;
    let crc = u32_at(bytes, 4)?;
    let position = u64_at(bytes, 8)?;
    let unsynced = u32_at(bytes, 16)?;
    if length > max_record || !plausible(position) {
        return None;
    }
    let end = RECORD.checked_add(usize::try_from(length).ok()?)?;
    let payload = bytes.get(RECORD..end)?;
    let sound = checksum(tag, length, position, unsynced, payload) == crc;
    sound.then_some(Found { position, unsynced, payload })
}

fn checksum(tag: [u8; 8], length: u32, position: u64, unsynced: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&tag);
    hasher.update(&length.to_le_bytes());
    hasher.update(&position.to_le_bytes());
    hasher.update(&unsynced.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}
