//! The list of addresses that we put or adopted, for kernels that keep no mark
//! and for a process that follows this one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use ha_core::kernel::Place;

/// Most bytes read: 16,384 IPv6 addresses.
const LIMIT: u64 = 2 << 20;

/// A file in the run directory. It lives as long as the addresses do, until the
/// next boot at most, so it is replaced in one step but never synced.
#[derive(Debug)]
pub(super) struct LedgerFile {
    path: PathBuf,
    written: BTreeSet<Place>,
}

impl LedgerFile {
    /// Reads the list at `path`. A list that can't be read is reported and
    /// counts as empty: marks then find what is ours.
    pub(super) fn open(path: PathBuf) -> Self {
        let written = match read(&path) {
            Ok(places) => places,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the list of own addresses is lost");
                BTreeSet::new()
            }
        };
        Self { path, written }
    }

    pub(super) fn places(&self) -> &BTreeSet<Place> {
        &self.written
    }

    /// Writes the list if it changed.
    pub(super) fn write(&mut self, places: &BTreeSet<Place>) {
        if *places == self.written {
            return;
        }
        match self.replace(places) {
            Ok(()) => self.written.clone_from(places),
            Err(error) => tracing::warn!(
                path = %self.path.display(),
                %error,
                "the list of own addresses was not written"
            ),
        }
    }

    fn replace(&self, places: &BTreeSet<Place>) -> io::Result<()> {
        let new = self.path.with_extension("new");
        fs::write(&new, serde_json::to_vec(places)?)?;
        fs::rename(new, &self.path)
    }

    /// Removes the file.
    pub(super) fn remove(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn read(path: &std::path::Path) -> io::Result<BTreeSet<Place>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Ok(file) if file.len() > LIMIT => return Err(io::ErrorKind::FileTooLarge.into()),
        Ok(_) | Err(_) => {}
    }
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("addresses.json");
        let places = BTreeSet::from([
            ("eth0".parse().unwrap(), "10.0.0.9/24".parse().unwrap()),
            ("eth1".parse().unwrap(), "2001:db8::9/64".parse().unwrap()),
        ]);
        LedgerFile::open(path.clone()).write(&places);
        assert_eq!(*LedgerFile::open(path.clone()).places(), places);
        LedgerFile::open(path.clone()).remove().unwrap();
        assert!(LedgerFile::open(path).places().is_empty());
    }

    #[test]
    fn a_damaged_list_counts_as_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("addresses.json");
        fs::write(&path, "[[\"eth0\"").unwrap();
        assert!(LedgerFile::open(path).places().is_empty());
    }
}
