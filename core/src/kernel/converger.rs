//! The diff, and how often what others took away is put back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ha_model::ids::InterfaceName;
use ipnet::IpNet;

use crate::{Desired, Timestamp};

/// An address on an interface.
pub type Place = (InterfaceName, IpNet);

/// Most times that an address is put back within [`PUT_BACK_WINDOW`].
const PUT_BACK_LIMIT: usize = 10;
/// The span in which put-backs are counted.
const PUT_BACK_WINDOW: Duration = Duration::from_secs(10);
/// How long a loss may be the echo of a removal of our own: the kernel removes
/// the secondary addresses of a subnet together with its primary.
const ECHO: Duration = Duration::from_secs(1);

/// An address as the kernel shows it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// It carries our mark.
    pub marked: bool,
    /// It goes when the primary address of its subnet goes.
    pub secondary: bool,
}

/// One change of the kernel.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Operation {
    /// Take the address away.
    Remove(Place),
    /// Put it there.
    Add(Place),
}

/// What to make of an address that somebody removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loss {
    /// It is not wanted, or it went with an address that we removed; the next
    /// diff does what is needed.
    Expected,
    /// The next diff puts it back.
    PutBack,
    /// It was put back too often and is left alone while it stays wanted.
    GivenUp,
}

/// Turns desired and observed into operations, and remembers what is ours.
#[derive(Debug, Default)]
pub struct Converger {
    owned: BTreeSet<Place>,
    losses: BTreeMap<Place, VecDeque<Timestamp>>,
    given_up: BTreeSet<Place>,
    removals: VecDeque<(Place, Timestamp)>,
}

impl Converger {
    /// Starts with the ledger of an earlier process.
    #[must_use]
    pub fn new(ledger: BTreeSet<Place>) -> Self {
        Self { owned: ledger, ..Self::default() }
    }

    /// What leads from `observed` to `desired`, in order: removals first,
    /// secondary addresses before primary ones. Addresses are added on `usable`
    /// interfaces only. Write [`Self::ledger`] down before carrying them out.
    pub fn operations(
        &mut self,
        desired: &Desired,
        observed: &BTreeMap<Place, Seen>,
        usable: &BTreeSet<InterfaceName>,
        now: Timestamp,
    ) -> Vec<Operation> {
        let wanted = |place: &Place| desired.addresses.get(place) == Some(&true);
        self.given_up.retain(wanted);
        self.losses.retain(|place, _| wanted(place));
        self.owned.retain(|place| wanted(place) || observed.contains_key(place));

        self.forget_echoes(now);
        let mut removals: Vec<(bool, Place)> = observed
            .iter()
            .filter(|(place, seen)| self.is_to_go(desired, place, **seen))
            .map(|(place, seen)| (!seen.secondary, place.clone()))
            .collect();
        removals.sort();
        for (_, place) in &removals {
            self.removals.push_back((place.clone(), now));
        }

        let mut operations: Vec<Operation> =
            removals.into_iter().map(|(_, place)| Operation::Remove(place)).collect();
        for place in desired.addresses.keys().filter(|place| wanted(place)) {
            let there = observed.contains_key(place);
            if there || (usable.contains(&place.0) && !self.given_up.contains(place)) {
                self.owned.insert(place.clone());
            }
            if !there && usable.contains(&place.0) && !self.given_up.contains(place) {
                operations.push(Operation::Add(place.clone()));
            }
        }
        operations
    }

    fn is_to_go(&self, desired: &Desired, place: &Place, seen: Seen) -> bool {
        match desired.addresses.get(place) {
            Some(wanted) => !wanted,
            None => seen.marked || self.owned.contains(place),
        }
    }

    /// Takes in that somebody else removed `place` at `now`.
    pub fn lost(&mut self, desired: &Desired, place: &Place, now: Timestamp) -> Loss {
        if desired.addresses.get(place) != Some(&true) || self.is_echo(place, now) {
            return Loss::Expected;
        }
        let losses = self.losses.entry(place.clone()).or_default();
        while losses.front().is_some_and(|at| now.since(*at) >= PUT_BACK_WINDOW) {
            losses.pop_front();
        }
        if losses.len() >= PUT_BACK_LIMIT || self.given_up.contains(place) {
            self.given_up.insert(place.clone());
            return Loss::GivenUp;
        }
        losses.push_back(now);
        Loss::PutBack
    }

    fn forget_echoes(&mut self, now: Timestamp) {
        while self.removals.front().is_some_and(|(_, at)| now.since(*at) >= ECHO) {
            self.removals.pop_front();
        }
    }

    fn is_echo(&mut self, place: &Place, now: Timestamp) -> bool {
        self.forget_echoes(now);
        let subnet = place.1.trunc();
        self.removals.iter().any(|((interface, address), _)| {
            *interface == place.0 && *address != place.1 && address.trunc() == subnet
        })
    }

    /// Wanted addresses that `observed` does not show.
    #[must_use]
    pub fn missing(&self, desired: &Desired, observed: &BTreeMap<Place, Seen>) -> Vec<Place> {
        let wanted = desired.addresses.iter().filter(|(_, wanted)| **wanted);
        wanted
            .map(|(place, _)| place)
            .filter(|place| !observed.contains_key(place))
            .cloned()
            .collect()
    }

    /// Whether `place` was put back too often.
    #[must_use]
    pub fn has_given_up(&self, place: &Place) -> bool {
        self.given_up.contains(place)
    }

    /// Addresses that we put or adopted.
    #[must_use]
    pub fn ledger(&self) -> &BTreeSet<Place> {
        &self.owned
    }
}
