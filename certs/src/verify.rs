//! Chains: does this certificate come from this CA, for this use, now?

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::certificate::TrustedCa;

/// Never the process default: whoever links a second provider must not change
/// ours, nor make the builders panic.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// A CA certificate can't be an anchor of trust.
#[derive(Debug, thiserror::Error)]
#[error("the CA's certificate can't be used as an anchor of trust")]
pub struct AnchorError(#[source] rustls::Error);

pub(crate) fn roots(ca: &TrustedCa) -> Result<RootCertStore, AnchorError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).map_err(AnchorError)?;
    Ok(roots)
}

/// Checks client certificates against one CA.
pub(crate) fn client_verifier(ca: &TrustedCa) -> Result<Arc<dyn ClientCertVerifier>, AnchorError> {
    let roots = Arc::new(roots(ca)?);
    WebPkiClientVerifier::builder_with_provider(roots, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| AnchorError(rustls::Error::General(error.to_string())))
}

/// Checks that `certificate` is a server's, signed by the CA in `roots`, valid
/// at `now`. No intermediates: the CA signs all certificates itself.
pub(crate) fn server_chain(
    roots: &RootCertStore,
    certificate: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let algorithms = PROVIDER.signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, &[], now, algorithms)
}

/// Checks that `certificate` is a client's, signed by the CA of `verifier`,
/// valid at `now`.
pub(crate) fn client_chain(
    verifier: &dyn ClientCertVerifier,
    certificate: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    verifier.verify_client_cert(certificate, &[], now).map(|_| ())
}

/// `at_us` as rustls tells time.
pub(crate) fn unix(at_us: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_micros(at_us))
}
