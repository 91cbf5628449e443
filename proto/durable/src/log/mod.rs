//! An append-only log of records, in checksummed segment files.
//!
//! A record is identified by its position: 1, 2, 3 … in the order of appending.
//! [`Log::append`] returns when the records are on the disk. [`Log::open`]
//! repairs what a crash or a bad disk left, and says in a [`Recovery`] what it
//! found: a torn tail, which nobody was ever told is stored, is cut off;
//! records that were acknowledged and are damaged are reported as lost, the
//! damaged file is kept as `*.corrupt-N`, and all sound records before and
//! behind the hole stay. No damage ever yields a wrong record.
//!
//! A directory belongs to one [`Log`] at a time (see [`crate::lock`]).

mod codec;
mod reader;
mod recover;
mod scan;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use reader::{ReadError, Reader, Record};
pub use recover::{Damage, Recovery, Torn, inspect};

use crate::{FileError, atomic};
use codec::HEADER;

/// Permissions of segment files.
const MODE: u32 = 0o600;

/// What a log holds and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// Names the content, so that one log is never taken for another.
    pub tag: [u8; 8],
    /// Most bytes in one record.
    pub max_record: u32,
    /// A segment that has reached this size is followed by a new one.
    pub segment_bytes: u64,
    /// Position of the first record of a log that has no segment yet.
    pub first: u64,
}

/// Why a log could not be opened. Damaged records are no such reason.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Something could not be read or repaired.
    #[error(transparent)]
    File(#[from] FileError),
    /// Written by a program with a newer format.
    #[error("{} has format {version}, this program knows format 1", path.display())]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its format.
        version: u16,
    },
    /// The directory holds a log of something else.
    #[error("{} belongs to the log {found:?}, not {wanted:?}", path.display())]
    Tag {
        /// The segment.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// What was asked for.
        wanted: String,
    },
}

/// Why records were not stored. None of the batch is, then, and the log can be
/// used on.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk failed or is full ([`FileError::is_full`]).
    #[error(transparent)]
    File(#[from] FileError),
    /// A record is longer than [`Options::max_record`].
    #[error("a record has {bytes} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Bytes in the record.
        bytes: usize,
        /// Most bytes allowed.
        limit: u32,
    },
    /// A record is empty; that form is taken by the format itself.
    #[error("a record is empty")]
    Empty,
}

impl AppendError {
    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::File(error) => error.is_full(),
            Self::TooLarge { .. } | Self::Empty => false,
        }
    }
}

/// A segment file.
#[derive(Clone, Debug)]
struct Segment {
    path: PathBuf,
    first: u64,
    bytes: u64,
}

/// The last segment, where records go.
#[derive(Debug)]
struct Tail {
    file: File,
    /// A failed append may have left bytes behind the end that could not be
    /// cut off.
    dirty: bool,
    /// The disk refused to sync this file: what its cache shows is no proof
    /// any more, so the next records go into a new one.
    sealed: bool,
}

/// A log, open for appending.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    options: Options,
    /// Never empty; the last is the one that `tail` has open.
    segments: Vec<Segment>,
    tail: Tail,
    next: u64,
}

