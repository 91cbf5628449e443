use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use super::super::{SharedStore, conformance, range_prefix};
use super::*;

const LIMITS: Limits = Limits { checkpoint_after: 64 << 20, reserve: 0 };

/// Keeps the directories of its stores until the end.
struct Factory(Mutex<Vec<(tempfile::TempDir, SharedStore)>>);

impl conformance::Factory for Factory {
    fn open(&self) -> SharedStore {
        let dir = tempfile::tempdir().unwrap();
        let (store, report) = SledStore::open(dir.path(), LIMITS).unwrap();
        assert_eq!(report, OpenReport::default());
        let store: SharedStore = Arc::new(store);
        self.0.lock().unwrap().push((dir, Arc::clone(&store)));
        store
    }

    fn reopen(&self, store: SharedStore) -> Option<SharedStore> {
        let (dir, ours) = self.0.lock().unwrap().pop().unwrap();
        assert!(Arc::ptr_eq(&ours, &store));
        drop((ours, store));
        let (store, report) = SledStore::open(dir.path(), LIMITS).unwrap();
        assert_eq!(report, OpenReport::default(), "a clean stop leaves nothing to do");
        let store: SharedStore = Arc::new(store);
        self.0.lock().unwrap().push((dir, Arc::clone(&store)));
        Some(store)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    conformance::run(&Factory(Mutex::default())).await;
}

/// A closed store with `count` transactions, and what is in it.
async fn filled(dir: &Path, count: u64) -> Snapshot {
    let (store, _) = SledStore::open(dir, LIMITS).unwrap();
    for n in 0..count {
        let key = format!("k{}", n % 17);
        store.transact(Transaction::new().put(key, format!("{n}"))).await.unwrap();
    }
    range_prefix(&store, "").await.unwrap()
}

async fn reopened(dir: &Path) -> (Snapshot, OpenReport) {
    let (store, report) = SledStore::open(dir, LIMITS).unwrap();
    (range_prefix(&store, "").await.unwrap(), report)
}

fn first_segment(dir: &Path) -> PathBuf {
    dir.join("journal/00000000000000000001.log")
}

fn flip_middle(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_lost_index_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path(), 60).await;
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (after, report) = reopened(dir.path()).await;
    assert_eq!((after, report.replayed), (before, 60));
}

#[tokio::test]
async fn a_damaged_index_is_set_aside_and_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path(), 60).await;
    // sled's own settings, without which it refuses to open.
    fs::write(dir.path().join("index/conf"), b"no settings").unwrap();
    let (after, report) = reopened(dir.path()).await;
    assert_eq!(after, before);
    assert!(report.rebuilt);
    assert!(report.set_aside[0].ends_with("index.corrupt-1"));
}

#[tokio::test]
async fn whatever_happens_to_the_file_of_the_index_reads_are_right() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path(), 200).await;
    let file = dir.path().join("index/db");
    let sound = fs::read(&file).unwrap();
    for step in 0..12 {
        let mut bytes = sound.clone();
        let at = bytes.len() * step / 12;
        match step % 3 {
            0 => bytes.truncate(at),
            1 => bytes[at..].fill(0xa5),
            _ => bytes[at] ^= 0xff,
        }
        fs::write(&file, bytes).unwrap();
        let (after, report) = reopened(dir.path()).await;
        assert_eq!(after, before, "step {step}: {report:?}");
    }
}

#[tokio::test]
async fn damage_to_the_journal_is_healed_from_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path(), 60).await;
    flip_middle(&first_segment(dir.path()));
    let (after, report) = reopened(dir.path()).await;
    assert_eq!(after, before);
    assert_eq!((report.journal.damage.len(), report.checkpointed), (1, true));
    // Now checkpoint and journal stand for all again.
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (after, report) = reopened(dir.path()).await;
    assert_eq!((after, report.rebuilt), (before, true));
}

#[tokio::test]
async fn a_lost_journal_is_healed_from_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path(), 60).await;
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    let (after, report) = reopened(dir.path()).await;
    assert_eq!((after, report.checkpointed), (before.clone(), true));
    let (after, report) = reopened(dir.path()).await;
    assert_eq!((after, report), (before, OpenReport::default()));
}

#[tokio::test]
async fn when_both_are_damaged_the_store_says_so_and_a_rebuild_goes_on_with_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    filled(&store, 60).await;
    flip_middle(&first_segment(&store));
    fs::remove_dir_all(store.join("index")).unwrap();
    let verified = super::super::check::verify(dir.path()).unwrap();
    assert!(!verified.is_sound(), "{verified}");
    let error = SledStore::open(&store, LIMITS).unwrap_err();
    let OpenError::Incomplete { missing } = error else { panic!("{error:?}") };
    let rebuilt = super::super::check::rebuild(dir.path()).unwrap();
    assert!(rebuilt.new_epoch);
    assert_eq!(rebuilt.lost[0].start, missing.start);
    let (opened, _) = SledStore::open(&store, LIMITS).unwrap();
    assert_eq!(opened.index(), 60, "an index is not used twice");
    let last = opened.get("k0").await.unwrap().unwrap();
    assert!(last.modified < missing.start);
    drop(opened);
    assert!(super::super::check::verify(dir.path()).unwrap().is_sound());
}

#[tokio::test]
async fn verify_finds_a_sound_store_sound_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let before = filled(&store, 60).await;
    let verified = super::super::check::verify(dir.path()).unwrap();
    assert!(verified.is_sound(), "{verified}");
    assert_eq!((verified.index, verified.entries), (60, before.entries.len()));
    assert_eq!(reopened(&store).await, (before, OpenReport::default()));
    let missing = tempfile::tempdir().unwrap();
    assert!(super::super::check::verify(missing.path()).is_err());
}

#[tokio::test]
async fn the_journal_is_shortened() {
    let dir = tempfile::tempdir().unwrap();
    let small = Limits { checkpoint_after: 20_000, ..LIMITS };
    let (store, _) = SledStore::open(dir.path(), small).unwrap();
    let value = "x".repeat(1000);
    for n in 0..200 {
        store.transact(Transaction::new().put(format!("k{}", n % 3), value.clone())).await.unwrap();
    }
    let before = range_prefix(&store, "").await.unwrap();
    drop(store);
    let journal: u64 = fs::read_dir(dir.path().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(journal < 25_000, "{journal}");
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (after, report) = reopened(dir.path()).await;
    assert_eq!((after, report.rebuilt), (before, true));
}

#[tokio::test]
async fn a_store_can_be_opened_again_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for n in 1..=50 {
        let (store, _) = SledStore::open(dir.path(), LIMITS).unwrap();
        assert_eq!(store.transact(Transaction::new().put("k", "v")).await.unwrap(), n);
    }
}

#[tokio::test]
async fn a_state_directory_has_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let first = super::super::StateDir::open(dir.path()).unwrap();
    let error = super::super::StateDir::open(dir.path()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("in use by another process"), "{source}");
    drop(first);
    super::super::StateDir::open(dir.path()).unwrap();
}
