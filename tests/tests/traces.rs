//! One trace from `hactl apply` through the controller to the agents and back.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use ha_tests::collector::{Span, read};
use ha_tests::fleet::{Cluster, Fleet};
use ha_tests::lab::eventually;
use ha_tests::skip::root_or_skip;

#[test]
fn an_apply_is_one_trace_from_the_command_to_the_nodes() {
    if !root_or_skip("an_apply_is_one_trace_from_the_command_to_the_nodes") {
        return;
    }
    trace_an_apply().unwrap();
}

fn trace_an_apply() -> Result<()> {
    let mut fleet = Fleet::new()?;
    let file = fleet.start_collector()?;
    fleet.init()?;
    fleet.start_controller()?;
    fleet.add_cluster(&Cluster::fra())?;
    let manifests = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples/two-nodes.yaml");
    fleet.hactl(&["apply", "-f", manifests, "-m", "traced", "-y"])?;

    let mut spans = Vec::new();
    let complete = eventually(Duration::from_secs(30), || {
        spans = read(&file)?;
        Ok(traces_of(&spans, "hactl").iter().any(|trace| whole(&spans, trace)))
    })?;
    assert!(complete, "no trace spans all three programs: {spans:#?}\n{}", fleet.logs());
    Ok(())
}

/// Traces that a program has a part in.
fn traces_of(spans: &[Span], service: &str) -> BTreeSet<String> {
    let of_service = spans.iter().filter(|span| span.service == service);
    of_service.map(|span| span.trace.clone()).collect()
}

/// Whether the trace has spans of all programs, and every span but one hangs on
/// another: agents below the controller, the controller below the command.
fn whole(spans: &[Span], trace: &str) -> bool {
    let of_trace: Vec<_> = spans.iter().filter(|span| span.trace == trace).collect();
    let known: BTreeSet<_> = of_trace.iter().map(|span| span.id.as_str()).collect();
    let services: BTreeSet<_> = of_trace.iter().map(|span| span.service.as_str()).collect();
    let roots: Vec<_> = of_trace.iter().filter(|span| span.parent.is_empty()).collect();
    let orphans =
        of_trace.iter().filter(|span| !span.parent.is_empty() && !known.contains(&*span.parent));
    services == BTreeSet::from(["ha-agent", "ha-controller", "hactl"])
        && matches!(*roots, [root] if root.service == "hactl")
        && orphans.count() == 0
}
