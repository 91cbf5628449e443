//! The fleet's certificate authority.
//!
//! Everything in a certificate is set here; from a request only the public key
//! is taken. Validity starts [`BACKDATE`] early, for clocks that are behind.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, DnsName};

use crate::certificate::{CertificateError, Serial, TrustedCa};
use crate::clock::{self, micros};
use crate::identity::{self, Identity, Name, Role, SpiffeId};
use crate::key::{KeyError, PrivateKey, RequestedKey};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How much earlier than now a certificate starts to be valid.
pub const BACKDATE: Duration = Duration::from_secs(5 * 60);
/// Life of a node's certificate. Agents renew after half of it.
pub const NODE_LIFETIME: Duration = DAY;
/// Life of a controller's certificate. The controller renews its own.
pub const CONTROLLER_LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Life of the CA's own certificate.
pub const CA_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
/// Shortest life of a user's certificate.
pub const USER_LIFETIME_MIN: Duration = Duration::from_secs(8 * 60 * 60);
/// Longest life of a user's certificate.
pub const USER_LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A name or address under which a controller is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// A DNS name.
    Dns(String),
    /// An address.
    Address(IpAddr),
}

/// A text is neither an address nor a DNS name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("is neither an IP address nor a DNS name")]
pub struct HostError;

impl std::str::FromStr for Host {
    type Err = HostError;

    /// Takes an address with or without the brackets of IPv6.
    fn from_str(text: &str) -> Result<Self, HostError> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Address(address));
        }
        DnsName::try_from(text).map_err(|_| HostError)?;
        Ok(Self::Dns(text.to_owned()))
    }
}

/// What a certificate is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Profile {
    /// The agent of a node: client only, [`NODE_LIFETIME`].
    Node {
        /// The node's name.
        name: Name,
    },
    /// A controller: server only, [`CONTROLLER_LIFETIME`].
    Controller {
        /// The controller's name.
        name: Name,
        /// How it is reached. For tools; ours check the identity.
        hosts: Vec<Host>,
    },
    /// A person or a tool: client only.
    User {
        /// What they may do.
        role: Role,
        /// What they are called.
        name: Name,
        /// From [`USER_LIFETIME_MIN`] to [`USER_LIFETIME_MAX`].
        lifetime: Duration,
    },
}

impl Profile {
    fn identity(&self) -> Identity {
        match self {
            Self::Node { name } => Identity::Node(name.clone()),
            Self::Controller { name, .. } => Identity::Controller(name.clone()),
            Self::User { role, name, .. } => Identity::User { role: *role, name: name.clone() },
        }
    }

    fn lifetime(&self) -> Result<Duration, IssueError> {
        match self {
            Self::Node { .. } => Ok(NODE_LIFETIME),
            Self::Controller { .. } => Ok(CONTROLLER_LIFETIME),
            Self::User { lifetime, .. }
                if (USER_LIFETIME_MIN..=USER_LIFETIME_MAX).contains(lifetime) =>
            {
                Ok(*lifetime)
            }
            Self::User { lifetime, .. } => Err(IssueError::Lifetime {
                hours: lifetime.as_secs() / HOUR.as_secs(),
                low: USER_LIFETIME_MIN.as_secs() / HOUR.as_secs(),
                high: USER_LIFETIME_MAX.as_secs() / HOUR.as_secs(),
            }),
        }
    }

    fn usage(&self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::Node { .. } | Self::User { .. } => ExtendedKeyUsagePurpose::ClientAuth,
            Self::Controller { .. } => ExtendedKeyUsagePurpose::ServerAuth,
        }
    }

    fn hosts(&self) -> &[Host] {
        match self {
            Self::Node { .. } | Self::User { .. } => &[],
            Self::Controller { hosts, .. } => hosts,
        }
    }
}

/// A CA can't be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Its key.
    #[error("the CA's key can't be used")]
    Key(#[source] KeyError),
    /// Its certificate.
    #[error("the CA's certificate can't be used")]
    Certificate(#[source] CertificateError),
    /// Key and certificate are of two CAs.
    #[error("the CA's key does not belong to its certificate")]
    Mismatch,
    /// Signing its own certificate failed.
    #[error("can't make the CA's certificate")]
    Sign(#[source] IssueError),
}

/// A certificate can't be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The life asked for is out of range.
    #[error("a certificate for {hours} hours was asked for, allowed are {low} to {high}")]
    Lifetime {
        /// Hours asked for.
        hours: u64,
        /// Fewest allowed.
        low: u64,
        /// Most allowed.
        high: u64,
    },
    /// The system gives no random numbers.
    #[error("the system gave no random numbers")]
    Random(#[source] getrandom::Error),
    /// The clock is beyond what certificates can say.
    #[error("the clock can't be right: it is {at_us} microseconds after 1970")]
    Clock {
        /// The time given.
        at_us: u64,
    },
    /// The certificate can't be put together.
    #[error("can't write or sign the certificate")]
    Sign(#[source] rcgen::Error),
}

/// A certificate that was just signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issued {
    /// PEM form.
    pub pem: String,
    /// DER form.
    pub der: CertificateDer<'static>,
    /// Its serial number.
    pub serial: Serial,
    /// Valid until, microseconds since 1970.
    pub not_after_us: u64,
}

/// The CA of a fleet, with its key.
pub struct FleetCa {
    trusted: TrustedCa,
    pem: String,
    key: PrivateKey,
}

impl fmt::Debug for FleetCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetCa").field("fleet", self.trusted.fleet()).finish_non_exhaustive()
    }
}

