//! Killed processes: what was acknowledged is there, nothing is half.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use ha_tests::durability::Acks;

const KILLS: usize = 50;

#[test]
fn fifty_kills_lose_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let acks_file = dir.path().join("acks");
    let state = dir.path().join("state");
    let mut acks = Acks::default();
    let writer = |verb: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_powercut-writer"));
        command.arg(verb).arg("--dir").arg(&state).arg("--acks").arg(&acks_file);
        command
    };
    for kill in 1..=KILLS {
        acks.save(&acks_file).unwrap();
        let mut child = writer("run").stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        // From its first words on: it has checked what the kill before left.
        let mut output = vec![0; 1];
        stdout.read_exact(&mut output).unwrap();
        let reader = std::thread::spawn(move || {
            stdout.read_to_end(&mut output).unwrap();
            String::from_utf8(output).unwrap()
        });
        let mut random = [0; 2];
        getrandom::fill(&mut random).unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(u16::from_le_bytes(random) % 150)));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), None, "kill {kill}: the writer ended by itself");
        let output = reader.join().unwrap();
        assert!(output.starts_with("checked "), "kill {kill}: {output}");
        acks.add(&output);
    }
    acks.save(&acks_file).unwrap();
    let checked = writer("check").output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(acks.total() > KILLS as u64, "too little was written to show anything");
}
