//! How a node becomes one of the fleet: a join token against a certificate.

use std::path::Path;
use std::time::Duration;

use ha_certs::FilesError;
use ha_certs::certificate::Fingerprint;
use ha_certs::client::{AddressError, ClientTls, ClientTlsError};
use ha_certs::files::{CredentialFiles, Expected};
use ha_certs::identity::Identity;
use ha_model::ids::NodeName;
use ha_proto::v1;
use ha_proto::v1::enrollment_client::EnrollmentClient;

/// For the controller's answer.
const LIMIT: Duration = Duration::from_secs(30);

/// Where the credentials lie in a state directory.
#[must_use]
pub fn credential_files(state_dir: &Path) -> CredentialFiles {
    CredentialFiles::node(&state_dir.join("pki"))
}

/// What is needed to enrol.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// `HOST:PORT` of the controller.
    pub controller: String,
    /// Name of this node.
    pub node: NodeName,
    /// The join token, good for one use.
    pub token: String,
    /// SHA-256 of the fleet CA's certificate: whoever does not have it is not
    /// the controller.
    pub ca: Fingerprint,
}

/// Why a node could not be enrolled. What it had before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The node's name is none that a certificate can carry.
    #[error("the name of the node can't stand in a certificate")]
    Name(#[source] ha_certs::identity::NameError),
    /// Key and request can't be made.
    #[error("can't make a key and a certificate request")]
    Begin(#[source] FilesError),
    /// TLS can't be set up.
    #[error("can't set up TLS")]
    Tls(#[source] ClientTlsError),
    /// The controller's address.
    #[error(transparent)]
    Address(AddressError),
    /// The controller did not give a certificate, or is not the one that was
    /// pinned.
    #[error("{controller} did not give a certificate")]
    Refused {
        /// The controller.
        controller: String,
        /// What it said.
        #[source]
        source: Box<tonic::Status>,
    },
    /// No answer.
    #[error("{controller} did not answer within {} s", LIMIT.as_secs())]
    Timeout {
        /// The controller.
        controller: String,
    },
    /// What it gave is not a certificate for this node and key.
    #[error("the controller gave a certificate that can't be used")]
    Install(#[source] FilesError),
}

/// Enrols this machine: draws a key, which never leaves it, and stores the
/// certificate that the controller gives.
///
/// # Errors
/// See [`EnrolError`].
pub async fn enrol(state_dir: &Path, enrolment: Enrolment) -> Result<(), EnrolError> {
    let Enrolment { controller, node, token, ca } = enrolment;
    let name = node.as_str().parse().map_err(EnrolError::Name)?;
    let expected = Expected { identity: Identity::Node(name), ca };
    let files = credential_files(state_dir);
    let begin = files.clone();
    let pending = crate::blocking(move || begin.begin()).await.map_err(EnrolError::Begin)?;
    let tls = ClientTls::pinned(ca).map_err(EnrolError::Tls)?;
    let channel = tls.channel(&controller).map_err(EnrolError::Address)?;
    let request =
        v1::EnrollRequest { token, node: node.to_string(), csr_pem: pending.request.clone() };
    let enrolled = tokio::time::timeout(LIMIT, EnrollmentClient::new(channel).enroll(request))
        .await
        .map_err(|_| EnrolError::Timeout { controller: controller.clone() })?
        .map_err(|status| EnrolError::Refused { controller, source: Box::new(status) })?
        .into_inner();
    crate::blocking(move || {
        let (certificate, ca) = (&enrolled.certificate_pem, &enrolled.ca_pem);
        files.install(pending, certificate, ca, &expected, ha_certs::now_us())
    })
    .await
    .map(drop)
    .map_err(EnrolError::Install)
}

#[cfg(test)]
mod tests;
