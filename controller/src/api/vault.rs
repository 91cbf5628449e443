//! Where the values of secrets lie, as the applier needs it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ha_model::secret::{SecretRef, Secrets};

use crate::session::{PartError, Pending, Values};

/// Values of secrets, beside the store and erasable.
pub trait Vault: Values {
    /// All values that are there.
    fn all(&self) -> Pending<'_, Result<Secrets, PartError>>;

    /// Keeps new values. By then they survive a power cut.
    fn put(&self, secrets: Secrets) -> Pending<'_, Result<(), PartError>>;

    /// Erases all values but those of `keep`.
    fn erase_all_but(&self, keep: BTreeSet<SecretRef>) -> Pending<'_, Result<(), PartError>>;
}

/// Values in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryVault(Mutex<Secrets>);

impl MemoryVault {
    fn lock(&self) -> MutexGuard<'_, Secrets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Values for MemoryVault {
    fn values(&self, wanted: Vec<SecretRef>) -> Pending<'_, Result<Secrets, PartError>> {
        let all = self.lock();
        let found = wanted
            .into_iter()
            .filter_map(|secret| all.get_key_value(&secret))
            .map(|(secret, value)| (secret.clone(), value.clone()))
            .collect();
        Box::pin(async move { Ok(found) })
    }
}

impl Vault for MemoryVault {
    fn all(&self) -> Pending<'_, Result<Secrets, PartError>> {
        let all = self.lock().clone();
        Box::pin(async move { Ok(all) })
    }

    fn put(&self, secrets: Secrets) -> Pending<'_, Result<(), PartError>> {
        self.lock().extend(secrets);
        Box::pin(async { Ok(()) })
    }

    fn erase_all_but(&self, keep: BTreeSet<SecretRef>) -> Pending<'_, Result<(), PartError>> {
        self.lock().retain(|secret, _| keep.contains(secret));
        Box::pin(async { Ok(()) })
    }
}
