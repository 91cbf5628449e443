//! All virtual routers of one node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ha_model::event::{Cause, EventKind};
use ha_model::ids::{InstanceName, InterfaceName};
use ha_model::plan::Family;
use ha_model::status::{InstanceStatus, VrrpState};
use ipnet::IpNet;

use crate::desired::Place;
use crate::event::Link;
use crate::vrrp::instance::{Input, Instance, Out};
use crate::vrrp::packet;
use crate::vrrp::rules::Rules;
use crate::{Advert, Desired, Effect, Event, InstanceId, Received, Timestamp};

mod plan;
mod queue;
#[cfg(test)]
mod tests;

use queue::DeadlineQueue;

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

/// What a node is doing as a whole.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Mode {
    #[default]
    Running,
    /// Stopped, for good or for a restart: nothing happens any more, but that
    /// the kernel catches up.
    Ended,
}

/// The machines of one node. See the crate's page for how to drive it.
#[derive(Debug, Default)]
pub struct NodeCore {
    rules: Rules,
    mode: Mode,
    /// The latest time that was handed in.
    now: Timestamp,
    links: BTreeMap<InterfaceName, Link>,
    slots: Vec<Option<Instance>>,
    /// Instances that the plan no longer holds; their last advert can be
    /// fetched until the next event.
    leaving: Vec<InstanceId>,
    /// Which instance a message is for.
    wires: BTreeMap<(u32, Family, u8), InstanceId>,
    deadlines: DeadlineQueue,
    effects: VecDeque<Effect>,
    desired: Desired,
    /// Addresses that the plan no longer names and the kernel may still show.
    retired: BTreeSet<Place>,
    /// Instances that go on as master when they start, and since when.
    resume: Option<(Timestamp, Vec<InstanceName>)>,
    counters: NodeCounters,
}

impl NodeCore {
    /// A node without a plan.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A node with other rules than the protocol's. For tests that show that a
    /// broken rule is noticed.
    #[must_use]
    pub fn with_rules(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Takes in what happened at `now`. [`Event::Tick`] alone serves deadlines.
    /// Time that runs backwards counts as standing still.
    pub fn handle(&mut self, event: Event<'_>, now: Timestamp) {
        self.now = self.now.max(now);
        self.free_leaving();
        match (self.mode, event) {
            (Mode::Running | Mode::Ended, Event::Converged { generation, failed }) => {
                self.converged(generation, failed);
            }
            (Mode::Ended, _) => {}
            (Mode::Running, Event::Packet(packet)) => self.receive(&packet),
            (Mode::Running, Event::Tick) => self.serve_deadlines(),
            (Mode::Running, Event::Plan { plan, secrets }) => self.run_plan(plan, secrets),
            (Mode::Running, Event::Link(link)) => {
                self.links.insert(link.interface.clone(), link.clone());
                self.refresh_all();
            }
            (Mode::Running, Event::LinkGone(interface)) => {
                self.links.remove(interface);
                self.refresh_all();
            }
            (Mode::Running, Event::AddressPutBack { interface, address }) => {
                self.address_put_back(interface, address);
            }
            (Mode::Running, Event::SendFailed(id)) => {
                self.with(id, |instance, _| instance.send_failed());
            }
            (Mode::Running, Event::Stop) => {
                self.with_all(|instance, out| instance.step(Input::Release(Cause::Stop), out));
                self.end();
            }
            (Mode::Running, Event::StopForRestart) => {
                self.with_all(|instance, out| instance.hand_over(out));
                self.end();
            }
            (Mode::Running, Event::Resume { masters }) => {
                self.resume = Some((self.now, masters.to_vec()));
            }
        }
    }

    /// The next thing to do, in order.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Deadline> {
        self.deadlines.first()
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
        let instance = self.slots.get(slot(instance))?.as_ref()?;
        let attachment = instance.attachment()?;
        let wire = instance.wire();
        Some(Advert {
            family: instance.settings().plan.family,
            index: attachment.index,
            source: attachment.source?,
            destinations: &wire.destinations,
            messages: &wire.messages,
        })
    }

    /// Name of an instance; `None` if it has gone.
    #[must_use]
    pub fn name(&self, instance: InstanceId) -> Option<&InstanceName> {
        let instance = self.slots.get(slot(instance))?.as_ref()?;
        Some(&instance.settings().plan.name)
    }

    /// Names of the instances that are master now, in order of their slots.
    pub fn masters(&self) -> impl Iterator<Item = &InstanceName> {
        self.instances()
            .filter(|instance| instance.state() == VrrpState::Master)
            .map(|instance| &instance.settings().plan.name)
    }

