//! A plan is a difference: what did not change is not touched.

use super::*;

fn master() -> Bench {
    let mut bench = Bench::new(plan());
    bench.pass(Duration::from_secs(4));
    bench.converge();
    bench.pass(Duration::from_millis(300));
    bench
}

fn place(interface: &str, address: &str) -> Place {
    (interface.parse().expect("a name"), address.parse().expect("an address"))
}

fn add_address(plan: &mut NodePlan, address: &str) {
    plan.instances[0].addresses.push(ha_model::plan::VirtualAddress {
        address: address.parse().expect("an address"),
        interface: None,
    });
}

#[test]
fn the_same_plan_changes_nothing() {
    for mut bench in [master(), Bench::new(plan())] {
        let (deadline, desired) = (bench.core.next_deadline(), bench.core.desired().clone());
        let before = bench.status();
        assert_eq!(bench.run(&plan()), []);
        assert_eq!(bench.core.next_deadline(), deadline);
        assert_eq!(*bench.core.desired(), desired);
        assert_eq!(bench.status(), before);
    }
}

#[test]
fn a_new_neighbour_does_not_touch_the_others() {
    let mut bench = master();
    let deadline = bench.core.next_deadline();
    let mut more = plan();
    more.instances.insert(0, instance("AA", 52, 100));
    bench.run(&more);
    assert_eq!(bench.core.next_deadline(), deadline);
    assert_eq!(bench.core.masters().count(), 1);
    let status = bench.core.status(bench.now, 0);
    assert_eq!(status.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["AA", "VI_1"]);
}

#[test]
fn a_renamed_instance_goes_on() {
    let mut bench = master();
    let deadline = bench.core.next_deadline();
    let mut renamed = plan();
    renamed.instances[0].name = "web".parse().expect("a name");
    assert_eq!(bench.run(&renamed), []);
    assert_eq!(bench.core.next_deadline(), deadline);
    assert_eq!(bench.core.masters().map(InstanceName::as_str).collect::<Vec<_>>(), ["web"]);
}

#[test]
fn a_lower_priority_is_told_at_once() {
    let mut bench = master();
    let due = bench.core.next_deadline();
    let mut lower = plan();
    lower.instances[0].priority = 90.try_into().expect("a priority");
    let effects = bench.run(&lower);
    assert_eq!(effects, [Effect::SendAdvert(InstanceId(0))]);
    let advert = bench.core.advert(InstanceId(0)).expect("it sends");
    assert!(advert.datagrams().all(|(_, message)| message[2] == 90));
    assert_eq!(bench.core.next_deadline(), due, "the schedule stays");
    assert_eq!(bench.status().effective_priority, 90);
}

#[test]
fn a_backup_with_another_priority_moves_its_timer_and_does_not_restart_it() {
    let mut bench = Bench::new(plan());
    bench.pass(Duration::from_secs(1));
    let mut higher = plan();
    higher.instances[0].priority = 200.try_into().expect("a priority");
    bench.run(&higher);
    // 3 s + 56/256 s, of which one second is over.
    assert_eq!(bench.left(), (DeadlineReason::MasterDown, Duration::from_micros(2_218_750)));
}

#[test]
fn a_backup_that_becomes_owner_is_master_at_once() {
    let mut bench = Bench::new(plan());
    let mut owner = plan();
    owner.instances[0].priority = ha_model::ids::Priority::OWNER;
    bench.run(&owner);
    assert_eq!(bench.status().state, VrrpState::Master);
}

#[test]
fn a_shorter_interval_takes_effect_at_once() {
    let mut bench = master();
    let mut faster = plan();
    faster.instances[0].interval_us = Micros::from_millis(100);
    let effects = bench.run(&faster);
    assert_eq!(effects, [Effect::SendAdvert(InstanceId(0))]);
    assert_eq!(bench.left(), (DeadlineReason::Advert, Duration::from_millis(100)));
}

#[test]
fn a_new_peer_hears_the_master_at_once() {
    let mut bench = master();
    let mut wider = plan();
    let transport = ha_model::plan::Transport::Unicast {
        source: "10.0.0.1".parse().expect("an address"),
        peers: vec![ha_model::plan::Peer {
            address: "10.0.0.4".parse().expect("an address"),
            priority: None,
            min_ttl: 255,
        }],
    };
    wider.instances[0].transport = transport;
    assert_eq!(bench.run(&wider), [Effect::SendAdvert(InstanceId(0))]);
    let advert = bench.core.advert(InstanceId(0)).expect("it sends");
    assert_eq!(advert.destinations, ["10.0.0.4".parse::<std::net::IpAddr>().expect("an address")]);
    bench.hear(PEER, 150, Micros::from_secs(1));
    assert_eq!(bench.status().counters.unknown_peer_err, 1);
}

