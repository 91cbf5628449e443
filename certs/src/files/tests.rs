use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::ca::FleetCa;
use crate::clock::now_us;
use crate::key::RequestedKey;

struct Bench {
    dir: tempfile::TempDir,
    ca: FleetCa,
    files: CredentialFiles,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = CredentialFiles::node(&dir.path().join("pki"));
        Self { dir, ca: FleetCa::create(&"lab".parse().unwrap(), now_us()).unwrap(), files }
    }

    fn expected(&self) -> Expected {
        let identity = Identity::Node("a".parse().unwrap());
        Expected { identity, ca: self.ca.trusted().fingerprint() }
    }

    fn sign(&self, request: &str, node: &str) -> String {
        let profile = Profile::Node { name: node.parse().unwrap() };
        let key = RequestedKey::from_pem(request).unwrap();
        self.ca.issue(&key, &profile, now_us()).unwrap().pem
    }

    fn renew(&self) -> Credentials {
        let pending = self.files.begin().unwrap();
        let certificate = self.sign(&pending.request, "a");
        self.files
            .install(pending, &certificate, self.ca.pem(), &self.expected(), now_us())
            .unwrap()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join("pki").join(file)
    }

    fn serial(&self) -> crate::certificate::Serial {
        self.files.load().unwrap().facts().serial
    }
}

#[test]
fn first_and_next_credentials_are_kept() {
    let bench = Bench::new();
    assert!(!bench.files.exist());
    assert!(matches!(bench.files.load(), Err(FilesError::Missing { .. })));
    let first = bench.renew();
    assert_eq!(bench.serial(), first.facts().serial);
    let second = bench.renew();
    assert_ne!(first.facts().public_key, second.facts().public_key, "a new key every time");
    assert_eq!(bench.serial(), second.facts().serial);
    let mode = fs::metadata(bench.path("node.key")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(!bench.path("node.key.next").exists());
}

/// Every state that a cut-off renewal can leave on the disk.
#[test]
fn a_renewal_cut_off_anywhere_leaves_credentials_that_work() {
    let bench = Bench::new();
    let first = bench.renew();

    // After the request was made: the old pair stands.
    let lost = bench.files.begin().unwrap();
    assert_eq!(bench.serial(), first.facts().serial);
    drop(lost);
    let pending = bench.files.begin().unwrap();
    let certificate = bench.sign(&pending.request, "a");

    // After the certificate was replaced, before the key was: the next key fits.
    fs::write(bench.path("node.pem"), &certificate).unwrap();
    let loaded = bench.files.load().unwrap();
    assert_ne!(loaded.facts().serial, first.facts().serial);
    assert!(!bench.path("node.key.next").exists());
    assert_eq!(bench.serial(), loaded.facts().serial);

    // After the key was replaced, before its other name went.
    fs::copy(bench.path("node.key"), bench.path("node.key.next")).unwrap();
    assert_eq!(bench.serial(), loaded.facts().serial);
    bench.renew();

    // The first enrolment, cut off after the certificate.
    fs::rename(bench.path("node.key"), bench.path("node.key.next")).unwrap();
    bench.files.load().unwrap();
    assert!(bench.path("node.key").exists());
}

#[test]
fn a_second_renewal_after_a_cut_off_one_does_not_lose_the_key() {
    let bench = Bench::new();
    bench.renew();
    let pending = bench.files.begin().unwrap();
    fs::write(bench.path("node.pem"), bench.sign(&pending.request, "a")).unwrap();
    let again = bench.files.begin().unwrap();
    bench.files.load().unwrap();
    drop(again);
}

#[test]
fn what_is_not_right_is_not_installed() {
    let bench = Bench::new();
    let first = bench.renew();
    let install = |certificate: &dyn Fn(&str) -> String, ca: &str| {
        let pending = bench.files.begin().unwrap();
        let certificate = certificate(&pending.request);
        bench.files.install(pending, &certificate, ca, &bench.expected(), now_us()).unwrap_err()
    };
    let ca = bench.ca.pem();
    let other = Bench::new();
    assert!(matches!(install(&|_| "junk".to_owned(), ca), FilesError::Content { .. }));
    let foreign = install(&|request| other.sign(request, "a"), ca);
    assert!(matches!(foreign, FilesError::Content { source: CredentialsError::Chain(_), .. }));
    let swapped = install(&|request| other.sign(request, "a"), other.ca.pem());
    assert!(matches!(swapped, FilesError::OtherCa { .. }));
    let named = install(&|request| bench.sign(request, "b"), ca);
    assert!(matches!(named, FilesError::Identity { .. }));
    let key = PrivateKey::generate().unwrap().request().unwrap();
    let keyed = install(&|_| bench.sign(&key, "a"), ca);
    assert!(matches!(keyed, FilesError::Content { source: CredentialsError::Mismatch, .. }));
    assert_eq!(bench.serial(), first.facts().serial);
}

#[test]
fn damaged_files_are_named() {
    let bench = Bench::new();
    bench.renew();
    fs::write(bench.path("node.pem"), [0xff, 0xfe]).unwrap();
    let error = bench.files.load().unwrap_err();
    assert!(matches!(error, FilesError::Text { .. }));
    assert!(error.to_string().contains("node.pem"));
    fs::write(bench.path("node.pem"), "junk").unwrap();
    assert!(matches!(bench.files.load(), Err(FilesError::Content { .. })));
    // A new enrolment is the way out.
    let new = bench.renew();
    assert_eq!(bench.serial(), new.facts().serial);
    fs::remove_file(bench.path("node.key")).unwrap();
    assert!(matches!(bench.files.load(), Err(FilesError::Missing { .. })));
    bench.renew();
}

#[test]
fn a_controller_renews_its_own_in_the_last_third() {
    let bench = Bench::new();
    let files = CredentialFiles::controller(bench.dir.path());
    let start = now_us();
    let day = 24 * 3600 * 1_000_000;
    let pending = files.begin().unwrap();
    let hosts = vec!["ctl".parse().unwrap(), "10.0.0.1".parse().unwrap()];
    let profile = Profile::Controller { name: "main".parse().unwrap(), hosts: hosts.clone() };
    let first = bench.ca.issue_for(&pending.key, &profile, start).unwrap();
    let identity = Identity::Controller("main".parse().unwrap());
    let expected = Expected { identity, ca: bench.ca.trusted().fingerprint() };
    files.install(pending, &first.pem, bench.ca.pem(), &expected, start).unwrap();

    assert!(files.reissue_if_due(&bench.ca, start + 59 * day).unwrap().is_none());
    let next = files.reissue_if_due(&bench.ca, start + 61 * day).unwrap().unwrap();
    assert_ne!(next.facts().serial, first.serial);
    assert_eq!(next.facts().id, bench_id("main"));
    assert_eq!(next.facts().hosts, hosts);
    assert_eq!(files.load().unwrap().facts().serial, next.facts().serial);
    // Also long after its end.
    assert!(files.reissue_if_due(&bench.ca, start + 400 * day).unwrap().is_some());
}

fn bench_id(name: &str) -> crate::identity::SpiffeId {
    format!("spiffe://lab/controller/{name}").parse().unwrap()
}
