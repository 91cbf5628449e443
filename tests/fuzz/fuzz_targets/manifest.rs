//! Any text as a manifest: no panic, whatever is wrong with it can be shown,
//! and what is right compiles into plans that read back the same.

#![no_main]

use ha_model::compile::compile;
use ha_model::diagnostic::{Style, render};
use ha_model::document::PlanDocument;
use ha_model::manifest::{KnownSecrets, ManifestFile, ManifestSet, Mode, check};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let file = ManifestFile { name: "fuzz.yaml".to_owned(), text: text.to_owned() };
    let known = KnownSecrets::default();
    match check(&ManifestSet::default(), &[file], Mode::Replace, &known) {
        Err(diagnostics) => drop(render(&diagnostics, Style::Plain)),
        Ok(checked) => {
            for plan in compile(&checked.fleet).into_values() {
                let read = PlanDocument::parse(&plan.to_document()).expect("it was compiled");
                assert_eq!(read.plan, plan);
            }
        }
    }
});
