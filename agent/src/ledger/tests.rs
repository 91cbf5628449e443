use std::fs;
use std::os::unix::fs::PermissionsExt;

use ha_model::ids::{Digest, Epoch, Generation};
use ha_model::secret::{SecretRef, SecretValue};
use ha_model::status::PlanPhase;

use super::*;

fn plan() -> PlanId {
    PlanId { epoch: Epoch(7), generation: Generation(3), digest: Digest::of(b"{}") }
}

fn entry() -> Entry {
    Entry {
        running: Some(Running {
            plan: Some(plan()),
            revision: None,
            source: Source::Controller,
            document: "{ \"odd\" :\t\"bytes \u{fc}\" }\n".into(),
        }),
        offered: Some(PlanStatus {
            plan: plan(),
            revision: None,
            phase: PlanPhase::Prepared,
            errors: Vec::new(),
        }),
    }
}

fn secrets() -> Secrets {
    let name: ha_model::ids::SecretName = "vrrp".parse().unwrap();
    [
        (SecretRef { name: name.clone(), version: 1 }, SecretValue::new(b"s3cret".to_vec())),
        (SecretRef { name, version: 2 }, SecretValue::new(vec![0xff, 0x00])),
    ]
    .into()
}

#[test]
fn what_was_written_is_read_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(dir.path());
    assert_eq!(ledger.load().entry, Entry::default());
    ledger.save(&entry()).unwrap();
    ledger.save_secrets(&secrets()).unwrap();
    let loaded = ledger.load();
    assert_eq!(loaded.entry, entry());
    assert_eq!(loaded.secrets, secrets());
    assert!(loaded.set_aside.is_empty());
    let mode = fs::metadata(dir.path().join(SECRETS)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_secret_is_in_its_own_file_only() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(dir.path());
    ledger.save(&entry()).unwrap();
    ledger.save_secrets(&secrets()).unwrap();
    let text = fs::read_to_string(dir.path().join(LEDGER)).unwrap();
    assert!(!text.contains("s3cret"));
    assert!(!format!("{:?}", ledger.load()).contains("s3cret"));
}

#[test]
fn truncated_anywhere_it_is_set_aside_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(dir.path());
    ledger.save_secrets(&secrets()).unwrap();
    let whole = format::seal(&entry());
    for length in 0..whole.len() {
        fs::write(dir.path().join(LEDGER), &whole[..length]).unwrap();
        let loaded = ledger.load();
        assert_eq!(loaded.entry, Entry::default(), "{length} bytes");
        assert_eq!(loaded.set_aside.len(), 1, "{length} bytes");
        assert_eq!(loaded.secrets, secrets());
        assert!(!dir.path().join(LEDGER).exists());
        fs::remove_file(dir.path().join("ledger.json.corrupt-1")).unwrap();
    }
}

#[test]
fn one_flipped_bit_anywhere_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(dir.path());
    let whole = format::seal(&entry());
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << (place % 8);
        fs::write(dir.path().join(LEDGER), &damaged).unwrap();
        let loaded = ledger.load();
        // The hexadecimal digits of the digest may change their case.
        if loaded.entry == entry() {
            assert!(damaged.eq_ignore_ascii_case(&whole), "byte {place}");
            continue;
        }
        assert_eq!(loaded.entry, Entry::default(), "byte {place}");
        assert_eq!(loaded.set_aside[0].file, LEDGER);
        fs::remove_file(dir.path().join("ledger.json.corrupt-1")).unwrap();
    }
}

#[test]
fn damaged_secrets_leave_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::new(dir.path());
    ledger.save(&entry()).unwrap();
    fs::write(dir.path().join(SECRETS), b"garbage").unwrap();
    let loaded = ledger.load();
    assert_eq!(loaded.entry, entry());
    assert!(loaded.secrets.is_empty());
    assert_eq!(loaded.set_aside[0].file, SECRETS);
    assert!(dir.path().join("secrets.json.corrupt-1").exists());
}
