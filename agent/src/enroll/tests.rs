use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::testing::NODE;
use crate::testing::fleet::{TOKEN, TestFleet};

fn enrolment(fleet: &TestFleet, token: &str) -> Enrolment {
    Enrolment {
        controller: fleet.controller.clone(),
        node: NODE.parse().unwrap(),
        token: token.into(),
        ca: fleet.ca,
    }
}

#[tokio::test]
async fn a_token_is_worth_a_certificate_and_a_private_key_file() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = TestFleet::start(NODE).await;
    enrol(dir.path(), enrolment(&fleet, TOKEN)).await.unwrap();
    let credentials = credential_files(dir.path()).load().unwrap();
    assert_eq!(credentials.facts().id.identity.to_string(), format!("node/{NODE}"));
    let key = std::fs::metadata(dir.path().join("pki/node.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_wrong_token_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = TestFleet::start(NODE).await;
    let error = enrol(dir.path(), enrolment(&fleet, "bad")).await.unwrap_err();
    assert!(crate::error_chain(&error).contains("token"), "{error:?}");
    assert!(!credential_files(dir.path()).exist());
}

#[tokio::test]
async fn the_token_is_not_told_to_a_controller_without_the_pinned_ca() {
    let dir = tempfile::tempdir().unwrap();
    let (fleet, other) = (TestFleet::start(NODE).await, TestFleet::start(NODE).await);
    let mut enrolment = enrolment(&fleet, TOKEN);
    enrolment.ca = other.ca;
    let error = enrol(dir.path(), enrolment).await.unwrap_err();
    assert!(matches!(error, EnrolError::Refused { .. }), "{error:?}");
    assert!(!credential_files(dir.path()).exist());
}

#[tokio::test]
async fn a_certificate_for_another_node_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = TestFleet::start("other").await;
    let error = enrol(dir.path(), enrolment(&fleet, TOKEN)).await.unwrap_err();
    assert!(matches!(error, EnrolError::Install(_)), "{error:?}");
    assert!(!credential_files(dir.path()).exist());
}
