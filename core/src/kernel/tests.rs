use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ha_model::ids::InterfaceName;
use ipnet::IpNet;
use proptest::prelude::*;

use super::{Converger, Loss, Operation, Place, Seen};
use crate::{Desired, Timestamp};

const OURS: Seen = Seen { marked: true, secondary: false };
const FOREIGN: Seen = Seen { marked: false, secondary: false };

fn interface(name: &str) -> InterfaceName {
    name.parse().unwrap()
}

fn place(text: &str) -> Place {
    let (name, address) = text.split_once(' ').unwrap();
    (interface(name), address.parse().unwrap())
}

fn desired(addresses: &[(&str, bool)]) -> Desired {
    let addresses = addresses.iter().map(|(text, wanted)| (place(text), *wanted)).collect();
    Desired { generation: 1, addresses }
}

fn kernel(addresses: &[(&str, Seen)]) -> BTreeMap<Place, Seen> {
    addresses.iter().map(|(text, seen)| (place(text), *seen)).collect()
}

fn usable() -> BTreeSet<InterfaceName> {
    ["eth0", "eth1"].into_iter().map(interface).collect()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_millis(millis)
}

/// Carries out operations as the kernel would, less its cascades.
fn apply(kernel: &mut BTreeMap<Place, Seen>, operations: &[Operation]) {
    for operation in operations {
        match operation {
            Operation::Remove(place) => {
                assert!(kernel.remove(place).is_some(), "removed what is not there: {place:?}");
            }
            Operation::Add(place) => {
                assert!(kernel.insert(place.clone(), OURS).is_none(), "added twice: {place:?}");
            }
        }
    }
}

#[test]
fn adds_what_is_wanted_and_missing() {
    let desired = desired(&[("eth0 10.0.0.9/24", true), ("eth0 10.0.0.8/24", false)]);
    let operations = Converger::default().operations(&desired, &kernel(&[]), &usable(), at(0));
    assert_eq!(operations, [Operation::Add(place("eth0 10.0.0.9/24"))]);
}

#[test]
fn adopts_what_is_there_and_removes_it_later_without_a_mark() {
    let mut converger = Converger::default();
    let mut kernel = kernel(&[("eth0 10.0.0.9/24", FOREIGN), ("eth0 10.0.0.1/24", FOREIGN)]);
    let wanted = desired(&[("eth0 10.0.0.9/24", true)]);
    assert_eq!(converger.operations(&wanted, &kernel, &usable(), at(0)), []);
    let operations = converger.operations(&desired(&[]), &kernel, &usable(), at(1));
    assert_eq!(operations, [Operation::Remove(place("eth0 10.0.0.9/24"))]);
    apply(&mut kernel, &operations);
    assert!(kernel.contains_key(&place("eth0 10.0.0.1/24")));
}

#[test]
fn removes_a_named_address_whatever_its_mark() {
    let kernel = kernel(&[("eth0 10.0.0.9/24", FOREIGN), ("eth1 10.0.0.9/24", FOREIGN)]);
    let unwanted = desired(&[("eth0 10.0.0.9/24", false)]);
    let operations = Converger::default().operations(&unwanted, &kernel, &usable(), at(0));
    assert_eq!(operations, [Operation::Remove(place("eth0 10.0.0.9/24"))]);
}

#[test]
fn removes_leftovers_by_mark_and_by_ledger() {
    let kernel = kernel(&[
        ("eth0 10.0.0.7/24", OURS),
        ("eth0 10.0.0.8/24", FOREIGN),
        ("eth0 10.0.0.9/24", FOREIGN),
    ]);
    let ledger = BTreeSet::from([place("eth0 10.0.0.8/24"), place("eth0 10.0.0.6/24")]);
    let mut converger = Converger::new(ledger);
    let operations = converger.operations(&desired(&[]), &kernel, &usable(), at(0));
    let expected = ["eth0 10.0.0.7/24", "eth0 10.0.0.8/24"].map(|it| Operation::Remove(place(it)));
    assert_eq!(operations, expected);
}

#[test]
fn takes_secondary_addresses_away_before_primary_ones_and_adds_last() {
    let secondary = Seen { marked: true, secondary: true };
    let kernel = kernel(&[("eth0 10.0.0.1/24", OURS), ("eth0 10.0.0.2/24", secondary)]);
    let desired = desired(&[("eth0 10.0.0.3/24", true)]);
    let operations = Converger::default().operations(&desired, &kernel, &usable(), at(0));
    let expected = [
        Operation::Remove(place("eth0 10.0.0.2/24")),
        Operation::Remove(place("eth0 10.0.0.1/24")),
        Operation::Add(place("eth0 10.0.0.3/24")),
    ];
    assert_eq!(operations, expected);
}

#[test]
fn leaves_unusable_interfaces_alone() {
    let desired = desired(&[("eth7 10.0.0.9/24", true)]);
    let mut converger = Converger::default();
    assert_eq!(converger.operations(&desired, &kernel(&[]), &usable(), at(0)), []);
    assert_eq!(converger.missing(&desired, &kernel(&[])), [place("eth7 10.0.0.9/24")]);
}

