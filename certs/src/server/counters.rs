//! Handshakes by outcome.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum HandshakeFailure {
    /// The client's certificate expired longer ago than the grace.
    Expired,
    /// The client's certificate is not valid yet.
    NotYetValid,
    /// Another CA signed the client's certificate.
    OtherCa,
    /// The client's certificate is not for a client.
    Purpose,
    /// The client's certificate carries no identity of this fleet.
    Identity,
    /// Anything else about the client's certificate.
    Certificate,
    /// The client closed, broke the protocol, or refused our certificate.
    Protocol,
    /// The client was too slow.
    Timeout,
    /// Too many connections without a good certificate were open.
    Crowded,
}

impl HandshakeFailure {
    /// Every reason, in the order of the declaration.
    pub const ALL: [Self; 9] = [
        Self::Expired,
        Self::NotYetValid,
        Self::OtherCa,
        Self::Purpose,
        Self::Identity,
        Self::Certificate,
        Self::Protocol,
        Self::Timeout,
        Self::Crowded,
    ];

    /// The reason as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::OtherCa => "other_ca",
            Self::Purpose => "purpose",
            Self::Identity => "identity",
            Self::Certificate => "certificate",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
            Self::Crowded => "crowded",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// Handshakes since the start, by outcome.
#[derive(Debug, Default)]
pub struct HandshakeCounters {
    completed: AtomicU64,
    failed: [AtomicU64; HandshakeFailure::ALL.len()],
}

impl HandshakeCounters {
    pub(crate) fn complete(&self) {
        self.completed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fail(&self, failure: HandshakeFailure) {
        self.failed[failure.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Handshakes that succeeded.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    /// Handshakes that failed for this reason.
    #[must_use]
    pub fn failed(&self, failure: HandshakeFailure) -> u64 {
        self.failed[failure.index()].load(Ordering::Relaxed)
    }
}
