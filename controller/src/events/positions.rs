//! How far the history of each node is stored: pure.

use std::collections::BTreeMap;

use ha_model::event::SpoolPosition;
use ha_model::ids::NodeName;
use serde::{Deserialize, Serialize};

/// The last sequence number that is stored, per node and spool epoch.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Positions(BTreeMap<NodeName, BTreeMap<u64, u64>>);

/// What an event is to the history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Admission {
    /// It is stored already.
    Duplicate,
    /// It comes next.
    Next,
    /// It comes later: so many before it are missing.
    Gap(u64),
}

impl Positions {
    /// The last that is stored; 0 if none is.
    pub(super) fn last(&self, node: &NodeName, spool_epoch: u64) -> u64 {
        let epochs = self.0.get(node);
        epochs.and_then(|epochs| epochs.get(&spool_epoch)).copied().unwrap_or(0)
    }

    pub(super) fn admit(&self, node: &NodeName, position: SpoolPosition) -> Admission {
        let last = self.last(node, position.spool_epoch);
        match position.sequence.checked_sub(last) {
            None | Some(0) => Admission::Duplicate,
            Some(1) => Admission::Next,
            Some(distance) => Admission::Gap(distance - 1),
        }
    }

    /// Notes that the event is stored.
    pub(super) fn note(&mut self, node: &NodeName, position: SpoolPosition) {
        let last = self.0.entry(node.clone()).or_default().entry(position.spool_epoch).or_default();
        *last = position.sequence.max(*last);
    }

    /// Takes over what `newer` has noted.
    pub(super) fn merge(&mut self, newer: Self) {
        for (node, epochs) in newer.0 {
            for (spool_epoch, sequence) in epochs {
                self.note(&node, SpoolPosition { spool_epoch, sequence });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_each_event_once_and_sees_gaps() {
        let node: NodeName = "n1".parse().unwrap();
        let at = |spool_epoch, sequence| SpoolPosition { spool_epoch, sequence };
        let mut positions = Positions::default();
        assert_eq!(positions.admit(&node, at(7, 1)), Admission::Next);
        assert_eq!(positions.admit(&node, at(7, 4)), Admission::Gap(3));
        positions.note(&node, at(7, 4));
        assert_eq!(positions.admit(&node, at(7, 4)), Admission::Duplicate);
        assert_eq!(positions.admit(&node, at(7, 2)), Admission::Duplicate);
        assert_eq!(positions.admit(&node, at(7, 5)), Admission::Next);
        assert_eq!(positions.admit(&node, at(3, 1)), Admission::Next);
        assert_eq!(positions.admit(&"n2".parse().unwrap(), at(7, 1)), Admission::Next);
        assert_eq!(positions.admit(&node, at(7, 0)), Admission::Duplicate);
    }
}
