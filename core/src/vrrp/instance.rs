//! One virtual router: RFC 9568 §6.4 and RFC 3768 §6.4, with fault beside
//! the three states, as keepalived has it.
//!
//! [`Instance::step`] is the machine. What it holds beside its state are
//! timers (moments at which it wants to be called), what it has heard, and its
//! addresses. It changes nothing but itself and [`Out`].

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ha_model::event::{Cause, EventKind};
use ha_model::ids::InterfaceName;
use ha_model::status::{FaultReason, InstanceCounters, VrrpState};

use super::check::{self, Heard};
use super::rules::Rules;
use super::settings::{Settings, Wire};
use crate::event::Link;
use crate::{Deadline, DeadlineReason, Desired, Effect, InstanceId, Received, Timestamp};

mod change;
mod heard;
mod status;
#[cfg(test)]
mod tests;
mod vips;

use heard::{Masters, Rival};
use vips::Vips;

/// Where an instance's outputs go, and what it may look at.
pub(crate) struct Out<'a> {
    pub(crate) now: Timestamp,
    pub(crate) rules: &'a Rules,
    pub(crate) links: &'a BTreeMap<InterfaceName, Link>,
    pub(crate) effects: &'a mut VecDeque<Effect>,
    pub(crate) desired: &'a mut Desired,
}

/// What can happen to an instance.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// All that it needs is there; `resume`: it goes on for a process that was
    /// master a moment ago.
    Ready { resume: bool },
    /// Something that it needs is missing; see [`Instance::faults`].
    Unready,
    /// A good advert.
    Heard(Heard),
    /// One of its timers has run out.
    Due(DeadlineReason),
    /// It has to let go and end.
    Release(Cause),
}

/// Preempt delay: how far a backup is with a master that it beats.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Delay {
    /// No lower master was heard.
    Idle,
    /// The lower master is left in place until then.
    Until(Timestamp),
    /// It is left in place no longer.
    Over,
}

/// Moments at which the instance wants to be called.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Timers {
    advert: Option<Timestamp>,
    master_down: Option<Timestamp>,
    second_set: Option<Timestamp>,
    refresh: Option<Timestamp>,
}

/// Where the instance sends from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Attachment {
    /// Interface index.
    pub(crate) index: u32,
    /// Source address of adverts, while there is one.
    pub(crate) source: Option<IpAddr>,
}

/// One virtual router.
#[derive(Debug)]
pub(crate) struct Instance {
    id: InstanceId,
    settings: Settings,
    state: VrrpState,
    since: Timestamp,
    faults: Vec<FaultReason>,
    attachment: Option<Attachment>,
    wire: Wire,
    timers: Timers,
    delay: Delay,
    /// Interval of the master, adopted from its adverts.
    master_interval: Duration,
    /// When the master-down timer was last started in full, so that a change
    /// of priority can move it. `None`: it was cut short.
    down_from: Option<Timestamp>,
    /// The master-down timer ran out so late that adverts may have been
    /// missed, and has been started anew for that reason.
    listens_again: bool,
    last_sent: Option<Timestamp>,
    masters: Masters,
    rival: Option<Rival>,
    /// When a rival last made us announce our addresses again.
    forced_at: Option<Timestamp>,
    vips: Vips,
    counters: InstanceCounters,
}

impl Instance {
    pub(crate) fn new(id: InstanceId, settings: Settings, now: Timestamp) -> Self {
        Self {
            id,
            state: VrrpState::Init,
            since: now,
            faults: Vec::new(),
            attachment: None,
            wire: Wire::default(),
            timers: Timers::default(),
            delay: Delay::Idle,
            master_interval: settings.interval(),
            down_from: None,
            listens_again: false,
            last_sent: None,
            masters: Masters::default(),
            rival: None,
            forced_at: None,
            vips: Vips::new(&settings.plan),
            counters: InstanceCounters::default(),
            settings,
        }
    }