#[test]
fn puts_back_ten_times_in_ten_seconds_and_then_leaves() {
    let vip = place("eth0 10.0.0.9/24");
    let wanted = desired(&[("eth0 10.0.0.9/24", true)]);
    let mut converger = Converger::default();
    for turn in 0..10 {
        assert_eq!(converger.lost(&wanted, &vip, at(turn * 900)), Loss::PutBack);
    }
    assert_eq!(converger.lost(&wanted, &vip, at(9_999)), Loss::GivenUp);
    assert_eq!(converger.operations(&wanted, &kernel(&[]), &usable(), at(20_000)), []);
    assert!(converger.has_given_up(&vip));

    // Once it was not wanted, all is forgotten.
    let unwanted = desired(&[("eth0 10.0.0.9/24", false)]);
    assert_eq!(converger.operations(&unwanted, &kernel(&[]), &usable(), at(20_001)), []);
    assert_eq!(converger.operations(&wanted, &kernel(&[]), &usable(), at(20_002)).len(), 1);
    assert_eq!(converger.lost(&wanted, &vip, at(20_003)), Loss::PutBack);
}

#[test]
fn losses_of_long_ago_do_not_count() {
    let vip = place("eth0 10.0.0.9/24");
    let wanted = desired(&[("eth0 10.0.0.9/24", true)]);
    let mut converger = Converger::default();
    for turn in 0..100 {
        assert_eq!(converger.lost(&wanted, &vip, at(turn * 1_000)), Loss::PutBack);
    }
}

#[test]
fn a_loss_that_follows_our_own_removal_does_not_count() {
    let secondary = Seen { marked: true, secondary: true };
    let kernel = kernel(&[("eth0 10.0.0.1/24", OURS), ("eth0 10.0.0.2/24", secondary)]);
    let wanted = desired(&[("eth0 10.0.0.1/24", false), ("eth0 10.0.0.2/24", true)]);
    let mut converger = Converger::default();
    converger.operations(&wanted, &kernel, &usable(), at(0));
    let kept = place("eth0 10.0.0.2/24");
    assert_eq!(converger.lost(&wanted, &kept, at(999)), Loss::Expected);
    assert_eq!(converger.lost(&wanted, &kept, at(1_000)), Loss::PutBack);
}

#[test]
fn the_loss_of_an_unwanted_address_is_nothing() {
    let wanted = desired(&[("eth0 10.0.0.9/24", false)]);
    let mut converger = Converger::default();
    assert_eq!(converger.lost(&wanted, &place("eth0 10.0.0.9/24"), at(0)), Loss::Expected);
    assert_eq!(converger.lost(&wanted, &place("eth0 10.0.0.8/24"), at(0)), Loss::Expected);
}

fn any_place() -> impl Strategy<Value = Place> {
    (0..3_u8, 0..12_u8, prop_oneof![Just(24_u8), Just(32)]).prop_map(|(link, host, length)| {
        let address: IpNet = format!("10.0.0.{host}/{length}").parse().unwrap();
        (interface(&format!("eth{link}")), address)
    })
}

fn any_seen() -> impl Strategy<Value = Seen> {
    (any::<bool>(), any::<bool>()).prop_map(|(marked, secondary)| Seen { marked, secondary })
}

proptest! {
    /// One pass is enough, and a second one has nothing to do.
    #[test]
    fn converges_in_one_pass(
        addresses in proptest::collection::btree_map(any_place(), any::<bool>(), 0..20),
        mut kernel in proptest::collection::btree_map(any_place(), any_seen(), 0..20),
        ledger in proptest::collection::btree_set(any_place(), 0..5),
    ) {
        let desired = Desired { generation: 1, addresses };
        let mut converger = Converger::new(ledger.clone());
        let before = kernel.clone();
        let operations = converger.operations(&desired, &kernel, &usable(), at(0));
        apply(&mut kernel, &operations);
        prop_assert_eq!(converger.operations(&desired, &kernel, &usable(), at(1)), vec![]);

        for (place, wanted) in &desired.addresses {
            let reachable = usable().contains(&place.0) || before.contains_key(place);
            prop_assert_eq!(kernel.contains_key(place), *wanted && reachable);
        }
        for (place, seen) in &before {
            let foreign = !seen.marked
                && !ledger.contains(place)
                && !desired.addresses.contains_key(place);
            if foreign {
                prop_assert_eq!(kernel.get(place), Some(seen), "touched a foreign address");
            }
            if !foreign && desired.addresses.get(place) != Some(&true) {
                prop_assert!(!kernel.contains_key(place), "left one of ours");
            }
        }
        // All that we put there can be found again without marks.
        for place in kernel.keys().filter(|place| !before.contains_key(*place)) {
            prop_assert!(converger.ledger().contains(place));
        }
    }
}
