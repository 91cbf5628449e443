//! The program itself: pipes, colours, exit codes.

use std::io::Read as _;
use std::process::{Command, Stdio};

fn hactl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hactl"));
    command.env_clear().env("HACTL_CONFIG", "/nonexistent/hactl.json");
    command
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = hactl()
        .args(["completion", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = hactl().args(["completion", "bash"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error[E5013]"));
}

#[test]
fn colours_are_for_those_who_want_them() {
    let has_colour = |environment: &[(&str, &str)]| {
        let output = hactl().arg("status").envs(environment.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        output.stderr.contains(&0x1b)
    };
    assert!(!has_colour(&[]));
    assert!(has_colour(&[("CLICOLOR_FORCE", "1")]));
    assert!(!has_colour(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn exit_codes_reach_the_shell() {
    for (arguments, code) in [
        (&["version"][..], 0),
        (&["explain", "E99999"], 1),
        (&["status"], 2),
        (&["staus"], 2),
        (&["validate", "-f", "/nonexistent.yaml"], 2),
        (&["--local", "/nonexistent.sock", "status"], 7),
    ] {
        let output = hactl().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn manifests_come_through_a_pipe() {
    let mut child = hactl()
        .args(["validate", "-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error[E1008]"));
}
