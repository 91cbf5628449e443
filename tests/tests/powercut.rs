//! Power cuts: a machine inside this one is killed while it writes, and its
//! disk checked.

use std::time::Duration;

use ha_tests::durability::Acks;
use ha_tests::skip::program_or_skip;
use ha_tests::uml::Disk;

const CUTS: usize = 10;
/// A machine inside starts in some two seconds when it has a core of its own.
const START: Duration = Duration::from_secs(120);

#[test]
fn ten_power_cuts_lose_nothing_that_was_acknowledged() {
    const NAME: &str = "ten_power_cuts_lose_nothing_that_was_acknowledged";
    let Some(linux) = program_or_skip(NAME, "linux.uml") else { return };
    if program_or_skip(NAME, "mkfs.ext4").is_none() {
        return;
    }
    let disk = Disk::new(192).unwrap();
    let acks_file = disk.beside("acks");
    let mut acks = Acks::default();
    let writer = |verb: &str| {
        let program = env!("CARGO_BIN_EXE_powercut-writer");
        let (dir, acks) = (disk.mount(), acks_file.display());
        format!("{program} {verb} --dir {}/state --acks {acks} 2>&1", dir.display())
    };
    for cut in 1..=CUTS {
        acks.save(&acks_file).unwrap();
        let mut machine = disk.boot(&linux, &writer("run")).unwrap();
        // It checks what the cut before left, and only then goes on.
        machine.wait_for("checked ", START).unwrap();
        machine.wait_for("\nack ", START).unwrap();
        let mut random = [0; 2];
        getrandom::fill(&mut random).unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(u16::from_le_bytes(random) % 2000)));
        let output = machine.cut().unwrap();
        assert!(!output.contains("status "), "the writer ended by itself:\n{output}");
        let before = acks.total();
        acks.add(&output);
        eprintln!("cut {cut}: {} acknowledged", acks.total() - before);
    }
    acks.save(&acks_file).unwrap();
    disk.fsck().unwrap();
    let mut machine = disk.boot(&linux, &writer("check")).unwrap();
    machine.wait_for("status ", START).unwrap();
    let output = machine.output();
    assert!(output.contains("checked ") && output.contains("status 0"), "{output}");
    eprintln!("{} acknowledged in all, all there", acks.total());
}
