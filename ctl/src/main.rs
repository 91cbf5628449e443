//! `hactl`, the command line of the fleet.

use std::process::ExitCode;

fn main() -> ExitCode {
    hactl::run_process().into()
}
