//! A full disk: what was asked fails with the reason, nothing is half stored,
//! and all works again when there is room.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ha_controller::events::{Events, Incoming, Query, Retention};
use ha_controller::store::{
    Limits, OpenReport, SledStore, Store as _, StoreError, Transaction, range_prefix,
};
use ha_model::event::{EventKind, NodeEvent, SpoolPosition};
use ha_tests::skip::root_or_skip;

/// A small file system of its own, gone with this.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn new(mebibytes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path());
        assert!(mount.status().unwrap().success());
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all but so many bytes of what is free.
    fn fill_but(&self, bytes: u64) {
        let disk = nix::sys::statvfs::statvfs(self.path()).unwrap();
        let free = disk.blocks_available() * disk.fragment_size();
        let take = usize::try_from(free.saturating_sub(bytes)).unwrap();
        fs::write(self.ballast(), vec![1; take]).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}

fn put(n: u64) -> Transaction {
    Transaction::new().put(format!("a/{n:04}"), vec![7; 5000]).put(format!("b/{n:04}"), "twin")
}

#[tokio::test]
async fn a_transaction_fails_with_the_reason_and_works_when_there_is_room() {
    if !root_or_skip("a_transaction_fails_with_the_reason_and_works_when_there_is_room") {
        return;
    }
    let disk = SmallDisk::new(32);
    let dir = disk.path().join("store");
    let limits = Limits { checkpoint_after: 64 << 20, reserve: 4 << 20 };
    let (store, _) = SledStore::open(&dir, limits).unwrap();
    store.transact(put(1)).await.unwrap();
    let before = range_prefix(&store, "").await.unwrap();
    disk.fill_but(1 << 20);
    let error = store.transact(put(2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("bytes are free"));
    assert_eq!(range_prefix(&store, "").await.unwrap(), before);
    assert_eq!(store.index(), 1);
    disk.make_room();
    assert_eq!(store.transact(put(2)).await.unwrap(), 2);
    drop(store);
    let (_, report) = SledStore::open(&dir, limits).unwrap();
    assert_eq!(report, OpenReport::default());
}

/// Without a reserve the disk becomes full in the middle of a write, of the
/// journal or of the index.
#[tokio::test]
async fn a_disk_that_fills_up_under_a_write_leaves_nothing_half() {
    if !root_or_skip("a_disk_that_fills_up_under_a_write_leaves_nothing_half") {
        return;
    }
    let disk = SmallDisk::new(32);
    let dir = disk.path().join("store");
    let limits = Limits { checkpoint_after: 64 << 20, reserve: 0 };
    let (store, _) = SledStore::open(&dir, limits).unwrap();
    let mut stored = Vec::new();
    let mut next = 1;
    for round in 0..3_u64 {
        disk.fill_but(300_000 + round * 10_000);
        let mut failures = 0;
        while failures < 5 {
            match store.transact(put(next)).await {
                Ok(_) => stored.push(next),
                // Safe on the disk, if not to be read at the moment.
                Err(StoreError::Unindexed { .. }) => {
                    stored.push(next);
                    failures += 1;
                }
                Err(_) => failures += 1,
            }
            next += 1;
        }
        disk.make_room();
        store.transact(put(next)).await.unwrap();
        stored.push(next);
        next += 1;
    }
    let keys = |prefix: &str| -> Vec<String> {
        stored.iter().map(|n| format!("{prefix}/{n:04}")).collect()
    };
    let (ones, twins) = (keys("a"), keys("b"));
    let check = async |store: &SledStore| {
        for (prefix, keys) in [("a/", &ones), ("b/", &twins)] {
            let found = range_prefix(store, prefix).await.unwrap().entries;
            let found: Vec<String> = found.into_iter().map(|entry| entry.key).collect();
            assert_eq!(found, *keys);
        }
    };
    check(&store).await;
    drop(store);
    let (store, _) = SledStore::open(&dir, limits).unwrap();
    check(&store).await;
}

#[tokio::test]
async fn events_fail_as_a_batch_and_can_be_sent_again() {
    if !root_or_skip("events_fail_as_a_batch_and_can_be_sent_again") {
        return;
    }
    let disk = SmallDisk::new(4);
    let (events, _) = Events::open(&disk.path().join("events"), Retention::default()).unwrap();
    let batch = |from: u64| -> Vec<Incoming> {
        let incoming = |sequence| Incoming {
            node: "n1".parse().unwrap(),
            position: SpoolPosition { spool_epoch: 1, sequence },
            event: NodeEvent {
                at_us: 1,
                boot_us: 1,
                kind: EventKind::AgentStarted { version: "1".repeat(1000) },
                traceparent: None,
            },
        };
        (from..from + 50).map(incoming).collect()
    };
    events.append(batch(1), 1).await.unwrap();
    disk.fill_but(20_000);
    let error = events.append(batch(51), 1).await.unwrap_err();
    assert!(error.is_full(), "{error:?}");
    assert_eq!(events.last(), 50);
    disk.make_room();
    events.append(batch(51), 1).await.unwrap();
    assert_eq!(events.last(), 100);
    drop(events);
    let (events, recovery) =
        Events::open(&disk.path().join("events"), Retention::default()).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    assert_eq!(events.query(Query::after(0, 1000)).await.unwrap().len(), 100);
}

#[test]
fn a_file_that_can_not_be_replaced_stays_as_it_was() {
    if !root_or_skip("a_file_that_can_not_be_replaced_stays_as_it_was") {
        return;
    }
    let disk = SmallDisk::new(1);
    let path = disk.path().join("ledger.json");
    ha_durable::atomic::replace(&path, b"old", 0o600).unwrap();
    disk.fill_but(50_000);
    let error = ha_durable::atomic::replace(&path, &vec![1; 200_000], 0o600).unwrap_err();
    assert!(error.is_full(), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    let mut names: Vec<_> =
        fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["ballast", "ledger.json"]);
}
