//! Whole files that are either the old or the new one, whatever happens.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::FileError;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be opened or read.
    #[error(transparent)]
    File(FileError),
    /// It is larger than the caller allows.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Most bytes allowed.
        limit: u64,
    },
}

/// Replaces `path` by a file with the content `bytes` and the permissions
/// `mode` (such as `0o600`; the umask does not apply). When this returns `Ok`
/// the new content survives a power cut; until then a reader, and a restart,
/// sees the old file or the new one, never a mixture.
///
/// A path has one writer at a time: the temporary file beside it has a fixed
/// name, so that a crash leaves at most one behind, which the next call removes.
///
/// # Errors
/// The old file is untouched and no temporary file is left, unless the error
/// comes from the last step, "sync the directory": then the new file is in
/// place, but may be the old one again after a power cut.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let temp = beside(path, ".", ".new")?;
    let renamed = write_new(&temp, bytes, mode)
        .and_then(|()| fs::rename(&temp, path).map_err(FileError::at("replace", path)));
    if renamed.is_err() {
        // The first error is the one to tell; a leftover is removed next time.
        let _ = fs::remove_file(&temp);
    }
    renamed?;
    sync_parent(path)
}

fn write_new(temp: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    match fs::remove_file(temp) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(FileError::at("remove", temp)(error)),
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(temp)
        .map_err(FileError::at("create", temp))?;
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(FileError::at("set the permissions of", temp))?;
    file.write_all(bytes).map_err(FileError::at("write", temp))?;
    file.sync_all().map_err(FileError::at("sync", temp))
}

/// The content of `path`, or `None` if there is no such file.
///
/// # Errors
/// [`ReadError::TooLarge`] beyond `limit` bytes, without reading them all.
pub fn read_limited(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ReadError::File(FileError::at("open", path)(error))),
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(FileError::at("read", path))
        .map_err(ReadError::File)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(Some(bytes))
    } else {
        Err(ReadError::TooLarge { path: path.to_owned(), limit })
    }
}

/// Removes `path` for good: a restart does not bring it back. That there is no
/// such file is no error.
///
/// # Errors
/// When it can't be removed, or the directory can't be synced.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::at("remove", path)(error)),
    }
}

/// Renames a damaged file or directory to `NAME.corrupt-N` beside it, with the
/// first N from 1 that is free, and returns the new path.
///
/// # Errors
/// When it can't be renamed; it is then still where it was.
pub fn set_aside(path: &Path) -> Result<PathBuf, FileError> {
    let aside = free_aside(path)?;
    fs::rename(path, &aside).map_err(FileError::at("set aside", path))?;
    sync_parent(path)?;
    Ok(aside)
}

/// A second name `NAME.corrupt-N` for a damaged file that is about to be
/// replaced by what is left of it.
pub(crate) fn keep_aside(path: &Path) -> Result<PathBuf, FileError> {
    let aside = free_aside(path)?;
    fs::hard_link(path, &aside).map_err(FileError::at("keep a copy of", path))?;
    Ok(aside)
}

fn free_aside(path: &Path) -> Result<PathBuf, FileError> {
    let mut number = 1_u32;
    loop {
        let aside = beside(path, "", &format!(".corrupt-{number}"))?;
        match fs::symlink_metadata(&aside) {
            Ok(_) => number += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(aside),
            Err(error) => return Err(FileError::at("look for", &aside)(error)),
        }
    }
}

/// Makes `dir` and its parents, durably.
///
/// # Errors
/// When one can't be made or synced.
pub fn create_dir(dir: &Path, mode: u32) -> Result<(), FileError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent()
        && !parent.as_os_str().is_empty()
    {
        create_dir(parent, mode)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(mode))
            .map_err(FileError::at("set the permissions of", dir))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        Err(error) => return Err(FileError::at("make the directory", dir)(error)),
    }
    sync_parent(dir)
}

/// Makes the names in `dir` durable.
///
/// # Errors
/// When the directory can't be opened or synced.
pub fn sync_dir(dir: &Path) -> Result<(), FileError> {
    File::open(dir)
        .and_then(|opened| opened.sync_all())
        .map_err(FileError::at("sync the directory", dir))
}

fn sync_parent(path: &Path) -> Result<(), FileError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        Some(_) | None => sync_dir(Path::new(".")),
    }
}

/// `path` with something put before and behind its last component.
fn beside(path: &Path, before: &str, behind: &str) -> Result<PathBuf, FileError> {
    let Some(name) = path.file_name() else {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name");
        return Err(FileError::at("use", path)(error));
    };
    let mut full = OsString::from(before);
    full.push(name);
    full.push(behind);
    Ok(path.with_file_name(full))
}

#[cfg(test)]
mod tests;
