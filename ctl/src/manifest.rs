//! Reading manifests and checking them before anything is sent.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::client::File;
use crate::error::Failure;
use crate::exit::Exit;

/// Most bytes of all files together: no fleet that a controller takes is
/// larger, and a wrong path (a disk, a log) is found before it fills memory.
const MAX_BYTES: u64 = 64 << 20;

/// Reads files, directories (every `.yaml`, `.yml` and `.json` under them, by
/// name) and `-`.
///
/// # Errors
/// One can't be read, is no text, or they are too large.
pub fn read(paths: &[PathBuf], stdin: &mut dyn Read) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            stdin
                .take(MAX_BYTES)
                .read_to_string(&mut text)
                .map_err(|error| unreadable(Path::new("standard input"), &error))?;
            files.push(File { name: "-".to_owned(), text });
        } else if path.is_dir() {
            let mut found = Vec::new();
            walk(path, &mut found)?;
            if found.is_empty() {
                return Err(Failure::new("E5008", Exit::Usage, "no manifests in this directory")
                    .at(path.display())
                    .because("manifests end in .yaml, .yml or .json"));
            }
            for path in found {
                files.push(read_one(&path)?);
            }
        } else {
            files.push(read_one(path)?);
        }
    }
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    if u64::try_from(bytes).is_ok_and(|bytes| bytes < MAX_BYTES) {
        return Ok(files);
    }
    Err(Failure::new("E5008", Exit::Usage, "the manifests are too large")
        .because(format!("{bytes} bytes, at most {MAX_BYTES} are allowed")))
}

fn read_one(path: &Path) -> Result<File, Failure> {
    let size = fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if size > MAX_BYTES {
        return Err(Failure::new("E5008", Exit::Usage, "the file is too large")
            .at(path.display())
            .because(format!("{size} bytes, at most {MAX_BYTES} are allowed")));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    Ok(File { name: path.display().to_string(), text })
}

/// Files under `directory` that look like manifests, in the order of names.
fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> = entries
        .map_err(|error| unreadable(directory, &error))?
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let manifest = path.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"].iter().any(|known| extension == *known)
        });
        // A link to a directory could lead back up.
        if !hidden && path.is_dir() && !path.is_symlink() {
            walk(&path, found)?;
        } else if !hidden && manifest {
            found.push(path);
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new("E5008", Exit::Usage, "can't read this manifest")
        .at(path.display())
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_directories_in_order_and_skips_the_rest() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["b.yaml", "a.yml", "notes.txt", ".hidden.yaml", "sub/c.json"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("makes it");
            fs::write(path, name).expect("writes");
        }
        std::os::unix::fs::symlink(dir.path(), dir.path().join("sub/loop")).expect("links");
        let files = read(&[dir.path().to_owned()], &mut io::empty()).expect("reads");
        let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
        assert_eq!(texts, ["a.yml", "b.yaml", "sub/c.json"]);
    }

    #[test]
    fn standard_input_is_a_file() {
        let files = read(&["-".into()], &mut "kind: Cluster".as_bytes()).expect("reads");
        assert_eq!(files, [File { name: "-".into(), text: "kind: Cluster".into() }]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let failure = read(&["/nonexistent.yaml".into()], &mut io::empty()).expect_err("no file");
        assert_eq!((&*failure.code, failure.exit), ("E5008", Exit::Usage));
        assert_eq!(failure.place.as_deref(), Some("/nonexistent.yaml"));
        let dir = tempfile::tempdir().expect("a directory");
        let failure = read(&[dir.path().to_owned()], &mut io::empty()).expect_err("empty");
        assert_eq!(&*failure.code, "E5008");
        let binary = dir.path().join("x.yaml");
        fs::write(&binary, [0xff, 0xfe]).expect("writes");
        assert_eq!(&*read(&[binary], &mut io::empty()).expect_err("no text").code, "E5008");
    }
}
