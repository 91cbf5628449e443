//! What needs no fleet.

use insta::assert_snapshot;

use super::bench::Bench;
use crate::exit::Exit;

#[tokio::test]
async fn exit_codes_are_documented() {
    assert_snapshot!(Bench::alone().run("help exit-codes").await.out);
}

#[tokio::test]
async fn usage_errors_suggest_and_end_with_2() {
    let bench = Bench::alone();
    let ran = bench.run("staus").await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.contains("status"), "{}", ran.err);
    assert_eq!(bench.run("help staus").await.exit, Exit::Usage);
    assert_eq!(bench.run("apply").await.exit, Exit::Usage);
    assert_eq!(bench.run("get nothing").await.exit, Exit::Usage);
    assert_eq!(bench.run("apply -f x --timeout soon").await.exit, Exit::Usage);
}

#[tokio::test]
async fn help_is_no_error() {
    let bench = Bench::alone();
    for line in ["--help", "help", "help apply", "help node join-token", "apply --help", "-V"] {
        let ran = bench.run(line).await;
        assert_eq!(ran.exit, Exit::Ok, "{line}: {}", ran.err);
        assert!(!ran.out.is_empty() && ran.err.is_empty(), "{line}");
    }
}

#[test]
fn every_command_has_examples() {
    fn check(command: &clap::Command) {
        let help = command.clone().render_long_help().to_string();
        if !command.has_subcommands() || command.get_name() == "hactl" {
            let name = command.get_name();
            let examples = help.split_once("Examples:").map_or("", |(_, after)| after);
            let count = examples.lines().filter(|line| line.contains("hactl ")).count();
            assert!(count >= 3, "{name} has {count} examples:\n{help}");
        }
        command.get_subcommands().for_each(check);
    }
    check(&crate::app::command());
}

#[tokio::test]
async fn codes_are_explained() {
    let bench = Bench::alone();
    let ran = bench.run("explain e1207").await;
    assert_eq!(ran.exit, Exit::Ok);
    assert!(ran.out.starts_with("E1207: ") && ran.out.contains("\ntry: "), "{}", ran.out);
    let list = bench.run("explain --list -o name").await;
    for code in ["E1001", "E2001", "E3001", "E4001", "E5001"] {
        assert!(list.out.lines().any(|line| line == code), "{code}");
    }
    let ran = bench.run("explain E99999").await;
    assert_eq!(ran.exit, Exit::Error);
    assert!(ran.err.contains("there is no code"), "{}", ran.err);
    assert_eq!(bench.run("explain").await.exit, Exit::Usage);
}

#[tokio::test]
async fn completions_know_the_verbs() {
    let bench = Bench::alone();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = bench.run(&format!("completion {shell}")).await;
        assert_eq!(ran.exit, Exit::Ok);
        assert!(ran.out.contains("join-token"), "{shell}");
    }
}

#[tokio::test]
async fn the_version() {
    let bench = Bench::alone();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(bench.run("version").await.out, format!("hactl {version}\n"));
    let json = bench.run("version -o json").await.out;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["version"], &json["schema"]), (&version.into(), &"hactl/v1".into()));
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let bench = Bench::alone();
    for line in ["--help", "version", "explain --list", "completion bash", "help apply", "nonsense"]
    {
        let exit = bench.run_closed(line).await;
        assert!(matches!(exit, Exit::Ok | Exit::Usage), "{line}: {exit:?}");
        assert_eq!(exit == Exit::Usage, line == "nonsense", "{line}");
    }
}
