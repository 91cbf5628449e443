use std::fs;
use std::path::Path;

use ha_model::event::EventKind;
use proptest::prelude::*;

use super::disk::{LIMIT, Spool};
use super::*;
use crate::testing::SmallDisk;

/// An event that carries a number.
fn event(number: u64) -> NodeEvent {
    let kind = EventKind::AgentStarted { version: number.to_string() };
    NodeEvent { at_us: number, boot_us: number, kind, traceparent: None }
}

fn numbers(events: &[SpooledEvent]) -> Vec<u64> {
    events
        .iter()
        .filter_map(|event| {
            let EventKind::AgentStarted { version } = &event.event.kind else { return None };
            Some(version.parse().unwrap())
        })
        .collect()
}

fn gaps(events: &[SpooledEvent]) -> Vec<(u64, u64)> {
    events
        .iter()
        .filter_map(|event| {
            let EventKind::Gap { lost, .. } = event.event.kind else { return None };
            Some((event.sequence, lost))
        })
        .collect()
}

fn all(spool: &mut Spool) -> Vec<SpooledEvent> {
    spool.read(1, usize::MAX)
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8),
    /// Share of what is there, in 255ths.
    Ack(u8),
    Reopen,
    /// Bytes of an append that a power cut tore.
    Tear(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u8..20).prop_map(Step::Append),
        2 => any::<u8>().prop_map(Step::Ack),
        1 => Just(Step::Reopen),
        1 => any::<u8>().prop_map(Step::Tear),
    ];
    prop::collection::vec(step, 1..40)
}

fn last_segment(dir: &Path) -> std::path::PathBuf {
    let mut segments: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    segments.sort();
    segments.pop().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever happens, what was appended and not acknowledged is read back:
    /// all of it, in order, each once, with the same numbers in one epoch.
    #[test]
    fn unacknowledged_events_are_read_in_order_each_once(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path(), LIMIT);
        spool.append(&[]);
        let epoch = spool.level().epoch;
        let (mut appended, mut acked) = (0_u64, 0_u64);
        for step in steps {
            match step {
                Step::Append(count) => {
                    let events: Vec<_> = (0..u64::from(count)).map(|n| event(appended + 1 + n)).collect();
                    spool.append(&events);
                    appended += u64::from(count);
                }
                Step::Ack(share) => {
                    acked = acked.max(appended * u64::from(share) / 255);
                    spool.ack(epoch, acked);
                }
                Step::Reopen => {
                    drop(spool);
                    spool = Spool::new(dir.path(), LIMIT);
                    spool.append(&[]);
                }
                Step::Tear(bytes) => {
                    drop(spool);
                    let path = last_segment(dir.path());
                    let mut content = fs::read(&path).unwrap();
                    content.extend((0..bytes).map(|byte| byte ^ 0x5a));
                    fs::write(&path, content).unwrap();
                    spool = Spool::new(dir.path(), LIMIT);
                    spool.append(&[]);
                }
            }
            prop_assert_eq!(spool.level().epoch, epoch);
            prop_assert_eq!(spool.level().next, appended + 1);
            let read = spool.read(acked + 1, usize::MAX);
            prop_assert_eq!(numbers(&read), (acked + 1..=appended).collect::<Vec<_>>());
            let sequences: Vec<u64> = read.iter().map(|event| event.sequence).collect();
            prop_assert_eq!(sequences, (acked + 1..=appended).collect::<Vec<_>>());
        }
    }
}

#[test]
fn pages_join_without_a_seam() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(dir.path(), LIMIT);
    spool.append(&(1..=100).map(event).collect::<Vec<_>>());
    let mut found = Vec::new();
    let mut from = 1;
    loop {
        let page = spool.read(from, 7);
        let Some(last) = page.last() else { break };
        from = last.sequence + 1;
        found.extend(numbers(&page));
    }
    assert_eq!(found, (1..=100).collect::<Vec<_>>());
}

#[test]
fn acknowledged_segments_leave_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(dir.path(), LIMIT);
    let batch: Vec<_> = (1..=4_000).map(event).collect();
    (0..10).for_each(|_| spool.append(&batch));
    let before = spool.level();
    spool.ack(before.epoch, before.next - 1);
    assert!(spool.level().first > 1, "{:?}", spool.level());
    spool.ack(before.epoch, before.next + 5);
    spool.ack(before.epoch + 1, 1);
    assert_eq!(spool.level().acked, before.next - 1);
}

#[test]
fn over_its_limit_it_drops_the_oldest_and_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(dir.path(), 2 << 20);
    let mut next = 1;
    for _ in 0..40 {
        let batch: Vec<_> = (next..next + 1_000).map(event).collect();
        next += 1_000;
        spool.append(&batch);
    }
    let level = spool.level();
    assert!(level.first > 1);
    let size: u64 =
        fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(size <= (2 << 20) + 64, "{size} bytes");
    let read = all(&mut spool);
    assert_eq!(gaps(&read), [(level.first - 1, level.first - 1)]);
    assert_eq!(numbers(&read), (level.first..level.next).collect::<Vec<_>>());
}

