//! The directory in which a controller keeps all its state.

use std::path::{Path, PathBuf};

use ha_durable::lock::{DirLock, LockError};
use ha_durable::{FileError, atomic};

/// Why a state directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// It can't be made.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another controller uses it, or it can't be locked.
    #[error("the state directory can't be locked; a directory has one controller")]
    Lock(#[from] LockError),
}

/// A state directory, locked for this process until this is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: DirLock,
}

impl StateDir {
    /// Makes the directory if there is none, and locks it.
    ///
    /// # Errors
    /// See [`StateDirError`].
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        atomic::create_dir(path, 0o700)?;
        let lock = DirLock::acquire(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Of [`super::SledStore`].
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Of [`crate::events::Events`].
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.path.join("events")
    }

    /// Of [`super::SecretStore`].
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.path.join("secrets")
    }
}
