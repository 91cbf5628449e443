//! Credentials in a directory: `ca.pem`, `STEM.pem`, `STEM.key`.
//!
//! A renewal changes two files, key and certificate, and may be cut off between
//! them. So the new key is written as `STEM.key.next` before it is used, then
//! the certificate replaces the old one, then the key is renamed. Whoever
//! loads finds the key that fits: `STEM.key`, or else `STEM.key.next`.

use std::path::{Path, PathBuf};

use ha_durable::atomic;

use crate::ca::{CONTROLLER_LIFETIME, FleetCa, Profile};
use crate::certificate::{Fingerprint, TrustedCa};
use crate::clock::micros;
use crate::credentials::{Credentials, CredentialsError, FilesError, read_key_text, read_text};
use crate::identity::Identity;
use crate::key::PrivateKey;

const CERTIFICATE_MODE: u32 = 0o644;
const KEY_MODE: u32 = 0o600;

/// Whom a new certificate must be from and for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expected {
    /// The holder.
    pub identity: Identity,
    /// Fingerprint of the CA's certificate.
    pub ca: Fingerprint,
}

/// A key that waits for its certificate.
#[derive(Debug)]
pub struct Pending {
    key: PrivateKey,
    /// The certificate request to send (PKCS#10, PEM).
    pub request: String,
}

/// The files of one party's credentials.
#[derive(Clone, Debug)]
pub struct CredentialFiles {
    dir: PathBuf,
    stem: &'static str,
}