#[test]
fn a_damaged_record_is_a_gap_in_its_place_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(dir.path(), LIMIT);
    (1..=30).for_each(|number| spool.append(&[event(number)]));
    let level = spool.level();
    drop(spool);
    let path = last_segment(dir.path());
    let mut content = fs::read(&path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0xff;
    fs::write(&path, content).unwrap();

    let mut spool = Spool::new(dir.path(), LIMIT);
    spool.append(&[event(31)]);
    assert_eq!(spool.level().epoch, level.epoch);
    let read = all(&mut spool);
    let [(place, 1)] = gaps(&read)[..] else { panic!("{:?}", gaps(&read)) };
    let expected: Vec<u64> = (1..=31).filter(|number| *number != place).collect();
    assert_eq!(numbers(&read), expected);
    let sequences: Vec<u64> = read.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=32).collect::<Vec<_>>(), "no number twice, none missing");
    let reported = read.iter().any(|event| {
        matches!(&event.event.kind, EventKind::FileSetAside { file, .. } if file.starts_with("spool/"))
    });
    assert!(reported);
}

#[test]
fn an_unreadable_epoch_is_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(dir.path(), LIMIT);
    spool.append(&[event(1)]);
    let old = spool.level().epoch;
    drop(spool);
    fs::write(dir.path().join("epoch"), "?").unwrap();
    let mut spool = Spool::new(dir.path(), LIMIT);
    spool.append(&[event(2)]);
    assert_ne!(spool.level().epoch, old);
    assert_eq!(numbers(&all(&mut spool)), [1, 2]);
}

#[test]
fn an_event_that_is_too_long_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(dir.path(), LIMIT);
    let mut long = event(2);
    long.kind = EventKind::AgentStarted { version: "x".repeat(300 << 10) };
    spool.append(&[event(1), long, event(3)]);
    let read = all(&mut spool);
    assert_eq!(numbers(&read), [1, 3]);
    assert_eq!(gaps(&read), [(2, 1)]);
}

#[test]
fn a_renewed_spool_has_another_epoch_and_tells_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let mut spool = Spool::new(&path, LIMIT);
    spool.append(&[event(1)]);
    let old = spool.level().epoch;
    spool.renew(50);
    assert_ne!(spool.level().epoch, old);
    let read = all(&mut spool);
    assert!(matches!(read[0].event.kind, EventKind::FileSetAside { .. }));
    assert_eq!(numbers(&read), [1], "what was kept has new numbers");
    assert!(dir.path().join("spool.corrupt-1").exists());
}

#[test]
fn a_full_disk_loses_events_says_so_and_goes_on() {
    let Some(disk) = SmallDisk::mount("256k") else { return };
    let mut spool = Spool::new(&disk.path().join("spool"), LIMIT);
    spool.append(&[event(1)]);
    let filler = disk.fill();
    let full: Vec<_> = (2..=1_000).map(event).collect();
    spool.append(&full);
    spool.append(&full);
    assert_eq!(spool.level().next, 2, "none of them is stored in part");

    fs::remove_file(&filler).unwrap();
    spool.append(&[event(2_000)]);
    let read = all(&mut spool);
    assert_eq!(numbers(&read), [1, 2_000]);
    assert_eq!(gaps(&read), [(2, 1_998)]);
}

#[test]
fn a_disk_that_is_full_from_the_start_is_tried_again() {
    let Some(disk) = SmallDisk::mount("64k") else { return };
    let filler = disk.fill();
    let mut spool = Spool::new(&disk.path().join("spool"), LIMIT);
    spool.append(&[event(1), event(2)]);
    assert_eq!(spool.level().epoch, 0);
    fs::remove_file(&filler).unwrap();
    spool.append(&[]);
    assert_eq!(gaps(&all(&mut spool)), [(1, 2)]);
}

#[tokio::test]
async fn reports_are_on_the_disk_when_the_task_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (reporter, handle, task) = SpoolTask::new(dir.path());
    let task = tokio::spawn(task.run());
    for _ in 0..1_000 {
        reporter.report(EventKind::AgentStopping, None);
    }
    handle.flush().await.unwrap();
    assert_eq!(handle.level().borrow().next, 1_001);
    drop((reporter, handle));
    task.await.unwrap();
    let mut spool = Spool::new(dir.path(), LIMIT);
    spool.append(&[]);
    assert_eq!(spool.level().next, 1_001);
}

#[tokio::test]
async fn more_at_once_than_fits_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (reporter, handle, task) = SpoolTask::new(dir.path());
    let extra = 10;
    for _ in 0..QUEUE + extra {
        reporter.report(EventKind::AgentStopping, None);
    }
    drop((reporter, handle));
    task.run().await;
    let mut spool = Spool::new(dir.path(), LIMIT);
    spool.append(&[]);
    let lost: u64 = gaps(&all(&mut spool)).iter().map(|(_, lost)| lost).sum();
    assert_eq!(lost, extra as u64);
}
