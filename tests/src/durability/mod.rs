//! What must survive a killed process and a power cut: writers that tell what
//! was acknowledged to them, and a check of what is there afterwards.
//!
//! Every lane writes numbered content, one number after the other, with the
//! code of the product: the controller's store, revisions, plans and events, the
//! agent's ledger and spool. A number that was acknowledged must be there; one
//! that was not may be there, but whole.

mod check;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};

pub use check::{Checked, check};
pub use write::write;

/// Transactions of the controller's store that go on at the same time.
pub const STORE_LANES: u64 = 3;

/// Who writes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Lane {
    /// One of the writers of the controller's store.
    Store(u64),
    /// Revisions with their plans.
    Revisions,
    /// Events in the controller.
    Events,
    /// The agent's ledger.
    Ledger,
    /// The agent's spool.
    Spool,
}

impl Lane {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let others = [Self::Revisions, Self::Events, Self::Ledger, Self::Spool];
        (0..STORE_LANES).map(Self::Store).chain(others)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(number) => write!(f, "store{number}"),
            Self::Revisions => f.write_str("revisions"),
            Self::Events => f.write_str("events"),
            Self::Ledger => f.write_str("ledger"),
            Self::Spool => f.write_str("spool"),
        }
    }
}

impl FromStr for Lane {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let Some(lane) = Self::all().find(|lane| lane.to_string() == text) else {
            bail!("no lane is called {text}")
        };
        Ok(lane)
    }
}

/// The last number that each lane was told is stored.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Acks(BTreeMap<Lane, u64>);

impl Acks {
    /// Takes in what a writer printed: lines `ack LANE NUMBER` among others. A
    /// last line that was cut short counts for nothing.
    pub fn add(&mut self, output: &str) {
        let whole = output.rfind('\n').map_or("", |end| &output[..end]);
        for line in whole.lines() {
            let mut words = line.trim_end().split(' ');
            if words.next() != Some("ack") {
                continue;
            }
            let lane = words.next().and_then(|lane| lane.parse::<Lane>().ok());
            let number = words.next().and_then(|number| number.parse::<u64>().ok());
            if let (Some(lane), Some(number), None) = (lane, number, words.next()) {
                let last = self.0.entry(lane).or_default();
                *last = number.max(*last);
            }
        }
    }

    /// The last number of a lane; 0: none.
    #[must_use]
    pub fn last(&self, lane: Lane) -> u64 {
        self.0.get(&lane).copied().unwrap_or(0)
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Reads what [`Self::save`] wrote; no file is no acknowledgement.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let mut acks = Self::default();
        if path.exists() {
            let text = std::fs::read_to_string(path);
            acks.add(&text.with_context(|| format!("reading {}", path.display()))?);
        }
        Ok(acks)
    }

    /// Writes them for [`Self::load`].
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let lines: String =
            self.0.iter().map(|(lane, number)| format!("ack {lane} {number}\n")).collect();
        std::fs::write(path, lines).with_context(|| format!("writing {}", path.display()))
    }
}

/// What number `n` of every lane looks like: half of it is not it.
#[must_use]
pub fn content(n: u64) -> String {
    let repeat = usize::try_from(n % 37).unwrap_or(0) + 1;
    format!("{n:08} ").repeat(repeat)
}

/// The number of a content, if it is whole.
#[must_use]
pub fn number(content: &str) -> Option<u64> {
    let number = content.get(..8)?.parse().ok()?;
    (self::content(number) == content).then_some(number)
}

fn store_dir(dir: &Path) -> PathBuf {
    dir.join("store")
}

fn events_dir(dir: &Path) -> PathBuf {
    dir.join("events")
}

fn spool_dir(dir: &Path) -> PathBuf {
    dir.join("spool")
}

/// Small, so that checkpoints happen among the kills.
const LIMITS: ha_controller::store::Limits =
    ha_controller::store::Limits { checkpoint_after: 300_000, reserve: 4 << 20 };

/// Small segments, so that new ones begin among the kills; nothing is dropped.
const RETENTION: ha_controller::events::Retention = ha_controller::events::Retention {
    keep_us: u64::MAX,
    keep_bytes: u64::MAX,
    segment_bytes: 100_000,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_content_has_no_number() {
        assert_eq!(number(&content(38)), Some(38));
        assert_eq!(number("00000038 "), None);
        assert_eq!(number(""), None);
    }

    #[test]
    fn a_line_that_was_cut_is_no_acknowledgement() {
        let mut acks = Acks::default();
        acks.add("boot\r\nack store0 12\r\nack events 7\nack store0 11\nack spool 99");
        assert_eq!(acks.last(Lane::Store(0)), 12);
        assert_eq!((acks.last(Lane::Events), acks.last(Lane::Spool)), (7, 0));
    }
}
