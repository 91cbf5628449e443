//! Who is at the other end of a connection.

use std::net::SocketAddr;

use crate::certificate::{CertificateError, Facts, Fingerprint, Serial};
use crate::identity::Identity;

/// The other end of a connection. tonic puts it among the extensions of every
/// request that comes over it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Where it connects from.
    pub address: SocketAddr,
    /// The certificate that it proved to hold; none if it showed none.
    pub certificate: Option<PeerCertificate>,
}

/// A certificate whose chain was checked and whose key the peer holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerCertificate {
    /// Who it is, in our fleet.
    pub identity: Identity,
    /// Which of the holder's certificates.
    pub serial: Serial,
    /// Valid until, microseconds since 1970. May have passed already, by no
    /// more than the grace for renewals.
    pub not_after_us: u64,
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
}

impl PeerCertificate {
    pub(super) fn read(der: &[u8]) -> Result<Self, CertificateError> {
        let facts = Facts::of(der)?;
        Ok(Self {
            identity: facts.id.identity,
            serial: facts.serial,
            not_after_us: facts.not_after_us,
            fingerprint: facts.fingerprint,
        })
    }

    /// Whether it is still valid. Ask again while a stream lasts: a connection
    /// outlives its certificate.
    #[must_use]
    pub fn valid_at(&self, now_us: u64) -> bool {
        now_us <= self.not_after_us
    }
}

impl Peer {
    /// Who it is, if it showed a certificate, expired or not.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.certificate.as_ref().map(|certificate| &certificate.identity)
    }

    /// Whether it showed a certificate that is valid at `now_us`.
    #[must_use]
    pub fn valid_at(&self, now_us: u64) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| certificate.valid_at(now_us))
    }
}