#[test]
fn an_added_address_alone_is_announced() {
    let mut bench = master();
    let mut more = plan();
    add_address(&mut more, "10.0.0.99/24");
    bench.run(&more);
    assert!(bench.core.desired().addresses[&place("eth0", "10.0.0.99/24")]);
    let effects = bench.converge();
    assert_eq!(effects.len(), 5);
    let new: std::net::IpAddr = "10.0.0.99".parse().expect("an address");
    assert!(
        effects
            .iter()
            .all(|effect| matches!(effect, Effect::Announce { address, .. } if *address == new)),
        "{effects:?}"
    );
}

#[test]
fn a_removed_address_is_wanted_away_until_the_kernel_shows_it() {
    let mut bench = master();
    let mut more = plan();
    add_address(&mut more, "10.0.0.99/24");
    bench.run(&more);
    bench.converge();
    bench.run(&plan());
    let gone = place("eth0", "10.0.0.99/24");
    let desired = bench.core.desired().clone();
    assert_eq!(desired.addresses.get(&gone), Some(&false));
    let old = Event::Converged { generation: desired.generation - 1, failed: &[] };
    bench.at(bench.now, old);
    assert_eq!(bench.core.desired().addresses.get(&gone), Some(&false), "not shown yet");
    assert_eq!(bench.converge(), [], "the others are not announced");
    assert_eq!(bench.core.desired().addresses.get(&gone), None);
    assert!(bench.core.desired().addresses[&place("eth0", "10.0.0.51/24")]);
}

#[test]
fn a_removed_instance_says_priority_zero_and_lets_go() {
    let mut bench = master();
    let empty = NodePlan { instances: Vec::new(), ..plan() };
    let effects = bench.run(&empty);
    assert_eq!(effects[0], Effect::SendAdvert(InstanceId(0)));
    let advert = bench.core.advert(InstanceId(0)).expect("it can be fetched until the next event");
    assert!(advert.datagrams().all(|(_, message)| message[2] == 0));
    assert!(bench.core.status(bench.now, 0).is_empty());
    assert_eq!(bench.core.desired().addresses.values().copied().collect::<Vec<_>>(), [false]);
    bench.converge();
    assert!(bench.core.desired().addresses.is_empty());
    assert!(bench.core.advert(InstanceId(0)).is_none());
    assert_eq!(bench.core.next_deadline(), None);
    bench.run(&plan());
    assert_eq!(bench.status().state, VrrpState::Backup, "its slot is used again");
}

#[test]
fn an_address_that_moves_between_instances_stays_wanted() {
    let mut two = plan();
    two.instances.push(instance("VI_2", 52, 100));
    let mut bench = Bench::new(two.clone());
    bench.pass(Duration::from_secs(4));
    bench.converge();
    let moved = two.instances[1].addresses.remove(0);
    two.instances[0].addresses.push(moved);
    bench.run(&two);
    assert!(bench.core.desired().addresses.values().all(|wanted| *wanted));
    assert_eq!(bench.core.desired().addresses.len(), 2);
}

#[test]
fn another_id_is_another_instance() {
    let mut bench = master();
    let mut other = plan();
    other.instances[0].vrid = 77_u64.try_into().expect("an id");
    bench.run(&other);
    let status = bench.status();
    assert_eq!((status.state, status.vrid), (VrrpState::Backup, 77));
}

#[test]
fn a_missing_secret_is_a_fault_until_it_comes() {
    use ha_model::secret::{SecretRef, SecretValue};
    let secret = SecretRef { name: "vrrp".parse().expect("a name"), version: 1 };
    let mut plan = plan();
    plan.instances[0].version = VrrpVersion::V2;
    plan.instances[0].auth = ha_model::plan::Auth::Pass { secret: secret.clone() };
    let mut bench = Bench::new(plan.clone());
    assert_eq!(bench.status().state, VrrpState::Fault);
    bench.secrets.insert(secret.clone(), SecretValue::new(b"s3cret".to_vec()));
    bench.run(&plan);
    assert_eq!(bench.status().state, VrrpState::Backup);
    let deadline = bench.core.next_deadline();
    bench.run(&plan);
    assert_eq!(bench.core.next_deadline(), deadline, "an unchanged secret is no change");
}
