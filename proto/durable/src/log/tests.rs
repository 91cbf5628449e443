use std::fs;

use proptest::prelude::*;

use super::*;

const OPTIONS: Options =
    Options { tag: *b"test    ", max_record: 1000, segment_bytes: 400, first: 1 };

fn open(dir: &Path) -> (Log, Recovery) {
    Log::open(dir, OPTIONS).unwrap()
}

fn payload(position: u64) -> Vec<u8> {
    format!("record {position} {}", "x".repeat(position as usize % 40)).into_bytes()
}

/// Appends `batches` batches of the sizes given and returns the log.
fn filled(dir: &Path, batches: &[usize]) -> Log {
    let (mut log, recovery) = open(dir);
    assert!(recovery.is_clean());
    for size in batches {
        let records: Vec<_> = (log.next()..).take(*size).map(payload).collect();
        log.append(&records).unwrap();
    }
    log
}

fn all(log: &Log, from: u64) -> Vec<(u64, Vec<u8>)> {
    log.read_from(from).map(|record| record.unwrap()).map(|r| (r.position, r.payload)).collect()
}

fn expected(positions: impl IntoIterator<Item = u64>) -> Vec<(u64, Vec<u8>)> {
    positions.into_iter().map(|position| (position, payload(position))).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_was_appended_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), &[1, 3, 20, 1, 1, 7]));
    let (log, recovery) = open(dir.path());
    assert!(recovery.is_clean());
    assert_eq!(log.next(), 34);
    assert!(log.segments().count() > 1, "the test wants more than one segment");
    assert_eq!(all(&log, 0), expected(1..34));
    assert_eq!(all(&log, 17), expected(17..34));
    assert_eq!(all(&log, 34), []);
}

#[test]
fn a_reader_sees_what_was_there_when_it_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(dir.path(), &[3]);
    let reader = log.read_from(1);
    log.append(&[payload(4)]).unwrap();
    assert_eq!(reader.count(), 3);
}

#[test]
fn too_large_and_empty_records_are_refused_and_nothing_of_the_batch_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(dir.path(), &[2]);
    let error = log.append(&[vec![1], vec![0; 1001]]).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { bytes: 1001, limit: 1000 }));
    assert!(matches!(log.append(&[vec![1], vec![]]), Err(AppendError::Empty)));
    assert_eq!(log.append::<Vec<u8>>(&[]).unwrap(), 3..3);
    assert_eq!(all(&log, 0), expected(1..3));
}

#[test]
fn whole_segments_are_dropped_and_the_positions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = filled(dir.path(), &[1; 40]);
    let (before, third) = (log.bytes(), log.segments().nth(2).unwrap());
    let freed = log.drop_before(third + 1).unwrap();
    assert_eq!((log.first(), log.bytes()), (third, before - freed));
    log.rotate().unwrap();
    log.drop_before(log.next()).unwrap();
    assert_eq!((log.first(), log.next()), (41, 41));
    drop(log);
    let (mut log, _) = open(dir.path());
    assert_eq!(log.append(&[payload(41)]).unwrap(), 41..42);
    assert_eq!(all(&log, 0), expected([41]));
}

#[test]
fn an_empty_directory_begins_where_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path(), Options { first: 500, ..OPTIONS }).unwrap();
    assert_eq!((log.first(), log.next()), (500, 500));
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), &[5]);
    let path = log.segments[0].path.clone();
    drop(log);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(inspect(dir.path(), OPTIONS).unwrap().torn.len(), 1);
    let (mut log, recovery) = open(dir.path());
    assert_eq!((recovery.torn.len(), recovery.damage.len()), (1, 0));
    assert_eq!(all(&log, 0), expected(1..5));
    log.append(&[payload(5)]).unwrap();
    drop(log);
    let (log, recovery) = open(dir.path());
    assert!(recovery.is_clean());
    assert_eq!(all(&log, 0), expected(1..6));
}

#[test]
fn a_batch_torn_in_its_middle_goes_from_there_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), &[2, 5]);
    let path = log.segments[0].path.clone();
    drop(log);
    // A page of the unsynced batch never reached the disk: its third record.
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|w| w == b"record 5").unwrap();
    bytes[at..at + 8].fill(0);
    fs::write(&path, &bytes).unwrap();
    let (log, recovery) = open(dir.path());
    assert_eq!((recovery.torn.len(), recovery.damage.len()), (1, 0));
    assert_eq!(all(&log, 0), expected(1..5));
}

#[test]
fn damage_to_acknowledged_records_is_reported_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), &[1, 1, 1, 1]);
    let path = log.segments[0].path.clone();
    drop(log);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|w| w == b"record 2").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (log, recovery) = open(dir.path());
    assert_eq!(recovery.torn, []);
    assert_eq!(recovery.damage[0].lost, [Range { start: 2, end: 3 }]);
    let kept = recovery.damage[0].kept.clone().unwrap();
    assert_eq!(fs::read(kept).unwrap(), bytes);
    assert_eq!(all(&log, 0), expected([1, 3, 4]));
    drop(log);
    let (log, recovery) = open(dir.path());
    assert!(recovery.is_clean(), "the hole is told once: {recovery:?}");
    assert_eq!(all(&log, 0), expected([1, 3, 4]));
}

