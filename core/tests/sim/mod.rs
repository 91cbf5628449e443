//! A virtual LAN under virtual time: some cores, a wire that delays, loses and
//! doubles, and a kernel that takes its time.
//!
//! Everything is drawn from one seed, so a violation is repeated by its seed.

mod cluster;
mod episode;
mod rng;
mod wire;

pub(crate) use episode::Story;

/// Something that must never be.
#[derive(Debug)]
pub(crate) struct Violation {
    /// Repeats it.
    pub(crate) seed: u64,
    /// The cluster, in short.
    pub(crate) setup: String,
    /// What happened before, the newest last.
    pub(crate) history: Vec<String>,
    /// What is wrong.
    pub(crate) what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        writeln!(f, "{}", self.setup)?;
        self.history.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
