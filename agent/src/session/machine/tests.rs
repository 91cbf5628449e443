use ha_model::status::{PlanPhase, VrrpState};

use super::*;
use crate::node::Source;
use crate::testing::{NODE, document, instance, plan_id};

const INTERVAL: Duration = Duration::from_secs(30);

fn view() -> NodeView {
    NodeView {
        status: NodeStatus {
            node: NODE.parse().unwrap(),
            agent_version: "0.0.0".into(),
            boot_id: "boot".into(),
            running: None,
            offered: None,
            instances: vec![instance(VrrpState::Backup)],
            at_us: 1,
        },
        offers: 0,
        traceparent: None,
        secrets_held: Vec::new(),
        source: Source::Controller,
        document: None,
    }
}

fn spool(next: u64) -> SpoolLevel {
    SpoolLevel { epoch: 5, first: 1, next, acked: 0 }
}

fn machine(acknowledged: u64, next: u64) -> Machine {
    Machine::new(Terms { summary_interval: INTERVAL, acknowledged }, spool(next)).unwrap()
}

/// Sends all that is due at `now`, batches of at most two events.
fn drain(machine: &mut Machine, now: Duration, known: Known<'_>) -> Vec<Outgoing> {
    let mut all = Vec::new();
    while let Some(outgoing) = machine.next(now, known).unwrap() {
        let last = match outgoing {
            Outgoing::Events(from) => Some((from + 1).min(known.spool.next - 1)),
            Outgoing::ChallengeAnswer(_) | Outgoing::Summary | Outgoing::PlanStatus => None,
        };
        machine.sent(&outgoing, last, now, known);
        all.push(outgoing);
    }
    all
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn begins_with_the_level_and_goes_on_with_unacknowledged_history() {
    let view = view();
    let mut machine = machine(3, 6);
    let known = Known { view: &view, spool: spool(6) };
    assert_eq!(drain(&mut machine, ms(0), known), [Outgoing::Summary, Outgoing::Events(4)]);
    assert_eq!(drain(&mut machine, ms(1), known), [], "one batch until it is acknowledged");
    assert_eq!(machine.ack(5, 5), Ok(Some(5)));
    assert_eq!(drain(&mut machine, ms(2), known), []);
    assert!(machine.is_settled(known));
    let known = Known { view: &view, spool: spool(7) };
    assert!(!machine.is_settled(known));
    assert_eq!(drain(&mut machine, ms(3), known), [Outgoing::Events(6)]);
}

#[test]
fn a_part_of_a_batch_can_be_acknowledged_and_nothing_twice() {
    let view = view();
    let mut machine = machine(0, 3);
    let known = Known { view: &view, spool: spool(3) };
    drain(&mut machine, ms(0), known);
    assert_eq!(machine.ack(5, 1), Ok(Some(1)));
    assert_eq!(drain(&mut machine, ms(1), known), []);
    assert_eq!(machine.ack(5, 1), Ok(None));
    assert_eq!(machine.ack(5, 2), Ok(Some(2)));
    assert_eq!(machine.ack(4, 9), Ok(None), "of another spool");
    assert_eq!(machine.ack(5, 3), Err(Break::AckOfUnsent { sequence: 3, sent: 2 }));
}

#[test]
fn changes_come_at_once_and_not_more_often_than_they_may() {
    let mut view = view();
    let mut machine = machine(0, 1);
    let level = spool(1);
    drain(&mut machine, ms(0), Known { view: &view, spool: level });
    view.status.instances = vec![instance(VrrpState::Master)];
    assert_eq!(machine.deadline(&view), Some(ms(100)));
    assert_eq!(drain(&mut machine, ms(99), Known { view: &view, spool: level }), []);
    let known = Known { view: &view, spool: level };
    assert_eq!(drain(&mut machine, ms(100), known), [Outgoing::Summary]);
    assert_eq!(machine.deadline(&view), Some(INTERVAL + ms(100)));
    view.status.instances = vec![instance(VrrpState::Backup)];
    let known = Known { view: &view, spool: level };
    assert_eq!(drain(&mut machine, ms(5_000), known), [Outgoing::Summary]);
}

#[test]
fn counters_and_moments_wait_for_the_interval() {
    let mut view = view();
    let mut machine = machine(0, 1);
    drain(&mut machine, ms(0), Known { view: &view, spool: spool(1) });
    view.status.at_us = 99;
    view.status.instances[0].counters.advert_rcvd = 12;
    let known = Known { view: &view, spool: spool(1) };
    assert_eq!(drain(&mut machine, INTERVAL - ms(1), known), []);
    assert_eq!(drain(&mut machine, INTERVAL, known), [Outgoing::Summary]);
}

#[test]
fn every_offer_is_answered_even_with_the_same_words() {
    let mut view = view();
    let mut machine = machine(0, 1);
    let level = spool(1);
    drain(&mut machine, ms(0), Known { view: &view, spool: level });
    view.offers = 1;
    view.status.offered = Some(PlanStatus {
        plan: plan_id(1, &document(1)),
        revision: None,
        phase: PlanPhase::Healthy,
        errors: Vec::new(),
    });
    let known = Known { view: &view, spool: level };
    assert_eq!(drain(&mut machine, ms(1), known), [Outgoing::PlanStatus]);
    assert_eq!(drain(&mut machine, ms(2), known), []);
    view.offers = 2;
    let known = Known { view: &view, spool: level };
    assert_eq!(drain(&mut machine, ms(3), known), [Outgoing::PlanStatus]);
}

#[test]
fn a_challenge_goes_first() {
    let view = view();
    let mut machine = machine(0, 2);
    machine.challenge(42);
    let known = Known { view: &view, spool: spool(2) };
    assert_eq!(
        drain(&mut machine, ms(0), known),
        [Outgoing::ChallengeAnswer(42), Outgoing::Summary, Outgoing::Events(1)]
    );
}

#[test]
fn challenges_without_end_are_bounded() {
    let view = view();
    let mut machine = machine(0, 1);
    (0..100).for_each(|nonce| machine.challenge(nonce));
    let sent = drain(&mut machine, ms(0), Known { view: &view, spool: spool(1) });
    assert_eq!(sent.len(), CHALLENGES + 1);
    assert_eq!(sent[CHALLENGES - 1], Outgoing::ChallengeAnswer(99));
}

#[test]
fn a_spool_that_is_not_the_one_of_the_hello_ends_the_stream() {
    let view = view();
    let terms = Terms { summary_interval: INTERVAL, acknowledged: 9 };
    assert_eq!(
        Machine::new(terms, spool(9)).unwrap_err(),
        Break::SpoolBehind { acknowledged: 9, next: 9 }
    );
    let other = SpoolLevel { epoch: 6, ..spool(1) };
    let known = Known { view: &view, spool: other };
    assert_eq!(machine(0, 1).next(ms(0), known), Err(Break::SpoolChanged));
}
