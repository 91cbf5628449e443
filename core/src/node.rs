//! All virtual routers of one node.

use ha_model::ids::InstanceName;
use ha_model::status::InstanceStatus;

use crate::{Advert, Desired, Effect, Event, InstanceId, Timestamp};

/// Why the machine wants to be called.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum DeadlineReason {
    /// An advert is due.
    Advert,
    /// The master-down interval ends.
    MasterDown,
    /// The preempt delay ends.
    PreemptDelay,
    /// Announcements are due.
    Garp,
    /// A second master has been silent for its master-down interval.
    MasterForgotten,
}

/// A moment by which `handle` must be called.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Deadline {
    /// When.
    pub at: Timestamp,
    /// Which instance.
    pub instance: InstanceId,
    /// Why.
    pub reason: DeadlineReason,
}

/// Counters of what belongs to no instance.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NodeCounters {
    /// Adverts for a virtual router id that no instance has on the interface
    /// and family they came in on.
    pub vrid_err: u64,
    /// Messages too short to hold a virtual router id.
    pub runt: u64,
}

/// The machines of one node. See the crate's page for how to drive it.
#[derive(Debug, Default)]
pub struct NodeCore {
    desired: Desired,
}

impl NodeCore {
    /// A node without a plan.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened at `now`. [`Event::Tick`] alone serves deadlines.
    /// Time that runs backwards counts as standing still.
    pub fn handle(&mut self, event: Event<'_>, now: Timestamp) {
        let _ = (event, now);
    }

    /// The next thing to do, in order.
    pub fn next_effect(&mut self) -> Option<Effect> {
        None
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Deadline> {
        None
    }

    /// What the kernel should show.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// The advert that an [`Effect::SendAdvert`] asks for; `None` if the
    /// instance has gone, or has no interface or source address.
    #[must_use]
    pub fn advert(&self, instance: InstanceId) -> Option<Advert<'_>> {
        let _ = instance;
        None
    }

    /// Names of the instances that are master now, in order of their slots.
    pub fn masters(&self) -> impl Iterator<Item = &InstanceName> {
        std::iter::empty()
    }

    /// Counters of the node since it was made.
    #[must_use]
    pub fn counters(&self) -> NodeCounters {
        NodeCounters::default()
    }

    /// Present state of every instance, sorted by name. `wall_us` is the wall
    /// clock at `now`, microseconds since 1970; times in the status are
    /// derived from it.
    #[must_use]
    pub fn status(&self, now: Timestamp, wall_us: u64) -> Vec<InstanceStatus> {
        let _ = (now, wall_us);
        Vec::new()
    }
}
