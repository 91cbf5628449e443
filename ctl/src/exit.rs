//! What the exit code says.

use std::process::ExitCode;

/// How a command ended. The numbers are an interface: scripts read them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Exit {
    /// Done, or nothing to do; for `status`: all is well.
    Ok,
    /// An error that has no number of its own.
    Error,
    /// The command line or a manifest is wrong; nothing was sent.
    Usage,
    /// Applied in part or rejected; for `status`: something needs attention.
    Attention,
    /// The rollout was taken back.
    RolledBack,
    /// Not finished in time, or nodes are offline; it goes on without us.
    Unfinished,
    /// The certificate does not allow it.
    Unauthorised,
    /// The controller, or the agent's socket, does not answer.
    Unreachable,
    /// `plan` and `diff`: there are changes.
    Changes,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::Error,
        Self::Usage,
        Self::Attention,
        Self::RolledBack,
        Self::Unfinished,
        Self::Unauthorised,
        Self::Unreachable,
        Self::Changes,
    ];

    /// The number, 0 to 10.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::Attention => 3,
            Self::RolledBack => 4,
            Self::Unfinished => 5,
            Self::Unauthorised => 6,
            Self::Unreachable => 7,
            Self::Changes => 10,
        }
    }

    /// One line for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done, or no change; status: all is well",
            Self::Error => "an error that has no number of its own",
            Self::Usage => "wrong command line or invalid manifests; nothing was sent",
            Self::Attention => "applied in part or rejected; status: something needs attention",
            Self::RolledBack => "rolled back",
            Self::Unfinished => "not finished in time, or nodes are offline; it goes on without us",
            Self::Unauthorised => "not authorised",
            Self::Unreachable => "the controller (with --local: the agent) can't be reached",
            Self::Changes => "plan, diff: there are changes",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
