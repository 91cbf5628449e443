use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;

use super::bench::Bench;
use crate::exit::Exit;

#[tokio::test]
async fn contexts_are_added_chosen_and_shown() {
    let bench = Bench::alone();
    let files = "--ca /c/ca.pem --cert /c/me.pem --key /c/me.key";
    let mut all = String::new();
    for line in [
        &format!("context add prod --fleet prod --controller ctl:7443 {files}"),
        &format!("context add lab --fleet lab --controller 127.0.0.1:7443 {files}"),
        "context list",
        "context use lab",
        "context list -o wide",
        "context list -o name",
        "context show",
        "context show prod -o json",
        "--context prod context show",
    ] {
        let ran = bench.run(line).await;
        assert_eq!(ran.exit, Exit::Ok, "{line}: {}", ran.err);
        all.push_str(&format!("$ hactl {line}\n{}\n", ran.out));
    }
    let all = all.replace(&bench.config().display().to_string(), "CONFIG");
    assert_snapshot!(all);
    let ran = bench.run("context use prdo").await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.contains("did you mean \"prod\"?"), "{}", ran.err);
}

#[tokio::test]
async fn without_a_context_every_verb_says_what_to_do() {
    let bench = Bench::alone();
    for line in ["status", "events", "get nodes", "render a", "node list"] {
        let ran = bench.run(line).await;
        assert_eq!(ran.exit, Exit::Usage, "{line}");
        assert!(ran.err.contains("error[E5002]: no context is chosen"), "{line}: {}", ran.err);
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_named() {
    let bench = Bench::alone();
    bench
        .run("context add a --fleet a --controller c:1 --ca /no/ca --cert /no/c --key /no/k")
        .await;
    let ran = bench.run("status").await;
    assert_eq!(ran.exit, Exit::Error);
    assert!(ran.err.contains("error[E5004]") && ran.err.contains("/no/ca"), "{}", ran.err);
}

#[tokio::test]
async fn init_makes_a_fleet_and_a_context_once() {
    let bench = Bench::alone();
    let pki = bench.path("pki").display().to_string();
    let line = format!("init --fleet lab --pki {pki} --controller-address 127.0.0.1:1 --user ops");
    let ran = bench.run(&line).await;
    assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
    for secret in ["pki/ca.key", "pki/controller.key", "lab/ops.key", "config.json"] {
        let mode = std::fs::metadata(bench.path(secret)).expect(secret).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    // The context is good as it stands: only nobody listens there.
    let status = bench.run("status").await;
    assert_eq!(status.exit, Exit::Unreachable, "{}", status.err);
    assert!(status.err.contains("error[E5005]"), "{}", status.err);

    let again = bench.run(&line).await;
    assert_eq!(again.exit, Exit::Error);
    assert!(again.err.contains("error[E5014]"), "{}", again.err);
    let other = bench.run(&format!("{line} --context other")).await;
    assert_eq!(other.exit, Exit::Error, "the CA is never overwritten");
    assert!(other.err.contains("is not empty"), "{}", other.err);
}

#[tokio::test]
async fn init_refuses_names_and_addresses_that_are_none() {
    let bench = Bench::alone();
    let pki = bench.path("pki").display().to_string();
    for (fleet, address, context) in [
        ("Lab", "a:1", "x"),
        ("lab", "a", "x"),
        ("lab", "a:99999", "x"),
        ("lab", ":1", "x"),
        ("lab", "a:1", "../x"),
    ] {
        let ran = bench
            .run(&format!(
                "init --fleet {fleet} --pki {pki} --controller-address {address} --context {context}"
            ))
            .await;
        assert_eq!(ran.exit, Exit::Usage, "{fleet} {address} {context}: {}", ran.err);
        assert!(!bench.path("pki").exists());
    }
}
