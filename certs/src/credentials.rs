//! What one party shows to others: its certificate, the key to it, and the CA
//! that it checks others against.

use std::path::{Path, PathBuf};

use ha_durable::FileError;
use ha_durable::atomic::{self, ReadError};
use rustls_pki_types::CertificateDer;

use crate::ca::IssueError;
use crate::certificate::{self, CertificateError, Facts, TrustedCa};
use crate::identity::Identity;
use crate::key::{KeyError, PrivateKey};
use crate::verify::{self, AnchorError};

/// Largest file that is read, in bytes; ours are under 2 KiB.
const FILE_LIMIT: u64 = 64 * 1024;

/// Certificate, key and CA do not make credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The CA's certificate.
    #[error("the CA's certificate can't be used")]
    Ca(#[source] CertificateError),
    /// The CA's certificate, when it is to be trusted.
    #[error("the CA's certificate can't be used")]
    Anchor(#[source] AnchorError),
    /// The own certificate.
    #[error("the certificate can't be used")]
    Certificate(#[source] CertificateError),
    /// The key.
    #[error("the private key can't be used")]
    Key(#[source] KeyError),
    /// Key and certificate do not belong together.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// The CA did not sign the certificate, or not for this use or time.
    #[error("the certificate is not a good one of this CA")]
    Chain(#[source] rustls::Error),
    /// Certificate and CA are of two fleets.
    #[error("the certificate is of fleet {certificate}, the CA of fleet {ca}")]
    Fleet {
        /// Fleet in the certificate.
        certificate: String,
        /// Fleet of the CA.
        ca: String,
    },
}

/// Certificate, key and CA that belong together. The key is redacted in Debug.
#[derive(Clone, Debug)]
pub struct Credentials {
    ca: TrustedCa,
    certificate: CertificateDer<'static>,
    facts: Facts,
    key: PrivateKey,
}

impl Credentials {
    /// Puts credentials together and checks that the key belongs to the
    /// certificate and both to the CA's fleet. An expired certificate passes:
    /// it is still good for a renewal.
    ///
    /// # Errors
    /// See [`CredentialsError`].
    pub fn from_pem(ca: &str, certificate: &str, key: &str) -> Result<Self, CredentialsError> {
        let ca = TrustedCa::from_pem(ca).map_err(CredentialsError::Ca)?;
        let key = PrivateKey::from_pem(key).map_err(CredentialsError::Key)?;
        Self::new(ca, certificate, key)
    }

    pub(crate) fn new(
        ca: TrustedCa,
        certificate: &str,
        key: PrivateKey,
    ) -> Result<Self, CredentialsError> {
        let certificate =
            certificate::first_of_pem(certificate).map_err(CredentialsError::Certificate)?;
        let facts = Facts::of(&certificate).map_err(CredentialsError::Certificate)?;
        if facts.public_key != key.public().map_err(CredentialsError::Key)? {
            return Err(CredentialsError::Mismatch);
        }
        if facts.id.fleet != *ca.fleet() {
            return Err(CredentialsError::Fleet {
                certificate: facts.id.fleet.to_string(),
                ca: ca.fleet().to_string(),
            });
        }
        Ok(Self { ca, certificate, facts, key })
    }

    /// Checks that the CA signed the certificate, for what its identity does,
    /// and that it is valid at `now_us`.
    ///
    /// # Errors
    /// [`CredentialsError::Anchor`] or [`CredentialsError::Chain`].
    pub fn verify(&self, now_us: u64) -> Result<(), CredentialsError> {
        let now = verify::unix(now_us);
        match self.facts.id.identity {
            Identity::Node(_) | Identity::User { .. } => {
                let verifier =
                    verify::client_verifier(&self.ca).map_err(CredentialsError::Anchor)?;
                verify::client_chain(&*verifier, &self.certificate, now)
            }
            Identity::Controller(_) => {
                let roots = verify::roots(&self.ca).map_err(CredentialsError::Anchor)?;
                verify::server_chain(&roots, &self.certificate, now)
            }
        }
        .map_err(CredentialsError::Chain)
    }

    /// The CA.
    #[must_use]
    pub fn ca(&self) -> &TrustedCa {
        &self.ca
    }

    /// What the certificate says.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(crate) fn key(&self) -> &PrivateKey {
        &self.key
    }
}

/// Files of credentials can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file is not there.
    #[error("there is no file {}", path.display())]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// A file can't be read.
    #[error("can't read credentials")]
    Read(#[source] ReadError),
    /// A file can't be written.
    #[error("can't write credentials")]
    Write(#[source] FileError),
    /// A file can't be PEM.
    #[error("{} is not text", path.display())]
    Text {
        /// Which.
        path: PathBuf,
    },
    /// Others than the owner can read a private key.
    #[error(
        "others than the owner may read the private key {path} (mode {mode:o}); chmod 600 {path}",
        path = path.display()
    )]
    Mode {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What they hold does not fit together.
    #[error("the credentials in {} can't be used", path.display())]
    Content {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CredentialsError,
    },
    /// A new key or request can't be made.
    #[error("can't make a key")]
    Key(#[source] KeyError),
    /// A new certificate can't be signed.
    #[error("can't issue a new certificate")]
    Issue(#[source] IssueError),
    /// The new certificate is somebody else's.
    #[error("the new certificate is for {got}, not for {wanted}")]
    Identity {
        /// Whose it should be.
        wanted: String,
        /// Whose it is.
        got: String,
    },
    /// The CA is not the one that was pinned or known.
    #[error("the CA {got} is not the expected CA {wanted}")]
    OtherCa {
        /// Fingerprint expected.
        wanted: String,
        /// Fingerprint got.
        got: String,
    },
}

/// Reads a text of PEM.
pub(crate) fn read_text(path: &Path) -> Result<String, FilesError> {
    let bytes = atomic::read_limited(path, FILE_LIMIT)
        .map_err(FilesError::Read)?
        .ok_or_else(|| FilesError::Missing { path: path.to_owned() })?;
    String::from_utf8(bytes).map_err(|_| FilesError::Text { path: path.to_owned() })
}

/// Reads a private key's PEM, if only its owner can.
pub(crate) fn read_key_text(path: &Path) -> Result<zeroize::Zeroizing<String>, FilesError> {
    use std::os::unix::fs::PermissionsExt;

    if let Ok(meta) = std::fs::metadata(path) {
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(FilesError::Mode { path: path.to_owned(), mode });
        }
    }
    read_text(path).map(zeroize::Zeroizing::new)
}
