//! Bringing index and journal together: at the start, and after the index
//! failed.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ha_durable::log::{self, Log, Recovery};
use ha_durable::{FileError, atomic};

use super::super::Change;
use super::checkpoint::{self, Checkpoint, Found};
use super::index::{Index, IndexError};
use super::journal;

/// Transactions replayed into the index at once.
const REPLAY: usize = 256;

/// Why a store could not be opened. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal.
    #[error("the journal can't be opened")]
    Journal(#[from] log::OpenError),
    /// A transaction can't be read back.
    #[error("the journal can't be read")]
    Read(#[from] log::ReadError),
    /// A sound record that holds no transaction.
    #[error("transaction {index} of the journal is in a form that this release does not know")]
    Form {
        /// Of the transaction.
        index: u64,
    },
    /// The checkpoint can't be read.
    #[error("the checkpoint can't be read")]
    Checkpoint(#[from] atomic::ReadError),
    /// A file can't be written or set aside.
    #[error(transparent)]
    File(#[from] FileError),
    /// The index can't be opened or written.
    #[error("the index can't be opened")]
    Index(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Acknowledged transactions are damaged, and in no other place.
    #[error(
        "transactions {} to {} are damaged and in no other place; \
         `ha-controller store rebuild` goes on with what is left",
        missing.start, missing.end - 1
    )]
    Incomplete {
        /// Their indices.
        missing: Range<u64>,
    },
    /// The thread of the store could not be started.
    #[error("the thread of the store can't be started")]
    Thread(#[source] std::io::Error),
}

impl OpenError {
    fn index(error: IndexError) -> Self {
        Self::Index(Box::new(error))
    }
}

/// What had to be done to open a store. Empty after a clean stop.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OpenReport {
    /// What a crash or a bad disk left of the journal.
    pub journal: Recovery,
    /// Transactions that the journal had and the index had not.
    pub replayed: u64,
    /// Damaged files that were set aside.
    pub set_aside: Vec<PathBuf>,
    /// The index was made anew from checkpoint and journal.
    pub rebuilt: bool,
    /// The journal could not stand for all any more: a checkpoint was made from
    /// the index.
    pub checkpointed: bool,
}

pub(super) fn journal_dir(dir: &Path) -> PathBuf {
    dir.join("journal")
}

pub(super) fn index_dir(dir: &Path) -> PathBuf {
    dir.join("index")
}

/// Opens the journal of the store in `dir`.
pub(super) fn open_journal(dir: &Path, report: &mut OpenReport) -> Result<Log, OpenError> {
    let first = match checkpoint::read(dir)? {
        Found::Sound(checkpoint) => checkpoint.index + 1,
        Found::None | Found::Damaged => 1,
    };
    let (log, recovery) = Log::open(&journal_dir(dir), journal::options(first))?;
    report.journal = recovery;
    Ok(log)
}

/// Opens the index of the store in `dir` and brings it to the state that the
/// journal says.
pub(super) fn open_index(
    dir: &Path,
    journal: &mut Log,
    report: &mut OpenReport,
) -> Result<Index, OpenError> {
    let (index, applied) = open_sled(dir, report)?;
    let found = checkpoint::read(dir)?;
    if let Found::Damaged = found {
        report.set_aside.push(atomic::set_aside(&checkpoint::path(dir))?);
    }
    let checkpoint = found.usable();
    let last = journal.next() - 1;
    let hole = match &checkpoint {
        Some(checkpoint) => first_hole(journal, checkpoint.index + 1)?,
        None => Some(1..journal.first()),
    };
    if applied > last {
        // The journal lost its end; it is written first, so the index has it.
        replace_journal(dir, journal, &index, applied, report)?;
        return Ok(index);
    }
    if first_hole(journal, applied + 1)?.is_none() {
        report.replayed += replay(&index, journal, applied + 1)?;
    } else if let (Some(checkpoint), None) = (&checkpoint, &hole) {
        report.rebuilt = true;
        index.load(checkpoint).map_err(OpenError::index)?;
        report.replayed += replay(&index, journal, checkpoint.index + 1)?;
    } else {
        let missing = hole.unwrap_or(applied + 1..journal.first());
        return Err(OpenError::Incomplete { missing });
    }
    if hole.is_some() {
        write_checkpoint(dir, journal, &index)?;
        report.checkpointed = true;
    }
    Ok(index)
}

/// Opens sled; what it can't open is set aside.
fn open_sled(dir: &Path, report: &mut OpenReport) -> Result<(Index, u64), OpenError> {
    let path = index_dir(dir);
    let open = || {
        let index = Index::open(&path)?;
        let applied = index.applied()?;
        Ok((index, applied))
    };
    match open() {
        Ok(opened) => Ok(opened),
        Err(error) if IndexError::is_damage(&error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the index of the store is damaged and made anew"
            );
            report.set_aside.push(atomic::set_aside(&path)?);
            report.rebuilt = true;
            open().map_err(OpenError::index)
        }
        Err(error) => Err(OpenError::index(error)),
    }
}

/// The first transactions from `from` on that the journal does not have.
pub(super) fn first_hole(journal: &Log, from: u64) -> Result<Option<Range<u64>>, OpenError> {
    let mut next = from;
    for record in journal.read_from(from) {
        let position = record?.position;
        if position != next {
            return Ok(Some(next..position));
        }
        next += 1;
    }
    let end = journal.next();
    Ok((next < end).then_some(next..end))
}

/// Carries out the transactions from `from` on; returns how many.
fn replay(index: &Index, journal: &Log, from: u64) -> Result<u64, OpenError> {
    let mut count = 0;
    let mut group = Vec::new();
    for transaction in transactions(journal, from) {
        group.push(transaction?);
        count += 1;
        if group.len() == REPLAY {
            index.apply(&group).map_err(OpenError::index)?;
            group.clear();
        }
    }
    index.apply(&group).map_err(OpenError::index)?;
    Ok(count)
}

/// The transactions in the journal, with their indices.
pub(super) fn transactions(
    journal: &Log,
    from: u64,
) -> impl Iterator<Item = Result<(u64, Vec<Change>), OpenError>> {
    journal.read_from(from).map(|record| {
        let record = record?;
        let index = record.position;
        let changes = journal::decode(&record.payload).ok_or(OpenError::Form { index })?;
        Ok((index, changes))
    })
}

/// Writes all that the index holds into a checkpoint; drops what the journal
/// has of it. Returns the bytes of the checkpoint's values.
pub(super) fn write_checkpoint(
    dir: &Path,
    journal: &mut Log,
    index: &Index,
) -> Result<(), OpenError> {
    let applied = index.applied().map_err(OpenError::index)?;
    let entries = index.range("", "", usize::MAX).map_err(OpenError::index)?;
    checkpoint::write(dir, &Checkpoint { index: applied, entries })?;
    journal.rotate()?;
    journal.drop_before(applied + 1)?;
    Ok(())
}

/// Sets aside a journal that ends before the index does, and begins a new one
/// behind a checkpoint of the index.
fn replace_journal(
    dir: &Path,
    journal: &mut Log,
    index: &Index,
    applied: u64,
    report: &mut OpenReport,
) -> Result<(), OpenError> {
    let entries = index.range("", "", usize::MAX).map_err(OpenError::index)?;
    checkpoint::write(dir, &Checkpoint { index: applied, entries })?;
    report.set_aside.push(atomic::set_aside(&journal_dir(dir))?);
    let (new, _) = Log::open(&journal_dir(dir), journal::options(applied + 1))?;
    *journal = new;
    report.checkpointed = true;
    Ok(())
}