#[test]
fn a_missing_segment_is_reported_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), &[1; 40]);
    let firsts: Vec<u64> = log.segments().collect();
    drop(log);
    fs::remove_file(segment_path(dir.path(), firsts[1])).unwrap();
    let (log, recovery) = open(dir.path());
    assert_eq!(recovery.damage[0].lost, [Range { start: firsts[1], end: firsts[2] }]);
    assert_eq!(all(&log, 0), expected((1..firsts[1]).chain(firsts[2]..41)));
    drop(log);
    assert!(open(dir.path()).1.is_clean());
}

#[test]
fn another_log_or_a_newer_format_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path(), &[1]).segments[0].path.clone();
    let bytes = fs::read(&path).unwrap();
    let other = Options { tag: *b"other   ", ..OPTIONS };
    assert!(matches!(Log::open(dir.path(), other), Err(OpenError::Tag { .. })));
    let mut newer = bytes.clone();
    newer[4] = 2;
    let crc = crc32fast::hash(&newer[..28]);
    newer[28..32].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &newer).unwrap();
    assert!(matches!(Log::open(dir.path(), OPTIONS), Err(OpenError::Version { version: 2, .. })));
    assert_eq!(fs::read(&path).unwrap(), newer);
}

#[test]
fn a_damaged_header_costs_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path(), &[1, 1]).segments[0].path.clone();
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 0xff;
    fs::write(&path, &bytes).unwrap();
    let (log, recovery) = open(dir.path());
    assert_eq!(recovery.damage[0].lost, []);
    assert_eq!(all(&log, 0), expected(1..3));
}

#[test]
fn a_log_inside_a_record_is_not_mistaken_for_records() {
    let dir = tempfile::tempdir().unwrap();
    let mut inner = Vec::new();
    codec::encode(&mut inner, *b"another ", 3, 0, 2, b"no");
    let (mut log, _) = open(dir.path());
    for record in [b"one".to_vec(), inner.clone(), b"three".to_vec(), b"four".to_vec()] {
        log.append(&[record]).unwrap();
    }
    let path = log.segments[0].path.clone();
    drop(log);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(inner.len()).position(|w| w == inner).unwrap();
    bytes[at - 1] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (log, _) = open(dir.path());
    assert_eq!(all(&log, 0), [(1, b"one".to_vec()), (3, b"three".to_vec()), (4, b"four".to_vec())]);
}

/// Damages one file of a log in one way.
#[derive(Clone, Debug)]
enum Harm {
    Cut(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Zero(prop::sample::Index, usize),
    Append(Vec<u8>),
    Remove,
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Harm::Cut),
        (any::<prop::sample::Index>(), 0_u8..8).prop_map(|(at, bit)| Harm::Flip(at, bit)),
        (any::<prop::sample::Index>(), 1_usize..200).prop_map(|(at, n)| Harm::Zero(at, n)),
        prop::collection::vec(any::<u8>(), 1..200).prop_map(Harm::Append),
        Just(Harm::Remove),
    ]
}

fn inflict(path: &Path, harm: &Harm) {
    let mut bytes = fs::read(path).unwrap();
    match harm {
        Harm::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
        Harm::Flip(at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Harm::Zero(at, count) => {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + count);
            bytes[at..end].fill(0);
        }
        Harm::Append(more) => bytes.extend_from_slice(more),
        Harm::Remove => return fs::remove_file(path).unwrap(),
    }
    fs::write(path, bytes).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever one harm does: no panic, no wrong record, and every record that
    /// is missing is either told as lost or was at the very end of the log,
    /// where it can't be told from an append that was never acknowledged.
    #[test]
    fn harm_never_yields_a_wrong_record(
        batches in prop::collection::vec(1_usize..6, 1..12),
        file in any::<prop::sample::Index>(),
        harm in harm(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path(), &batches);
        let total = log.next();
        drop(log);
        let files = files(dir.path());
        let at = file.index(files.len());
        let first_file = at == 0;
        inflict(&files[at], &harm);
        let before = inspect(dir.path(), OPTIONS);
        if let Err(OpenError::Version { .. } | OpenError::Tag { .. }) = before {
            unreachable!("a header with a wrong checksum is damaged, nothing else");
        }
        let (mut log, recovery) = open(dir.path());
        let found = all(&log, 0);
        for (position, bytes) in &found {
            prop_assert_eq!(bytes, &payload(*position));
        }
        prop_assert!(found.is_sorted_by(|a, b| a.0 < b.0));
        let told: Vec<u64> =
            recovery.damage.iter().flat_map(|d| d.lost.clone()).flatten().collect();
        let first_kept = log.first();
        for position in 1..total {
            let is_there = found.iter().any(|(found, _)| *found == position);
            let at_end = position >= log.next();
            let lost_with_first_file = first_file && position < first_kept;
            prop_assert!(
                is_there || told.contains(&position) || at_end || lost_with_first_file,
                "{} of {} vanished silently", position, total
            );
            prop_assert!(!(is_there && told.contains(&position)));
        }
        // The log can be used on, and what was told is told once.
        let next = log.next();
        log.append(&[payload(next)]).unwrap();
        drop(log);
        let (log, recovery) = open(dir.path());
        prop_assert!(recovery.is_clean(), "{:?}", recovery);
        prop_assert_eq!(all(&log, 0).len(), found.len() + 1);
    }
}
