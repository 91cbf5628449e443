use ha_proto::v1;
use insta::assert_snapshot;

use super::bench::{Bench, NOW_US, ago};
use super::fake::{FakeFleet, revision_id};
use super::fleet::{bad, cluster, nodes, status};
use crate::exit::Exit;

fn bench() -> (Bench, FakeFleet) {
    let fleet = FakeFleet::default();
    let mut answer =
        status(vec![cluster("fra-web"), bad("par-mail", v1::Health::Split, "two masters", 42)]);
    let offered = answer.clusters[0].nodes[1].status.as_mut().and_then(|s| s.offered.as_mut());
    let offered = offered.expect("it was offered a plan");
    offered.phase = v1::PlanPhase::Rejected.into();
    offered.errors = vec![v1::FieldError {
        code: "E2101".to_owned(),
        path: "instances[web].interface".to_owned(),
        message: "interface vlan120 does not exist".to_owned(),
        hint: String::new(),
    }];
    {
        let mut state = fleet.state();
        state.nodes = nodes(&answer);
        state.nodes.push(v1::NodeInfo {
            name: "spare".to_owned(),
            connection: v1::Connection::Never.into(),
            ..v1::NodeInfo::default()
        });
        state.status = answer;
        state.secrets = vec![v1::SecretInfo { name: "web-auth".to_owned(), version: 3 }];
        state.revisions = (1..=2)
            .map(|number| v1::Revision {
                id: Some(revision_id(number)),
                at_us: ago(100 - number),
                author: "ops".to_owned(),
                message: format!("change {number}"),
            })
            .collect();
    }
    (Bench::new(fleet.serve()), fleet)
}

#[tokio::test]
async fn lists() {
    let (bench, _fleet) = bench();
    let mut all = String::new();
    for line in [
        "get clusters",
        "get clusters -o wide",
        "get cluster fra-web -o name",
        "get clusters -l site=par",
        "get nodes",
        "get nodes -o wide",
        "node list --no-headers",
        "get instances -o wide",
        "get instance fra-web/web -o name",
        "get secrets",
        "get revisions",
        "get revisions -o name",
    ] {
        let ran = bench.run(line).await;
        assert_eq!(ran.exit, Exit::Ok, "{line}: {}", ran.err);
        all.push_str(&format!("$ hactl {line}\n{}\n", ran.out));
    }
    assert_snapshot!(all);
}

#[tokio::test]
async fn lists_as_documents() {
    let (bench, _fleet) = bench();
    let mut all = String::new();
    for line in ["get nodes spare", "get secrets", "get revisions", "get instances"] {
        let ran = bench.run(&format!("{line} -o json")).await;
        let document: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
        assert_eq!(document["schema"], "hactl/v1");
        assert!(document["items"].is_array());
        all.push_str(&format!("$ hactl {line} -o json\n{}\n", ran.out));
    }
    assert_snapshot!(all);
}

#[tokio::test]
async fn a_name_that_is_not_there_is_an_error_with_a_suggestion() {
    let (bench, _fleet) = bench();
    for (line, near) in [
        ("get clusters fra-wbe", "fra-web"),
        ("get nodes fra-web-lb3", "fra-web-lb1"),
        ("get secrets web-aut", "web-auth"),
        ("describe node sparee", "spare"),
        ("describe cluster pra-mail", "par-mail"),
        ("describe instance fra-web/wbe", "web"),
    ] {
        let ran = bench.run(line).await;
        assert_eq!(ran.exit, Exit::Error, "{line}");
        assert!(ran.err.contains(&format!("did you mean {near:?}?")), "{line}: {}", ran.err);
        assert_eq!(ran.out, "", "{line}");
    }
}

#[tokio::test]
async fn descriptions() {
    let (bench, _fleet) = bench();
    let mut all = String::new();
    for line in [
        "describe cluster par-mail",
        "describe node fra-web-lb2",
        "describe node spare",
        "describe instance fra-web/web",
        "describe instance par-mail/web",
    ] {
        let ran = bench.run(line).await;
        assert_eq!(ran.exit, Exit::Ok, "{line}: {}", ran.err);
        all.push_str(&format!("$ hactl {line}\n{}\n", ran.out));
        let json = bench.run(&format!("{line} -o json")).await;
        let document: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
        assert_eq!(document["schema"], "hactl/v1");
    }
    assert_snapshot!(all);
}

#[tokio::test]
async fn an_instance_of_several_clusters_must_be_named_in_full() {
    let (bench, _fleet) = bench();
    let ran = bench.run("describe instance web").await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.contains("fra-web/web, par-mail/web"), "{}", ran.err);
}

#[tokio::test]
async fn a_join_token_is_a_line_to_paste() {
    let (bench, _fleet) = bench();
    let ran = bench.run("node join-token fra-lb9 --ttl 1h").await;
    assert_eq!(ran.exit, Exit::Ok);
    assert_snapshot!(ran.out);
    let json = bench.run("node join-token fra-lb9 --ttl 1h -o json").await;
    let token: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(token["token"], "t0ken");
    assert_eq!(token["caSha256"], "ab".repeat(32));
    assert_eq!(token["expiresAtUs"], NOW_US + 3_600_000_000);
}

#[tokio::test]
async fn a_plan_is_rendered_byte_for_byte() {
    let (bench, fleet) = bench();
    let document = br#"{"schema":1,"cluster":"fra-web","node":"fra-lb1"}"#.to_vec();
    fleet.state().document.clone_from(&document);
    for line in ["render fra-lb1", "render fra-lb1 -o json", "render fra-lb1 --revision 3"] {
        assert_eq!(bench.run(line).await.out.into_bytes(), document, "{line}");
    }
    assert_eq!(bench.run("render fra-lb1 -o yaml").await.exit, Exit::Usage);
    assert_eq!(bench.run("render").await.exit, Exit::Usage);
}

#[tokio::test]
async fn a_form_that_a_verb_does_not_have_is_refused() {
    let (bench, _fleet) = bench();
    for line in ["describe cluster fra-web -o name", "events -o name", "plan -f x -o name"] {
        let ran = bench.run(line).await;
        assert_eq!(ran.exit, Exit::Usage, "{line}");
        assert!(ran.err.contains("E5001"), "{line}: {}", ran.err);
    }
}
