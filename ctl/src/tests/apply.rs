use ha_proto::v1;
use ha_proto::v1::apply_progress::Event;
use insta::assert_snapshot;
use tonic::Status;

use super::bench::{Bench, NOW_US};
use super::fake::{FakeFleet, Script, Then, revision_id};
use crate::exit::Exit;

pub(super) const GOOD: &str = "\
apiVersion: ha/v1
kind: Cluster
metadata: {name: fra-web}
spec:
  nodes:
    - {name: fra-lb1, address: 10.1.0.11}
    - {name: fra-lb2, address: 10.1.0.12}
  vrrp: {version: 3, transport: unicast, advertInterval: 300ms}
  instances:
    - {name: web, interface: vlan120, vrid: 51, vips: [192.0.2.50/24]}
";

/// Three mistakes.
const BAD: &str = "\
apiVersion: ha/v1
kind: Cluster
metadata: {name: fra-web}
spec:
  nodes:
    - {name: fra-lb1, address: 10.1.0.11}
    - {name: fra-lb2, address: 10.1.0.300}
  vrrp: {version: 3, transport: unicast, advertInterval: 300ms}
  instances:
    - {name: web, interfase: vlan120, interface: vlan120, vrid: 512, vips: [192.0.2.50/24]}
";

fn says(event: Event) -> v1::ApplyProgress {
    v1::ApplyProgress { at_us: NOW_US, event: Some(event) }
}

fn stored() -> v1::ApplyProgress {
    says(Event::Stored(v1::RevisionStored {
        revision: Some(revision_id(7)),
        rollout: "r-7".to_owned(),
        changed: true,
        clusters: vec!["fra-web".to_owned()],
        nodes: vec!["fra-lb1".to_owned(), "fra-lb2".to_owned()],
    }))
}

fn cluster(phase: v1::ClusterPhase, offline: &[&str]) -> v1::ApplyProgress {
    says(Event::Cluster(v1::ClusterProgress {
        cluster: "fra-web".to_owned(),
        phase: phase.into(),
        offline: offline.iter().map(|name| (*name).to_owned()).collect(),
    }))
}

fn node_progress(node: &str, phase: v1::PlanPhase) -> v1::NodeProgress {
    v1::NodeProgress {
        cluster: "fra-web".to_owned(),
        node: node.to_owned(),
        phase: phase.into(),
        ..v1::NodeProgress::default()
    }
}

fn node(node: &str, phase: v1::PlanPhase) -> v1::ApplyProgress {
    says(Event::Node(node_progress(node, phase)))
}

fn offline(name: &str) -> v1::ApplyProgress {
    let mut progress = node_progress(name, v1::PlanPhase::Unspecified);
    progress.offline = true;
    says(Event::Node(progress))
}

fn rejected(name: &str) -> v1::NodeProgress {
    let mut progress = node_progress(name, v1::PlanPhase::Rejected);
    progress.errors = vec![v1::FieldError {
        code: "E2101".to_owned(),
        path: "instances[web].interface".to_owned(),
        message: "interface vlan120 does not exist".to_owned(),
        hint: "create it, or correct the manifest".to_owned(),
    }];
    progress
}

fn done(outcome: v1::rollout_done::Outcome) -> v1::RolloutDone {
    v1::RolloutDone {
        outcome: outcome.into(),
        rollout: "r-7".to_owned(),
        ..v1::RolloutDone::default()
    }
}

fn complete() -> Vec<v1::ApplyProgress> {
    vec![
        stored(),
        cluster(v1::ClusterPhase::Rolling, &[]),
        node("fra-lb2", v1::PlanPhase::Applied),
        node("fra-lb2", v1::PlanPhase::Healthy),
        node("fra-lb1", v1::PlanPhase::Healthy),
        cluster(v1::ClusterPhase::Done, &[]),
        says(Event::Done(done(v1::rollout_done::Outcome::Complete))),
    ]
}

/// A fleet that plays `script` on apply, and the path of a good manifest.
fn bench(script: Vec<v1::ApplyProgress>, then: Then) -> (Bench, FakeFleet, String) {
    let fleet = FakeFleet::default();
    fleet.state().apply = Script::new(script, then);
    let bench = Bench::new(fleet.serve());
    let file = bench.file("web.yaml", GOOD);
    (bench, fleet, file)
}

#[tokio::test]
async fn a_complete_rollout_is_told_line_by_line() {
    let (bench, fleet, file) = bench(complete(), Then::End);
    let ran = bench.run_args(&["apply", "-f", &file, "-m", "add web"]).await;
    assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
    assert_snapshot!(ran.out);
    assert_eq!(ran.err, "");
    let applied = fleet.state().applied.clone();
    assert_eq!(applied.len(), 1);
    assert_eq!((applied[0].message.as_str(), applied[0].replace), ("add web", false));
    assert_eq!(applied[0].files[0].text, GOOD);
    assert_eq!(applied[0].base, None);
}

