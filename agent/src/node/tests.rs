use std::fs;

use ha_model::event::EventKind;
use ha_model::status::{PlanPhase, VrrpState};

use super::{OfflinePlan, Source};
use crate::testing::{
    NODE, SmallDisk, TestNode, document, document_with_secret, offer, plan_id, secret,
};

#[tokio::test]
async fn an_offer_goes_from_the_ledger_to_duty_and_becomes_healthy() {
    let dir = tempfile::tempdir().unwrap();
    let test = TestNode::start(dir.path());
    test.node.offer(offer(1, document(100))).await.unwrap();
    test.reaches(1, PlanPhase::Applied).await;
    assert_eq!(test.duty.priorities(), [100]);
    let ledger = crate::ledger::Ledger::new(dir.path()).load();
    assert_eq!(ledger.entry.running.unwrap().document.as_bytes(), document(100));

    test.duty.show(VrrpState::Master);
    test.reaches(1, PlanPhase::Healthy).await;
    let view = test.node.view().borrow().clone();
    assert_eq!(view.status.running, Some(plan_id(1, &document(100))));
    assert_eq!(view.document.as_deref(), Some(&document(100)[..]));
    test.stop().await;
}

#[tokio::test]
async fn a_backup_that_hears_no_master_is_not_healthy() {
    let dir = tempfile::tempdir().unwrap();
    let test = TestNode::start(dir.path());
    test.duty.show(VrrpState::Backup);
    test.node.offer(offer(1, document(100))).await.unwrap();
    let status = test.reaches(1, PlanPhase::Applied).await;
    assert_eq!(status.phase, PlanPhase::Applied);
    test.duty.show(VrrpState::Fault);
    test.node.offer(offer(2, document(90))).await.unwrap();
    test.reaches(2, PlanPhase::Applied).await;
    test.stop().await;
}

#[tokio::test]
async fn a_restart_runs_the_ledger_and_repeats_the_rejection() {
    let dir = tempfile::tempdir().unwrap();
    let test = TestNode::start(dir.path());
    test.node.offer(offer(5, document(100))).await.unwrap();
    test.reaches(5, PlanPhase::Applied).await;
    let mut broken = offer(6, document(90));
    broken.document.push(b'\n');
    test.node.offer(broken).await.unwrap();
    let rejected = test.reaches(6, PlanPhase::Rejected).await;
    assert_eq!(rejected.errors[0].code, "E2001");
    assert_eq!(test.duty.priorities(), [100], "the old plan keeps running");
    test.stop().await;

    let test = TestNode::start(dir.path());
    assert_eq!(test.reaches(6, PlanPhase::Rejected).await, rejected);
    let view = test.node.view();
    assert_eq!(view.borrow().status.running, Some(plan_id(5, &document(100))));
    test.node.offer(offer(4, document(80))).await.unwrap();
    let stale = test.reaches(4, PlanPhase::Rejected).await;
    assert_eq!(stale.errors[0].code, "E2003");
    assert_eq!(test.duty.priorities(), [100], "the ledger's plan runs again");
    test.stop().await;
}

#[tokio::test]
async fn the_running_plan_offered_again_is_answered_again() {
    let dir = tempfile::tempdir().unwrap();
    let test = TestNode::start(dir.path());
    test.node.offer(offer(1, document(100))).await.unwrap();
    test.reaches(1, PlanPhase::Applied).await;
    test.node.offer(offer(1, document(100))).await.unwrap();
    let mut view = test.node.view();
    view.wait_for(|view| view.offers == 2).await.unwrap();
    assert_eq!(test.duty.priorities(), [100], "it is not run again");
    test.stop().await;
}

#[tokio::test]
async fn secrets_come_before_the_plan_and_old_values_go() {
    let dir = tempfile::tempdir().unwrap();
    let test = TestNode::start(dir.path());
    test.node.offer(offer(1, document_with_secret(1))).await.unwrap();
    let rejected = test.reaches(1, PlanPhase::Rejected).await;
    assert_eq!(rejected.errors[0].code, "E2006");

    test.node.secrets(vec![secret(1, "first")]).await.unwrap();
    test.node.offer(offer(1, document_with_secret(1))).await.unwrap();
    test.reaches(1, PlanPhase::Applied).await;
    test.node.secrets(vec![secret(2, "second"), secret(3, "unused")]).await.unwrap();
    test.node.offer(offer(2, document_with_secret(2))).await.unwrap();
    test.reaches(2, PlanPhase::Applied).await;
    let runs = test.duty.runs.lock().unwrap().clone();
    assert_eq!(runs[1].1[&secret(2, "").secret].expose(), b"second");
    test.stop().await;

    let text = fs::read_to_string(dir.path().join("secrets.json")).unwrap();
    assert!(text.contains("second") && !text.contains("first") && !text.contains("unused"));
}

