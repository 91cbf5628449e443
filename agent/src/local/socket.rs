//! The socket's file.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Owner and group may connect.
const MODE: u32 = 0o660;

/// The socket can't be bound.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process serves it.
    #[error("{} is served by another process", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket lies there.
    #[error("{} is not a socket; it stays where it is", path.display())]
    NotASocket {
        /// What lies there.
        path: PathBuf,
    },
    /// The file system does not let us.
    #[error("can't {step} {}", path.display())]
    Io {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// A listening socket and its file.
#[derive(Debug)]
pub(super) struct Bound {
    listener: UnixListener,
    file: Remove,
}

impl Bound {
    pub(super) fn into_parts(self) -> (UnixListener, Remove) {
        (self.listener, self.file)
    }
}

/// Removes the socket's file when dropped.
#[derive(Debug)]
pub(super) struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "socket not removed");
        }
    }
}

pub(super) async fn bind(path: &Path) -> Result<Bound, SocketError> {
    let failed = |step| move |source| SocketError::Io { step, path: path.to_owned(), source };
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir).map_err(failed("make the directory of"))?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => match UnixStream::connect(path).await {
            Ok(_) => return Err(SocketError::InUse { path: path.to_owned() }),
            // Nobody answers: left behind by a process that was killed.
            Err(_) => fs::remove_file(path).map_err(failed("remove the old"))?,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("look at")(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed("bind"))?;
    fs::set_permissions(path, Permissions::from_mode(MODE))
        .map_err(failed("set the permissions of"))?;
    Ok(Bound { listener, file: Remove(path.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_a_served_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/local.sock");
        let bound = bind(&path).await.unwrap();
        assert!(matches!(bind(&path).await, Err(SocketError::InUse { .. })));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);

        let (listener, file) = bound.into_parts();
        drop(listener);
        std::mem::forget(file);
        assert!(path.exists());
        let again = bind(&path).await.unwrap();
        drop(again);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, b"data").unwrap();
        assert!(matches!(bind(&path).await, Err(SocketError::NotASocket { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }
}
