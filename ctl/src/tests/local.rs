use ha_proto::v1;
use insta::assert_snapshot;

use super::bench::{Bench, NOW_US, ago};
use super::fake::{FakeAgent, plan_id};
use super::fleet::cluster;
use crate::exit::Exit;

fn agent() -> FakeAgent {
    let status = cluster("fra-web").nodes.remove(0).status;
    FakeAgent {
        status: v1::LocalStatusResponse {
            status,
            source: "controller".to_owned(),
            session: Some(v1::SessionStatus {
                configured: true,
                connected: true,
                controller: "ctl.example.net:7443".to_owned(),
                since_us: ago(7_200),
                last_error: String::new(),
                spooled_events: 0,
            }),
        },
        document: b"{\"schema\":1}".to_vec(),
        events: vec![v1::LocalEvent {
            position: Some(v1::SpoolPosition { spool_epoch: 1, sequence: 4 }),
            event: Some(v1::NodeEvent {
                at_us: NOW_US,
                boot_us: 1,
                kind_json: r#"{"plan_applied":{"plan":{"epoch":1,"generation":4,"digest":"00"}}}"#
                    .to_owned(),
                traceparent: String::new(),
            }),
        }],
    }
}

/// An agent on a real socket.
fn bench(agent: FakeAgent) -> (Bench, String) {
    let bench = Bench::alone();
    let socket = bench.path("local.sock");
    agent.serve(&socket);
    let socket = socket.display().to_string();
    (bench, socket)
}

#[tokio::test]
async fn a_node_is_shown_without_a_controller() {
    let (bench, socket) = bench(agent());
    let ran = bench.run(&format!("--local {socket} status")).await;
    assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
    assert_snapshot!(ran.steady());
    let ran = bench.run(&format!("status -o json --local {socket}")).await;
    let document: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(
        (&document["kind"], &document["node"]),
        (&"LocalStatus".into(), &"fra-web-lb1".into())
    );
}

#[tokio::test]
async fn trouble_on_the_node_is_exit_3() {
    let mut troubled = agent();
    let status = troubled.status.status.as_mut().expect("a status");
    status.instances[0].state = v1::VrrpState::Fault.into();
    status.instances[0].faults = vec![v1::FaultReason {
        reason: Some(v1::fault_reason::Reason::InterfaceDown("vlan120".to_owned())),
    }];
    status.offered = Some(v1::PlanStatus {
        plan: Some(plan_id(5)),
        phase: v1::PlanPhase::Rejected.into(),
        errors: vec![v1::FieldError {
            code: "E2001".to_owned(),
            message: "the digest does not match".to_owned(),
            ..v1::FieldError::default()
        }],
        ..v1::PlanStatus::default()
    });
    let session = troubled.status.session.as_mut().expect("a session");
    session.connected = false;
    session.last_error = "connection refused".to_owned();
    session.spooled_events = 17;
    let (bench, socket) = bench(troubled);
    let ran = bench.run(&format!("--local {socket} status")).await;
    assert_eq!(ran.exit, Exit::Attention);
    assert_snapshot!(ran.steady());
}

#[tokio::test]
async fn the_plan_and_the_spool_of_a_node() {
    let (bench, socket) = bench(agent());
    let ran = bench.run(&format!("--local {socket} render")).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Ok, "{\"schema\":1}"));
    let ran = bench.run(&format!("--local {socket} events")).await;
    assert_eq!(ran.exit, Exit::Ok);
    assert!(ran.out.starts_with("2026-01-31T12:00:00.000Z  "), "{}", ran.out);
}

#[tokio::test]
async fn what_an_agent_cannot_answer_is_refused() {
    let (bench, socket) = bench(agent());
    for line in ["get nodes", "apply -f x.yaml", "describe node a", "status -w", "events a"] {
        let ran = bench.run(&format!("--local {socket} {line}")).await;
        assert_eq!(ran.exit, Exit::Usage, "{line}: {}", ran.err);
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_exit_7() {
    let bench = Bench::alone();
    let ran = bench.run("--local /nonexistent/agent.sock status").await;
    assert_eq!(ran.exit, Exit::Unreachable);
    assert!(ran.err.contains("error[E5012]"), "{}", ran.err);
    assert!(ran.err.contains("/nonexistent/agent.sock"), "{}", ran.err);
}
