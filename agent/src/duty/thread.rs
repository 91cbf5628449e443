//! The loop: hear, let the core act, do what it says, sleep until it wants to
//! be called again.

mod control;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ha_core::event::Link;
use ha_core::kernel::Place;
use ha_core::{Deadline, DeadlineReason, Effect, Event, NodeCore, Received, Timestamp};
use ha_model::event::EventKind;
use ha_model::ids::{InstanceName, InterfaceName};
use ha_model::status::VrrpState;
use ha_sys::{Poller, Timer, Token};

use super::handle::{DutyStatus, Mailbox, PlanOrder};
use super::heartbeat::Heartbeats;
use super::outbox::{Note, Outbox};
use super::wires::{Ear, Wires};
use crate::kernel::{KernelNews, KernelPort};

const TIMER: Token = Token(0);
const WAKE: Token = Token(1);
/// Adverts that are due within this span go out with those due now.
const TOGETHER: Duration = Duration::from_micros(500);
/// Batches of one turn before due adverts are looked at again.
const BATCHES: usize = 8;
/// Batches of one socket that are drained after a late wake-up; more than its
/// buffer holds.
const DRAIN: usize = 512;
/// Status is published this often, and at most this late after a change.
const STATUS_PERIOD: Duration = Duration::from_secs(1);
const STATUS_DELAY: Duration = Duration::from_millis(20);
/// How long a stop waits for the kernel to remove addresses.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// Longest advert interval a node without a plan reckons with.
const NO_INTERVAL: Duration = Duration::from_secs(1);

/// What the thread is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) poller: Poller,
    pub(super) timer: Timer,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) news: Receiver<KernelNews>,
    pub(super) kernel: KernelPort,
    pub(super) outbox: Outbox,
    pub(super) wires: Wires,
    pub(super) heartbeats: Heartbeats,
}

/// How far the thread is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// The kernel thread has not told of every interface yet.
    Starting,
    Running,
    /// The kernel is still catching up; until it has, or until this moment.
    Stopping(Timestamp),
}

/// The duty thread.
#[derive(Debug)]
pub(super) struct Duty {
    parts: Parts,
    core: NodeCore,
    stage: Stage,
    order: Option<Arc<PlanOrder>>,
    /// As the kernel shows them.
    links: BTreeMap<InterfaceName, Link>,
    /// They changed, and the core does not know it yet.
    links_stale: bool,
    /// As the core knows them: one that can't be heard does not run.
    shown: BTreeMap<InterfaceName, Link>,
    /// Interfaces that can't be heard; tried again with every status.
    deaf: bool,
    half_interval: Duration,
    wanted: u64,
    /// Last generation that the kernel showed, and whether all of it.
    settled: (u64, bool),
    /// Wanted addresses that were not there at the last look.
    failing: BTreeSet<Place>,
    changed_at: Option<Timestamp>,
    published_at: Timestamp,
    armed: Option<u64>,
}

impl Duty {
    pub(super) fn new(parts: Parts) -> io::Result<Self> {
        parts.poller.add(parts.timer.as_fd(), TIMER)?;
        parts.poller.add(parts.mailbox.wake.as_fd(), WAKE)?;
        Ok(Self {
            parts,
            core: NodeCore::new(),
            stage: Stage::Starting,
            order: None,
            links: BTreeMap::new(),
            links_stale: false,
            shown: BTreeMap::new(),
            deaf: false,
            half_interval: NO_INTERVAL / 2,
            wanted: 0,
            settled: (0, true),
            failing: BTreeSet::new(),
            changed_at: None,
            published_at: Timestamp::ZERO,
            armed: None,
        })
    }

    /// Runs until it is told to stop, or the kernel thread is gone.
    pub(super) fn run(mut self) {
        let real_time = ha_sys::run_in_real_time();
        self.parts.outbox.note(Note::Started { real_time });
        let mut ready = Vec::new();
        while self.turn(&ready).is_continue() {
            self.parts.outbox.flush();
            if let Err(error) = self.parts.poller.wait(&mut ready) {
                self.parts.outbox.note(Note::ReceiveFailed { index: 0, error });
                break;
            }
        }
        self.parts.outbox.flush();
    }

    fn turn(&mut self, ready: &[Token]) -> ControlFlow<()> {
        let now = now();
        if ready.contains(&WAKE) {
            self.parts.mailbox.wake.clear();
            self.hear_kernel(now)?;
            self.take_order(now);
            self.take_stop(now);
        }
        let ears = ready.iter().filter_map(|token| Ear::of(*token));
        if self.is_late(now) {
            // A peer may have taken over meanwhile: hear that first.
            self.receive(&self.parts.wires.ears(), DRAIN, now);
            self.serve_deadlines(now);
        } else {
            self.serve_deadlines(now);
            self.receive(&ears.collect::<Vec<_>>(), BATCHES, now);
        }
        self.send(now);
        self.want();
        self.publish(now);
        self.arm();
        self.end_of_stop(now)
    }

    fn is_late(&self, now: Timestamp) -> bool {
        let late = |deadline: Deadline| now.since(deadline.at) > self.half_interval;
        self.core.next_deadline().is_some_and(late)
    }

