use ha_model::event::{Cause, EventKind};
use ha_model::status::{FaultReason, VrrpState};
use ha_proto::v1;
use insta::assert_snapshot;

use super::bench::{Bench, ago};
use super::fake::{FakeFleet, Script, Then};
use super::fleet::{cluster, nodes, status};
use crate::exit::Exit;

fn event(index: u64, node: &str, kind: &EventKind) -> v1::FleetEvent {
    raw(index, node, serde_json::to_string(kind).expect("JSON"))
}

fn raw(index: u64, node: &str, kind_json: String) -> v1::FleetEvent {
    v1::FleetEvent {
        index,
        stored_at_us: ago(60 - index),
        node: node.to_owned(),
        position: Some(v1::SpoolPosition { spool_epoch: 9, sequence: index }),
        event: Some(v1::NodeEvent {
            at_us: ago(60 - index) - 1_000,
            boot_us: index,
            kind_json,
            traceparent: String::new(),
        }),
    }
}

fn transition(from: VrrpState, to: VrrpState, cause: Cause) -> EventKind {
    let instance = "web".parse().expect("a name");
    EventKind::Transition { instance, from, to, cause, priority: 200 }
}

fn history() -> Vec<v1::FleetEvent> {
    let eth1 = "eth1".parse().expect("a name");
    vec![
        event(1, "fra-web-lb1", &EventKind::AgentStarted { version: "0.1.0".to_owned() }),
        event(
            2,
            "fra-web-lb1",
            &transition(
                VrrpState::Master,
                VrrpState::Fault,
                Cause::Fault(vec![FaultReason::InterfaceDown(eth1)]),
            ),
        ),
        event(
            3,
            "fra-web-lb2",
            &transition(VrrpState::Backup, VrrpState::Master, Cause::MasterReleased),
        ),
        event(4, "fra-web-lb2", &EventKind::Gap { lost: 12, reason: "the disk was full".into() }),
        raw(5, "fra-web-lb2", r#"{"weather":{"rain":true}}"#.to_owned()),
    ]
}

fn bench(scripts: Vec<Script<v1::FleetEvent>>) -> (Bench, FakeFleet) {
    let fleet = FakeFleet::default();
    let answer = status(vec![cluster("fra-web"), cluster("ams-dns")]);
    fleet.state().nodes = nodes(&answer);
    fleet.state().events = scripts;
    (Bench::new(fleet.serve()), fleet)
}

#[tokio::test]
async fn events_are_told_in_order_also_those_of_newer_agents() {
    let (bench, _fleet) = bench(vec![Script::new(history(), Then::End)]);
    let ran = bench.run("events").await;
    assert_eq!(ran.exit, Exit::Ok);
    assert_snapshot!(ran.out);
}

#[tokio::test]
async fn events_as_json_are_one_document_a_line() {
    let (bench, _fleet) = bench(vec![Script::new(history(), Then::End)]);
    let ran = bench.run("events -o json").await;
    assert_snapshot!(ran.out);
}

#[tokio::test]
async fn names_become_nodes_and_clusters() {
    let (bench, fleet) = bench(Vec::new());
    for (line, clusters, nodes) in [
        ("events fra-web", vec!["fra-web"], vec![]),
        ("events fra-web-lb1 cluster/ams-dns", vec!["ams-dns"], vec!["fra-web-lb1"]),
        ("events node/fra-web-lb1", vec![], vec!["fra-web-lb1"]),
    ] {
        assert_eq!(bench.run(line).await.exit, Exit::Ok);
        let asked = fleet.state().listed.pop().expect("it was asked");
        assert_eq!((asked.clusters, asked.nodes), (owned(&clusters), owned(&nodes)), "{line}");
    }
    for line in ["events fra-wbe", "events node/fra-web", "events cluster/fra-web-lb1"] {
        assert_eq!(bench.run(line).await.exit, Exit::Error, "{line}");
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn limits() {
    let (bench, fleet) = bench(Vec::new());
    for (line, limit, since_us) in [
        ("events", 50, 0),
        ("events --since 15m", 0, ago(900)),
        ("events --since 15m -n 5", 5, ago(900)),
        ("events --since 1970-01-01T00:00:02Z", 0, 2_000_000),
        ("events --limit 0", 0, 0),
    ] {
        assert_eq!(bench.run(line).await.exit, Exit::Ok, "{line}");
        let asked = fleet.state().listed.pop().expect("it was asked");
        assert_eq!((asked.limit, asked.since_us), (limit, since_us), "{line}");
    }
    assert_eq!(bench.run("events --since yesterday").await.exit, Exit::Usage);
}

#[tokio::test]
async fn following_goes_on_after_a_loss_without_a_hole_or_a_repetition() {
    let history = history();
    let (mut bench, fleet) = bench(vec![
        Script::new(history[..2].to_vec(), Then::Lost),
        Script::new(history[2..].to_vec(), Then::Hang),
    ]);
    bench.enough = Some(5);
    let ran = bench.run("events -f -n 2").await;
    assert_eq!(ran.exit, Exit::Ok);
    assert_eq!(ran.out.lines().count(), 5, "{}", ran.out);
    let asked: Vec<(u64, u32)> =
        fleet.state().listed.iter().map(|asked| (asked.after_index, asked.limit)).collect();
    assert_eq!(asked, [(0, 2), (2, 0)]);
}

#[tokio::test]
async fn a_loss_without_follow_is_an_error() {
    let (bench, _fleet) = bench(vec![Script::new(history()[..1].to_vec(), Then::Lost)]);
    let ran = bench.run("events").await;
    assert_eq!(ran.exit, Exit::Unreachable);
    assert_eq!(ran.out.lines().count(), 1);
}
