//! The rules, without a network.

use std::time::Duration;

use ha_certs::ca::Issued;
use ha_certs::certificate::{Facts, Serial};

use super::super::{
    AdmitError, CreateTokenError, JoinToken, Pki, TOKEN_LIFE, TokenError, TokenRefused, records,
};
use super::{node, pki, request};
use crate::store::{MAX_OPERATIONS, range_prefix};

const NOW: u64 = 1_900_000_000_000_000;
const MINUTE: u64 = 60 * 1_000_000;

async fn token(pki: &Pki, name: &str) -> String {
    let token = pki.create_token(&node(name), TOKEN_LIFE, NOW).await.unwrap().token;
    token.expose().to_string()
}

async fn enrolled(pki: &Pki, name: &str) -> Issued {
    let token = token(pki, name).await;
    pki.enroll(&token, &node(name), &request(), NOW).await.unwrap()
}

async fn renew(pki: &Pki, serial: Serial) -> Result<Serial, AdmitError> {
    pki.renew(&node("a"), serial, &request(), NOW).await.map(|issued| issued.serial)
}

fn why(result: Result<Issued, AdmitError>) -> TokenRefused {
    match result {
        Err(AdmitError::Token(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_works_once() {
    let pki = pki();
    let token = token(&pki, "a").await;
    let issued = pki.enroll(&token, &node("a"), &request(), NOW).await.unwrap();
    assert_eq!(Facts::of(&issued.der).unwrap().id.to_string(), "spiffe://lab/node/a");
    let again = pki.enroll(&token, &node("a"), &request(), NOW).await;
    assert_eq!(why(again), TokenRefused::Unknown);
    assert_eq!(pki.record(&node("a")).await.unwrap().unwrap().last, issued.serial);
}

#[tokio::test]
async fn of_two_at_once_one_gets_in() {
    let pki = pki();
    let token = token(&pki, "a").await;
    let (first, second) = (request(), request());
    let name = node("a");
    let (one, two) = tokio::join!(
        pki.enroll(&token, &name, &first, NOW),
        pki.enroll(&token, &name, &second, NOW),
    );
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|ok| **ok).count(), 1);
}

#[tokio::test]
async fn a_token_is_for_one_node_and_for_a_time() {
    let pki = pki();
    let token = token(&pki, "a").await;
    let enroll = async |name: &str, at| pki.enroll(&token, &node(name), &request(), at).await;
    assert_eq!(why(enroll("b", NOW).await), TokenRefused::OtherNode);
    assert_eq!(why(enroll("a", NOW + 15 * MINUTE + 1).await), TokenRefused::Expired);
    let bad = pki.enroll(&token, &node("a"), "junk", NOW).await;
    assert!(matches!(bad, Err(AdmitError::Request(_))));
    enroll("a", NOW + 15 * MINUTE).await.expect("no refusal has used it up");
}

#[tokio::test]
async fn what_was_never_made_is_refused() {
    let pki = pki();
    let guess = format!("hajoin-{}", "0".repeat(64));
    let enroll = async |token: &str| why(pki.enroll(token, &node("a"), &request(), NOW).await);
    assert_eq!(enroll(&guess).await, TokenRefused::Unknown);
    assert_eq!(enroll("").await, TokenRefused::Malformed);
    assert_eq!(enroll(&guess[1..]).await, TokenRefused::Malformed);
    assert_eq!("hajoin-é".parse::<JoinToken>().unwrap_err(), TokenError);
}

#[tokio::test]
async fn the_store_can_not_give_a_token_away() {
    let pki = pki();
    let token = pki.create_token(&node("a"), TOKEN_LIFE, NOW).await.unwrap().token;
    let secret = token.expose();
    let digits = secret.strip_prefix("hajoin-").unwrap();
    let all = range_prefix(&*pki.store, "").await.unwrap();
    assert_eq!(all.entries.len(), 1);
    let dump = format!("{:?}", all.entries);
    assert!(!dump.contains(digits));
    assert_eq!(format!("{token:?}"), "<redacted>");
}

#[tokio::test]
async fn the_life_of_a_token_has_limits_and_dead_ones_are_cleared_away() {
    let pki = pki();
    let make = async |life, at| pki.create_token(&node("a"), life, at).await;
    for life in [Duration::ZERO, Duration::from_secs(59), Duration::from_secs(86_401)] {
        assert!(matches!(make(life, NOW).await, Err(CreateTokenError::Life { .. })));
    }
    for _ in 0..MAX_OPERATIONS {
        make(TOKEN_LIFE, NOW).await.unwrap();
    }
    for _ in 0..MAX_OPERATIONS {
        make(TOKEN_LIFE, NOW + 16 * MINUTE).await.unwrap();
    }
    let left = range_prefix(&*pki.store, records::TOKENS).await.unwrap();
    assert_eq!(left.entries.len(), MAX_OPERATIONS);
}

#[tokio::test]
async fn only_the_last_certificate_renews() {
    let pki = pki();
    let first = enrolled(&pki, "a").await.serial;
    let second = renew(&pki, first).await.unwrap();
    let third = renew(&pki, second).await.unwrap();
    assert!(matches!(renew(&pki, first).await, Err(AdmitError::Serial)));
    let last = renew(&pki, third).await.unwrap();
    assert_eq!(pki.record(&node("a")).await.unwrap().unwrap().last, last);
    let stranger = pki.renew(&node("b"), last, &request(), NOW).await;
    assert!(matches!(stranger, Err(AdmitError::Unknown)));
}

/// The agent may never see the answer.
#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_until_the_new_one_was_seen() {
    let pki = pki();
    let name = node("a");
    let first = enrolled(&pki, "a").await.serial;
    let lost = renew(&pki, first).await.unwrap();
    pki.admit(&name, first).await.expect("a session with the old one goes on");
    let second = renew(&pki, first).await.unwrap();
    assert!(matches!(pki.admit(&name, lost).await, Err(AdmitError::Serial)));
    assert!(matches!(renew(&pki, lost).await, Err(AdmitError::Serial)));
    pki.admit(&name, second).await.unwrap();
    assert!(matches!(pki.admit(&name, first).await, Err(AdmitError::Serial)));
    assert!(matches!(renew(&pki, first).await, Err(AdmitError::Serial)));
    let written = pki.store.index();
    pki.admit(&name, second).await.unwrap();
    assert_eq!(pki.store.index(), written, "a session as such writes nothing");
    renew(&pki, second).await.unwrap();
}

#[tokio::test]
async fn a_new_enrolment_ends_the_old_certificates() {
    let pki = pki();
    let old = enrolled(&pki, "a").await.serial;
    let new = enrolled(&pki, "a").await.serial;
    assert!(matches!(pki.admit(&node("a"), old).await, Err(AdmitError::Serial)));
    assert!(matches!(renew(&pki, old).await, Err(AdmitError::Serial)));
    pki.admit(&node("a"), new).await.unwrap();
}

#[tokio::test]
async fn two_renewals_at_once_leave_one_last_certificate() {
    let pki = pki();
    let first = enrolled(&pki, "a").await.serial;
    let (one, two) = tokio::join!(renew(&pki, first), renew(&pki, first));
    let last = pki.record(&node("a")).await.unwrap().unwrap().last;
    assert!([one.unwrap(), two.unwrap()].contains(&last));
    renew(&pki, last).await.unwrap();
}

#[tokio::test]
async fn a_damaged_record_is_an_error_not_a_new_start() {
    use crate::store::Transaction;
    let pki = pki();
    let serial = enrolled(&pki, "a").await.serial;
    let damage = Transaction::new().put(records::node_key(&node("a")), "{");
    pki.store.transact(damage).await.unwrap();
    assert!(matches!(renew(&pki, serial).await, Err(AdmitError::Store(_))));
}
