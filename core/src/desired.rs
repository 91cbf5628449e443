//! The level that the kernel has to show.

use std::collections::BTreeMap;

use ha_model::ids::InterfaceName;
use ipnet::IpNet;

/// An address on an interface.
pub(crate) type Place = (InterfaceName, IpNet);

/// What should be in the kernel, as far as it is ours.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Desired {
    /// Rises with every change.
    pub generation: u64,
    /// Every virtual address that the plan names: `true` where it has to be
    /// on the interface now, `false` where it must not be. One that the plan
    /// no longer names stays as `false` until the kernel shows that. An
    /// address of no plan is not here, and is ours only if a mark or the
    /// ledger says so.
    pub addresses: BTreeMap<(InterfaceName, IpNet), bool>,
}

impl Desired {
    /// Wants the address, or wants it away.
    pub(crate) fn set(&mut self, place: &Place, wanted: bool) {
        match self.addresses.get_mut(place) {
            Some(present) if *present == wanted => return,
            Some(present) => *present = wanted,
            None => {
                self.addresses.insert(place.clone(), wanted);
            }
        }
        self.generation += 1;
    }

    /// Makes the address known, unwanted, if it is not.
    pub(crate) fn name(&mut self, place: &Place) {
        if !self.addresses.contains_key(place) {
            self.set(place, false);
        }
    }

    /// Forgets an address that no plan names.
    pub(crate) fn forget(&mut self, place: &Place) {
        if self.addresses.remove(place).is_some() {
            self.generation += 1;
        }
    }
}
