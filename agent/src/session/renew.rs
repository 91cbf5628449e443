//! A new certificate in good time.

use std::sync::Arc;
use std::time::Duration;

use ha_certs::client::{AddressError, ClientTls, ClientTlsError};
use ha_certs::files::{CredentialFiles, Expected};
use ha_certs::{Credentials, FilesError};
use ha_proto::v1;
use ha_proto::v1::enrollment_client::EnrollmentClient;
use tokio::sync::watch;

use super::draw;

/// Between two tries; the certificate has half its life left.
const RETRY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));

/// Longest sleep: the wall clock, which certificates go by, may be set.
const LOOK: Duration = Duration::from_secs(3600);

/// For one renewal.
const LIMIT: Duration = Duration::from_secs(30);

/// Why a renewal failed. The certificate from before stays in use.
#[derive(Debug, thiserror::Error)]
enum RenewError {
    #[error("the request can't be made")]
    Begin(#[source] FilesError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("the controller did not renew the certificate")]
    Refused(#[source] Box<tonic::Status>),
    #[error("the controller did not answer within {} s", LIMIT.as_secs())]
    Timeout,
    #[error("the new certificate can't be used")]
    Install(#[source] FilesError),
    #[error("the new certificate can't be put to use")]
    Reload(#[source] ClientTlsError),
}

/// Renews the node's certificate when half its life is over.
#[derive(Debug)]
pub struct RenewTask {
    /// Where it lies.
    pub files: CredentialFiles,
    /// Who uses it.
    pub tls: Arc<ClientTls>,
    /// What is in use now.
    pub credentials: Credentials,
    /// `HOST:PORT` of the controller.
    pub controller: String,
    /// Turns true once the agent stops.
    pub stop: watch::Receiver<bool>,
}

impl RenewTask {
    /// Renews, for as long as the agent runs.
    pub async fn run(mut self) {
        let mut stop = self.stop.clone();
        // Cancel-safe: a renewal that is cut off ends at the next start.
        tokio::select! {
            () = self.renew_for_ever() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn renew_for_ever(&mut self) {
        let mut jitter = super::random();
        loop {
            let facts = self.credentials.facts();
            let due = due_us(facts.not_before_us, facts.not_after_us, jitter);
            let wait = Duration::from_micros(due.saturating_sub(ha_certs::now_us()));
            if !wait.is_zero() {
                tokio::time::sleep(wait.min(LOOK)).await;
                continue;
            }
            match self.renew().await {
                Ok(()) => jitter = super::random(),
                Err(error) => {
                    let error = crate::error_chain(&error);
                    tracing::warn!(error, "certificate not renewed, the old one stays in use");
                    tokio::time::sleep(draw(RETRY.0, RETRY.1)).await;
                }
            }
        }
    }

    async fn renew(&mut self) -> Result<(), RenewError> {
        let files = self.files.clone();
        let pending = crate::blocking(move || files.begin()).await.map_err(RenewError::Begin)?;
        let request = v1::RenewRequest { csr_pem: pending.request.clone() };
        let mut client = EnrollmentClient::new(self.tls.channel(&self.controller)?);
        let renewed = tokio::time::timeout(LIMIT, client.renew(request))
            .await
            .map_err(|_| RenewError::Timeout)?
            .map_err(|status| RenewError::Refused(Box::new(status)))?
            .into_inner();
        let expected = Expected {
            identity: self.credentials.facts().id.identity.clone(),
            ca: self.credentials.ca().fingerprint(),
        };
        let files = self.files.clone();
        let new = crate::blocking(move || {
            let (certificate, ca) = (&renewed.certificate_pem, &renewed.ca_pem);
            files.install(pending, certificate, ca, &expected, ha_certs::now_us())
        })
        .await
        .map_err(RenewError::Install)?;
        self.tls.reload(&new).map_err(RenewError::Reload)?;
        tracing::info!(serial = %new.facts().serial, "certificate renewed");
        self.credentials = new;
        Ok(())
    }
}

/// When to renew a certificate: at half its life, and up to a tenth later, so
/// that nodes that were enrolled together do not come together.
fn due_us(not_before_us: u64, not_after_us: u64, jitter: u64) -> u64 {
    let life = not_after_us.saturating_sub(not_before_us);
    let spread = (u128::from(life / 10) * u128::from(jitter)) >> 64;
    not_before_us.saturating_add(life / 2).saturating_add(u64::try_from(spread).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enroll::{Enrolment, credential_files, enrol};
    use crate::testing::NODE;
    use crate::testing::fleet::{TOKEN, TestFleet};

    async fn enrolled(dir: &std::path::Path, fleet: &TestFleet) -> RenewTask {
        let controller = fleet.controller.clone();
        let node = NODE.parse().unwrap();
        let (token, ca) = (TOKEN.into(), fleet.ca);
        let enrolment = Enrolment { controller: controller.clone(), node, token, ca };
        enrol(dir, enrolment).await.unwrap();
        let files = credential_files(dir);
        let credentials = files.load().unwrap();
        let tls = ClientTls::new(&credentials).unwrap();
        RenewTask { files, tls, credentials, controller, stop: watch::channel(false).1 }
    }

    #[tokio::test]
    async fn a_renewed_certificate_has_another_key_and_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let fleet = TestFleet::start(NODE).await;
        let mut task = enrolled(dir.path(), &fleet).await;
        let old = task.credentials.facts().clone();
        task.renew().await.unwrap();
        let new = credential_files(dir.path()).load().unwrap().facts().clone();
        assert_eq!(task.credentials.facts(), &new);
        assert_ne!(new.public_key, old.public_key);
        task.renew().await.expect("the new certificate is shown and taken");
    }

    #[tokio::test]
    async fn a_controller_that_does_not_answer_leaves_the_old_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let fleet = TestFleet::start(NODE).await;
        let mut task = enrolled(dir.path(), &fleet).await;
        let old = task.credentials.facts().clone();
        task.controller = "127.0.0.1:1".into();
        assert!(matches!(task.renew().await, Err(RenewError::Refused(_))));
        assert_eq!(credential_files(dir.path()).load().unwrap().facts(), &old);
    }

    #[test]
    fn due_after_half_the_life_and_before_six_tenths() {
        assert_eq!(due_us(1_000, 2_000, 0), 1_500);
        assert_eq!(due_us(1_000, 2_000, u64::MAX), 1_599);
        assert_eq!(due_us(2_000, 1_000, u64::MAX), 2_000);
    }
}
