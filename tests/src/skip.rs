//! A check that this machine can't do says so, and is counted.

use std::io::Write as _;

/// Says that the running test is skipped, and why. Where `HA_SKIP_LOG` names a
/// file, a line is added to it, so that `make test` can count.
pub fn skip(test: &str, reason: &str) {
    let line = format!("skipped, because {reason}: {test}\n");
    let mut error = std::io::stderr().lock();
    // A test that can't print has nobody to tell.
    drop(error.write_all(line.as_bytes()));
    let Some(path) = std::env::var_os("HA_SKIP_LOG") else { return };
    let log = std::fs::OpenOptions::new().create(true).append(true).open(path);
    if let Ok(mut log) = log {
        drop(log.write_all(line.as_bytes()));
    }
}

/// Whether this process may make network namespaces; says so if not.
#[must_use]
pub fn root_or_skip(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip(test, "network namespaces need root");
    }
    root
}

/// Path of a program that a test needs from the system; says so if it is not
/// there.
#[must_use]
pub fn program_or_skip(test: &str, name: &str) -> Option<std::path::PathBuf> {
    let found = find_program(name);
    if found.is_none() {
        skip(test, &format!("{name} is not installed (tests/setup installs it)"));
    }
    found
}

/// Path of a program on `PATH` or in the system's directories.
#[must_use]
pub fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(Into::into))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}