    pub(crate) fn id(&self) -> InstanceId {
        self.id
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn state(&self) -> VrrpState {
        self.state
    }

    /// Where it sends from; `None` while its interface does not exist.
    pub(crate) fn attachment(&self) -> Option<Attachment> {
        self.attachment
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(crate) fn vips(&self) -> &Vips {
        &self.vips
    }

    /// The earliest of its timers.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        let delay = match self.delay {
            Delay::Until(at) => Some(at),
            Delay::Idle | Delay::Over => None,
        };
        let garp = match (self.timers.second_set, self.timers.refresh) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        [
            (self.timers.advert, DeadlineReason::Advert),
            (self.timers.master_down, DeadlineReason::MasterDown),
            (delay, DeadlineReason::PreemptDelay),
            (garp, DeadlineReason::Garp),
            (self.rival.map(|rival| rival.until), DeadlineReason::MasterForgotten),
        ]
        .into_iter()
        .filter_map(|(at, reason)| Some(Deadline { at: at?, instance: self.id, reason }))
        .min()
    }

    /// A message for this instance came in.
    pub(crate) fn receive(&mut self, packet: &Received<'_>, out: &mut Out<'_>) {
        let source = self.attachment.and_then(|attachment| attachment.source);
        match check::check(&self.settings, source, packet) {
            Ok(heard) => {
                self.counters.advert_rcvd += 1;
                self.counters.addr_list_diff += u64::from(heard.differs);
                self.counters.pri_zero_rcvd += u64::from(heard.priority == 0);
                self.step(Input::Heard(heard), out);
            }
            Err(dropped) => *dropped.counter(&mut self.counters) += 1,
        }
    }

    /// The machine.
    pub(crate) fn step(&mut self, input: Input, out: &mut Out<'_>) {
        match (self.state, input) {
            (VrrpState::Init, Input::Ready { resume }) => self.start(resume, Cause::Startup, out),
            (VrrpState::Fault, Input::Ready { resume }) => {
                self.start(resume, Cause::FaultCleared, out);
            }
            // The plan changed, or the interface did, and nothing is missing.
            (VrrpState::Backup | VrrpState::Master, Input::Ready { resume: _ }) => {}

            (VrrpState::Init | VrrpState::Backup, Input::Unready) => self.fail(out),
            (VrrpState::Master, Input::Unready) => {
                // The source may be gone with the interface; then nobody
                // hears it, and the others wait for their master-down timer.
                self.send(0, out);
                self.fail(out);
            }
            // In fault already; the list of reasons is another now.
            (VrrpState::Fault, Input::Unready) => {}

            (VrrpState::Backup, Input::Heard(heard)) => self.heard_as_backup(&heard, out),
            (VrrpState::Master, Input::Heard(heard)) => self.heard_as_master(&heard, out),
            // Remembered for the status, and no more.
            (VrrpState::Init | VrrpState::Fault, Input::Heard(heard)) => self.note(&heard, out),

            (VrrpState::Backup, Input::Due(reason)) => self.due_as_backup(reason, out),
            (VrrpState::Master, Input::Due(reason)) => self.due_as_master(reason, out),
            // No timer runs in these states.
            (VrrpState::Init | VrrpState::Fault, Input::Due(_)) => {}

            (VrrpState::Master, Input::Release(cause)) => {
                self.send(0, out);
                self.enter(VrrpState::Init, cause, out);
            }
            (VrrpState::Backup | VrrpState::Fault, Input::Release(cause)) => {
                self.enter(VrrpState::Init, cause, out);
            }
            (VrrpState::Init, Input::Release(_)) => {}
        }
    }

    /// RFC 9568 §6.4.1: the owner is master at once, others listen first.
    fn start(&mut self, resume: bool, cause: Cause, out: &mut Out<'_>) {
        if resume {
            self.become_master(Cause::Resumed, out);
        } else if self.settings.is_owner() {
            self.become_master(Cause::Owner, out);
        } else {
            self.enter(VrrpState::Backup, cause, out);
            self.listen(out);
        }
    }

    fn fail(&mut self, out: &mut Out<'_>) {
        let cause = Cause::Fault(self.faults.clone());
        self.enter(VrrpState::Fault, cause, out);
    }

    /// The advert leaves before anything else is done: one that waits for many
    /// addresses makes a second master where intervals are short.
    fn become_master(&mut self, cause: Cause, out: &mut Out<'_>) {
        self.send(self.settings.priority(), out);
        self.enter(VrrpState::Master, cause, out);
        self.timers.advert = Some(out.now + self.settings.interval());
    }

