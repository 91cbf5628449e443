//! `ha-model` and `ha-core` are pure: no I/O, no clock, no randomness. Shown by
//! their dependencies, by words that must not stand in their sources, and by a
//! build for a target that has none of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const CRATES: [&str; 2] = ["ha-model", "ha-core"];

/// Every crate that may be under the two, build and procedural macros
/// included. One more is a decision: it must do no I/O, and belong to the
/// parsing, printing or hashing of documents.
const ALLOWED: &str = include_str!("allowed-dependencies.txt");

/// What a pure crate has no use for.
const FORBIDDEN: [&str; 9] = [
    "std::net::Tcp",
    "std::net::Udp",
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "Instant::now",
    "SystemTime",
    "HashMap",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

#[test]
fn only_known_crates_are_below() {
    let allowed: BTreeSet<_> =
        ALLOWED.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let mut used = BTreeSet::new();
    for name in CRATES {
        let tree = cargo(&[
            "tree",
            "--offline",
            "--package",
            name,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        used.extend(tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned));
    }
    used.remove("");
    let unknown: Vec<_> = used.iter().filter(|name| !allowed.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "not in core/tests/allowed-dependencies.txt: {unknown:?}");
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn nothing_in_the_sources_reaches_the_world() {
    let mut files = Vec::new();
    for folder in ["model/src", "core/src"] {
        sources(&workspace().join(folder), &mut files);
    }
    assert!(files.len() > 10, "the sources are here");
    for file in files {
        let is_test = file.components().any(|part| part.as_os_str() == "tests")
            || file.file_name().is_some_and(|name| name == "tests.rs");
        let text = std::fs::read_to_string(&file).expect("a source");
        for word in FORBIDDEN {
            assert!(is_test || !text.contains(word), "{} has {word}", file.display());
        }
    }
}

#[test]
fn they_build_where_there_is_no_system() {
    let target = "wasm32-unknown-unknown";
    let libraries = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()))
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(workspace())
        .output()
        .expect("rustc runs");
    let folder = String::from_utf8(libraries.stdout).expect("rustc prints UTF-8");
    if !Path::new(folder.trim()).is_dir() {
        println!("skipped, because the target {target} is not installed");
        return;
    }
    // A folder of its own: the running build holds the lock of the other.
    cargo(&[
        "build",
        "--offline",
        "--target",
        target,
        "--target-dir",
        "target/wasm",
        "--package",
        "ha-model",
        "--package",
        "ha-core",
    ]);
}
