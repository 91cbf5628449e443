//! What sessions and applies need of the rest, made of what is kept on disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use ha_certs::certificate::Serial;
use ha_model::event::{NodeEvent, SpoolPosition};
use ha_model::ids::NodeName;
use ha_model::secret::{SecretRef, Secrets};

use crate::api::Vault;
use crate::clock::now_us;
use crate::events::{Events, Incoming};
use crate::pki::{AdmitError, Pki};
use crate::session::{Gate, History, PartError, Pending, Values};
use crate::store::{SecretError, SecretStore};

/// The durable history.
pub(super) struct EventHistory(Arc<Events>);

impl EventHistory {
    pub(super) fn new(events: Arc<Events>) -> Self {
        Self(events)
    }
}

impl History for EventHistory {
    fn stored(&self, node: NodeName, spool_epoch: u64) -> Pending<'_, Result<u64, PartError>> {
        Box::pin(async move { Ok(self.0.stored(node, spool_epoch).await?) })
    }

    fn append(
        &self,
        node: NodeName,
        events: Vec<(SpoolPosition, NodeEvent)>,
    ) -> Pending<'_, Result<u64, PartError>> {
        Box::pin(async move {
            let batch = events
                .into_iter()
                .map(|(position, event)| Incoming { node: node.clone(), position, event })
                .collect();
            let stored = self.0.append(batch, now_us()).await?;
            Ok(stored.get(&node).map_or(0, |position| position.sequence))
        })
    }
}

/// The records of issued certificates.
pub(super) struct PkiGate(Arc<Pki>);

impl PkiGate {
    pub(super) fn new(pki: Arc<Pki>) -> Self {
        Self(pki)
    }
}

impl Gate for PkiGate {
    fn admit(&self, node: NodeName, serial: Serial) -> Pending<'_, Result<(), PartError>> {
        Box::pin(async move {
            match self.0.admit(&node, serial).await {
                Ok(()) => Ok(()),
                // The CA signed it; the record went with a store that was lost
                // or restored. A fleet must survive that.
                Err(AdmitError::Unknown) => {
                    tracing::info!(%node, "the certificate is good, its record is not there");
                    Ok(())
                }
                // Nobody is kept out because a disk is full.
                Err(AdmitError::Store(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%node, error, "the certificate's record can't be read");
                    Ok(())
                }
                Err(
                    error @ (AdmitError::Serial
                    | AdmitError::Token(_)
                    | AdmitError::Request(_)
                    | AdmitError::Issue(_)),
                ) => Err(error.into()),
            }
        })
    }
}

/// Values of secrets in files.
pub(super) struct DiskVault(Arc<SecretStore>);

impl DiskVault {
    pub(super) fn new(store: SecretStore) -> Self {
        Self(Arc::new(store))
    }

    /// Works with the files where nobody waits for them.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SecretStore) -> Result<T, SecretError> + Send + 'static,
    ) -> Result<T, PartError> {
        let store = self.0.clone();
        Ok(tokio::task::spawn_blocking(move || work(&store)).await??)
    }
}

impl Values for DiskVault {
    fn values(&self, wanted: Vec<SecretRef>) -> Pending<'_, Result<Secrets, PartError>> {
        Box::pin(self.work(move |store| {
            let mut found = Secrets::new();
            for secret in wanted {
                if let Some(value) = store.get(&secret)? {
                    found.insert(secret, value);
                }
            }
            Ok(found)
        }))
    }
}

impl Vault for DiskVault {
    fn all(&self) -> Pending<'_, Result<Secrets, PartError>> {
        Box::pin(self.work(SecretStore::all))
    }

    fn put(&self, secrets: Secrets) -> Pending<'_, Result<(), PartError>> {
        Box::pin(self.work(move |store| {
            secrets.iter().try_for_each(|(secret, value)| store.put_version(secret, value))
        }))
    }

    fn erase_all_but(&self, keep: BTreeSet<SecretRef>) -> Pending<'_, Result<(), PartError>> {
        Box::pin(self.work(move |store| store.erase_all_but(&keep).map(drop)))
    }
}