    /// Changes the state: all timers stop, addresses follow.
    fn enter(&mut self, to: VrrpState, cause: Cause, out: &mut Out<'_>) {
        let from = std::mem::replace(&mut self.state, to);
        self.since = out.now;
        self.timers = Timers::default();
        self.delay = Delay::Idle;
        self.down_from = None;
        self.listens_again = false;
        self.forced_at = None;
        self.master_interval = self.settings.interval();
        self.counters.become_master += u64::from(to == VrrpState::Master);
        self.counters.release_master += u64::from(from == VrrpState::Master);
        self.vips.want_all(to == VrrpState::Master, out.desired);
        let instance = self.settings.plan.name.clone();
        out.effects.push_back(Effect::Report(EventKind::Transition {
            instance,
            from,
            to,
            cause,
            priority: self.settings.priority(),
        }));
        self.end_rivalry(out);
    }

    /// Starts the master-down timer in full.
    fn listen(&mut self, out: &mut Out<'_>) {
        self.down_from = Some(out.now);
        self.timers.master_down = Some(out.now + self.master_down(out));
    }

    fn master_down(&self, out: &Out<'_>) -> Duration {
        let version = self.settings.plan.version;
        out.rules.master_down(version, self.settings.priority(), self.master_interval)
    }

    fn skew(&self, out: &Out<'_>) -> Duration {
        let version = self.settings.plan.version;
        (out.rules.skew)(version, self.settings.priority(), self.master_interval)
    }

    /// Hands out one advert, if there is an address to send it from.
    fn send(&mut self, priority: u8, out: &mut Out<'_>) {
        let Some(Attachment { index: _, source: Some(source) }) = self.attachment else { return };
        if self.wire.priority != priority {
            self.wire.encode(&self.settings, source, priority);
        }
        self.last_sent = Some(out.now);
        self.counters.advert_sent += 1;
        self.counters.pri_zero_sent += u64::from(priority == 0);
        out.effects.push_back(Effect::SendAdvert(self.id));
    }

    /// Sends an advert now; the next follows an interval later.
    fn advertise(&mut self, out: &mut Out<'_>) {
        self.send(self.settings.priority(), out);
        self.timers.advert = Some(out.now + self.settings.interval());
    }

    fn due_as_backup(&mut self, reason: DeadlineReason, out: &mut Out<'_>) {
        match reason {
            DeadlineReason::MasterDown => self.master_is_down(out),
            DeadlineReason::PreemptDelay => self.delay = Delay::Over,
            // Timers of a master.
            DeadlineReason::Advert | DeadlineReason::Garp | DeadlineReason::MasterForgotten => {}
        }
    }

    /// No advert in time. If the process slept for longer than that time,
    /// adverts may have been lost meanwhile: it listens once more.
    fn master_is_down(&mut self, out: &mut Out<'_>) {
        let late = self.timers.master_down.map_or(Duration::ZERO, |due| out.now.since(due));
        let slept = late > self.master_down(out);
        self.counters.late_wakeup += u64::from(late > self.settings.interval() / 2);
        if slept && !self.listens_again {
            self.listens_again = true;
            self.listen(out);
        } else {
            self.become_master(Cause::MasterDown, out);
        }
    }

    fn due_as_master(&mut self, reason: DeadlineReason, out: &mut Out<'_>) {
        match reason {
            DeadlineReason::Advert => self.advert_is_due(out),
            DeadlineReason::Garp => self.announcements_are_due(out),
            DeadlineReason::MasterForgotten => {
                self.end_rivalry(out);
                self.announce_again(out);
            }
            // Timers of a backup.
            DeadlineReason::MasterDown | DeadlineReason::PreemptDelay => {}
        }
    }

    fn advert_is_due(&mut self, out: &mut Out<'_>) {
        let interval = self.settings.interval();
        let due = self.timers.advert.unwrap_or(out.now);
        self.counters.late_wakeup += u64::from(out.now.since(due) > interval / 2);
        self.send(self.settings.priority(), out);
        // From when it was due, so that lateness does not add up; what was
        // missed altogether is not made up for.
        let next = due + interval;
        self.timers.advert = Some(if next > out.now { next } else { out.now + interval });
    }
}
