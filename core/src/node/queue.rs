//! Deadlines of all instances, the earliest at hand.

use crate::{Deadline, InstanceId};

/// No place in the heap.
const NOWHERE: usize = usize::MAX;

/// A binary heap with at most one deadline for each instance, which can be
/// moved where it lies: a packet restarts a timer in logarithmic time, and
/// without allocation once an instance is known.
#[derive(Debug, Default)]
pub(super) struct DeadlineQueue {
    heap: Vec<Deadline>,
    /// Where the deadline of an instance lies in `heap`.
    places: Vec<usize>,
}

impl DeadlineQueue {
    /// The earliest deadline.
    pub(super) fn first(&self) -> Option<Deadline> {
        self.heap.first().copied()
    }

    /// Replaces the deadline of `instance`.
    pub(super) fn set(&mut self, instance: InstanceId, deadline: Option<Deadline>) {
        let slot = slot(instance);
        if self.places.len() <= slot {
            self.places.resize(slot + 1, NOWHERE);
        }
        match (self.places[slot], deadline) {
            (NOWHERE, None) => {}
            (NOWHERE, Some(deadline)) => {
                self.heap.push(deadline);
                self.rise(self.heap.len() - 1);
            }
            (place, Some(deadline)) => {
                self.heap[place] = deadline;
                self.settle(place);
            }
            (place, None) => {
                self.heap.swap_remove(place);
                self.places[slot] = NOWHERE;
                if place < self.heap.len() {
                    self.settle(place);
                }
            }
        }
    }

    /// Forgets every deadline.
    pub(super) fn clear(&mut self) {
        self.heap.clear();
        self.places.fill(NOWHERE);
    }

    fn settle(&mut self, place: usize) {
        let place = self.rise(place);
        self.sink(place);
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent] <= self.heap[place] {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        self.places[slot(self.heap[place].instance)] = place;
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let children = [2 * place + 1, 2 * place + 2];
            let smallest = children
                .into_iter()
                .filter(|child| *child < self.heap.len())
                .min_by_key(|child| self.heap[*child]);
            match smallest {
                Some(child) if self.heap[child] < self.heap[place] => {
                    self.swap(place, child);
                    place = child;
                }
                Some(_) | None => break,
            }
        }
        self.places[slot(self.heap[place].instance)] = place;
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        self.places[slot(self.heap[one].instance)] = one;
        self.places[slot(self.heap[other].instance)] = other;
    }
}

fn slot(instance: InstanceId) -> usize {
    usize::try_from(instance.0).expect("a slot is an index into a vector")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{DeadlineReason, Timestamp};

    proptest! {
        #[test]
        fn the_first_is_the_smallest_whatever_was_set(
            sets in proptest::collection::vec((0_u32..12, proptest::option::of(0_u64..50)), 1..200)
        ) {
            let mut queue = DeadlineQueue::default();
            let mut model = std::collections::BTreeMap::new();
            for (slot, at) in sets {
                let instance = InstanceId(slot);
                let deadline = at.map(|at| Deadline {
                    at: Timestamp::from_nanos(at),
                    instance,
                    reason: DeadlineReason::Advert,
                });
                queue.set(instance, deadline);
                match deadline {
                    Some(deadline) => model.insert(slot, deadline),
                    None => model.remove(&slot),
                };
                prop_assert_eq!(queue.first(), model.values().min().copied());
            }
        }
    }
}
