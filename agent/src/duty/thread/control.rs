//! What the duty thread is told: news of the kernel, plans, and to stop.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::TryRecvError;

use ha_core::kernel::Place;
use ha_core::{Event, Timestamp};
use ha_model::event::EventKind;

use super::super::handle::StopMode;
use super::super::outbox::Note;
use super::super::wires::names;
use super::{Duty, NO_INTERVAL, STOP_LIMIT, Stage};
use crate::kernel::{Failure, KernelNews};

impl Duty {
    pub(super) fn hear_kernel(&mut self, now: Timestamp) -> ControlFlow<()> {
        loop {
            match self.parts.news.try_recv() {
                Ok(news) => self.take_news(news, now),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return ControlFlow::Break(()),
            }
        }
        self.refit_if_stale(now);
        ControlFlow::Continue(())
    }

    fn take_news(&mut self, news: KernelNews, now: Timestamp) {
        match news {
            // A burst of links, as at start, fits the sockets once.
            KernelNews::Link(link) => {
                self.links.insert(link.interface.clone(), link);
                self.links_stale = true;
            }
            KernelNews::LinkGone(interface) => {
                self.links.remove(&interface);
                self.links_stale = true;
            }
            KernelNews::Ready => {
                self.refit_if_stale(now);
                if self.stage == Stage::Starting {
                    self.stage = Stage::Running;
                }
                self.take_order(now);
            }
            KernelNews::Converged { generation, failed } => {
                self.refit_if_stale(now);
                self.converged(generation, failed, now);
            }
            KernelNews::PutBack { interface, address } => {
                self.refit_if_stale(now);
                self.handle(Event::AddressPutBack { interface: &interface, address }, now);
            }
        }
    }

    fn refit_if_stale(&mut self, now: Timestamp) {
        if std::mem::take(&mut self.links_stale) {
            self.refit(now);
        }
    }

    fn converged(&mut self, generation: u64, failed: Vec<Failure>, now: Timestamp) {
        self.settled = (generation, failed.is_empty());
        let places: Vec<Place> = failed.iter().map(|failure| failure.place.clone()).collect();
        self.handle(Event::Converged { generation, failed: &places }, now);
        for Failure { place: (interface, address), reason } in failed {
            let known = self.failing.contains(&(interface.clone(), address));
            if let Some(reason) = reason.filter(|_| !known) {
                self.report(EventKind::AddressFailed { address, interface, reason }, now);
            }
        }
        self.failing = places.into_iter().collect();
        self.changed(now);
    }

    /// Fits the sockets to plan and links, and tells the core which interfaces
    /// it has.
    pub(super) fn refit(&mut self, now: Timestamp) {
        let plan = self.order.as_ref().map(|order| &*order.plan);
        let deaf = self.parts.wires.fit(plan, &self.links, &self.parts.poller);
        let without_ear = names(&deaf);
        let was_deaf = std::mem::replace(&mut self.deaf, !deaf.is_empty());
        if !was_deaf {
            for deaf in deaf {
                let (interface, error) = (deaf.interface, deaf.error);
                self.parts.outbox.note(Note::Deaf { interface, error });
            }
        }
        let mut links = self.links.clone();
        for (name, link) in &mut links {
            link.running &= !without_ear.contains(name);
        }
        let before = std::mem::replace(&mut self.shown, links.clone());
        for name in before.keys().filter(|name| !links.contains_key(*name)) {
            self.handle(Event::LinkGone(name), now);
        }
        for (name, link) in links.iter().filter(|(name, link)| before.get(*name) != Some(*link)) {
            // Made anew: what was known of the old one is void.
            if before.get(name).is_some_and(|old| old.index != link.index) {
                self.handle(Event::LinkGone(name), now);
            }
            self.handle(Event::Link(link), now);
        }
    }

    pub(super) fn take_order(&mut self, now: Timestamp) {
        if self.stage != Stage::Running {
            return;
        }
        let Some(order) = self.parts.mailbox.plan.swap(None) else { return };
        if self.order.is_none() {
            let masters = self.parts.heartbeats.resumable(&order.plan, now);
            if !masters.is_empty() {
                self.handle(Event::Resume { masters: &masters }, now);
            }
        }
        let intervals = order.plan.instances.iter().map(|instance| instance.interval_us.into());
        self.half_interval = intervals.min().unwrap_or(NO_INTERVAL) / 2;
        self.order = Some(Arc::clone(&order));
        self.parts.heartbeats.assign(&order.plan);
        self.refit(now);
        self.handle(Event::Plan { plan: &order.plan, secrets: &order.secrets }, now);
        for name in self.core.masters() {
            self.parts.heartbeats.set_master(name, true);
        }
        self.parts.outbox.acknowledge(order.sequence);
        self.changed(now);
    }

    pub(super) fn take_stop(&mut self, now: Timestamp) {
        let Some(mode) = self.parts.mailbox.stop() else { return };
        if matches!(self.stage, Stage::Stopping(_)) {
            return;
        }
        self.stage = Stage::Stopping(now + STOP_LIMIT);
        match mode {
            StopMode::Final => {
                self.handle(Event::Stop, now);
                self.parts.heartbeats.clear();
            }
            StopMode::ForRestart => self.handle(Event::StopForRestart, now),
        }
    }
}
