//! The controller's own certificate, which it renews itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ha_certs::FilesError;
use ha_certs::ca::FleetCa;
use ha_certs::files::CredentialFiles;
use ha_certs::server::{ServerTls, ServerTlsError};

use crate::clock::now_us;

/// Between two looks at the certificate: it is renewed a month early.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// The controller's certificate can't be used or renewed.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// Its files.
    #[error("the controller's certificate can't be loaded or renewed")]
    Files(#[source] FilesError),
    /// TLS does not take it.
    #[error("the controller's TLS can't be set up")]
    Tls(#[source] ServerTlsError),
    /// The blocking task was lost.
    #[error("the task that reads the certificate failed")]
    Task(#[source] tokio::task::JoinError),
}

/// The controller's certificate in its directory, and the TLS that shows it.
#[derive(Debug)]
pub struct OwnCertificate {
    files: CredentialFiles,
    ca: Arc<FleetCa>,
    tls: Arc<ServerTls>,
}

impl OwnCertificate {
    /// Loads the certificate from `dir` and renews it if that is due. If it
    /// can't be renewed, the old one is used as long as it lasts.
    ///
    /// # Errors
    /// See [`OwnError`].
    pub async fn load(dir: &Path, ca: Arc<FleetCa>) -> Result<Self, OwnError> {
        let files = CredentialFiles::controller(dir);
        let store = files.clone();
        let credentials = blocking(move || store.load()).await?;
        let tls = ServerTls::new(&credentials).map_err(OwnError::Tls)?;
        let own = Self { files, ca, tls };
        own.look_and_tell().await;
        Ok(own)
    }

    /// The TLS that shows it.
    #[must_use]
    pub fn tls(&self) -> Arc<ServerTls> {
        Arc::clone(&self.tls)
    }

    /// Renews it when that is due, for ever. Drop the future to end it.
    pub async fn keep(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look_and_tell().await;
        }
    }

    async fn look_and_tell(&self) {
        match self.look().await {
            Ok(false) => {}
            Ok(true) => tracing::info!("the controller's certificate was renewed"),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the controller's certificate was not renewed; trying again in an hour"
            ),
        }
    }

    async fn look(&self) -> Result<bool, OwnError> {
        let (store, signer) = (self.files.clone(), Arc::clone(&self.ca));
        let renewed = blocking(move || store.reissue_if_due(&signer, now_us())).await?;
        match renewed {
            Some(credentials) => {
                self.tls.reload(&credentials).map_err(OwnError::Tls)?;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, OwnError> {
    tokio::task::spawn_blocking(work).await.map_err(OwnError::Task)?.map_err(OwnError::Files)
}

#[cfg(test)]
mod tests {
    use ha_certs::init::{NewFleet, init_fleet, load_ca};

    use super::*;

    const DAY: u64 = 24 * 3600 * 1_000_000;

    /// A fleet that was made `days` ago.
    fn fleet(dir: &Path, days: u64) -> Arc<FleetCa> {
        let name = |text: &str| text.parse().unwrap();
        let new = NewFleet {
            fleet: name("lab"),
            controller: name("main"),
            host: "ctl.test".parse().unwrap(),
            admin: name("eva"),
            admin_lifetime: Duration::from_secs(24 * 3600),
        };
        init_fleet(dir, &new, now_us() - days * DAY).unwrap();
        Arc::new(load_ca(dir).unwrap())
    }

    fn end(dir: &Path) -> u64 {
        CredentialFiles::controller(dir).load().unwrap().facts().not_after_us
    }

    #[tokio::test]
    async fn an_old_certificate_is_renewed_at_the_start_and_a_young_one_is_not() {
        for (days, renewed) in [(1, false), (59, false), (61, true), (200, true)] {
            let base = tempfile::tempdir().unwrap();
            let dir = base.path().join("pki");
            let ca = fleet(&dir, days);
            let before = end(&dir);
            OwnCertificate::load(&dir, ca).await.unwrap();
            assert_eq!(end(&dir) > before, renewed, "{days} days");
        }
    }

    #[tokio::test]
    async fn one_that_can_not_be_renewed_is_used_on() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("pki");
        let ca = fleet(&dir, 61);
        let before = end(&dir);
        // A directory in the way of the new key: works for root as well.
        std::fs::create_dir(dir.join("controller.key.next")).unwrap();
        OwnCertificate::load(&dir, ca).await.unwrap();
        assert_eq!(end(&dir), before);
    }
}
