use super::*;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn replaces_with_the_exact_mode_and_leaves_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.json");
    replace(&path, b"one", 0o644).unwrap();
    replace(&path, b"two", 0o600).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(dir.path()), ["ledger.json"]);
}

#[test]
fn a_leftover_of_a_crash_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.json");
    fs::write(dir.path().join(".ledger.json.new"), b"half").unwrap();
    replace(&path, b"one", 0o600).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one");
    assert_eq!(names(dir.path()), ["ledger.json"]);
}

#[test]
fn a_failed_replacement_leaves_the_old_file_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    // A directory in the place of the file: the rename fails.
    let path = dir.path().join("taken");
    fs::create_dir(&path).unwrap();
    let error = replace(&path, b"one", 0o600).unwrap_err();
    assert_eq!(error.step, "replace");
    assert_eq!(names(dir.path()), ["taken"]);
}

#[test]
fn reads_up_to_the_limit_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    assert_eq!(read_limited(&path, 4).unwrap(), None);
    fs::write(&path, b"four").unwrap();
    assert_eq!(read_limited(&path, 4).unwrap().unwrap(), b"four");
    assert!(matches!(read_limited(&path, 3), Err(ReadError::TooLarge { limit: 3, .. })));
}

#[test]
fn set_aside_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    fs::write(&path, b"first").unwrap();
    assert!(set_aside(&path).unwrap().ends_with("spool.corrupt-1"));
    fs::create_dir(&path).unwrap();
    assert!(set_aside(&path).unwrap().ends_with("spool.corrupt-2"));
    assert_eq!(fs::read(dir.path().join("spool.corrupt-1")).unwrap(), b"first");
    assert!(!path.exists());
}

#[test]
fn directories_are_made_with_their_parents() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    create_dir(&path, 0o700).unwrap();
    create_dir(&path, 0o700).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_path_without_a_name_is_an_error() {
    assert!(replace(Path::new("/"), b"", 0o600).is_err());
}
