//! Finding and repairing what a crash or a bad disk left of a log.

use std::fs::{self, OpenOptions};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::codec::{self, HeaderError};
use super::scan::{Expected, Piece, Scan, scan};
use super::{MODE, OpenError, Options, Segment};
use crate::{FileError, atomic};

/// What was found, and repaired, when a log was opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// Bytes cut off that were never acknowledged: what a power cut leaves.
    pub torn: Vec<Torn>,
    /// Records that were acknowledged and can't be read any more.
    pub damage: Vec<Damage>,
}

impl Recovery {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.torn.is_empty() && self.damage.is_empty()
    }
}

/// The end of an append that was under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Torn {
    /// In which file.
    pub segment: PathBuf,
    /// Bytes cut off.
    pub bytes: u64,
}

/// A damaged segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// Which file.
    pub segment: PathBuf,
    /// Positions whose records are lost. Empty when only the file's header was
    /// damaged.
    pub lost: Vec<Range<u64>>,
    /// Where the damaged file is kept; `None` from [`inspect`], and if there was
    /// no file left to keep.
    pub kept: Option<PathBuf>,
}

/// A segment as it was found.
struct Inspected {
    path: PathBuf,
    first: u64,
    content: Vec<u8>,
    scan: Scan,
}

/// Looks through the log in `dir` and changes nothing.
///
/// # Errors
/// As [`super::Log::open`]; also when there is no such directory.
pub fn inspect(dir: &Path, options: Options) -> Result<Recovery, OpenError> {
    let mut recovery = Recovery::default();
    each_segment(dir, options, |inspected| {
        report(&inspected, None, &mut recovery);
        Ok(())
    })?;
    Ok(recovery)
}

/// Repairs the log in `dir`. Returns its segments and the next position, which
/// is `None` if there is no segment.
pub(super) fn repair(
    dir: &Path,
    options: Options,
) -> Result<(Vec<Segment>, Option<u64>, Recovery), OpenError> {
    let mut recovery = Recovery::default();
    let mut segments = Vec::new();
    let mut next = None;
    each_segment(dir, options, |inspected| {
        let kept =
            if inspected.scan.is_damaged() { Some(rewrite(&inspected, options)?) } else { None };
        if inspected.scan.torn > 0 && kept.is_none() {
            cut(&inspected)?;
        }
        report(&inspected, kept, &mut recovery);
        next = Some(inspected.scan.next);
        let length =
            fs::metadata(&inspected.path).map_err(FileError::at("look at", &inspected.path))?.len();
        segments.push(Segment { path: inspected.path, first: inspected.first, bytes: length });
        Ok(())
    })?;
    Ok((segments, next, recovery))
}

fn each_segment(
    dir: &Path,
    options: Options,
    mut each: impl FnMut(Inspected) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let firsts = list(dir)?;
    for (index, &first) in firsts.iter().enumerate() {
        let path = super::segment_path(dir, first);
        let content = fs::read(&path).map_err(FileError::at("read", &path))?;
        let header_damaged = match codec::parse_header(&content, options.tag) {
            Ok(found) => found != first,
            Err(HeaderError::Damaged) => true,
            Err(HeaderError::Version(version)) => {
                return Err(OpenError::Version { path, version });
            }
            Err(HeaderError::Tag(found)) => {
                let text = |tag: &[u8; 8]| String::from_utf8_lossy(tag).trim_end().to_owned();
                let (found, wanted) = (text(&found), text(&options.tag));
                return Err(OpenError::Tag { path, found, wanted });
            }
        };
        let expected = Expected {
            tag: options.tag,
            max_record: options.max_record,
            first,
            next_first: firsts.get(index + 1).copied(),
        };
        let scan = scan(&content, expected, header_damaged);
        each(Inspected { path, first, content, scan })?;
    }
    Ok(())
}

/// First positions of the segments in `dir`, in order.
fn list(dir: &Path) -> Result<Vec<u64>, FileError> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(dir).map_err(FileError::at("list", dir))? {
        let name = entry.map_err(FileError::at("list", dir))?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".log"));
        let digits = digits.filter(|digits| digits.len() == 20);
        firsts.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

fn report(inspected: &Inspected, kept: Option<PathBuf>, recovery: &mut Recovery) {
    let segment = inspected.path.clone();
    let scan = &inspected.scan;
    if scan.is_damaged() {
        let lost = scan.holes().filter(|lost| !lost.is_empty()).collect();
        recovery.damage.push(Damage { segment: segment.clone(), lost, kept });
    }
    if scan.torn > 0 {
        recovery.torn.push(Torn { segment, bytes: scan.torn as u64 });
    }
}

fn cut(inspected: &Inspected) -> Result<(), FileError> {
    let path = &inspected.path;
    let file = OpenOptions::new().write(true).open(path).map_err(FileError::at("open", path))?;
    file.set_len(inspected.scan.end as u64)
        .and_then(|()| file.sync_all())
        .map_err(FileError::at("cut", path))
}

/// Replaces a damaged segment by what is left of it, with the holes marked. The
/// damaged file keeps a second name first, so that a crash in between loses
/// nothing.
fn rewrite(inspected: &Inspected, options: Options) -> Result<PathBuf, FileError> {
    let kept = atomic::keep_aside(&inspected.path)?;
    let mut bytes = codec::header(options.tag, inspected.first).to_vec();
    let gap = |bytes: &mut Vec<u8>, position| {
        codec::encode(bytes, options.tag, position, 0, 0, &[]);
    };
    for piece in &inspected.scan.pieces {
        match piece {
            Piece::Record { position, bytes: range, .. } => {
                let payload = &inspected.content[range.clone()];
                let length = u32::try_from(payload.len())
                    .expect("a sound record is no longer than the limit, a u32");
                codec::encode(&mut bytes, options.tag, *position, 0, length, payload);
            }
            Piece::Gap { position, .. } => gap(&mut bytes, *position),
            Piece::Hole(lost) if lost.is_empty() => {}
            Piece::Hole(lost) => gap(&mut bytes, lost.end - 1),
        }
    }
    atomic::replace(&inspected.path, &bytes, MODE)?;
    Ok(kept)
}
