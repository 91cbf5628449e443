use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::Credentials;
use crate::files::CredentialFiles;
use crate::now_us;

fn new_fleet() -> NewFleet {
    NewFleet {
        fleet: "lab".parse().unwrap(),
        controller: "main".parse().unwrap(),
        host: "ctl.example.net".parse().unwrap(),
        admin: "eva".parse().unwrap(),
        admin_lifetime: Duration::from_secs(30 * 24 * 3600),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_fleet_has_all_it_needs() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("pki");
    let outcome = init_fleet(&dir, &new_fleet(), now_us()).unwrap();
    let modes: Vec<(String, u32)> = outcome
        .files
        .iter()
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), mode(path)))
        .collect();
    let expected = [
        ("ca.pem", 0o644),
        ("ca.key", 0o600),
        ("controller.pem", 0o644),
        ("controller.key", 0o600),
    ]
    .map(|(file, mode)| (file.to_owned(), mode));
    assert_eq!(modes, expected);
    assert_eq!(mode(&dir), 0o700);

    let ca = load_ca(&dir).unwrap();
    assert_eq!(ca.trusted().fingerprint(), outcome.ca_sha256);
    let controller = CredentialFiles::controller(&dir).load().unwrap();
    controller.verify(now_us()).unwrap();
    assert_eq!(controller.facts().id.to_string(), "spiffe://lab/controller/main");
    let admin =
        Credentials::from_pem(&outcome.ca_pem, &outcome.admin.pem, outcome.admin_key.expose())
            .unwrap();
    admin.verify(now_us()).unwrap();
    assert_eq!(admin.facts().id.to_string(), "spiffe://lab/user/admin/eva");
    assert!(!format!("{outcome:?}").contains("PRIVATE"));
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn an_existing_ca_is_never_overwritten() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("pki");
    init_fleet(&dir, &new_fleet(), now_us()).unwrap();
    let before = fs::read(dir.join("ca.key")).unwrap();
    let error = init_fleet(&dir, &new_fleet(), now_us()).unwrap_err();
    assert!(matches!(error, InitError::Exists { .. }));
    assert_eq!(fs::read(dir.join("ca.key")).unwrap(), before);
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_file_that_comes_in_between_stops_it() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("pki");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("notes"), "mine").unwrap();
    let files = [("ca.pem", 0o644, Zeroizing::new("x".to_owned()))];
    assert!(matches!(place(&dir, &files), Err(InitError::Exists { .. })));
    assert_eq!(fs::read_to_string(dir.join("notes")).unwrap(), "mine");
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn an_empty_directory_is_fine_and_a_bad_one_is_named() {
    let base = tempfile::tempdir().unwrap();
    init_fleet(base.path().join("a/b").as_path(), &new_fleet(), now_us()).unwrap();
    fs::create_dir(base.path().join("empty")).unwrap();
    init_fleet(&base.path().join("empty"), &new_fleet(), now_us()).unwrap();
    fs::write(base.path().join("file"), "").unwrap();
    let inside = base.path().join("file/pki");
    assert!(matches!(
        init_fleet(&inside, &new_fleet(), now_us()),
        Err(InitError::Write(_) | InitError::Directory { .. })
    ));
}

#[test]
fn a_damaged_or_open_store_is_told() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("pki");
    assert!(matches!(load_ca(&dir), Err(LoadCaError::Files(FilesError::Missing { .. }))));
    init_fleet(&dir, &new_fleet(), now_us()).unwrap();
    let key = dir.join("ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let LoadCaError::Files(error @ FilesError::Mode { .. }) = load_ca(&dir).unwrap_err() else {
        panic!("the mode must be refused");
    };
    assert!(error.to_string().contains("chmod 600"), "{error}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "half a k").unwrap();
    assert!(matches!(load_ca(&dir), Err(LoadCaError::Content { .. })));
}
