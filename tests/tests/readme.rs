//! The README and the pages beside it say what is so.

#[path = "readme/guide.rs"]
mod guide;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use ha_tests::lab::finish;
use ha_tests::programs::program;

const README: &str = include_str!("../../README.md");
const FAULTS: &str = include_str!("../../docs/faults.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Text of the blocks that are fenced as `language`.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in page.lines() {
        match (open.as_mut(), line.strip_prefix("```")) {
            (None, Some(named)) => open = Some((named == language, String::new())),
            (None, None) => {}
            (Some(_), Some(_)) => {
                blocks.extend(open.take().and_then(|(wanted, text)| wanted.then_some(text)));
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    blocks
}

/// The only block of a language.
fn block(page: &str, language: &str) -> Result<String> {
    let mut blocks = blocks(page, language);
    ensure!(blocks.len() == 1, "{} blocks of {language:?}", blocks.len());
    blocks.pop().context("one block")
}

/// Splits as a shell does, as far as the README needs it.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(number, part)| {
            let quoted = number % 2 == 1;
            if quoted {
                vec![part.to_owned()]
            } else {
                part.split_whitespace().map(str::to_owned).collect()
            }
        })
        .collect()
}

#[test]
fn every_command_of_the_readme_parses() {
    let text = blocks(README, "console").concat();
    let mut seen = 0;
    for line in text.lines() {
        let words = words(&line.replace("FINGERPRINT", &"0".repeat(64)));
        let parsed = match words.first().map(String::as_str) {
            Some("hactl") => hactl::cli::Cli::try_parse_from(words).map(drop),
            Some("ha-agent") => ha_agent::cli::Cli::try_parse_from(words).map(drop),
            Some("ha-controller") => ha_controller::cli::Cli::try_parse_from(words).map(drop),
            Some("make") => continue,
            other => panic!("{other:?} is no program of ours: {line}"),
        };
        if let Err(error) = parsed {
            panic!("{line}\n{error}");
        }
        seen += 1;
    }
    assert!(seen >= 12, "only {seen} commands were found");
}

#[test]
fn every_make_target_of_the_readme_exists() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let mut seen = 0;
    for (at, _) in README.match_indices("make ") {
        let target = README[at + 5..].split(|letter: char| !letter.is_ascii_alphanumeric()).next();
        let before = README[..at].chars().next_back();
        if matches!(before, Some('`' | '\n')) {
            let target = target.unwrap();
            assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
            seen += 1;
        }
    }
    assert!(seen >= 3, "only {seen} targets were found");
}

#[test]
fn the_manifest_of_the_readme_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fra-web.yaml");
    std::fs::write(&file, block(README, "yaml").unwrap()).unwrap();
    let mut hactl = std::process::Command::new(program("hactl").unwrap());
    finish(hactl.arg("validate").arg("-f").arg(&file)).unwrap();
}

/// Every test that the page names, in the last but one column of its tables,
/// is a function of that name in the file that it is said to be in.
#[test]
fn every_test_that_the_faults_page_names_exists() {
    let mut seen = 0;
    for line in FAULTS.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, _, tests, _] = cells[..] else { panic!("not four cells: {line}") };
        for named in tests.split('`').skip(1).step_by(2) {
            let (file, test) = named.split_once("::").unwrap_or_else(|| panic!("{named}"));
            let text = std::fs::read_to_string(root().join(file))
                .unwrap_or_else(|error| panic!("{file}: {error}"));
            // Stories and simulated faults are made by macros, by their name.
            let there = text.contains(&format!("fn {test}("))
                || text.lines().any(|line| line.trim_start().starts_with(&format!("{test}:")));
            assert!(there, "{file} has no test {test}");
            seen += 1;
        }
    }
    assert!(seen >= 20, "only {seen} tests were found");
}

/// Links of the README and the pages to files of this repository.
#[test]
fn every_link_leads_somewhere() {
    let mut pages = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        pages.push(entry.unwrap().path());
    }
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || link.contains("://") {
                continue;
            }
            let there = page.parent().unwrap().join(target);
            assert!(there.exists(), "{}: {link} leads nowhere", page.display());
        }
    }
}