#[tokio::test]
async fn offline_nodes_are_named() {
    let mut end = done(v1::rollout_done::Outcome::Offline);
    end.offline = vec!["fra-lb1".to_owned()];
    let script = vec![
        stored(),
        node("fra-lb2", v1::PlanPhase::Healthy),
        offline("fra-lb1"),
        cluster(v1::ClusterPhase::DoneOffline, &["fra-lb1"]),
        says(Event::Done(end)),
    ];
    let (bench, _fleet, file) = bench(script, Then::End);
    let ran = bench.run(&format!("apply -f {file}")).await;
    assert_eq!(ran.exit, Exit::Unfinished);
    assert_snapshot!(ran.out);
}

#[tokio::test]
async fn a_rejection_shows_what_the_node_said() {
    let mut end = done(v1::rollout_done::Outcome::Rejected);
    end.rejected = vec![rejected("fra-lb2")];
    let script = vec![
        stored(),
        says(Event::Node(rejected("fra-lb2"))),
        cluster(v1::ClusterPhase::Stopped, &[]),
        says(Event::Done(end)),
    ];
    let (bench, _fleet, file) = bench(script, Then::End);
    let ran = bench.run(&format!("apply -f {file}")).await;
    assert_eq!(ran.exit, Exit::Attention);
    assert_snapshot!(ran.out);
}

#[tokio::test]
async fn a_newer_apply_takes_over() {
    let script = vec![stored(), says(Event::Done(done(v1::rollout_done::Outcome::Superseded)))];
    let (bench, _fleet, file) = bench(script, Then::End);
    let ran = bench.run(&format!("apply -f {file}")).await;
    assert_eq!(ran.exit, Exit::Attention);
    assert!(ran.out.contains("a newer apply took its place"), "{}", ran.out);
}

#[tokio::test]
async fn mistakes_are_found_here_and_nothing_is_sent() {
    let (bench, fleet, _) = bench(complete(), Then::End);
    let file = bench.file("bad.yaml", BAD);
    for verb in ["apply", "plan", "diff", "validate"] {
        let ran = bench.run(&format!("{verb} -f {file}")).await;
        assert_eq!(ran.exit, Exit::Usage, "{verb}");
        assert_eq!(ran.err.matches("error[E").count(), 3, "{verb}: {}", ran.err);
        assert!(ran.err.contains('^'), "{verb}: {}", ran.err);
        assert!(ran.err.contains("3 mistakes; nothing was sent"), "{verb}: {}", ran.err);
    }
    assert!(fleet.state().applied.is_empty());
    assert!(fleet.state().traceparents.is_empty());
}

#[tokio::test]
async fn mistakes_that_only_the_controller_sees_are_shown_as_it_draws_them() {
    let invalid = v1::ManifestErrors {
        errors: vec![v1::ManifestError {
            code: "E1207".to_owned(),
            rendered: "error[E1207]: vrid 51 is taken\n  --> web.yaml:10:1".to_owned(),
            ..v1::ManifestError::default()
        }],
    };
    let (bench, _fleet, file) = bench(vec![says(Event::Invalid(invalid))], Then::End);
    let ran = bench.run(&format!("apply -f {file}")).await;
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.contains("--> web.yaml:10:1\n1 mistake; nothing was stored"), "{}", ran.err);
}

#[tokio::test]
async fn not_waiting_is_done_when_it_is_stored() {
    let (bench, _fleet, file) = bench(vec![stored()], Then::Hang);
    let ran = bench.run(&format!("apply -f {file} --wait=false")).await;
    assert_eq!(ran.exit, Exit::Ok);
    assert!(ran.err.contains("hactl rollout status r-7"), "{}", ran.err);
}