impl Log {
    /// Opens the log in `dir`, which is made if there is none, and repairs it.
    ///
    /// # Errors
    /// When the directory can't be read or repaired, or holds something else.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovery), OpenError> {
        atomic::create_dir(dir, 0o700)?;
        let (mut segments, next, recovery) = recover::repair(dir, options)?;
        if segments.is_empty() {
            segments.push(create_segment(dir, options.tag, options.first)?);
        }
        let next = next.unwrap_or(options.first);
        let tail = open_tail(&segments)?;
        Ok((Self { dir: dir.to_owned(), options, segments, tail, next }, recovery))
    }

    /// Appends `records` and returns their positions when they are on the disk
    /// (one `fdatasync` for all). None of them is stored on an error.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<Range<u64>, AppendError> {
        let bytes = self.encode(records)?;
        let start = self.next;
        if bytes.is_empty() {
            return Ok(start..start);
        }
        self.make_room()?;
        let Some(last) = self.segments.last_mut() else { return Ok(start..start) };
        let written = self
            .tail
            .file
            .write_all_at(&bytes, last.bytes)
            .map_err(FileError::at("write", &last.path))
            .and_then(|()| {
                self.tail.file.sync_data().map_err(|source| {
                    self.tail.sealed = true;
                    FileError::at("sync", &last.path)(source)
                })
            });
        if let Err(error) = written {
            let cut = self.tail.file.set_len(last.bytes).and_then(|()| self.tail.file.sync_data());
            self.tail.dirty = cut.is_err();
            return Err(error.into());
        }
        last.bytes += bytes.len() as u64;
        self.next += records.len() as u64;
        Ok(start..self.next)
    }

    fn encode<R: AsRef<[u8]>>(&self, records: &[R]) -> Result<Vec<u8>, AppendError> {
        let mut bytes = Vec::new();
        let numbered = records.iter().zip(self.next..).zip(0_u32..);
        for ((record, position), unsynced) in numbered {
            let payload = record.as_ref();
            if payload.is_empty() {
                return Err(AppendError::Empty);
            }
            let limit = self.options.max_record;
            let length = u32::try_from(payload.len())
                .ok()
                .filter(|length| *length <= limit)
                .ok_or(AppendError::TooLarge { bytes: payload.len(), limit })?;
            codec::encode(&mut bytes, self.options.tag, position, unsynced, length, payload);
        }
        Ok(bytes)
    }

    /// Leaves the tail in a state that records can be written behind.
    fn make_room(&mut self) -> Result<(), FileError> {
        let Some(last) = self.segments.last() else { return Ok(()) };
        if self.tail.dirty {
            self.tail.file.set_len(last.bytes).map_err(FileError::at("cut", &last.path))?;
            self.tail.dirty = false;
        }
        let has_records = last.bytes > HEADER as u64;
        if has_records && (self.tail.sealed || last.bytes >= self.options.segment_bytes) {
            let segment = create_segment(&self.dir, self.options.tag, self.next)?;
            self.segments.push(segment);
            self.tail = open_tail(&self.segments)?;
        } else if self.tail.sealed {
            // No record in it yet: the same name again, but a new file.
            let path = last.path.clone();
            atomic::replace(&path, &codec::header(self.options.tag, self.next), MODE)?;
            self.tail = open_tail(&self.segments)?;
        }
        Ok(())
    }

    /// The oldest position kept; equal to [`Self::next`] when there is none.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.segments.first().map_or(self.next, |segment| segment.first)
    }

    /// The position of the next record.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// First positions of the segments, oldest first: where a reader starts
    /// without reading over records in vain.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.segments.iter().map(|segment| segment.first)
    }

    /// Reads from `position` (or from the oldest record, if that is newer) to
    /// what is the end now. The reader is independent of this log: it can go to
    /// another thread; records appended later are not seen.
    #[must_use]
    pub fn read_from(&self, position: u64) -> Reader {
        let ends = self.segments.iter().skip(1).map(|segment| segment.first).chain([self.next]);
        let segments = self
            .segments
            .iter()
            .zip(ends)
            .filter(|(_, end)| *end > position)
            .map(|(segment, _)| (segment.path.clone(), segment.bytes))
            .collect();
        Reader::new(self.options, segments, position, self.next)
    }

    /// Removes the segments all of whose records lie before `position`. The last
    /// segment always stays. Returns how many bytes that made free.
    ///
    /// # Errors
    /// When a file can't be removed; older ones may be gone.
    pub fn drop_before(&mut self, position: u64) -> Result<u64, FileError> {
        let mut freed = 0;
        while let [oldest, second, ..] = self.segments.as_slice()
            && second.first <= position
        {
            atomic::remove(&oldest.path)?;
            freed += oldest.bytes;
            self.segments.remove(0);
        }
        Ok(freed)
    }

    /// Begins a new segment, so that [`Self::drop_before`] can remove all that
    /// is stored by now.
    ///
    /// # Errors
    /// When the file can't be made; the log goes on in the old one.
    pub fn rotate(&mut self) -> Result<(), FileError> {
        let Some(last) = self.segments.last() else { return Ok(()) };
        if last.bytes > HEADER as u64 {
            let segment = create_segment(&self.dir, self.options.tag, self.next)?;
            self.segments.push(segment);
            self.tail = open_tail(&self.segments)?;
        }
        Ok(())
    }
}

fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.log"))
}

fn create_segment(dir: &Path, tag: [u8; 8], first: u64) -> Result<Segment, FileError> {
    let path = segment_path(dir, first);
    atomic::replace(&path, &codec::header(tag, first), MODE)?;
    Ok(Segment { path, first, bytes: HEADER as u64 })
}

fn open_tail(segments: &[Segment]) -> Result<Tail, FileError> {
    let last = segments.last().expect("a log has a segment from the time it is opened");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&last.path)
        .map_err(FileError::at("open", &last.path))?;
    Ok(Tail { file, dirty: false, sealed: false })
}
