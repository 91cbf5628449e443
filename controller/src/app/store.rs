//! `ha-controller store verify|rebuild`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::store::check;

/// Says what is wrong with the store in `state_dir`.
///
/// # Errors
/// A controller runs there, or there is no store.
pub fn verify(state_dir: &Path) -> Result<ExitCode> {
    let verified = check::verify(state_dir)?;
    writeln!(std::io::stdout().lock(), "{verified}")?;
    Ok(if verified.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes the store in `state_dir` anew from what is left, and says what was
/// lost.
///
/// # Errors
/// A controller runs there, or there is no store.
pub fn rebuild(state_dir: &Path) -> Result<ExitCode> {
    let rebuilt = check::rebuild(state_dir)?;
    writeln!(std::io::stdout().lock(), "{rebuilt}")?;
    Ok(ExitCode::SUCCESS)
}