    fn end_of_stop(&self, now: Timestamp) -> ControlFlow<()> {
        match self.stage {
            Stage::Stopping(_) if self.settled.0 >= self.wanted => ControlFlow::Break(()),
            Stage::Stopping(limit) if now >= limit => ControlFlow::Break(()),
            Stage::Starting | Stage::Running | Stage::Stopping(_) => ControlFlow::Continue(()),
        }
    }

    fn receive(&mut self, ears: &[Ear], batches: usize, now: Timestamp) {
        for ear in ears {
            for _ in 0..batches {
                let core = &mut self.core;
                let each = |packet: Received<'_>| core.handle(Event::Packet(packet), now);
                let more = self.parts.wires.receive(*ear, each);
                self.effects(now);
                match more {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        let index = ear.index;
                        self.parts.outbox.note(Note::ReceiveFailed { index, error });
                        break;
                    }
                }
            }
        }
    }

    fn serve_deadlines(&mut self, now: Timestamp) {
        let mut last = None;
        while let Some(deadline) = self.core.next_deadline() {
            let together =
                deadline.reason == DeadlineReason::Advert && deadline.at <= now + TOGETHER;
            if deadline.at > now && !together {
                return;
            }
            if last == Some(deadline) {
                self.parts.outbox.note(Note::DeadlineStuck);
                return;
            }
            last = Some(deadline);
            self.handle(Event::Tick, now.max(deadline.at));
        }
    }

    /// Lets the core act, and does what it says.
    fn handle(&mut self, event: Event<'_>, now: Timestamp) {
        self.core.handle(event, now);
        self.effects(now);
    }

    fn effects(&mut self, now: Timestamp) {
        while let Some(effect) = self.core.next_effect() {
            match effect {
                Effect::SendAdvert(id) => {
                    if let Some(advert) = self.core.advert(id) {
                        self.parts.wires.push_advert(id, &advert);
                    }
                    if let Some(name) = self.core.name(id) {
                        self.parts.heartbeats.beat(name, now);
                    }
                }
                Effect::Announce { instance: _, index, address } => {
                    let link = self.links.values().find(|link| link.index == index);
                    if let Some(mac) = link.and_then(|link| link.mac) {
                        self.parts.wires.push_announcement(index, mac, address);
                    }
                }
                Effect::Report(kind) => self.report(kind, now),
            }
        }
    }

    fn report(&mut self, kind: EventKind, now: Timestamp) {
        if let EventKind::Transition { instance, to, .. } = &kind {
            let master = *to == VrrpState::Master;
            self.parts.heartbeats.set_master(instance, master);
            if master {
                self.parts.heartbeats.beat(instance, now);
            }
        }
        self.parts.outbox.report(kind, now);
        self.changed(now);
    }

    /// Sends what waits, and tells the core what could not be sent.
    fn send(&mut self, now: Timestamp) {
        self.parts.wires.flush();
        let frames = std::mem::take(&mut self.parts.wires.frames_failed);
        if frames > 0 {
            self.parts.outbox.note(Note::AnnounceFailed { frames });
        }
        for (id, error) in std::mem::take(&mut self.parts.wires.failed) {
            let instance = self.core.name(id).map(InstanceName::to_string).unwrap_or_default();
            self.parts.outbox.note(Note::SendFailed { instance, error });
            self.handle(Event::SendFailed(id), now);
        }
    }

    fn want(&mut self) {
        let desired = self.core.desired();
        if desired.generation != self.wanted {
            self.wanted = desired.generation;
            self.parts.kernel.want(desired.clone());
        }
    }

    fn changed(&mut self, now: Timestamp) {
        self.changed_at.get_or_insert(now);
    }

    fn publish(&mut self, now: Timestamp) {
        let changed = self.changed_at.is_some_and(|at| now.since(at) >= STATUS_DELAY);
        let periodic = now.since(self.published_at) >= STATUS_PERIOD;
        if periodic && self.deaf {
            self.refit(now);
        }
        if changed || periodic {
            self.publish_now(now);
        }
    }

    fn publish_now(&mut self, now: Timestamp) {
        self.changed_at = None;
        self.published_at = now;
        let at_us = ha_sys::wall_micros();
        let (generation, whole) = self.settled;
        let settled = whole && generation >= self.wanted;
        let instances = self.core.status(now, at_us);
        let strays = self.core.counters();
        self.parts.outbox.publish(DutyStatus { instances, strays, settled, at_us });
    }

    /// Sets the timer to whatever comes first.
    fn arm(&mut self) {
        let stop = match self.stage {
            Stage::Stopping(limit) => Some(limit),
            Stage::Starting | Stage::Running => None,
        };
        let status = match self.changed_at {
            Some(at) => at + STATUS_DELAY,
            None => self.published_at + STATUS_PERIOD,
        };
        let deadline = self.core.next_deadline().map(|deadline| deadline.at);
        let next = [deadline, stop, Some(status)].into_iter().flatten().min();
        let next = next.map(Timestamp::as_nanos);
        // An expired timer stays readable until it is set again.
        let expired = next.is_none_or(|next| self.armed.is_none_or(|armed| armed != next));
        if expired {
            self.armed = next;
            if let Err(error) = self.parts.timer.set(next) {
                self.parts.outbox.note(Note::ReceiveFailed { index: 0, error });
            }
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from_nanos(ha_sys::boot_nanos())
}
