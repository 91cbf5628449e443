//! Whose client certificate opens a connection.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::RENEWAL_GRACE;
use super::counters::{HandshakeCounters, HandshakeFailure};
use crate::certificate::{Facts, TrustedCa};
use crate::identity::{Identity, Name};
use crate::verify::{self, AnchorError};

/// Accepts certificates of clients of one fleet, expired ones within the grace.
#[derive(Debug)]
pub(super) struct FleetClients {
    chain: Arc<dyn ClientCertVerifier>,
    fleet: Name,
    counters: Arc<HandshakeCounters>,
}

impl FleetClients {
    pub(super) fn new(
        ca: &TrustedCa,
        counters: Arc<HandshakeCounters>,
    ) -> Result<Self, AnchorError> {
        Ok(Self { chain: verify::client_verifier(ca)?, fleet: ca.fleet().clone(), counters })
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Result<(), (HandshakeFailure, Error)> {
        self.check_chain(certificate, now).map_err(|error| (reason(&error), error))?;
        let identity = |error| (HandshakeFailure::Identity, Error::InvalidCertificate(error));
        let facts = Facts::of(certificate).map_err(|error| {
            identity(CertificateError::Other(rustls::OtherError(Arc::new(error))))
        })?;
        let client = match facts.id.identity {
            Identity::Node(_) | Identity::User { .. } => true,
            Identity::Controller(_) => false,
        };
        if client && facts.id.fleet == self.fleet {
            Ok(())
        } else {
            Err(identity(CertificateError::ApplicationVerificationFailure))
        }
    }

    /// What the client sends beside its own certificate is not looked at: the
    /// CA signs every certificate itself.
    fn check_chain(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        let error = match verify::client_chain(&*self.chain, certificate, now) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match expired_at(&error) {
            Some(not_after) if since(not_after, now) <= RENEWAL_GRACE => {
                // All else must be right as well, at the last moment of its life.
                verify::client_chain(&*self.chain, certificate, not_after)
            }
            Some(_) | None => Err(error),
        }
    }
}

fn since(earlier: UnixTime, later: UnixTime) -> Duration {
    Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs()))
}

fn expired_at(error: &Error) -> Option<UnixTime> {
    if let Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) = error {
        Some(*not_after)
    } else {
        None
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "enums of rustls, they may grow")]
fn reason(error: &Error) -> HandshakeFailure {
    let Error::InvalidCertificate(error) = error else {
        return HandshakeFailure::Certificate;
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            HandshakeFailure::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            HandshakeFailure::NotYetValid
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            HandshakeFailure::OtherCa
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            HandshakeFailure::Purpose
        }
        _ => HandshakeFailure::Certificate,
    }
}

impl ClientCertVerifier for FleetClients {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.check(end_entity, now) {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err((failure, error)) => {
                self.counters.fail(failure);
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
