//! The level that the kernel has to show.

use std::collections::BTreeMap;

use ha_model::ids::InterfaceName;
use ipnet::IpNet;

/// What should be in the kernel, as far as it is ours.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Desired {
    /// Rises with every change.
    pub generation: u64,
    /// Every virtual address that the plan names: `true` where it has to be
    /// on the interface now, `false` where it must not be. An address of no
    /// plan is not here, and is ours only if a mark or the ledger says so.
    pub addresses: BTreeMap<(InterfaceName, IpNet), bool>,
}
