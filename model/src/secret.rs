//! Values that must never be printed, logged or written into a plan.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::SecretName;

/// A secret as plans name it: name and version, never the value.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// Which secret.
    pub name: SecretName,
    /// Which of its values, from 1; rises with every change of the value.
    pub version: u64,
}

/// The value of a secret. Wiped when dropped; prints as `<redacted>`.
#[derive(Clone, Eq, PartialEq)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// Takes over `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The value itself, for the code that has to use it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// Values of secrets, by name and version.
pub type Secrets = BTreeMap<SecretRef, SecretValue>;
