//! Reading a log from a position on.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::Options;
use super::codec::{self, HEADER, RECORD};
use crate::FileError;

/// A record of a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Its position.
    pub position: u64,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file could not be read; [`FileError::is_missing`] if the segment was
    /// dropped meanwhile.
    #[error(transparent)]
    File(#[from] FileError),
    /// A segment was damaged after the log was opened.
    #[error("{} is damaged behind byte {at}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where its sound part ends.
        at: u64,
    },
}

/// Iterates over records in their order. Lost positions are skipped: the
/// positions of the records show it. Ends after the first error.
#[derive(Debug)]
pub struct Reader {
    options: Options,
    segments: VecDeque<(PathBuf, u64)>,
    open: Option<Open>,
    /// Positions before this are not wanted.
    from: u64,
    /// Positions from this on are not wanted.
    end: u64,
}

#[derive(Debug)]
struct Open {
    file: BufReader<File>,
    path: PathBuf,
    at: u64,
    bytes: u64,
}

impl Reader {
    pub(super) fn new(
        options: Options,
        segments: VecDeque<(PathBuf, u64)>,
        from: u64,
        end: u64,
    ) -> Self {
        Self { options, segments, open: None, from, end }
    }

    /// The next record of the open segment; `None` at its end.
    fn step(&mut self, open: &mut Open) -> Result<Option<Record>, ReadError> {
        while open.at < open.bytes {
            let record = open.read(self.options)?;
            if record.position >= self.end {
                return Ok(None);
            }
            if record.position >= self.from && !record.payload.is_empty() {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

impl Iterator for Reader {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => {
                    let (path, bytes) = self.segments.pop_front()?;
                    match Open::at_first(&path, bytes) {
                        Ok(open) => open,
                        Err(error) => return Some(Err(self.stop(error))),
                    }
                }
            };
            match self.step(&mut open) {
                Ok(Some(record)) => {
                    self.open = Some(open);
                    return Some(Ok(record));
                }
                Ok(None) => {}
                Err(error) => return Some(Err(self.stop(error))),
            }
        }
    }
}

impl Reader {
    fn stop(&mut self, error: impl Into<ReadError>) -> ReadError {
        self.segments.clear();
        self.open = None;
        error.into()
    }
}

impl Open {
    fn at_first(path: &Path, bytes: u64) -> Result<Self, FileError> {
        let file = File::open(path).map_err(FileError::at("open", path))?;
        let mut file = BufReader::with_capacity(64 * 1024, file);
        file.seek(SeekFrom::Start(HEADER as u64)).map_err(FileError::at("read", path))?;
        Ok(Self { file, path: path.to_owned(), at: HEADER as u64, bytes })
    }

    fn read(&mut self, options: Options) -> Result<Record, ReadError> {
        let mut bytes = vec![0; RECORD];
        self.fill(&mut bytes)?;
        let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if length > options.max_record {
            return Err(self.damaged());
        }
        let full = RECORD + length as usize;
        bytes.resize(full, 0);
        self.fill(&mut bytes[RECORD..])?;
        let Some(found) = codec::decode(&bytes, options.tag, options.max_record, |_| true) else {
            return Err(self.damaged());
        };
        let position = found.position;
        self.at += full as u64;
        bytes.drain(..RECORD);
        Ok(Record { position, payload: bytes })
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ReadError> {
        match self.file.read_exact(bytes) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(self.damaged()),
            Err(error) => Err(FileError::at("read", &self.path)(error).into()),
        }
    }

    fn damaged(&self) -> ReadError {
        ReadError::Damaged { path: self.path.clone(), at: self.at }
    }
}
