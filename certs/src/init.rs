//! A new fleet: CA, controller, first admin.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ha_durable::FileError;
use ha_durable::atomic;
use zeroize::Zeroizing;

use crate::ca::{CaError, FleetCa, Host, IssueError, Issued, Profile};
use crate::certificate::Fingerprint;
use crate::credentials::{FilesError, read_key_text, read_text};
use crate::identity::{Name, Role};
use crate::key::{KeyError, PrivateKey};

/// What a new fleet is called and how its controller is reached.
#[derive(Clone, Debug)]
pub struct NewFleet {
    /// Name of the fleet.
    pub fleet: Name,
    /// Name of its controller.
    pub controller: Name,
    /// How the controller is reached.
    pub host: Host,
    /// Name of the first admin.
    pub admin: Name,
    /// Life of the admin's certificate.
    pub admin_lifetime: Duration,
}

/// A new fleet's first credentials.
#[derive(Debug)]
pub struct InitOutcome {
    /// The CA's certificate, PEM.
    pub ca_pem: String,
    /// Its fingerprint.
    pub ca_sha256: Fingerprint,
    /// The admin's certificate.
    pub admin: Issued,
    /// The admin's key, PKCS#8 PEM; it is not kept anywhere else.
    pub admin_key: AdminKey,
    /// The files that were made.
    pub files: Vec<PathBuf>,
}

/// The admin's key as PEM. Wiped when dropped, redacted in Debug.
#[derive(Clone)]
pub struct AdminKey(Zeroizing<String>);

impl AdminKey {
    /// The PEM itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

/// A fleet can't be made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Something is there already.
    #[error("{} is not empty; a fleet's CA is never overwritten", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The directory can't be made.
    #[error("can't make {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file can't be written.
    #[error("can't write the fleet's files")]
    Write(#[source] FileError),
    /// The CA can't be made.
    #[error("can't make the fleet's CA")]
    Ca(#[source] CaError),
    /// A key can't be made.
    #[error("can't make a private key")]
    Key(#[source] KeyError),
    /// A certificate can't be issued.
    #[error("can't issue the first certificates")]
    Issue(#[source] IssueError),
}

/// Makes the CA, the controller's credentials and an admin certificate for a
/// new fleet. `dir` gets `ca.pem`, `ca.key`, `controller.pem` and
/// `controller.key`, all of them or none: they are written into a directory
/// beside it that takes its place at the end. `dir` must not exist or be empty.
/// Blocks on the disk.
///
/// # Errors
/// See [`InitError`]; nothing is left behind.
pub fn init_fleet(dir: &Path, new: &NewFleet, now_us: u64) -> Result<InitOutcome, InitError> {
    let exists = || InitError::Exists { path: dir.to_owned() };
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(exists());
    }
    let ca = FleetCa::create(&new.fleet, now_us).map_err(InitError::Ca)?;
    let controller = PrivateKey::generate().map_err(InitError::Key)?;
    let profile =
        Profile::Controller { name: new.controller.clone(), hosts: vec![new.host.clone()] };
    let certificate = ca.issue_for(&controller, &profile, now_us).map_err(InitError::Issue)?;
    let admin_key = PrivateKey::generate().map_err(InitError::Key)?;
    let profile =
        Profile::User { role: Role::Admin, name: new.admin.clone(), lifetime: new.admin_lifetime };
    let admin = ca.issue_for(&admin_key, &profile, now_us).map_err(InitError::Issue)?;
    let files = [
        ("ca.pem", 0o644, Zeroizing::new(ca.pem().to_owned())),
        ("ca.key", 0o600, ca.key().to_pem().map_err(InitError::Key)?),
        ("controller.pem", 0o644, Zeroizing::new(certificate.pem)),
        ("controller.key", 0o600, controller.to_pem().map_err(InitError::Key)?),
    ];
    place(dir, &files)?;
    Ok(InitOutcome {
        ca_pem: ca.pem().to_owned(),
        ca_sha256: ca.trusted().fingerprint(),
        admin,
        admin_key: AdminKey(admin_key.to_pem().map_err(InitError::Key)?),
        files: files.iter().map(|(name, _, _)| dir.join(name)).collect(),
    })
}

/// Name, permissions, content.
type NewFile = (&'static str, u32, Zeroizing<String>);

fn place(dir: &Path, files: &[NewFile]) -> Result<(), InitError> {
    let directory = |source| InitError::Directory { path: dir.to_owned(), source };
    let name = dir
        .file_name()
        .ok_or_else(|| directory(io::Error::new(io::ErrorKind::InvalidInput, "it has no name")))?;
    let mut staged = name.to_owned();
    staged.push(format!(".new-{}", std::process::id()));
    let staged = dir.with_file_name(staged);
    atomic::create_dir(&staged, 0o700).map_err(InitError::Write)?;
    let placed = files
        .iter()
        .try_for_each(|(name, mode, text)| {
            atomic::replace(&staged.join(name), text.as_bytes(), *mode)
        })
        .map_err(InitError::Write)
        .and_then(|()| {
            fs::rename(&staged, dir).map_err(|source| {
                if source.kind() == io::ErrorKind::DirectoryNotEmpty {
                    InitError::Exists { path: dir.to_owned() }
                } else {
                    directory(source)
                }
            })
        });
    if placed.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&staged);
        return placed;
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    atomic::sync_dir(parent.unwrap_or(Path::new("."))).map_err(InitError::Write)
}

/// The CA in a file store can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadCaError {
    /// Its files.
    #[error("can't load the fleet's CA")]
    Files(#[source] FilesError),
    /// Their content.
    #[error("the fleet's CA in {} can't be used", path.display())]
    Content {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: CaError,
    },
}

/// Loads the CA from `ca.pem` and `ca.key` in `dir`. Blocks on the disk.
///
/// # Errors
/// See [`LoadCaError`].
pub fn load_ca(dir: &Path) -> Result<FleetCa, LoadCaError> {
    let certificate = read_text(&dir.join("ca.pem")).map_err(LoadCaError::Files)?;
    let key = read_key_text(&dir.join("ca.key")).map_err(LoadCaError::Files)?;
    FleetCa::from_pem(&certificate, &key)
        .map_err(|source| LoadCaError::Content { path: dir.to_owned(), source })
}

#[cfg(test)]
mod tests;
