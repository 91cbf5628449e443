//! A check that this machine can't do says so, and is counted: `tests/run` looks
//! for `skipped, because` in what the tests print.

/// Says that the running test is skipped, and why.
#[expect(clippy::print_stderr, reason = "a skipped test tells whoever reads its output")]
pub fn skip(test: &str, reason: &str) {
    eprintln!("skipped, because {reason}: {test}");
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