impl CredentialFiles {
    /// Those of an agent: `node.pem`, `node.key`, `ca.pem` in `dir`.
    #[must_use]
    pub fn node(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), stem: "node" }
    }

    /// Those of a controller: `controller.pem`, `controller.key`, `ca.pem` in
    /// `dir`.
    #[must_use]
    pub fn controller(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), stem: "controller" }
    }

    /// Whether there is a certificate.
    #[must_use]
    pub fn exist(&self) -> bool {
        self.certificate_path().exists()
    }

    /// Reads the credentials and, after a renewal that was cut off, ends it.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// See [`FilesError`].
    pub fn load(&self) -> Result<Credentials, FilesError> {
        let ca_text = read_text(&self.ca_path())?;
        let ca = TrustedCa::from_pem(&ca_text)
            .map_err(CredentialsError::Ca)
            .map_err(|source| FilesError::Content { path: self.ca_path(), source })?;
        let certificate = read_text(&self.certificate_path())?;
        match self.put_together(&ca, &certificate, &self.key_path()) {
            Err(
                FilesError::Content { source: CredentialsError::Mismatch, .. }
                | FilesError::Missing { .. },
            ) if self.next_key_path().exists() => {
                let found = self.put_together(&ca, &certificate, &self.next_key_path())?;
                self.adopt_next_key()?;
                Ok(found)
            }
            result => result,
        }
    }

    /// Draws a new key and writes it beside the one in use. Blocks on the disk.
    ///
    /// # Errors
    /// See [`FilesError`]; what was there is untouched.
    pub fn begin(&self) -> Result<Pending, FilesError> {
        self.end_renewal()?;
        let key = PrivateKey::generate().map_err(FilesError::Key)?;
        let request = key.request().map_err(FilesError::Key)?;
        atomic::create_dir(&self.dir, 0o700).map_err(FilesError::Write)?;
        let pem = key.to_pem().map_err(FilesError::Key)?;
        atomic::replace(&self.next_key_path(), pem.as_bytes(), KEY_MODE)
            .map_err(FilesError::Write)?;
        Ok(Pending { key, request })
    }

    /// Ends a renewal that was cut off, whose key would else be lost. What does
    /// not work anyway may be lost: a new enrolment is the way out of it.
    fn end_renewal(&self) -> Result<(), FilesError> {
        match self.load() {
            Ok(_)
            | Err(
                FilesError::Missing { .. } | FilesError::Text { .. } | FilesError::Content { .. },
            ) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts a new certificate to use, after it was checked in full: the key,
    /// the CA, the chain at `now_us`, the holder. Blocks on the disk.
    ///
    /// # Errors
    /// See [`FilesError`]; what was there goes on working.
    pub fn install(
        &self,
        pending: Pending,
        certificate: &str,
        ca: &str,
        expected: &Expected,
        now_us: u64,
    ) -> Result<Credentials, FilesError> {
        let content = |source| FilesError::Content { path: self.certificate_path(), source };
        let trusted = TrustedCa::from_pem(ca).map_err(CredentialsError::Ca).map_err(content)?;
        let got = trusted.fingerprint();
        if got != expected.ca {
            let wanted = expected.ca.to_string();
            return Err(FilesError::OtherCa { wanted, got: got.to_string() });
        }
        let new = Credentials::new(trusted, certificate, pending.key).map_err(content)?;
        new.verify(now_us).map_err(content)?;
        let holder = &new.facts().id.identity;
        if *holder != expected.identity {
            let wanted = expected.identity.to_string();
            return Err(FilesError::Identity { wanted, got: holder.to_string() });
        }
        atomic::replace(&self.ca_path(), ca.as_bytes(), CERTIFICATE_MODE)
            .map_err(FilesError::Write)?;
        atomic::replace(&self.certificate_path(), certificate.as_bytes(), CERTIFICATE_MODE)
            .map_err(FilesError::Write)?;
        self.adopt_next_key()?;
        Ok(new)
    }

    /// Signs a new certificate for a controller in the third third of the life
    /// of its certificate, for a new key, with the same name and hosts; `None`
    /// if it is not due. Blocks on the disk.
    ///
    /// # Errors
    /// See [`FilesError`]; what was there goes on working.
    pub fn reissue_if_due(
        &self,
        ca: &FleetCa,
        now_us: u64,
    ) -> Result<Option<Credentials>, FilesError> {
        let old = self.load()?;
        let due_us = old.facts().not_after_us.saturating_sub(micros(CONTROLLER_LIFETIME / 3));
        let Identity::Controller(name) = &old.facts().id.identity else {
            let got = old.facts().id.identity.to_string();
            return Err(FilesError::Identity { wanted: "a controller".to_owned(), got });
        };
        if now_us < due_us {
            return Ok(None);
        }
        let profile = Profile::Controller { name: name.clone(), hosts: old.facts().hosts.clone() };
        let pending = self.begin()?;
        let new = ca.issue_for(&pending.key, &profile, now_us).map_err(FilesError::Issue)?;
        let identity = old.facts().id.identity.clone();
        let expected = Expected { identity, ca: old.ca().fingerprint() };
        self.install(pending, &new.pem, ca.pem(), &expected, now_us).map(Some)
    }

    fn put_together(
        &self,
        ca: &TrustedCa,
        certificate: &str,
        key_path: &Path,
    ) -> Result<Credentials, FilesError> {
        let content = |source| FilesError::Content { path: self.certificate_path(), source };
        let key = PrivateKey::from_pem(&read_key_text(key_path)?)
            .map_err(CredentialsError::Key)
            .map_err(|source| FilesError::Content { path: key_path.to_owned(), source })?;
        Credentials::new(ca.clone(), certificate, key).map_err(content)
    }

    fn adopt_next_key(&self) -> Result<(), FilesError> {
        let text = read_key_text(&self.next_key_path())?;
        atomic::replace(&self.key_path(), text.as_bytes(), KEY_MODE).map_err(FilesError::Write)?;
        atomic::remove(&self.next_key_path()).map_err(FilesError::Write)
    }

    fn ca_path(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    fn certificate_path(&self) -> PathBuf {
        self.dir.join(format!("{}.pem", self.stem))
    }

    fn key_path(&self) -> PathBuf {
        self.dir.join(format!("{}.key", self.stem))
    }

    fn next_key_path(&self) -> PathBuf {
        self.dir.join(format!("{}.key.next", self.stem))
    }
}

#[cfg(test)]
mod tests;
