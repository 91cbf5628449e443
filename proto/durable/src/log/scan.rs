//! What is left of a segment: pure, over its bytes.

use std::ops::Range;

use super::codec::{self, HEADER};

/// Furthest that a position may lie behind the last good one to be believed.
const FURTHEST: u64 = 1 << 32;

/// What a segment must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) tag: [u8; 8],
    pub(super) max_record: u32,
    /// Its first position, as its name says.
    pub(super) first: u64,
    /// The first position of the segment after it; all before was synced.
    pub(super) next_first: Option<u64>,
}

/// A piece of a segment that is sound.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// A record, with where it lies in the file.
    Record { position: u64, unsynced: u32, bytes: Range<usize> },
    /// Positions that an earlier repair found lost, up to and including this.
    Gap { position: u64, unsynced: u32, end: usize },
    /// Positions that are lost now.
    Hole(Range<u64>),
}

/// What is left of a segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Scan {
    pub(super) pieces: Vec<Piece>,
    /// The position after the last piece.
    pub(super) next: u64,
    /// Where the sound part of the file ends.
    pub(super) end: usize,
    /// Bytes behind it that never were acknowledged.
    pub(super) torn: usize,
    /// Its header was unreadable.
    pub(super) header_damaged: bool,
}

impl Scan {
    /// Positions that were acknowledged and are lost.
    pub(super) fn holes(&self) -> impl Iterator<Item = Range<u64>> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(lost) => Some(lost.clone()),
            Piece::Record { .. } | Piece::Gap { .. } => None,
        })
    }

    /// Whether the file must be written anew, not only cut.
    pub(super) fn is_damaged(&self) -> bool {
        self.header_damaged || self.holes().next().is_some()
    }
}

/// Reads a segment whose header is sound, or `header_damaged`.
pub(super) fn scan(bytes: &[u8], expected: Expected, header_damaged: bool) -> Scan {
    let mut scan = Scan {
        pieces: Vec::new(),
        next: expected.first,
        end: HEADER.min(bytes.len()),
        torn: 0,
        header_damaged,
    };
    let mut at = scan.end;
    while at < bytes.len() && Some(scan.next) != expected.next_first {
        let Some((found_at, found)) = find(bytes, at, scan.next, expected) else { break };
        let contiguous = if found.is_gap() { found_at == at } else { found.position == scan.next };
        if !contiguous {
            scan.pieces.push(Piece::Hole(scan.next..found.position));
        } else if found_at != at {
            // Bytes that belong to no record stand between two neighbours.
            scan.pieces.push(Piece::Hole(scan.next..scan.next));
        }
        let end = found_at + found.bytes();
        let (position, unsynced) = (found.position, found.unsynced);
        scan.pieces.push(if found.is_gap() {
            Piece::Gap { position, unsynced, end }
        } else {
            Piece::Record { position, unsynced, bytes: end - found.payload.len()..end }
        });
        scan.next = position + 1;
        at = end;
    }
    scan.end = at;
    match expected.next_first {
        Some(next) if scan.next < next => {
            scan.pieces.push(Piece::Hole(scan.next..next));
            scan.next = next;
        }
        Some(_) => {}
        None => cut_unacknowledged(&mut scan),
    }
    scan.torn = bytes.len().saturating_sub(scan.end);
    scan
}

/// The first sound record at or behind `from` whose position comes next, or
/// later.
fn find(
    bytes: &[u8],
    from: usize,
    next: u64,
    expected: Expected,
) -> Option<(usize, codec::Found<'_>)> {
    let limit = expected.next_first.unwrap_or(u64::MAX).min(next.saturating_add(FURTHEST));
    (from..bytes.len()).find_map(|at| {
        let plausible = |position| position >= next && position < limit;
        codec::decode(&bytes[at..], expected.tag, expected.max_record, plausible)
            .map(|found| (at, found))
    })
}

/// In the last segment, a hole behind which nothing says that its positions had
/// been synced is an append that a power cut tore: nobody was told that it is
/// stored, so it goes, with all behind it.
fn cut_unacknowledged(scan: &mut Scan) {
    let synced_before = |piece: &Piece| match piece {
        Piece::Record { position, unsynced, .. } | Piece::Gap { position, unsynced, .. } => {
            position.saturating_sub(u64::from(*unsynced))
        }
        Piece::Hole(_) => 0,
    };
    // From behind: the highest position below which all was synced.
    let mut synced = 0;
    let mut cut = None;
    for (index, piece) in scan.pieces.iter().enumerate().rev() {
        if let Piece::Hole(lost) = piece
            && lost.start >= synced
        {
            cut = Some((index, lost.start));
        }
        synced = synced.max(synced_before(piece));
    }
    let Some((index, start)) = cut else { return };
    scan.pieces.truncate(index);
    scan.next = start;
    scan.end = end_of(&scan.pieces);
}

/// Where the last piece ends that stands in the file.
fn end_of(pieces: &[Piece]) -> usize {
    let ends = pieces.iter().rev().find_map(|piece| match piece {
        Piece::Record { bytes, .. } => Some(bytes.end),
        Piece::Gap { end, .. } => Some(*end),
        Piece::Hole(_) => None,
    });
    ends.unwrap_or(HEADER)
}
