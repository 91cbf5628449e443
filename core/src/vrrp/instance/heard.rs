//! What an instance does with adverts of others.

use std::net::IpAddr;
use std::time::Duration;

use ha_model::event::{Cause, EventKind};
use ha_model::status::VrrpState;

use super::{Delay, Instance, Out};
use crate::vrrp::check::Heard;
use crate::{Effect, Timestamp};

/// Masters that are remembered at a time. Two is trouble already, and more
/// than four tell no one anything new.
const REMEMBERED: usize = 4;
/// Between two sets of announcements that rivals make us send.
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(1);

/// A master that was heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Seen {
    pub(super) address: IpAddr,
    pub(super) priority: u8,
    pub(super) heard_at: Timestamp,
    /// When its master-down interval ends.
    pub(super) until: Timestamp,
}

/// The masters heard last, without allocation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Masters([Option<Seen>; REMEMBERED]);

impl Masters {
    /// Those whose master-down interval has not ended at `now`.
    pub(super) fn alive(&self, now: Timestamp) -> impl Iterator<Item = Seen> {
        self.0.iter().flatten().filter(move |seen| seen.until > now).copied()
    }

    fn get(&self, address: IpAddr) -> Option<Seen> {
        self.0.iter().flatten().find(|seen| seen.address == address).copied()
    }

    /// Takes the place of the same master, a free one, or the oldest.
    fn insert(&mut self, seen: Seen) {
        let same = self.0.iter().position(|place| place.is_some_and(|p| p.address == seen.address));
        let place = same.unwrap_or_else(|| {
            let age = |place: &Option<Seen>| place.map(|seen| seen.heard_at);
            (0..REMEMBERED).min_by_key(|place| age(&self.0[*place])).expect("there are places")
        });
        self.0[place] = Some(seen);
    }

    fn remove(&mut self, address: IpAddr) {
        for place in &mut self.0 {
            if place.is_some_and(|seen| seen.address == address) {
                *place = None;
            }
        }
    }
}

/// Another master while we are one, and are to stay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Rival {
    address: IpAddr,
    /// When its master-down interval ends.
    pub(super) until: Timestamp,
}

impl Instance {
    /// Remembers who was heard.
    pub(super) fn note(&mut self, heard: &Heard, out: &Out<'_>) {
        if heard.priority == 0 {
            self.masters.remove(heard.source);
            return;
        }
        let version = self.settings.plan.version;
        let down = out.rules.master_down(version, self.settings.priority(), heard.interval);
        self.masters.insert(Seen {
            address: heard.source,
            priority: heard.priority,
            heard_at: out.now,
            until: out.now + down,
        });
    }

    /// RFC 9568 §6.4.2.
    pub(super) fn heard_as_backup(&mut self, heard: &Heard, out: &mut Out<'_>) {
        let before = self.masters.get(heard.source);
        self.note(heard, out);
        if heard.priority == 0 {
            // Another master that is alive makes a takeover a disturbance.
            if self.masters.alive(out.now).next().is_none() {
                self.shorten(out);
            }
        } else if heard.priority >= self.settings.priority() || !self.settings.preempts() {
            self.delay = Delay::Idle;
            self.follow(heard, out);
        } else {
            let fell = before.is_some_and(|seen| seen.priority >= self.settings.priority());
            self.heard_lower(heard, fell, out);
        }
    }

    /// A master that we beat: it is left in place for the preempt delay, then
    /// its adverts are no longer counted. If it has only now fallen below us,
    /// we do not wait for the master-down timer: it is bad and says so.
    fn heard_lower(&mut self, heard: &Heard, fell: bool, out: &mut Out<'_>) {
        let delay = Duration::from(self.settings.plan.preempt.delay_us);
        match self.delay {
            Delay::Idle if !delay.is_zero() => {
                self.delay = Delay::Until(out.now + delay);
                self.follow(heard, out);
            }
            Delay::Until(_) => self.follow(heard, out),
            Delay::Idle | Delay::Over if fell => self.shorten(out),
            Delay::Idle | Delay::Over => {}
        }
    }

    /// The master lives: its interval counts, and the timer starts anew.
    fn follow(&mut self, heard: &Heard, out: &mut Out<'_>) {
        self.master_interval = heard.interval;
        self.listens_again = false;
        self.listen(out);
    }

