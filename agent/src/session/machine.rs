//! What to say next on one stream to the controller. Pure: time is the span
//! since the stream began.
//!
//! Status is a level: when there is room on the stream the latest is sent, and
//! what it was in between is never sent. Events are history: one batch at a
//! time, the next after its acknowledgement.

use std::time::Duration;

use ha_model::status::{InstanceCounters, InstanceStatus, NodeStatus, PlanStatus};

use crate::node::NodeView;
use crate::spool::SpoolLevel;

/// Changes within this span go out in one summary.
const COALESCE: Duration = Duration::from_millis(100);

/// What the controller said in its welcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Terms {
    /// Between two summaries when nothing changes.
    pub(super) summary_interval: Duration,
    /// The last event that it has stored.
    pub(super) acknowledged: u64,
}

/// What to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outgoing {
    ChallengeAnswer(u64),
    /// The full status.
    Summary,
    /// What became of the offer.
    PlanStatus,
    /// A batch of events from this number on.
    Events(u64),
}

/// What is known of this node when something is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) view: &'a NodeView,
    pub(super) spool: SpoolLevel,
}

/// The stream does not follow the protocol, or can't go on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Break {
    #[error("event {sequence} was acknowledged, {sent} is the last that was sent")]
    AckOfUnsent { sequence: u64, sent: u64 },
    #[error("the controller knows events up to {acknowledged}, the spool ends before {next}")]
    SpoolBehind { acknowledged: u64, next: u64 },
    #[error("the spool is a new one")]
    SpoolChanged,
}

/// One stream, after its welcome.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    terms: Terms,
    /// The spool that the hello named.
    epoch: u64,
    /// Last event sent, and last acknowledged.
    sent: u64,
    acked: u64,
    challenges: Vec<u64>,
    summary_at: Option<Duration>,
    summary: Option<NodeStatus>,
    told: Option<Answer>,
}

/// What a plan status says. The count tells two equal answers to two offers
/// apart: each offer is answered.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Answer {
    offers: u64,
    status: PlanStatus,
}

/// Challenges that wait for room on the stream. One is normal; more than this
/// is noise, and the oldest are worth nothing any more.
const CHALLENGES: usize = 4;

impl Machine {
    /// A stream whose hello named the spool as in `hello`.
    ///
    /// # Errors
    /// [`Break::SpoolBehind`].
    pub(super) fn new(terms: Terms, hello: SpoolLevel) -> Result<Self, Break> {
        if terms.acknowledged >= hello.next && hello.epoch != 0 {
            return Err(Break::SpoolBehind { acknowledged: terms.acknowledged, next: hello.next });
        }
        Ok(Self {
            terms,
            epoch: hello.epoch,
            sent: terms.acknowledged,
            acked: terms.acknowledged,
            challenges: Vec::new(),
            summary_at: None,
            summary: None,
            told: None,
        })
    }

    /// The controller wants to know whether this stream lives.
    pub(super) fn challenge(&mut self, nonce: u64) {
        if self.challenges.len() == CHALLENGES {
            self.challenges.remove(0);
        }
        self.challenges.push(nonce);
    }

    /// The controller has stored all up to `sequence`. Returns it if that is
    /// news.
    ///
    /// # Errors
    /// [`Break::AckOfUnsent`].
    pub(super) fn ack(&mut self, epoch: u64, sequence: u64) -> Result<Option<u64>, Break> {
        if epoch != self.epoch {
            return Ok(None);
        }
        if sequence > self.sent {
            return Err(Break::AckOfUnsent { sequence, sent: self.sent });
        }
        if sequence <= self.acked {
            return Ok(None);
        }
        self.acked = sequence;
        Ok(Some(sequence))
    }

    /// What to send now; nothing is taken as sent before [`Self::sent`].
    ///
    /// # Errors
    /// [`Break::SpoolChanged`]: the hello no longer holds.
    pub(super) fn next(&self, now: Duration, known: Known<'_>) -> Result<Option<Outgoing>, Break> {
        if known.spool.epoch != self.epoch {
            return Err(Break::SpoolChanged);
        }
        if let Some(nonce) = self.challenges.first() {
            return Ok(Some(Outgoing::ChallengeAnswer(*nonce)));
        }
        if self.summary_due(known.view).is_some_and(|due| due <= now) {
            return Ok(Some(Outgoing::Summary));
        }
        if answer(known.view).is_some_and(|answer| self.told.as_ref() != Some(&answer)) {
            return Ok(Some(Outgoing::PlanStatus));
        }
        if self.sent == self.acked && known.spool.next > self.sent + 1 {
            return Ok(Some(Outgoing::Events(self.sent + 1)));
        }
        Ok(None)
    }

    /// `outgoing` was sent at `now`, made of what is `known`. `last` is the
    /// last event of a batch.
    pub(super) fn sent(
        &mut self,
        outgoing: &Outgoing,
        last: Option<u64>,
        now: Duration,
        known: Known<'_>,
    ) {
        match outgoing {
            Outgoing::ChallengeAnswer(nonce) => self.challenges.retain(|other| other != nonce),
            Outgoing::Summary => {
                self.summary_at = Some(now);
                self.summary = Some(essence(&known.view.status));
            }
            Outgoing::PlanStatus => self.told = answer(known.view),
            Outgoing::Events(_) => self.sent = last.unwrap_or(self.sent).max(self.sent),
        }
    }

    /// When [`Self::next`] may have something although nothing has changed.
    pub(super) fn deadline(&self, view: &NodeView) -> Option<Duration> {
        self.summary_due(view)
    }

    /// Whether the controller has heard all that is known.
    pub(super) fn is_settled(&self, known: Known<'_>) -> bool {
        self.summary.as_ref() == Some(&essence(&known.view.status))
            && self.acked + 1 >= known.spool.next
    }

    fn summary_due(&self, view: &NodeView) -> Option<Duration> {
        let Some(last) = self.summary_at else { return Some(Duration::ZERO) };
        let changed = self.summary.as_ref() != Some(&essence(&view.status));
        let wait = if changed { COALESCE } else { self.terms.summary_interval };
        last.checked_add(wait)
    }
}

fn answer(view: &NodeView) -> Option<Answer> {
    let status = view.status.offered.clone()?;
    Some(Answer { offers: view.offers, status })
}

/// A status without what changes all the time: counters and moments.
fn essence(status: &NodeStatus) -> NodeStatus {
    let instances = status
        .instances
        .iter()
        .map(|instance| {
            let mut instance =
                InstanceStatus { counters: InstanceCounters::default(), ..instance.clone() };
            for master in &mut instance.masters_seen {
                master.heard_at_us = 0;
            }
            instance
        })
        .collect();
    NodeStatus { instances, at_us: 0, ..status.clone() }
}

#[cfg(test)]
mod tests;
