//! The instance as status shows it.

use ha_model::status::{InstanceStatus, MasterSeen, VrrpState};

use super::Instance;
use crate::Timestamp;

impl Instance {
    /// Present state; `wall_us` is the wall clock at `now`.
    pub(crate) fn status(&self, now: Timestamp, wall_us: u64) -> InstanceStatus {
        let wall = |at: Timestamp| {
            let age = u64::try_from(now.since(at).as_micros()).unwrap_or(u64::MAX);
            wall_us.saturating_sub(age)
        };
        let plan = &self.settings.plan;
        let mut masters_seen: Vec<_> = self
            .masters
            .alive(now)
            .map(|seen| MasterSeen {
                address: seen.address,
                priority: seen.priority,
                heard_at_us: wall(seen.heard_at),
            })
            .collect();
        masters_seen.sort_by_key(|seen| seen.address);
        let faults = match self.state {
            VrrpState::Fault => self.faults.clone(),
            VrrpState::Init | VrrpState::Backup | VrrpState::Master => Vec::new(),
        };
        InstanceStatus {
            name: plan.name.clone(),
            interface: plan.interface.clone(),
            family: plan.family,
            vrid: plan.vrid.get(),
            state: self.state,
            since_us: wall(self.since),
            effective_priority: self.settings.priority(),
            faults,
            masters_seen,
            addresses_held: self
                .vips
                .iter()
                .filter(|vip| vip.present)
                .map(|vip| vip.place.1)
                .collect(),
            addresses_failed: self
                .vips
                .iter()
                .filter(|vip| vip.failed)
                .map(|vip| vip.place.1)
                .collect(),
            counters: self.counters,
        }
    }
}
