//! Elections, packets, stopping and going on.

use ha_model::status::FaultReason;

use super::*;

fn advert(effect: &Effect) -> bool {
    matches!(effect, Effect::SendAdvert(_))
}

/// A master whose address is there.
fn master() -> Bench {
    let mut bench = Bench::new(plan());
    bench.pass(Duration::from_secs(4));
    bench.converge();
    assert_eq!(bench.core.masters().count(), 1);
    bench
}

#[test]
fn after_an_election_come_advert_then_addresses_then_announcements() {
    let mut bench = Bench::new(plan());
    let before = bench.core.desired().clone();
    assert!(before.addresses.values().all(|wanted| !wanted), "named, and not wanted");
    let due = bench.core.next_deadline().expect("a backup listens").at;
    let effects = bench.at(due, Event::Tick);
    assert!(advert(&effects[0]), "the advert is first: {effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Announce { .. })));
    let desired = bench.core.desired().clone();
    assert!(desired.generation > before.generation);
    assert!(desired.addresses.values().all(|wanted| *wanted));

    let old = Event::Converged { generation: before.generation, failed: &[] };
    assert_eq!(bench.at(due, old), [], "an older generation says nothing about the address");
    let effects = bench.converge();
    assert_eq!(effects.len(), 5);
    let address = "10.0.0.51".parse().expect("an address");
    let announce = Effect::Announce { instance: InstanceId(0), index: 7, address };
    assert!(effects.iter().all(|effect| *effect == announce), "{effects:?}");
    assert_eq!(bench.status().addresses_held, ["10.0.0.51/24".parse().expect("an address")]);
}

#[test]
fn an_address_that_fails_is_shown_and_announced_when_it_comes() {
    let mut bench = Bench::new(plan());
    bench.pass(Duration::from_secs(4));
    let place = ("eth0".parse().expect("a name"), "10.0.0.51/24".parse().expect("an address"));
    let generation = bench.core.desired().generation;
    let failed = [place.clone()];
    assert_eq!(bench.at(bench.now, Event::Converged { generation, failed: &failed }), []);
    assert_eq!(bench.status().addresses_failed, [place.1]);
    assert!(bench.status().addresses_held.is_empty());
    assert_eq!(bench.converge().len(), 5);
    assert!(bench.status().addresses_failed.is_empty());
}

#[test]
fn adverts_are_right_for_each_destination() {
    let mut bench = master();
    bench.pass(Duration::from_secs(1));
    let advert = bench.core.advert(InstanceId(0)).expect("it has an interface and a source");
    assert_eq!((advert.index, advert.family), (7, Family::Ipv4));
    let datagrams: Vec<_> = advert.datagrams().collect();
    assert_eq!(datagrams.len(), 2);
    for (destination, message) in datagrams {
        assert!(packet::checksum_valid(message, VrrpVersion::V3, advert.source, destination));
        assert!(packet::Advertisement::decode(message, Family::Ipv4).is_ok());
    }
}

#[test]
fn a_packet_is_for_one_interface_family_and_id() {
    let mut bench = Bench::new(plan());
    bench.hear(PEER, 150, Micros::from_secs(1));
    assert_eq!(bench.status().counters.advert_rcvd, 1);
    let source = PEER.parse().expect("an address");
    let received = |index, message| Received {
        index,
        source,
        destination: "10.0.0.1".parse().expect("an address"),
        ttl: Some(255),
        message,
    };
    bench.at(bench.now, Event::Packet(received(7, &[0x31, 52, 100])));
    bench.at(bench.now, Event::Packet(received(8, &[0x31, 51, 100])));
    bench.at(bench.now, Event::Packet(received(7, &[0x31])));
    assert_eq!(bench.core.counters(), NodeCounters { vrid_err: 2, runt: 1 });
    bench.at(bench.now, Event::Packet(received(7, &[0x31, 51, 100])));
    assert_eq!(bench.status().counters.packet_len_err, 1);
}

#[test]
fn a_queued_packet_is_heard_before_an_expired_timer_acts() {
    let mut bench = master();
    let late = bench.now + Duration::from_secs(60);
    let effects = bench.hear_at(late, PEER, 50, Micros::from_secs(1));
    assert!(!effects.iter().any(advert), "it lets go in silence: {effects:?}");
    let effects = bench.at(late, Event::Tick);
    assert!(!effects.iter().any(advert), "{effects:?}");
    assert_eq!(bench.status().state, VrrpState::Backup);
    assert_eq!(bench.status().counters.late_wakeup, 1);

    let mut bench = master();
    let late = bench.now + Duration::from_secs(60);
    let effects = bench.at(late, Event::Tick);
    assert!(effects.iter().any(advert), "nobody took over: it goes on: {effects:?}");
}

#[test]
fn stopping_says_so_and_lets_go() {
    let mut bench = master();
    bench.at(bench.now, Event::Stop);
    let advert = bench.core.advert(InstanceId(0)).expect("the last advert can be fetched");
    let (_, message) = advert.datagrams().next().expect("there are peers");
    assert_eq!(message[2], 0, "priority 0");
    assert!(bench.core.desired().addresses.values().all(|wanted| !wanted));
    assert_eq!(bench.core.next_deadline(), None);
    assert_eq!(bench.status().state, VrrpState::Init);
    let effects = bench.hear(PEER, 150, Micros::from_secs(1));
    assert_eq!(effects, [], "nothing happens any more");
    bench.converge();
    assert!(bench.status().addresses_held.is_empty());
}

#[test]
fn a_restart_keeps_the_addresses_and_goes_on() {
    let mut bench = master();
    let effects = bench.at(bench.now, Event::StopForRestart);
    assert_eq!(effects, [Effect::SendAdvert(InstanceId(0))]);
    assert!(bench.core.desired().addresses.values().all(|wanted| *wanted));
    assert_eq!(bench.core.next_deadline(), None);

    let mut next = Bench::empty();
    let names = ["VI_1".parse().expect("a name")];
    next.at(next.now, Event::Resume { masters: &names });
    next.at(next.now, Event::Link(&eth0()));
    let effects = next.run(&plan());
    assert!(advert(&effects[0]), "{effects:?}");
    assert!(next.core.desired().addresses.values().all(|wanted| *wanted), "without a break");
    assert_eq!(next.status().state, VrrpState::Master);
}

#[test]
fn with_fast_adverts_a_restart_gives_the_addresses_to_a_peer() {
    let mut fast = plan();
    fast.instances[0].interval_us = Micros::from_millis(990);
    let mut bench = master();
    bench.run(&fast);
    bench.at(bench.now, Event::StopForRestart);
    let advert = bench.core.advert(InstanceId(0)).expect("the last advert can be fetched");
    let (_, message) = advert.datagrams().next().expect("there are peers");
    assert_eq!(message[2], 0, "priority 0");
    assert!(bench.core.desired().addresses.values().all(|wanted| !wanted));
}

#[test]
fn an_interface_that_comes_too_late_resumes_nothing() {
    let mut bench = Bench::empty();
    let names = ["VI_1".parse().expect("a name")];
    bench.at(bench.now, Event::Resume { masters: &names });
    bench.run(&plan());
    bench.now = bench.now + Duration::from_micros(1_000_001);
    bench.at(bench.now, Event::Link(&eth0()));
    assert_eq!(bench.status().state, VrrpState::Backup);
}

#[test]
fn what_is_missing_is_a_fault_and_its_return_a_backup() {
    let mut bench = master();
    let down = Link { running: false, ..eth0() };
    let no_source = Link { addresses: Vec::new(), ..eth0() };
    let name: InterfaceName = "eth0".parse().expect("a name");
    let cases = [
        (Some(&down), FaultReason::InterfaceDown(name.clone())),
        (Some(&no_source), FaultReason::NoSourceAddress(name.clone())),
        (None, FaultReason::InterfaceMissing(name.clone())),
    ];
    for (link, fault) in cases {
        match link {
            Some(link) => bench.at(bench.now, Event::Link(link)),
            None => bench.at(bench.now, Event::LinkGone(&name)),
        };
        let status = bench.status();
        assert_eq!((status.state, status.faults), (VrrpState::Fault, vec![fault]));
        assert!(bench.core.desired().addresses.values().all(|wanted| !wanted));
        assert_eq!(bench.core.next_deadline(), None);

        bench.at(bench.now, Event::Link(&eth0()));
        assert_eq!(bench.status().state, VrrpState::Backup);
        assert_eq!(
            bench.left(),
            (DeadlineReason::MasterDown, Duration::from_micros(3_609_375)),
            "it listens first"
        );
    }
}

#[test]
fn an_interface_made_anew_is_used_by_its_new_index() {
    let mut bench = master();
    bench.at(bench.now, Event::Link(&Link { index: 9, ..eth0() }));
    assert_eq!(bench.status().state, VrrpState::Master, "nothing is missing");
    assert_eq!(bench.core.advert(InstanceId(0)).expect("it sends").index, 9);
    bench.hear(PEER, 150, Micros::from_secs(1));
    assert_eq!(bench.core.counters().vrid_err, 1, "the old index is nobody's");
}

#[test]
fn an_address_that_was_put_back_is_announced() {
    let mut bench = master();
    let interface = "eth0".parse().expect("a name");
    let address = "10.0.0.51/24".parse().expect("an address");
    let effects = bench.at(bench.now, Event::AddressPutBack { interface: &interface, address });
    assert_eq!(effects.len(), 6, "a set and a report: {effects:?}");
    assert_eq!(bench.status().counters.address_put_back, 1);
}

#[test]
fn a_thousand_instances_have_their_own_deadlines() {
    let mut plan = plan();
    plan.instances = (0..1000_u64)
        .map(|number| {
            let mut one = instance(&format!("VI_{number}"), 1 + number % 250, 1 + number % 250);
            one.interface = format!("eth{}", number / 250).parse().expect("a name");
            one
        })
        .collect();
    let mut bench = Bench::empty();
    for index in 0..4_u32 {
        let interface = format!("eth{index}").parse().expect("a name");
        bench.at(bench.now, Event::Link(&Link { interface, index: index + 1, ..eth0() }));
    }
    bench.run(&plan);
    let mut last = bench.now;
    for _ in 0..1000 {
        let deadline = bench.core.next_deadline().expect("they listen");
        assert!(deadline.at >= last);
        last = deadline.at;
        bench.at(last, Event::Tick);
    }
    assert_eq!(bench.core.masters().count(), 1000);
}
