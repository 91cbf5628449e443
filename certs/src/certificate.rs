//! What certificates say, and the fleet's CA certificate as an anchor of trust.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::ca::Host;
use crate::clock;
use crate::identity::{self, IdentityError, Name, SpiffeId};

/// A text is not hexadecimal digits of the right number.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("is not {digits} hexadecimal digits")]
pub struct HexError {
    /// How many digits are wanted.
    pub digits: usize,
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let error = HexError { digits: 2 * N };
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(error);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| error.clone())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| error.clone())?;
    }
    Ok(bytes)
}

macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub [u8; $length]);

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                parse_hex(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

hex_bytes!(
    /// SHA-256 of a certificate (DER). That of the CA's certificate is what a
    /// node pins before it has a certificate of its own.
    Fingerprint,
    32
);
hex_bytes!(
    /// Serial number of a certificate: 127 random bits.
    Serial,
    16
);

impl Fingerprint {
    /// Fingerprint of a certificate in DER form.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

/// Why a certificate is not one of ours.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// There is no certificate in the text.
    #[error("the text holds no certificate in PEM form (BEGIN CERTIFICATE)")]
    Pem,
    /// Not X.509.
    #[error("the certificate can't be read as X.509")]
    Encoding,
    /// Not exactly one URI in the subject alternative name.
    #[error("the certificate carries {count} URIs as identity, exactly one is wanted")]
    Uris {
        /// How many there are.
        count: usize,
    },
    /// The URI is no identity.
    #[error("the certificate's identity can't be used")]
    Identity(#[source] IdentityError),
    /// The serial number is longer than those that our CA gives.
    #[error("the certificate's serial number is longer than 16 bytes")]
    Serial,
    /// A CA certificate was wanted.
    #[error("the certificate is not that of a certificate authority")]
    NotCa,
}

/// What a certificate of a node, controller or user says. Read only; whether it
/// is to be believed is for the verifiers to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Who.
    pub id: SpiffeId,
    /// Which of their certificates.
    pub serial: Serial,
    /// Valid from, microseconds since 1970.
    pub not_before_us: u64,
    /// Valid until, microseconds since 1970.
    pub not_after_us: u64,
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    /// The public key's bits.
    pub public_key: Vec<u8>,
    /// Names and addresses beside the identity; a controller's certificate has
    /// some.
    pub hosts: Vec<Host>,
}

impl Facts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn of(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = parse(der)?;
        let id = only_uri(&certificate)?.parse().map_err(CertificateError::Identity)?;
        let raw = certificate.raw_serial();
        let digits = &raw[raw.iter().take_while(|byte| **byte == 0).count()..];
        let mut serial = [0; 16];
        let start = serial.len().checked_sub(digits.len()).ok_or(CertificateError::Serial)?;
        serial[start..].copy_from_slice(digits);
        let validity = certificate.validity();
        Ok(Self {
            id,
            serial: Serial(serial),
            not_before_us: clock::from_seconds(validity.not_before.timestamp()),
            not_after_us: clock::from_seconds(validity.not_after.timestamp()),
            fingerprint: Fingerprint::of(der),
            public_key: certificate.public_key().subject_public_key.data.to_vec(),
            hosts: names(&certificate)?.iter().filter_map(host).collect(),
        })
    }

    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn of_pem(pem: &str) -> Result<Self, CertificateError> {
        Self::of(&first_of_pem(pem)?)
    }
}

/// The CA certificate of a fleet: what everybody checks against.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustedCa {
    der: CertificateDer<'static>,
    fleet: Name,
    not_after_us: u64,
}

impl TrustedCa {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        Self::from_der(first_of_pem(pem)?)
    }

    /// Reads a CA certificate.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn from_der(der: CertificateDer<'static>) -> Result<Self, CertificateError> {
        let certificate = parse(&der)?;
        if !certificate.is_ca() {
            return Err(CertificateError::NotCa);
        }
        let fleet = identity::parse_fleet_uri(only_uri(&certificate)?)
            .map_err(CertificateError::Identity)?;
        let not_after_us = clock::from_seconds(certificate.validity().not_after.timestamp());
        Ok(Self { der, fleet, not_after_us })
    }

    /// The fleet that it signs for.
    #[must_use]
    pub fn fleet(&self) -> &Name {
        &self.fleet
    }

    /// What nodes pin.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der)
    }

    /// Valid until, microseconds since 1970.
    #[must_use]
    pub fn not_after_us(&self) -> u64 {
        self.not_after_us
    }

    /// The certificate in DER form.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }
}

pub(crate) fn first_of_pem(pem: &str) -> Result<CertificateDer<'static>, CertificateError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateError::Pem)
}

/// The bits of a certificate's public key.
pub(crate) fn public_key(der: &[u8]) -> Result<Vec<u8>, CertificateError> {
    Ok(parse(der)?.public_key().subject_public_key.data.to_vec())
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((_, _)) | Err(_) => Err(CertificateError::Encoding),
    }
}

fn names<'a, 'b>(
    certificate: &'a X509Certificate<'b>,
) -> Result<&'a [GeneralName<'b>], CertificateError> {
    let names = certificate.subject_alternative_name().map_err(|_| CertificateError::Encoding)?;
    Ok(names.map_or(&[], |names| &names.value.general_names))
}

fn host(name: &GeneralName<'_>) -> Option<Host> {
    if let GeneralName::DNSName(name) = name {
        return Some(Host::Dns((*name).to_owned()));
    }
    let GeneralName::IPAddress(bytes) = name else { return None };
    let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
    v4.or_else(|_| v6()).ok().map(Host::Address)
}

fn only_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, CertificateError> {
    let mut uris = names(certificate)?.iter().filter_map(uri);
    match (uris.next(), uris.count()) {
        (Some(uri), 0) => Ok(uri),
        (first, rest) => Err(CertificateError::Uris { count: rest + usize::from(first.is_some()) }),
    }
}

fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    if let GeneralName::URI(uri) = name { Some(uri) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hex_forms_come_back_and_bad_ones_are_refused() {
        let text = "00ff".repeat(16);
        assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), text);
        assert!("00ff".parse::<Fingerprint>().is_err());
        assert!("+0".repeat(32).parse::<Fingerprint>().is_err());
        assert!("é".repeat(32).parse::<Fingerprint>().is_err());
    }

    #[test]
    fn a_text_without_certificate_says_so() {
        assert_eq!(Facts::of_pem("hello"), Err(CertificateError::Pem));
        assert_eq!(TrustedCa::from_pem(""), Err(CertificateError::Pem));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(Facts::of(&bytes).is_err());
        }
    }
}
