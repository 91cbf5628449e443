//! The values of secrets: files of their own, so that they can be erased. They
//! are in no journal, no revision and no plan.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ha_durable::{FileError, atomic};
use ha_model::ids::SecretName;
use ha_model::secret::{SecretRef, SecretValue, Secrets};

/// Most bytes in a value; keys and passwords are far below.
pub const MAX_SECRET: usize = 64 * 1024;

/// Why a secret was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is too large to be one of ours.
    #[error(transparent)]
    Read(#[from] atomic::ReadError),
    /// The value is too long.
    #[error("the value of secret {name} has {bytes} bytes, at most {MAX_SECRET} are allowed")]
    TooLarge {
        /// Which.
        name: SecretName,
        /// Bytes in it.
        bytes: usize,
    },
    /// This version has another value already.
    #[error("version {version} of secret {name} has another value already")]
    Taken {
        /// Which.
        name: SecretName,
        /// Of which version.
        version: u64,
    },
}

/// Keeps each value in a file `NAME@VERSION`, readable by this user only.
#[derive(Debug)]
pub struct SecretStore {
    dir: PathBuf,
}

impl SecretStore {
    /// Opens the values in `dir`, which is made if there is none.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn open(dir: &Path) -> Result<Self, SecretError> {
        atomic::create_dir(dir, 0o700)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Stores `value` as the newest version of `name` and returns that version;
    /// the one that it has, if the value is the newest already. It survives a
    /// power cut by then.
    ///
    /// # Errors
    /// Nothing is stored, then.
    pub fn put(&self, name: &SecretName, value: &SecretValue) -> Result<SecretRef, SecretError> {
        let newest = self.versions(name)?.pop_last();
        let newest_ref = newest.map(|version| SecretRef { name: name.clone(), version });
        if let Some(newest) = newest_ref
            && self.get(&newest)?.as_ref() == Some(value)
        {
            return Ok(newest);
        }
        let version = newest.unwrap_or(0) + 1;
        let secret = SecretRef { name: name.clone(), version };
        self.put_version(&secret, value)?;
        Ok(secret)
    }

    /// Stores `value` as the version that the caller chose.
    ///
    /// # Errors
    /// Nothing is stored, then; [`SecretError::Taken`] if the version has
    /// another value.
    pub fn put_version(&self, secret: &SecretRef, value: &SecretValue) -> Result<(), SecretError> {
        let (name, bytes) = (secret.name.clone(), value.expose().len());
        if bytes > MAX_SECRET {
            return Err(SecretError::TooLarge { name, bytes });
        }
        match self.get(secret)? {
            Some(stored) if stored == *value => Ok(()),
            Some(_) => Err(SecretError::Taken { name, version: secret.version }),
            None => Ok(atomic::replace(&self.path(secret), value.expose(), 0o600)?),
        }
    }

    /// The value, if it is there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn get(&self, secret: &SecretRef) -> Result<Option<SecretValue>, SecretError> {
        let bytes = atomic::read_limited(&self.path(secret), MAX_SECRET as u64)?;
        Ok(bytes.map(SecretValue::new))
    }

    /// The values of all that are there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn all(&self) -> Result<Secrets, SecretError> {
        let mut secrets = Secrets::new();
        for secret in self.list()? {
            if let Some(value) = self.get(&secret)? {
                secrets.insert(secret, value);
            }
        }
        Ok(secrets)
    }

    /// Which are there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn list(&self) -> Result<BTreeSet<SecretRef>, SecretError> {
        let failed = |step| {
            let path = self.dir.clone();
            move |source: io::Error| FileError { step, path, source }
        };
        let mut secrets = BTreeSet::new();
        for entry in std::fs::read_dir(&self.dir).map_err(failed("list"))? {
            let name = entry.map_err(failed("list"))?.file_name();
            secrets.extend(name.to_str().and_then(parse));
        }
        Ok(secrets)
    }

    /// Erases all but `keep`: overwritten, then removed. (Where the disk keeps
    /// old blocks, as SSDs do, only encryption of the disk erases.) Returns how
    /// many that were.
    ///
    /// # Errors
    /// When the disk fails; some may be erased by then.
    pub fn erase_all_but(&self, keep: &BTreeSet<SecretRef>) -> Result<usize, SecretError> {
        let mut erased = 0;
        for secret in self.list()?.difference(keep) {
            let path = self.path(secret);
            overwrite(&path).map_err(|source| FileError {
                step: "overwrite",
                path: path.clone(),
                source,
            })?;
            atomic::remove(&path)?;
            erased += 1;
        }
        Ok(erased)
    }

    fn versions(&self, name: &SecretName) -> Result<BTreeSet<u64>, SecretError> {
        let all = self.list()?.into_iter();
        Ok(all.filter(|secret| secret.name == *name).map(|secret| secret.version).collect())
    }

    fn path(&self, secret: &SecretRef) -> PathBuf {
        self.dir.join(format!("{}@{}", secret.name, secret.version))
    }
}

fn parse(file: &str) -> Option<SecretRef> {
    let (name, version) = file.split_once('@')?;
    Some(SecretRef { name: name.parse().ok()?, version: version.parse().ok()? })
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(MAX_SECRET);
    file.write_all(&vec![0; length])?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn value(text: &str) -> SecretValue {
        SecretValue::new(text.as_bytes().to_vec())
    }

    #[test]
    fn values_have_versions_and_can_be_erased() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        let store = SecretStore::open(&path).unwrap();
        let name: SecretName = "vrrp".parse().unwrap();
        let first = store.put(&name, &value("one")).unwrap();
        assert_eq!(first.version, 1);
        assert_eq!(store.put(&name, &value("one")).unwrap(), first);
        let second = store.put(&name, &value("two")).unwrap();
        assert_eq!(second.version, 2);
        let file = path.join("vrrp@2");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let taken = store.put_version(&first, &value("hush")).unwrap_err();
        assert!(!format!("{taken:?} {taken}").contains("hush"));
        assert_eq!(store.erase_all_but(&[second.clone()].into()).unwrap(), 1);
        let store = SecretStore::open(&path).unwrap();
        assert_eq!(store.get(&first).unwrap(), None);
        assert_eq!(store.all().unwrap(), Secrets::from([(second, value("two"))]));
    }

    #[test]
    fn too_large_a_value_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = SecretStore::open(dir.path()).unwrap();
        let large = SecretValue::new(vec![0; MAX_SECRET + 1]);
        let refused = store.put(&"a".parse().unwrap(), &large);
        assert!(matches!(refused, Err(SecretError::TooLarge { .. })));
        assert!(store.list().unwrap().is_empty());
    }
}
