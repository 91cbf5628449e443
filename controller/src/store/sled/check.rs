//! `store verify` and `store rebuild`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ha_durable::atomic;
use ha_durable::log::{self, Log, Recovery};

use super::super::{Change, Entry};
use super::checkpoint::{self, Checkpoint, Found};
use super::index::Index;
use super::journal;
use super::recover::{self, OpenError};

/// Where the epoch of the history stands: see [`crate::revisions`].
const EPOCH: &str = "meta/epoch";

/// What [`verify`] found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verified {
    /// The last transaction that checkpoint and journal contain.
    pub index: u64,
    /// Entries at that point.
    pub entries: usize,
    /// What is wrong, for people; empty: nothing.
    pub problems: Vec<String>,
    /// What a start repairs by itself.
    pub notes: Vec<String>,
}

impl Verified {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "checkpoint and journal: {} entries at transaction {}",
            self.entries, self.index
        )?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        f.write_str(if self.is_sound() { "the store is sound" } else { "the store is damaged" })
    }
}

/// What [`rebuild`] did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rebuilt {
    /// The last transaction that the store contains now.
    pub index: u64,
    /// Entries at that point.
    pub entries: usize,
    /// Transactions that are lost.
    pub lost: Vec<Range<u64>>,
    /// Files that were set aside.
    pub set_aside: Vec<PathBuf>,
    /// Because of what is lost, the store began a new epoch.
    pub new_epoch: bool,
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for path in &self.set_aside {
            writeln!(f, "set aside as {}", path.display())?;
        }
        for lost in &self.lost {
            writeln!(f, "lost: transactions {} to {}", lost.start, lost.end - 1)?;
        }
        if self.new_epoch {
            writeln!(
                f,
                "the store began a new epoch: nodes take its plans, whatever their number"
            )?;
        }
        write!(f, "the store has {} entries at transaction {}", self.entries, self.index)
    }
}

/// What checkpoint and journal say.
struct Truth {
    index: u64,
    entries: BTreeMap<String, Entry>,
    /// Transactions that are missing, up to the end of the journal. Replay
    /// stopped before them.
    lost: Vec<Range<u64>>,
}

/// Looks through the store in `dir`. Changes nothing but what sled itself does
/// when it is opened. The state directory must be locked.
///
/// # Errors
/// When it can't be read at all.
pub(crate) fn verify(dir: &Path) -> Result<Verified, OpenError> {
    let mut verified = Verified::default();
    let found = checkpoint::read(dir)?;
    if let Found::Damaged = found {
        verified.problems.push("the checkpoint is damaged".to_owned());
    }
    let base = found.usable();
    let first = base.as_ref().map_or(1, |base| base.index + 1);
    let recovery = log::inspect(&recover::journal_dir(dir), journal::options(first))?;
    tell(&recovery, &mut verified);
    let Some(base) = base else { return Ok(verified) };
    if !recovery.is_clean() {
        // The journal is read as it is only when it needs no repair.
        return Ok(verified);
    }
    let (log, _) = Log::open(&recover::journal_dir(dir), journal::options(first))?;
    let truth = replay(base, &log)?;
    for lost in &truth.lost {
        let (start, end) = (lost.start, lost.end - 1);
        verified.problems.push(format!("transactions {start} to {end} are missing"));
    }
    verified.index = truth.index;
    verified.entries = truth.entries.len();
    compare(dir, &truth, &mut verified);
    Ok(verified)
}

fn tell(recovery: &Recovery, verified: &mut Verified) {
    for torn in &recovery.torn {
        let file = torn.segment.display();
        verified.notes.push(format!("{file} ends with {} bytes never acknowledged", torn.bytes));
    }
    for damage in &recovery.damage {
        let file = damage.segment.display();
        let lost: u64 = damage.lost.iter().map(|lost| lost.end - lost.start).sum();
        verified.problems.push(format!("{file} is damaged: {lost} transactions are lost"));
    }
}

/// Compares the index with what it should be. It may be behind: a start brings
/// it up.
fn compare(dir: &Path, truth: &Truth, verified: &mut Verified) {
    let read = || {
        let index = Index::open(&recover::index_dir(dir))?;
        Ok((index.applied()?, index.range("", "", usize::MAX)?))
    };
    let (applied, entries) = match read() {
        Ok(found) => found,
        Err::<_, super::index::IndexError>(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "the index can't be read");
            verified.notes.push("the index can't be read: a start makes it anew".to_owned());
            return;
        }
    };
    if applied > truth.index {
        let index = truth.index;
        verified.problems.push(format!(
            "the index contains transaction {applied}, the journal ends with {index}"
        ));
    } else if applied < truth.index {
        let behind = truth.index - applied;
        verified.notes.push(format!("the index is {behind} transactions behind"));
    } else if !entries.iter().eq(truth.entries.values()) {
        verified.problems.push("the index differs from checkpoint and journal".to_owned());
    }
}

/// Applies the journal to the checkpoint, up to the first hole.
fn replay(base: Checkpoint, log: &Log) -> Result<Truth, OpenError> {
    let mut truth = Truth {
        index: base.index,
        entries: base.entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect(),
        lost: Vec::new(),
    };
    if let Some(hole) = recover::first_hole(log, truth.index + 1)? {
        truth.lost.push(hole.start..log.next());
    }
    for transaction in recover::transactions(log, truth.index + 1) {
        let (index, changes) = transaction?;
        if index != truth.index + 1 {
            break;
        }
        truth.index = index;
        for change in changes {
            match change {
                Change::Put { key, value } => {
                    let entry = Entry { key: key.clone(), value, modified: index };
                    truth.entries.insert(key, entry);
                }
                Change::Delete { key } => {
                    truth.entries.remove(&key);
                }
            }
        }
    }
    Ok(truth)
}

/// Makes the store in `dir` anew from checkpoint and journal, as far as they
/// go without a hole. The index is set aside. If transactions are lost the
/// store begins a new epoch, so that its numbers are not mistaken for those
/// that nodes have seen. The state directory must be locked.
///
/// # Errors
/// The store is as it was, or opens as rebuilt at the next start.
pub(crate) fn rebuild(dir: &Path) -> Result<Rebuilt, OpenError> {
    let mut rebuilt = Rebuilt::default();
    let found = checkpoint::read(dir)?;
    let is_damaged = matches!(found, Found::Damaged);
    let base = found.usable().unwrap_or_default();
    let options = journal::options(base.index + 1);
    let (log, recovery) = Log::open(&recover::journal_dir(dir), options)?;
    rebuilt.set_aside.extend(recovery.damage.iter().filter_map(|damage| damage.kept.clone()));
    let next = log.next();
    let mut truth = replay(base, &log)?;
    drop(log);
    rebuilt.lost = truth.lost;
    rebuilt.new_epoch = !rebuilt.lost.is_empty() || is_damaged;
    if rebuilt.new_epoch {
        // Without an epoch the next start draws a new one. Indices are not used
        // twice: watches and demands rely on that.
        truth.entries.remove(EPOCH);
        truth.index = truth.index.max(next - 1);
    }
    rebuilt.index = truth.index;
    rebuilt.entries = truth.entries.len();
    if is_damaged {
        rebuilt.set_aside.push(atomic::set_aside(&checkpoint::path(dir))?);
    }
    let entries = truth.entries.into_values().collect();
    checkpoint::write(dir, &Checkpoint { index: truth.index, entries })?;
    for old in [recover::journal_dir(dir), recover::index_dir(dir)] {
        if old.exists() {
            rebuilt.set_aside.push(atomic::set_aside(&old)?);
        }
    }
    Ok(rebuilt)
}
