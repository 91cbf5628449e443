use ha_proto::v1;
use insta::assert_snapshot;

use super::apply::GOOD;
use super::bench::Bench;
use super::fake::{FakeFleet, revision_id};
use crate::exit::Exit;

fn field(path: &str, before: &str, after: &str) -> v1::FieldChange {
    v1::FieldChange { path: path.to_owned(), before: before.to_owned(), after: after.to_owned() }
}

fn changes() -> v1::PlanResponse {
    v1::PlanResponse {
        base: Some(revision_id(6)),
        changes: vec![
            v1::NodeChange {
                cluster: "fra-web".to_owned(),
                node: "fra-lb2".to_owned(),
                class: v1::ChangeClass::ExpandContract.into(),
                fields: vec![
                    field("instances[web].addresses[1]", "", r#"{"address":"192.0.2.51/24"}"#),
                    field("instances[web].priority", "200", "190"),
                ],
                offline: true,
                ..v1::NodeChange::default()
            },
            v1::NodeChange {
                cluster: "fra-web".to_owned(),
                node: "fra-lb1".to_owned(),
                class: v1::ChangeClass::Disruptive.into(),
                fields: vec![field("instances[old]", r#"{"name":"old"}"#, "")],
                errors: vec![v1::FieldError {
                    code: "E2002".to_owned(),
                    message: "the agent does not know schema 2".to_owned(),
                    ..v1::FieldError::default()
                }],
                ..v1::NodeChange::default()
            },
        ],
        errors: Vec::new(),
    }
}

fn bench(plan: v1::PlanResponse) -> (Bench, FakeFleet, String) {
    let fleet = FakeFleet::default();
    fleet.state().plan = plan;
    let bench = Bench::new(fleet.serve());
    let file = bench.file("web.yaml", GOOD);
    (bench, fleet, file)
}

#[tokio::test]
async fn a_plan_has_a_line_per_node() {
    let (bench, _fleet, file) = bench(changes());
    let ran = bench.run(&format!("plan -f {file}")).await;
    assert_eq!(ran.exit, Exit::Changes);
    assert_snapshot!(ran.out);
}

#[tokio::test]
async fn a_diff_has_a_line_per_field() {
    let (bench, _fleet, file) = bench(changes());
    let ran = bench.run(&format!("diff -f {file}")).await;
    assert_eq!(ran.exit, Exit::Changes);
    assert_snapshot!(ran.out);
}

#[tokio::test]
async fn no_change_is_exit_0() {
    let (bench, _fleet, file) =
        bench(v1::PlanResponse { base: Some(revision_id(6)), ..v1::PlanResponse::default() });
    let ran = bench.run(&format!("plan -f {file}")).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Ok, "no node changes (against rev 6)\n"));
}

#[tokio::test]
async fn the_controllers_mistakes_are_exit_2() {
    let error = v1::ManifestError {
        code: "E1207".to_owned(),
        file: "web.yaml".to_owned(),
        line: 10,
        column: 3,
        message: "vrid 51 is taken".to_owned(),
        hint: "vrid: 52".to_owned(),
        ..v1::ManifestError::default()
    };
    let (bench, _fleet, file) =
        bench(v1::PlanResponse { errors: vec![error], ..v1::PlanResponse::default() });
    let ran = bench.run(&format!("plan -f {file}")).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert_snapshot!(ran.err);
}

#[tokio::test]
async fn revisions_are_compared_as_manifests() {
    let (bench, fleet, _) = bench(v1::PlanResponse::default());
    let file = |text: &str| v1::ManifestFile { name: "web.yaml".to_owned(), text: text.to_owned() };
    let changed = GOOD.replace("vrid: 51", "vrid: 52");
    fleet.state().manifests =
        vec![(1, vec![file(GOOD)]), (2, vec![file(&changed)]), (3, vec![file(&changed)])];
    let ran = bench.run("diff 1 2").await;
    assert_eq!(ran.exit, Exit::Changes);
    assert_snapshot!(ran.out);
    assert_eq!(bench.run("diff 1").await.out, ran.out, "the newest stands in for the second");
    let same = bench.run("diff 2 3").await;
    assert_eq!((same.exit, same.out.as_str()), (Exit::Ok, ""));
    assert_eq!(bench.run("diff 9").await.exit, Exit::Error);
    assert_eq!(bench.run("diff").await.exit, Exit::Usage);
}

#[tokio::test]
async fn validate_asks_nobody() {
    let bench = Bench::alone();
    let file = bench.file("web.yaml", GOOD);
    let ran = bench.run(&format!("validate -f {file}")).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Ok, "1 file: no mistakes\n"));
    let ran = bench.run(&format!("validate -f {file} -o json")).await;
    let validation: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(validation["errors"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn a_secret_may_be_at_the_controller_already() {
    let bench = Bench::alone();
    let with_secret = GOOD
        .replace("version: 3", "version: 2")
        .replace("advertInterval: 300ms", "advertInterval: 1s")
        .replace("vrid: 51,", "vrid: 51, auth: {secret: web-auth},");
    let file = bench.file("web.yaml", &with_secret);
    let ran = bench.run(&format!("validate -f {file}")).await;
    assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
    assert!(ran.err.contains("warning[E1205]"), "{}", ran.err);
    let ran = bench.run(&format!("validate -f {file} --replace")).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.contains("error[E1205]"), "{}", ran.err);
}
