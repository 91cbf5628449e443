//! A fleet whose controller is dead: nodes fail over, and tell of it later.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use ha_tests::fleet::{Cluster, Fleet};
use ha_tests::skip::root_or_skip;
use serde_json::Value;

/// Longer than any election of the example manifest on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_failover_without_the_controller_is_told_when_it_is_back() {
    if !root_or_skip("a_failover_without_the_controller_is_told_when_it_is_back") {
        return;
    }
    if let Err(error) = play() {
        panic!("{error:?}");
    }
}

fn play() -> Result<()> {
    let cluster = Cluster::fra();
    let mut fleet = Fleet::new()?;
    fleet.init()?;
    fleet.start_controller()?;
    fleet.add_cluster(&cluster)?;
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/two-nodes.yaml");
    fleet.hactl(&["apply", "-y", "-f", &manifest.display().to_string()])?;
    fleet.wait_for_holder(&cluster, "fra-lb1", PATIENCE)?;

    fleet.kill_controller()?;
    let away = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros();
    fleet.cut(&cluster, "fra-lb1")?;
    fleet.wait_for_holder(&cluster, "fra-lb2", PATIENCE)?;
    fleet.heal(&cluster, "fra-lb1")?;
    fleet.wait_for_holder(&cluster, "fra-lb1", PATIENCE)?;

    fleet.start_controller()?;
    for node in ["fra-lb1", "fra-lb2"] {
        let told = |events: &str| became_master(events, node, away) >= 1;
        fleet.wait_for_events(told, PATIENCE)?;
    }
    let events = fleet.hactl(&["events", "-o", "json", "--limit", "0"])?;
    for node in ["fra-lb1", "fra-lb2"] {
        ensure!(became_master(&events, node, away) == 1, "{node}: {events}");
        let sequences: Vec<_> = of(&events, node).map(|event| event["sequence"].as_u64()).collect();
        let in_order: Vec<_> = (1..).map(Some).take(sequences.len()).collect();
        ensure!(sequences == in_order, "{node}: {events}");
    }
    Ok(())
}

/// The history of a node.
fn of(events: &str, node: &str) -> impl Iterator<Item = Value> {
    let all = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    all.filter(move |event| event["node"] == node)
}

/// How often `node` became master after `since`, in microseconds since 1970.
fn became_master(events: &str, node: &str, since: u128) -> usize {
    of(events, node)
        .filter(|event| event["atUs"].as_u64().is_some_and(|at| u128::from(at) > since))
        .filter(|event| event["what"]["transition"]["to"] == "master")
        .count()
}
