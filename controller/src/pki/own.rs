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
    /// Loads the certificate from `dir` and renews it if that is due.
    ///
    /// # Errors
    /// See [`OwnError`].
    pub async fn load(dir: &Path, ca: Arc<FleetCa>) -> Result<Self, OwnError> {
        let files = CredentialFiles::controller(dir);
        let (store, signer) = (files.clone(), Arc::clone(&ca));
        let credentials = blocking(move || {
            let renewed = store.reissue_if_due(&signer, now_us())?;
            renewed.map_or_else(|| store.load(), Ok)
        })
        .await?;
        let tls = ServerTls::new(&credentials).map_err(OwnError::Tls)?;
        Ok(Self { files, ca, tls })
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
            match self.look().await {
                Ok(false) => {}
                Ok(true) => tracing::info!("the controller's certificate was renewed"),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the controller's certificate was not renewed; trying again in an hour"
                ),
            }
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
