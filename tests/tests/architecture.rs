//! What ARCHITECTURE.md promises about the shape of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use ha_tests::lab::finish;

/// Which of our crates each crate may depend on. ARCHITECTURE.md draws it.
const ARROWS: [(&str, &[&str]); 11] = [
    ("ha-model", &[]),
    ("ha-core", &["ha-model"]),
    ("ha-proto", &["ha-model"]),
    ("ha-durable", &[]),
    ("ha-telemetry", &[]),
    ("ha-certs", &["ha-durable"]),
    ("ha-sys", &[]),
    (
        "ha-agent",
        &["ha-certs", "ha-core", "ha-durable", "ha-model", "ha-proto", "ha-sys", "ha-telemetry"],
    ),
    (
        "ha-controller",
        &["ha-certs", "ha-core", "ha-durable", "ha-model", "ha-proto", "ha-telemetry"],
    ),
    ("hactl", &["ha-certs", "ha-core", "ha-model", "ha-proto", "ha-telemetry"]),
    (
        "ha-tests",
        &[
            "ha-agent",
            "ha-certs",
            "ha-controller",
            "ha-core",
            "ha-durable",
            "ha-model",
            "ha-proto",
            "ha-sys",
            "ha-telemetry",
            "hactl",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn crates_depend_only_along_the_arrows() {
    for (name, dependencies) in own_dependencies().unwrap() {
        let allowed = ARROWS
            .iter()
            .find_map(|(from, to)| (*from == name).then_some(*to))
            .unwrap_or_else(|| panic!("{name} has no row in ARROWS"));
        for dependency in dependencies {
            assert!(allowed.contains(&dependency.as_str()), "{name} depends on {dependency}");
        }
    }
}

/// Our crates, and for each those of our crates that it is built from.
fn own_dependencies() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--format-version=1", "--no-deps", "--offline"]).current_dir(root());
    let metadata: serde_json::Value = serde_json::from_slice(&finish(&mut cargo)?.stdout)?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let ours: BTreeSet<_> = packages.iter().map(|package| text(&package["name"])).collect();
    let mut found = BTreeMap::new();
    for package in packages {
        let dependencies = package["dependencies"].as_array().context("dependencies")?;
        let built_from = dependencies
            .iter()
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .map(|dependency| text(&dependency["name"]))
            .filter(|name| ours.contains(name));
        found.insert(text(&package["name"]), built_from.collect());
    }
    Ok(found)
}

#[test]
fn only_agent_sys_leaves_the_safe_language() {
    let mut sources = Vec::new();
    collect(&root(), &mut sources).unwrap();
    assert!(sources.len() > 20, "the sources were found");
    // Written in two parts, or this file would find itself.
    let word = ["unsafe", "_code"].concat();
    let keyword = ["unsafe", " {"].concat();
    for source in sources {
        let inside = source.components().any(|part| part.as_os_str() == "sys");
        let text = std::fs::read_to_string(&source).unwrap();
        assert!(
            inside || !(text.contains(&word) || text.contains(&keyword)),
            "{} has unsafe code or allows it",
            source.display()
        );
    }
}

fn collect(directory: &Path, sources: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, sources)?;
        } else if name.ends_with(".rs") {
            sources.push(path);
        }
    }
    Ok(())
}