impl FleetCa {
    /// Makes a new CA, valid for [`CA_LIFETIME`] from `now_us`.
    ///
    /// # Errors
    /// See [`CaError`].
    pub fn create(fleet: &Name, now_us: u64) -> Result<Self, CaError> {
        let key = PrivateKey::generate().map_err(CaError::Key)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, fleet.as_str());
        params.distinguished_name.push(DnType::CommonName, "fleet CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(&identity::fleet_uri(fleet)).map_err(CaError::Sign)?];
        stamp(&mut params, now_us, CA_LIFETIME).map_err(CaError::Sign)?;
        let certificate = key
            .with_pair(|pair| params.self_signed(pair))
            .and_then(|signed| signed)
            .map_err(|error| CaError::Sign(IssueError::Sign(error)))?;
        let pem = certificate.pem();
        let trusted =
            TrustedCa::from_der(certificate.der().clone()).map_err(CaError::Certificate)?;
        Ok(Self { trusted, pem, key })
    }

    /// Takes up an existing CA.
    ///
    /// # Errors
    /// See [`CaError`].
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CaError> {
        let trusted = TrustedCa::from_pem(certificate).map_err(CaError::Certificate)?;
        let key = PrivateKey::from_pem(key).map_err(CaError::Key)?;
        let public = crate::certificate::public_key(trusted.der()).map_err(CaError::Certificate)?;
        if public != key.public().map_err(CaError::Key)? {
            return Err(CaError::Mismatch);
        }
        Ok(Self { trusted, pem: certificate.to_owned(), key })
    }

    /// Its certificate, as others trust it.
    #[must_use]
    pub fn trusted(&self) -> &TrustedCa {
        &self.trusted
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its key.
    pub(crate) fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Issues a certificate for the key of a request.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn issue(
        &self,
        key: &RequestedKey,
        profile: &Profile,
        now_us: u64,
    ) -> Result<Issued, IssueError> {
        self.sign(key.key(), profile, now_us)
    }

    /// Issues a certificate for a key that is at hand.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn issue_for(
        &self,
        key: &PrivateKey,
        profile: &Profile,
        now_us: u64,
    ) -> Result<Issued, IssueError> {
        key.with_pair(|pair| self.sign(pair, profile, now_us)).map_err(IssueError::Sign)?
    }

    fn sign(
        &self,
        key: &impl PublicKeyData,
        profile: &Profile,
        now_us: u64,
    ) -> Result<Issued, IssueError> {
        let mut params = self.leaf(profile)?;
        let (serial, not_after_us) = stamp(&mut params, now_us, profile.lifetime()?)?;
        let certificate = self
            .key
            .with_pair(|pair| {
                let issuer = Issuer::from_ca_cert_der(self.trusted.der(), pair)?;
                params.signed_by(key, &issuer)
            })
            .and_then(|signed| signed)
            .map_err(IssueError::Sign)?;
        let pem = certificate.pem();
        Ok(Issued { pem, der: certificate.der().clone(), serial, not_after_us })
    }

    fn leaf(&self, profile: &Profile) -> Result<CertificateParams, IssueError> {
        let identity = profile.identity();
        let fleet = self.trusted.fleet();
        let mut params = CertificateParams::default();
        // The subject is for people who look at a certificate; nothing of ours
        // reads it.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, fleet.as_str());
        let (kind, name) = match &identity {
            Identity::Node(name) => ("node", name),
            Identity::Controller(name) => ("controller", name),
            Identity::User { role, name } => (role.as_str(), name),
        };
        params.distinguished_name.push(DnType::OrganizationalUnitName, kind);
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        let id = SpiffeId { fleet: fleet.clone(), identity };
        params.subject_alt_names = vec![uri(&id.to_string())?];
        for host in profile.hosts() {
            params.subject_alt_names.push(match host {
                Host::Dns(name) => {
                    SanType::DnsName(name.as_str().try_into().map_err(IssueError::Sign)?)
                }
                Host::Address(address) => SanType::IpAddress(*address),
            });
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![profile.usage()];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }
}

fn uri(text: &str) -> Result<SanType, IssueError> {
    Ok(SanType::URI(text.try_into().map_err(IssueError::Sign)?))
}

/// Draws the serial number and sets the dates; returns the end, whole seconds.
fn stamp(
    params: &mut CertificateParams,
    now_us: u64,
    lifetime: Duration,
) -> Result<(Serial, u64), IssueError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(IssueError::Random)?;
    // Positive, and always 16 bytes long.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    let clock = || IssueError::Clock { at_us: now_us };
    let not_after_us = (now_us / 1_000_000)
        .checked_mul(1_000_000)
        .and_then(|seconds| seconds.checked_add(micros(lifetime)))
        .ok_or_else(clock)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before =
        clock::to_date(now_us.saturating_sub(micros(BACKDATE))).ok_or_else(clock)?;
    params.not_after = clock::to_date(not_after_us).ok_or_else(clock)?;
    Ok((Serial(serial), not_after_us))
}

#[cfg(test)]
mod tests;