#[tokio::test]
async fn a_lost_secret_that_comes_back_with_the_same_plan_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let test = TestNode::start(dir.path());
    test.node.secrets(vec![secret(1, "value")]).await.unwrap();
    test.node.offer(offer(1, document_with_secret(1))).await.unwrap();
    test.reaches(1, PlanPhase::Applied).await;
    test.stop().await;
    fs::write(dir.path().join("secrets.json"), "damaged").unwrap();

    let test = TestNode::start(dir.path());
    assert!(test.node.view().borrow().secrets_held.is_empty());
    test.node.secrets(vec![secret(1, "value")]).await.unwrap();
    test.node.offer(offer(1, document_with_secret(1))).await.unwrap();
    let mut view = test.node.view();
    view.wait_for(|view| view.secrets_held.len() == 1).await.unwrap();
    view.wait_for(|view| view.status.offered.as_ref().unwrap().phase == PlanPhase::Applied)
        .await
        .unwrap();
    let runs = test.duty.runs.lock().unwrap().clone();
    assert_eq!(runs.len(), 2);
    assert!(runs[0].1.is_empty(), "the rest of the plan ran without it");
    assert_eq!(runs[1].1.len(), 1);
    test.stop().await;
}

#[tokio::test]
async fn a_damaged_ledger_is_set_aside_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ledger.json"), "{\"half\":").unwrap();
    let test = TestNode::start(dir.path());
    assert_eq!(test.node.view().borrow().status.running, None);
    let mut level = test.spool.level();
    level.wait_for(|level| level.next > 1).await.unwrap();
    let events = test.spool.read(1, 10).await.unwrap();
    assert!(
        matches!(&events[0].event.kind, EventKind::FileSetAside { file, .. } if file == "ledger.json")
    );
    assert!(dir.path().join("ledger.json.corrupt-1").exists());
    test.node.offer(offer(1, document(100))).await.unwrap();
    test.reaches(1, PlanPhase::Applied).await;
    test.stop().await;
}

#[tokio::test]
async fn a_ledger_of_another_node_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let other = String::from_utf8(document(100)).unwrap().replace(NODE, "other");
    let running = crate::ledger::Running {
        plan: Some(plan_id(1, other.as_bytes())),
        revision: None,
        source: Source::Controller,
        document: other,
    };
    let entry = crate::ledger::Entry { running: Some(running), offered: None };
    crate::ledger::Ledger::new(dir.path()).save(&entry).unwrap();
    let test = TestNode::start(dir.path());
    test.node.offer(offer(1, document(100))).await.unwrap();
    test.reaches(1, PlanPhase::Applied).await;
    assert_eq!(test.duty.priorities(), [100]);
    test.stop().await;
}

#[tokio::test]
async fn a_plan_of_this_machine_is_checked_the_same_and_keeps_the_old_on_error() {
    let dir = tempfile::tempdir().unwrap();
    let test = TestNode::start(dir.path());
    let plan = |document| OfflinePlan { source: Source::Plan, document, secrets: Vec::new() };
    assert_eq!(test.node.offline(plan(document(100))).await.unwrap(), Ok(()));
    let errors = test.node.offline(plan(document_with_secret(1))).await.unwrap().unwrap_err();
    assert_eq!(errors[0].code, "E2006");
    let view = test.node.view().borrow().clone();
    assert_eq!(view.document, Some(document(100)));
    assert_eq!((view.source, view.status.running), (Source::Plan, None));
    assert_eq!(test.duty.priorities(), [100]);
    test.stop().await;

    let test = TestNode::start(dir.path());
    assert_eq!(test.node.view().borrow().source, Source::Plan);
    test.stop().await;
}

#[tokio::test]
async fn a_full_disk_rejects_the_new_plan_and_the_old_one_runs_on() {
    let Some(disk) = SmallDisk::mount("256k") else { return };
    let test = TestNode::start(disk.path());
    test.node.offer(offer(1, document(100))).await.unwrap();
    test.reaches(1, PlanPhase::Applied).await;
    let filler = disk.fill();
    test.node.offer(offer(2, document(90))).await.unwrap();
    let rejected = test.reaches(2, PlanPhase::Rejected).await;
    assert_eq!(rejected.errors[0].code, "E2007");
    assert!(rejected.errors[0].message.contains("space"), "{rejected:?}");
    assert_eq!(test.duty.priorities(), [100]);
    let ledger = crate::ledger::Ledger::new(disk.path()).load();
    assert_eq!(ledger.entry.running.unwrap().plan, Some(plan_id(1, &document(100))));

    fs::remove_file(filler).unwrap();
    test.node.offer(offer(2, document(90))).await.unwrap();
    test.reaches(2, PlanPhase::Applied).await;
    assert_eq!(test.duty.priorities(), [100, 90]);
    test.stop().await;
}
