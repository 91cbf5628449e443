//! `ha-controller store verify` and `store rebuild`.

use std::path::Path;

use super::sled::check;
pub use super::sled::check::{Rebuilt, Verified};
use super::{OpenError, StateDir, StateDirError};

/// Why a store could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Its directory.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// There is no store in it.
    #[error("there is no store in {}", path.display())]
    Missing {
        /// The state directory.
        path: std::path::PathBuf,
    },
    /// The store itself.
    #[error("the store can't be read")]
    Open(#[from] OpenError),
}

/// Looks through the store of a controller that does not run; the report
/// prints as text for people.
///
/// # Errors
/// When a controller runs, or the store can't be read at all.
pub fn verify(state_dir: &Path) -> Result<Verified, CheckError> {
    let dir = lock(state_dir)?;
    Ok(check::verify(&dir.store())?)
}

/// Makes the store of a controller that does not run anew from what is left;
/// the report prints as text for people.
///
/// # Errors
/// When a controller runs, or the store can't be read or written.
pub fn rebuild(state_dir: &Path) -> Result<Rebuilt, CheckError> {
    let dir = lock(state_dir)?;
    Ok(check::rebuild(&dir.store())?)
}

fn lock(state_dir: &Path) -> Result<StateDir, CheckError> {
    if !state_dir.join("store").is_dir() {
        return Err(CheckError::Missing { path: state_dir.to_owned() });
    }
    Ok(StateDir::open(state_dir)?)
}