    /// Only the skew remains to be waited, so that the best backup is first.
    fn shorten(&mut self, out: &mut Out<'_>) {
        let at = out.now + self.skew(out);
        self.down_from = None;
        self.timers.master_down = Some(self.timers.master_down.map_or(at, |due| due.min(at)));
    }

    /// RFC 9568 §6.4.3.
    pub(super) fn heard_as_master(&mut self, heard: &Heard, out: &mut Out<'_>) {
        self.note(heard, out);
        if heard.priority == 0 {
            let rival_left = self.rival.is_some_and(|rival| rival.address == heard.source);
            self.answer(out);
            if rival_left {
                self.end_rivalry(out);
                self.announce_again(out);
            }
            return;
        }
        let own_source = self.attachment.and_then(|attachment| attachment.source);
        let own = own_source.map(|source| (self.settings.priority(), source));
        let theirs = (heard.priority, heard.source);
        if self.overslept(out) {
            // It took over by right while we were away.
            self.counters.late_wakeup += 1;
            self.yield_to(heard, Cause::LateWakeup, out);
        } else if own.is_none_or(|own| (out.rules.beats)(theirs, own)) {
            // No report of two masters: this is what every preemption looks
            // like. After a partition the one that stays reports them.
            if self.timers.advert.is_some_and(|due| due > out.now) {
                // Our last word: it makes the other announce its addresses
                // again, after ours. One of two masters may never have been
                // heard by the other. Not if our advert is overdue.
                self.send(self.settings.priority(), out);
            }
            let cause = Cause::HigherPriority { address: heard.source, priority: heard.priority };
            self.yield_to(heard, cause, out);
        } else {
            self.assert_against(heard, out);
        }
    }

    /// Whether our last advert is so old that a backup had every right to take
    /// over: three intervals, the master-down interval without the skew.
    fn overslept(&self, out: &Out<'_>) -> bool {
        let silent = self.last_sent.map_or(Duration::ZERO, |sent| out.now.since(sent));
        silent > self.settings.interval() * 3
    }

    fn yield_to(&mut self, heard: &Heard, cause: Cause, out: &mut Out<'_>) {
        self.enter(VrrpState::Backup, cause, out);
        self.follow(heard, out);
    }

    /// Forces a new election, as keepalived says: the other hears us at once,
    /// and so do those whose caches it has filled.
    fn assert_against(&mut self, heard: &Heard, out: &mut Out<'_>) {
        self.answer(out);
        let known = self.rival.is_some_and(|rival| rival.address == heard.source);
        // The last word of a master that we have just taken over from is no
        // news.
        let taking_over = out.now.since(self.since) < self.settings.interval();
        if known || !taking_over {
            self.meet_rival(heard, out);
        }
        // A rival that stays is announced against again when it falls silent,
        // so nothing is lost by waiting; one that yields at once is not.
        let due = self.forced_at.is_none_or(|at| out.now.since(at) >= ANNOUNCE_AGAIN);
        if due || taking_over {
            self.forced_at = Some(out.now);
            self.announce_again(out);
        }
    }

    /// An advert at once (RFC 9568 §6.4.3), but not within a quarter of an
    /// interval of the last: routers that do not agree on who is better would
    /// answer each other without end, and three of them in ever more adverts.
    fn answer(&mut self, out: &mut Out<'_>) {
        let pause = self.settings.interval() / 4;
        if self.last_sent.is_none_or(|sent| out.now.since(sent) >= pause) {
            self.advertise(out);
        }
    }

    /// Another master, here and now. Reported once, until it is silent for its
    /// master-down interval.
    fn meet_rival(&mut self, heard: &Heard, out: &mut Out<'_>) {
        let version = self.settings.plan.version;
        let down = out.rules.master_down(version, self.settings.priority(), heard.interval);
        let known = self.rival.is_some_and(|rival| rival.address == heard.source);
        self.rival = Some(Rival { address: heard.source, until: out.now + down });
        if !known {
            out.effects.push_back(Effect::Report(EventKind::TwoMasters {
                instance: self.settings.plan.name.clone(),
                address: heard.source,
                priority: heard.priority,
            }));
        }
    }

    /// The other is silent, or has let go, or we have.
    pub(super) fn end_rivalry(&mut self, out: &mut Out<'_>) {
        if self.rival.take().is_some() {
            let instance = self.settings.plan.name.clone();
            out.effects.push_back(Effect::Report(EventKind::TwoMastersEnded { instance }));
        }
    }
}
