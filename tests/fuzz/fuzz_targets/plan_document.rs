//! Any bytes as a plan document: no panic, and what is accepted reads back the
//! same from its canonical form.

#![no_main]

use ha_model::document::PlanDocument;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = PlanDocument::parse(bytes) else { return };
    let again = PlanDocument::parse(&read.plan.to_document()).expect("it was accepted");
    assert_eq!(again.plan, read.plan);
});
