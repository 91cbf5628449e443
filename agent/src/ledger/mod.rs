//! What the node remembers across restarts and power cuts: the plan that runs,
//! what became of the last offer, and the values of secrets.
//!
//! `ledger.json` and, private to the owner, `secrets.json`. Each is replaced as
//! a whole and fsynced; the first line carries the digest of the rest, so that
//! a damaged file is told from a good one, is set aside, and the node starts
//! from what is left.

mod format;

use std::path::{Path, PathBuf};

use ha_durable::FileError;
use ha_durable::atomic::{self, ReadError};
use ha_model::ids::{PlanId, RevisionId};
use ha_model::secret::Secrets;
use ha_model::status::PlanStatus;
use serde::{Deserialize, Serialize};

use crate::node::{GivenSecret, Source};

const LEDGER: &str = "ledger.json";
const SECRETS: &str = "secrets.json";

/// Most bytes of either file: far above any plan, far below what would hurt.
const LIMIT: u64 = 32 << 20;

/// The plan that runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Running {
    /// Its identity, where a controller gave it.
    pub plan: Option<PlanId>,
    /// The revision that it came with.
    pub revision: Option<RevisionId>,
    /// Where it comes from.
    pub source: Source,
    /// The document, byte for byte as it was received.
    pub document: String,
}

/// Content of the ledger.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entry {
    /// The plan that runs.
    pub running: Option<Running>,
    /// What became of the last offer.
    pub offered: Option<PlanStatus>,
}

/// A file that could not be read and was moved out of the way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetAside {
    /// Its name, without the directory.
    pub file: String,
    /// What was wrong with it.
    pub reason: String,
}

/// What was found at start.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The ledger; empty if there was none, or none that could be read.
    pub entry: Entry,
    /// Values of secrets; empty likewise.
    pub secrets: Secrets,
    /// What could not be read.
    pub set_aside: Vec<SetAside>,
}

/// The files. Every method blocks on the disk.
#[derive(Clone, Debug)]
pub struct Ledger {
    dir: PathBuf,
}

impl Ledger {
    /// The ledger in the state directory `dir`, which must exist.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Reads both files. What can't be read is renamed to `*.corrupt-N` and
    /// told in [`Loaded::set_aside`]; it never keeps the node from starting.
    #[must_use]
    pub fn load(&self) -> Loaded {
        let mut loaded = Loaded::default();
        match self.read::<Entry>(LEDGER) {
            Ok(entry) => loaded.entry = entry.unwrap_or_default(),
            Err(reason) => loaded.set_aside.push(self.set_aside(LEDGER, reason)),
        }
        match self.read::<Vec<GivenSecret>>(SECRETS) {
            Ok(given) => loaded.secrets = into_secrets(given.unwrap_or_default()),
            Err(reason) => loaded.set_aside.push(self.set_aside(SECRETS, reason)),
        }
        loaded
    }

    /// Writes the ledger. When this returns `Ok` it survives a power cut.
    ///
    /// # Errors
    /// The file from before is still there.
    pub fn save(&self, entry: &Entry) -> Result<(), FileError> {
        atomic::replace(&self.dir.join(LEDGER), &format::seal(entry), 0o600)
    }

    /// Writes the values of secrets, readable by the owner only.
    ///
    /// # Errors
    /// The file from before is still there.
    pub fn save_secrets(&self, secrets: &Secrets) -> Result<(), FileError> {
        let given: Vec<GivenSecret> = secrets
            .iter()
            .map(|(secret, value)| GivenSecret { secret: secret.clone(), value: value.clone() })
            .collect();
        let bytes = zeroize::Zeroizing::new(format::seal(&given));
        atomic::replace(&self.dir.join(SECRETS), &bytes, 0o600)
    }

    /// Moves the ledger out of the way because `reason`, found after it was
    /// read.
    #[must_use]
    pub fn set_ledger_aside(&self, reason: String) -> SetAside {
        self.set_aside(LEDGER, reason)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, file: &str) -> Result<Option<T>, String> {
        match atomic::read_limited(&self.dir.join(file), LIMIT) {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => {
                format::open(&bytes).map(Some).map_err(|error| crate::error_chain(&error))
            }
            Err(error @ (ReadError::File(_) | ReadError::TooLarge { .. })) => {
                Err(crate::error_chain(&error))
            }
        }
    }

    fn set_aside(&self, file: &str, reason: String) -> SetAside {
        let reason = match atomic::set_aside(&self.dir.join(file)) {
            Ok(_) => reason,
            Err(error) => format!("{reason}; {}", crate::error_chain(&error)),
        };
        SetAside { file: file.into(), reason }
    }
}

/// By name and version.
#[must_use]
pub fn into_secrets(given: Vec<GivenSecret>) -> Secrets {
    given.into_iter().map(|given| (given.secret, given.value)).collect()
}

#[cfg(test)]
mod tests;
