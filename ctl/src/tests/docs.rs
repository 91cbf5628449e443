//! The page about hactl says nothing that is not so.

use clap::Parser as _;

use crate::cli::Cli;
use crate::exit::Exit;

const PAGE: &str = include_str!("../../../docs/hactl.md");

/// Command lines in ```` ```console ```` blocks: after `$ `, up to a pipe or a
/// redirection.
fn command_lines() -> Vec<&'static str> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in PAGE.lines() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => {
                lines.extend(line.strip_prefix("$ ").filter(|line| line.starts_with("hactl ")))
            }
            (false, _) => {}
        }
    }
    lines
}

/// Splits as a shell does, as far as the page needs it.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            '|' | '>' | '#' if !quoted => break,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("one word").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_line_parses() {
    let lines = command_lines();
    assert!(lines.len() > 20, "{lines:?}");
    for line in lines {
        if let Err(error) = Cli::try_parse_from(words(line)) {
            assert!(!error.use_stderr(), "{line}\n{error}");
        }
    }
}

#[test]
fn every_verb_is_on_the_page() {
    let lines = command_lines();
    for command in crate::app::command().get_subcommands() {
        let verb = format!("hactl {}", command.get_name());
        assert!(lines.iter().any(|line| line.starts_with(&verb)), "{verb} is not on the page");
    }
}

#[test]
fn every_exit_code_is_on_the_page() {
    for exit in Exit::ALL {
        let row = format!("| {} | {} |", exit.code(), exit.meaning());
        assert!(PAGE.contains(&row), "missing: {row}");
    }
}