    /// Counters of the node since it was made.
    #[must_use]
    pub fn counters(&self) -> NodeCounters {
        self.counters
    }

    /// Present state of every instance, sorted by name. `wall_us` is the wall
    /// clock at `now`, microseconds since 1970; times in the status are
    /// derived from it.
    #[must_use]
    pub fn status(&self, now: Timestamp, wall_us: u64) -> Vec<InstanceStatus> {
        let leaving = |instance: &&Instance| !self.leaving.contains(&instance.id());
        let mut status: Vec<_> = self
            .instances()
            .filter(leaving)
            .map(|instance| instance.status(now.max(self.now), wall_us))
            .collect();
        status.sort_by(|one, other| one.name.cmp(&other.name));
        status
    }

    fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.slots.iter().flatten()
    }

    /// Lets one instance act, and looks at its deadline afterwards.
    fn with(&mut self, id: InstanceId, act: impl FnOnce(&mut Instance, &mut Out<'_>)) {
        let Some(Some(instance)) = self.slots.get_mut(slot(id)) else { return };
        let mut out = Out {
            now: self.now,
            rules: &self.rules,
            links: &self.links,
            effects: &mut self.effects,
            desired: &mut self.desired,
        };
        act(instance, &mut out);
        self.deadlines.set(id, instance.deadline());
    }

    fn with_all(&mut self, act: impl Fn(&mut Instance, &mut Out<'_>)) {
        for slot in 0..self.slots.len() {
            self.with(id(slot), &act);
        }
    }

    fn receive(&mut self, packet: &Received<'_>) {
        let Some(vrid) = packet::peek_vrid(packet.message) else {
            self.counters.runt += 1;
            return;
        };
        match self.wires.get(&(packet.index, Family::of(packet.source), vrid)) {
            Some(id) => self.with(*id, |instance, out| instance.receive(packet, out)),
            None => self.counters.vrid_err += 1,
        }
    }

    fn serve_deadlines(&mut self) {
        while let Some(deadline) = self.deadlines.first() {
            if deadline.at > self.now {
                break;
            }
            self.with(deadline.instance, |instance, out| {
                instance.step(Input::Due(deadline.reason), out);
            });
        }
    }

    /// Lets every instance look at the interfaces.
    fn refresh_all(&mut self) {
        for slot in 0..self.slots.len() {
            self.refresh(id(slot));
        }
        self.index_wires();
    }

    fn refresh(&mut self, id: InstanceId) {
        let resume = self.takes_resume(id);
        self.with(id, |instance, out| instance.refresh(resume, out));
    }

    /// Whether the instance is to go on as master: only while its advert of
    /// before the restart is still fresh.
    fn takes_resume(&self, id: InstanceId) -> bool {
        let Some(Some(instance)) = self.slots.get(slot(id)) else { return false };
        let settings = instance.settings();
        self.resume.as_ref().is_some_and(|(since, names)| {
            self.now.since(*since) <= settings.interval() && names.contains(&settings.plan.name)
        })
    }

    fn index_wires(&mut self) {
        self.wires = self
            .instances()
            .filter_map(|instance| {
                let plan = &instance.settings().plan;
                let index = instance.attachment()?.index;
                Some(((index, plan.family, plan.vrid.get()), instance.id()))
            })
            .collect();
    }

    fn converged(&mut self, generation: u64, failed: &[(InterfaceName, IpNet)]) {
        self.with_all(|instance, out| instance.converged(generation, failed, out));
        if generation >= self.desired.generation {
            for place in std::mem::take(&mut self.retired) {
                self.desired.forget(&place);
            }
        }
    }

    fn address_put_back(&mut self, interface: &InterfaceName, address: IpNet) {
        let place = (interface.clone(), address);
        self.with_all(|instance, out| instance.address_put_back(&place, out));
        let interface = interface.clone();
        self.effects.push_back(Effect::Report(EventKind::AddressPutBack { address, interface }));
    }

    fn end(&mut self) {
        self.mode = Mode::Ended;
        self.deadlines.clear();
    }

    fn free_leaving(&mut self) {
        for id in self.leaving.drain(..) {
            self.slots[slot(id)] = None;
            self.deadlines.set(id, None);
        }
    }
}

fn slot(id: InstanceId) -> usize {
    usize::try_from(id.0).expect("a slot is an index into a vector")
}

fn id(slot: usize) -> InstanceId {
    InstanceId(u32::try_from(slot).expect("a node has fewer than 2^32 instances"))
}
