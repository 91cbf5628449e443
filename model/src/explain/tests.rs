use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

#[test]
fn codes_are_unique_and_explained() {
    let mut titles = BTreeMap::new();
    for entry in all() {
        let code = entry.code.as_str();
        assert_eq!(code.len(), 5, "{code}");
        assert!(code[1..].bytes().all(|byte| byte.is_ascii_digit()), "{code}");
        for text in [entry.title, entry.why, entry.remedy] {
            assert!(text.len() > 5, "{code} is not explained");
            assert!(!text.ends_with('.') && !text.contains('\n'), "{code}: {text}");
        }
        assert_eq!(titles.insert(code, entry.title), None, "{code} is declared twice");
    }
    let mut by_title: Vec<_> = titles.values().collect();
    by_title.sort();
    by_title.dedup();
    assert_eq!(by_title.len(), titles.len(), "two codes have the same title");
}

#[test]
fn lookup_ignores_case() {
    assert_eq!(explain("e1207").unwrap().code, codes::VRID_TAKEN);
    assert!(explain("E9999").is_none());
}

/// Rust sources of every crate of the workspace.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

fn codes_in(text: &str) -> Vec<&str> {
    text.split('"')
        .filter(|part| {
            part.len() == 5
                && part.starts_with(['E', 'W'])
                && part[1..].bytes().all(|byte| byte.is_ascii_digit())
        })
        .collect()
}

#[test]
fn every_code_in_the_sources_is_registered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    sources(root, &mut files);
    assert!(files.len() > 10);
    for file in files {
        if file.ends_with("explain/tests.rs") {
            continue;
        }
        for code in codes_in(&fs::read_to_string(&file).unwrap()) {
            assert!(explain(code).is_some(), "{code} in {} is not registered", file.display());
        }
    }
}

/// A code of a manifest is constructed in one place, so it means one thing.
#[test]
fn a_manifest_code_is_used_in_one_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let used: String = files
        .iter()
        .filter(|file| !file.to_str().unwrap().contains("explain"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    for declared in ["manifest.rs", "fleet.rs"] {
        let text = fs::read_to_string(root.join("explain").join(declared)).unwrap();
        for line in text.lines().filter(|line| line.contains("\" {")) {
            let name = line.split_whitespace().next().unwrap();
            assert!(used.contains(name), "{name} is never used");
        }
    }
}
