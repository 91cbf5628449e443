//! Our programs, as they were built with this test.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// Path of `ha-agent`, `ha-controller`, `hactl` or a helper of the tests: in
/// the directory that the running test was built into.
///
/// # Errors
///
/// It is not there: the workspace was not built as a whole.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let directory = own
        .ancestors()
        .find(|directory| directory.join(name).is_file())
        .with_context(|| format!("{name} is not built: cargo build --workspace --all-targets"))?;
    let path = directory.join(name);
    if !path.is_file() {
        bail!("{} is no program", path.display());
    }
    Ok(path)
}
