//! The virtual addresses of an instance: which are wanted, which are there,
//! and which still have to be announced.
//!
//! The schedule is keepalived's: a set when the kernel shows an address, a
//! second set after a delay, then refreshes.

use std::time::Duration;

use ha_model::ids::InterfaceName;
use ha_model::plan::InstancePlan;
use ipnet::IpNet;

use super::{Instance, Out};
use crate::desired::Place;
use crate::event::Link;
use crate::{Desired, Effect};

/// One virtual address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Vip {
    /// Where it goes.
    pub(crate) place: Place,
    /// It has to be there.
    wanted: bool,
    /// Generation of the desired state in which `wanted` changed last.
    generation: u64,
    /// The kernel shows it.
    pub(crate) present: bool,
    /// It is wanted, and the kernel does not show it.
    pub(crate) failed: bool,
    /// Its first set of announcements is still to come.
    first_set: bool,
    /// Its second set is.
    second_set: bool,
}

impl Vip {
    fn new(place: Place) -> Self {
        Self {
            place,
            wanted: false,
            generation: 0,
            present: false,
            failed: false,
            first_set: false,
            second_set: false,
        }
    }

    /// Whether it has to be there.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }

    fn want(&mut self, wanted: bool, desired: &mut Desired) {
        desired.set(&self.place, wanted);
        if self.wanted == wanted {
            return;
        }
        self.wanted = wanted;
        self.generation = desired.generation;
        self.failed = false;
        self.first_set = wanted;
        self.second_set = false;
    }
}

/// The virtual addresses of an instance, in the order of its plan.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Vips(Vec<Vip>);

impl Vips {
    pub(crate) fn new(plan: &InstancePlan) -> Self {
        Self(places(plan).map(Vip::new).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Vip> {
        self.0.iter()
    }

    pub(super) fn want_all(&mut self, wanted: bool, desired: &mut Desired) {
        for vip in &mut self.0 {
            vip.want(wanted, desired);
        }
    }

    /// Goes over to the addresses of `plan`. Those that stay are not touched;
    /// those that go are no longer wanted.
    pub(super) fn change(&mut self, plan: &InstancePlan, wanted: bool, desired: &mut Desired) {
        let mut old = std::mem::take(&mut self.0);
        for place in places(plan) {
            let known = old.iter().position(|vip| vip.place == place);
            let mut vip = known.map_or_else(|| Vip::new(place), |known| old.swap_remove(known));
            vip.want(wanted, desired);
            self.0.push(vip);
        }
        for mut vip in old {
            vip.want(false, desired);
        }
    }
}

fn places(plan: &InstancePlan) -> impl Iterator<Item = Place> {
    plan.addresses
        .iter()
        .map(|vip| (vip.interface.clone().unwrap_or_else(|| plan.interface.clone()), vip.address))
}

impl Instance {
    /// The kernel shows the desired state of `generation`, but for `failed`.
    pub(crate) fn converged(
        &mut self,
        generation: u64,
        failed: &[(InterfaceName, IpNet)],
        out: &mut Out<'_>,
    ) {
        let mut first_set = false;
        for vip in &mut self.vips.0 {
            // An older generation tells nothing about a newer wish.
            if vip.generation > generation {
                continue;
            }
            vip.failed = vip.wanted && failed.contains(&vip.place);
            vip.present = vip.wanted && !vip.failed;
            // One that failed and comes back has to be announced anew.
            vip.first_set |= vip.failed;
            first_set |= vip.present && vip.first_set;
        }
        if first_set {
            self.announce_first(out);
        }
    }

    /// Somebody removed the address, and it was put back: caches may have gone
    /// over to somebody else.
    pub(crate) fn address_put_back(&mut self, place: &Place, out: &mut Out<'_>) {
        for vip in self.vips.0.iter_mut().filter(|vip| vip.wanted && vip.place == *place) {
            self.counters.address_put_back += 1;
            vip.first_set = true;
        }
        self.announce_first(out);
    }

    /// First set of those addresses that are there and have had none.
    fn announce_first(&mut self, out: &mut Out<'_>) {
        let garp = &self.settings.plan.garp;
        let (repeat, delay, refresh) = (garp.repeat, garp.delay_us, garp.refresh_us);
        self.announce(repeat, |vip| vip.present && vip.first_set, out);
        for vip in self.vips.0.iter_mut().filter(|vip| vip.present && vip.first_set) {
            vip.first_set = false;
            vip.second_set = true;
        }
        if !delay.is_zero() {
            self.timers.second_set = Some(out.now + Duration::from(delay));
        }
        if !refresh.is_zero() && self.timers.refresh.is_none() {
            self.timers.refresh = Some(out.now + Duration::from(refresh));
        }
    }

    /// One set of all addresses, beside the schedule: another master may have
    /// filled the caches.
    pub(super) fn announce_again(&mut self, out: &mut Out<'_>) {
        self.announce(self.settings.plan.garp.repeat, |vip| vip.present, out);
    }

    /// The second set, or a refresh, or both.
    pub(super) fn announcements_are_due(&mut self, out: &mut Out<'_>) {
        let garp = &self.settings.plan.garp;
        let (repeat, refresh_repeat, refresh) = (garp.repeat, garp.refresh_repeat, garp.refresh_us);
        if self.timers.second_set.is_some_and(|due| due <= out.now) {
            self.timers.second_set = None;
            self.announce(repeat, |vip| vip.present && vip.second_set, out);
            for vip in &mut self.vips.0 {
                vip.second_set = false;
            }
        }
        if self.timers.refresh.is_some_and(|due| due <= out.now) {
            self.timers.refresh = (!refresh.is_zero()).then(|| out.now + Duration::from(refresh));
            self.announce(refresh_repeat, |vip| vip.present, out);
        }
    }

    fn announce(&mut self, repeat: u8, which: impl Fn(&Vip) -> bool, out: &mut Out<'_>) {
        for _ in 0..repeat {
            for vip in self.vips.0.iter().filter(|vip| which(vip)) {
                let Some(Link { index, .. }) = out.links.get(&vip.place.0) else { continue };
                self.counters.garp_sent += 1;
                out.effects.push_back(Effect::Announce {
                    instance: self.id,
                    index: *index,
                    address: vip.place.1.addr(),
                });
            }
        }
    }
}
