//! `hactl completion`.

use crate::app::{App, command};
use crate::cli::Completion;
use crate::error::Outcome;
use crate::exit::Exit;

/// Prints the completion script of a shell.
pub(super) fn run(args: &Completion, app: &mut App) -> Outcome {
    // The generator panics on a closed pipe, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "hactl", &mut script);
    app.out.raw(&script)?;
    Ok(Exit::Ok)
}