#[tokio::test]
async fn ctrl_c_detaches_and_says_so() {
    let (mut bench, _fleet, file) = bench(vec![stored()], Then::Hang);
    bench.enough = Some(1);
    let ran = bench.run(&format!("apply -f {file}")).await;
    assert_eq!(ran.exit, Exit::Unfinished);
    assert!(
        ran.err.contains("detached; the rollout goes on. To follow it: hactl rollout status r-7"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn time_that_is_up_ends_the_watching_only() {
    let (bench, _fleet, file) = bench(vec![stored()], Then::Hang);
    let ran = bench.run(&format!("apply -f {file} --timeout 50ms")).await;
    assert_eq!(ran.exit, Exit::Unfinished);
    assert!(ran.err.contains("the time is up; the rollout goes on"), "{}", ran.err);
}

#[tokio::test]
async fn a_controller_that_comes_back_is_followed_on() {
    let (bench, fleet, file) = bench(complete()[..3].to_vec(), Then::Lost);
    fleet.state().watch = vec![Script::new(complete()[2..].to_vec(), Then::End)];
    let ran = bench.run(&format!("apply -f {file}")).await;
    assert_eq!(ran.exit, Exit::Ok, "{}", ran.err);
    assert!(ran.err.contains("trying again"), "{}", ran.err);
    assert_eq!(ran.out.matches("APPLIED").count(), 1, "told once:\n{}", ran.out);
    assert!(ran.out.ends_with("complete: rev 7, rollout r-7\n"), "{}", ran.out);
}

#[tokio::test]
async fn a_controller_that_goes_before_it_stored_leaves_a_doubt() {
    for then in [Then::End, Then::Lost] {
        let (bench, _fleet, file) = bench(Vec::new(), then);
        let ran = bench.run(&format!("apply -f {file}")).await;
        assert_eq!(ran.exit, Exit::Unreachable);
        assert!(ran.err.contains("E5015"), "{}", ran.err);
        assert!(ran.err.contains("hactl get revisions"), "{}", ran.err);
    }
}

#[tokio::test]
async fn refusals_have_their_exit_codes() {
    let (bench, fleet, file) = bench(complete(), Then::End);
    for (refusal, exit, code) in [
        (Status::permission_denied("viewer"), Exit::Unauthorised, "E5006"),
        (Status::unavailable("gone"), Exit::Unreachable, "E5005"),
        (Status::failed_precondition("E3001: the head is 8"), Exit::Error, "E3001"),
        (Status::internal("E3002: the disk is full"), Exit::Error, "E3002"),
    ] {
        fleet.state().refuse = Some(refusal);
        let ran = bench.run(&format!("apply -f {file}")).await;
        assert_eq!(ran.exit, exit, "{}", ran.err);
        assert!(ran.err.contains(&format!("error[{code}]")), "{}", ran.err);
    }
}

#[tokio::test]
async fn progress_as_json_is_one_document_a_line() {
    let (bench, _fleet, file) = bench(complete(), Then::End);
    let ran = bench.run(&format!("apply -f {file} --progress json")).await;
    assert_eq!(ran.exit, Exit::Ok);
    for line in ran.out.lines() {
        let document: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(document["kind"], "Progress");
    }
    assert_snapshot!(ran.out);
}

fn one_change() -> v1::PlanResponse {
    v1::PlanResponse {
        base: Some(revision_id(6)),
        changes: vec![v1::NodeChange {
            cluster: "fra-web".to_owned(),
            node: "fra-lb1".to_owned(),
            class: v1::ChangeClass::Live.into(),
            ..v1::NodeChange::default()
        }],
        errors: Vec::new(),
    }
}

#[tokio::test]
async fn yes_applies_what_was_shown() {
    let (mut bench, fleet, file) = bench(complete(), Then::End);
    fleet.state().plan = one_change();
    bench.answer = Some("y\n".to_owned());
    let ran = bench.run(&format!("apply -f {file}")).await;
    assert_eq!(ran.exit, Exit::Ok);
    assert!(ran.out.contains("Apply? [y/N]"), "{}", ran.out);
    assert_eq!(fleet.state().applied[0].base, Some(revision_id(6)));
}

#[tokio::test]
async fn anything_but_yes_applies_nothing() {
    for answer in ["n\n", "\n", "", "yess\n"] {
        let (mut bench, fleet, file) = bench(complete(), Then::End);
        fleet.state().plan = one_change();
        bench.answer = Some(answer.to_owned());
        let ran = bench.run(&format!("apply -f {file}")).await;
        assert_eq!(ran.exit, Exit::Error);
        assert!(fleet.state().applied.is_empty());
    }
}

#[tokio::test]
async fn minus_y_asks_nobody() {
    let (mut bench, _fleet, file) = bench(complete(), Then::End);
    bench.answer = Some("n\n".to_owned());
    assert_eq!(bench.run(&format!("apply -y -f {file}")).await.exit, Exit::Ok);
}

#[tokio::test]
async fn a_dry_run_is_a_plan() {
    let (bench, fleet, file) = bench(complete(), Then::End);
    fleet.state().plan = one_change();
    let ran = bench.run(&format!("apply --dry-run -f {file}")).await;
    assert_eq!(ran.exit, Exit::Changes);
    assert!(fleet.state().applied.is_empty());
}

#[tokio::test]
async fn a_rollout_can_be_followed_later() {
    let (bench, fleet, _) = bench(Vec::new(), Then::End);
    fleet.state().watch = vec![Script::new(complete()[1..].to_vec(), Then::End)];
    let ran = bench.run("rollout status r-7").await;
    assert_eq!(ran.exit, Exit::Ok);
    assert!(ran.out.ends_with("complete: rollout r-7\n"), "{}", ran.out);
    let ran = bench.run("rollout status r-8").await;
    assert_eq!(ran.exit, Exit::Error);
}

#[tokio::test]
async fn nobody_reads_and_that_is_no_error() {
    let (bench, _fleet, file) = bench(complete(), Then::End);
    assert_eq!(bench.run_closed(&format!("apply -f {file}")).await, Exit::Ok);
}
