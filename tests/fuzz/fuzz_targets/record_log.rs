//! Any bytes as a segment of a record log, the codec of journal, events and
//! spool: opening it never panics, and afterwards it takes and keeps records.

#![no_main]

use ha_durable::log::{Log, Options};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("00000000000000000001.log"), bytes).expect("a file");
    let options = Options { tag: *b"ha-fuzz\0", max_record: 1 << 16, segment_bytes: 1 << 20, first: 1 };
    let Ok((mut log, _)) = Log::open(dir.path(), options) else { return };
    let places = log.append(&[b"after"]).expect("the disk has room");
    let last = log.read_from(places.start).last().expect("it was appended").expect("it is whole");
    assert_eq!(last.payload, b"after");
});
