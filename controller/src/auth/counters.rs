//! Refused calls by reason.

use std::sync::atomic::{AtomicU64, Ordering};

use ha_model::explain::codes;
use tonic::Status;

/// Why a call was refused.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Refusal {
    /// The method needs a certificate and none was shown.
    NoCertificate,
    /// The certificate has expired.
    Expired,
    /// The method is for callers without a certificate.
    Enrolled,
    /// The method is for another kind of caller: a node called what is for
    /// users, or the other way round.
    Kind,
    /// The user's role is too weak.
    Role,
    /// There is no such method.
    Method,
    /// The connection told nothing about its peer.
    Peer,
}

impl Refusal {
    /// Every reason, in the order of the declaration.
    pub const ALL: [Self; 7] = [
        Self::NoCertificate,
        Self::Expired,
        Self::Enrolled,
        Self::Kind,
        Self::Role,
        Self::Method,
        Self::Peer,
    ];

    /// The reason as a metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Expired => "expired",
            Self::Enrolled => "enrolled",
            Self::Kind => "kind",
            Self::Role => "role",
            Self::Method => "method",
            Self::Peer => "peer",
        }
    }

    /// What the caller is told; begins with the code that
    /// `hactl explain` knows.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::NoCertificate => Status::unauthenticated(format!(
                "{}: this needs a client certificate; without one only Enroll is open",
                codes::NO_CERTIFICATE
            )),
            Self::Expired => Status::unauthenticated(format!(
                "{}: the client certificate has expired; a node may only renew it",
                codes::CERTIFICATE_EXPIRED
            )),
            Self::Enrolled => Status::permission_denied(format!(
                "{}: Enroll is for nodes without a certificate; this connection has one",
                codes::WRONG_KIND
            )),
            Self::Kind => Status::permission_denied(format!(
                "{}: this is not for this kind of certificate",
                codes::WRONG_KIND
            )),
            Self::Role => Status::permission_denied(format!(
                "{}: the role in the certificate is not enough",
                codes::WEAK_ROLE
            )),
            Self::Method => Status::unimplemented("there is no such method"),
            Self::Peer => Status::internal("the connection has no peer"),
        }
    }
}

/// Refused calls since the start, by reason.
#[derive(Debug, Default)]
pub struct AuthCounters {
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl AuthCounters {
    pub(super) fn count(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that were refused for this reason.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize].load(Ordering::Relaxed)
    }
}
