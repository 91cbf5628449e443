//! Which server is a controller of our fleet.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::{Facts, Fingerprint, TrustedCa};
use crate::identity::{Identity, Name};
use crate::verify::{self, AnchorError};

/// Why a server is not believed, beyond what rustls says itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerRefused {
    /// A certificate of our fleet, but not a controller's.
    #[error("the server is {identity}, not a controller")]
    NotController {
        /// What it is.
        identity: Identity,
    },
    /// A controller of another fleet.
    #[error("the server is of fleet {got}, not of fleet {wanted}")]
    OtherFleet {
        /// Our fleet.
        wanted: Name,
        /// Its fleet.
        got: Name,
    },
    /// None of the certificates that it sent has the fingerprint.
    #[error("the server does not have the pinned CA with sha256 {wanted}")]
    OtherCa {
        /// The fingerprint that was pinned.
        wanted: Fingerprint,
    },
    /// Its certificate is not one of ours.
    #[error("the server's certificate can't be used")]
    Certificate(#[source] crate::certificate::CertificateError),
    /// The pinned CA can't be used.
    #[error("the server's CA can't be used")]
    Anchor(#[source] AnchorError),
}

impl From<ServerRefused> for Error {
    fn from(why: ServerRefused) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
    }
}

fn controller_of(fleet: &Name, certificate: &CertificateDer<'_>) -> Result<(), ServerRefused> {
    let id = Facts::of(certificate).map_err(ServerRefused::Certificate)?.id;
    match id.identity {
        Identity::Controller(_) => {}
        Identity::Node(_) | Identity::User { .. } => {
            return Err(ServerRefused::NotController { identity: id.identity });
        }
    }
    if id.fleet == *fleet {
        Ok(())
    } else {
        Err(ServerRefused::OtherFleet { wanted: fleet.clone(), got: id.fleet })
    }
}

fn check(
    roots: &RootCertStore,
    fleet: &Name,
    certificate: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    // First the identity: it gives the better message. Both must hold.
    controller_of(fleet, certificate)?;
    verify::server_chain(roots, certificate, now)
}

/// Controllers of a fleet whose CA is known.
#[derive(Debug)]
pub(super) struct FleetController {
    roots: RootCertStore,
    fleet: Name,
}

impl FleetController {
    pub(super) fn new(ca: &TrustedCa) -> Result<Self, AnchorError> {
        Ok(Self { roots: verify::roots(ca)?, fleet: ca.fleet().clone() })
    }
}

/// Controllers of the fleet whose CA has a known fingerprint.
#[derive(Debug)]
pub(super) struct PinnedController {
    ca: Fingerprint,
}

impl PinnedController {
    pub(super) fn new(ca: Fingerprint) -> Self {
        Self { ca }
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let ca = others
            .iter()
            .find(|other| Fingerprint::of(other) == self.ca)
            .ok_or(ServerRefused::OtherCa { wanted: self.ca })?;
        let ca =
            TrustedCa::from_der(ca.clone().into_owned()).map_err(ServerRefused::Certificate)?;
        let roots = verify::roots(&ca).map_err(ServerRefused::Anchor)?;
        check(&roots, ca.fleet(), certificate, now)
    }
}

macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &verify::provider().signature_verification_algorithms;
            verify_tls12_signature(message, cert, dss, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &verify::provider().signature_verification_algorithms;
            verify_tls13_signature(message, cert, dss, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            verify::provider().signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for FleetController {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check(&self.roots, &self.fleet, end_entity, now).map(|()| ServerCertVerified::assertion())
    }

    signatures!();
}

impl ServerCertVerifier for PinnedController {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, now).map(|()| ServerCertVerified::assertion())
    }

    signatures!();
}
