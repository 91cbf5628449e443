//! Events on their way to the controller, on this node's disk: appended and
//! fsynced before anybody is offered them, read from any number on, dropped
//! once they are acknowledged.
//!
//! One owner task; several events share one fsync. Nobody waits for it:
//! reporting an event never blocks, and what does not fit is counted and
//! recorded as a gap.

mod disk;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ha_model::event::{EventKind, NodeEvent};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use disk::Spool;

/// Events that wait for the disk: a failover of a thousand virtual routers,
/// with what they report on the way.
const QUEUE: usize = 4096;

/// Events in one write and one fsync.
const GROUP: usize = 512;

/// Readers ask one after the other: the session and some people.
const ASKS: usize = 8;

/// Between two tries to record a gap on a disk that was full.
const RETRY: Duration = Duration::from_secs(5);

/// Read at most at once.
pub const READ_LIMIT: usize = 512;

/// What the spool holds: a level, the latest wins.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct SpoolLevel {
    /// Life of the spool; 0 as long as there is none.
    pub epoch: u64,
    /// The oldest number kept.
    pub first: u64,
    /// The number of the next event.
    pub next: u64,
    /// The last number that was acknowledged, as far as this process knows.
    pub acked: u64,
}

/// One event with its number in the spool.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SpooledEvent {
    /// Rises by one from event to event; a gap stands for as many as it says.
    pub sequence: u64,
    /// The event.
    pub event: NodeEvent,
}

/// The event `kind`, happening now.
#[must_use]
pub fn stamp(kind: EventKind, traceparent: Option<String>) -> NodeEvent {
    NodeEvent {
        at_us: ha_sys::wall_micros(),
        boot_us: ha_sys::boot_nanos() / 1_000,
        kind,
        traceparent,
    }
}

/// Reports events. Never blocks. Clones share the queue.
#[derive(Clone, Debug)]
pub struct Reporter {
    events: mpsc::Sender<NodeEvent>,
    lost: Arc<AtomicU64>,
}

impl Reporter {
    /// Reports what happens now.
    pub fn report(&self, kind: EventKind, traceparent: Option<String>) {
        if self.events.try_send(stamp(kind, traceparent)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Passes on an event that somebody else made, and waits for room: who
    /// made it counts for himself what does not fit. Cancel-safe, but the event
    /// is lost then.
    pub async fn pass_on(&self, event: NodeEvent) {
        if self.events.send(event).await.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
enum Ask {
    Read { from: u64, limit: usize, answer: oneshot::Sender<Vec<SpooledEvent>> },
    Ack { epoch: u64, sequence: u64 },
    Renew { known: u64, answer: oneshot::Sender<()> },
    Flush { answer: oneshot::Sender<()> },
}

/// The spool task has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the spool task has ended")]
pub struct SpoolGone;

/// Way to the spool for those who read it. Clones share it.
#[derive(Clone, Debug)]
pub struct SpoolHandle {
    asks: mpsc::Sender<Ask>,
    level: watch::Receiver<SpoolLevel>,
}

impl SpoolHandle {
    /// At most `limit` (and [`READ_LIMIT`]) events from number `from` on.
    ///
    /// # Errors
    /// [`SpoolGone`].
    pub async fn read(&self, from: u64, limit: usize) -> Result<Vec<SpooledEvent>, SpoolGone> {
        let (answer, events) = oneshot::channel();
        self.ask(Ask::Read { from, limit: limit.min(READ_LIMIT), answer }).await?;
        events.await.map_err(|_| SpoolGone)
    }

    /// Everything of `epoch` up to `sequence` is stored elsewhere.
    ///
    /// # Errors
    /// [`SpoolGone`].
    pub async fn ack(&self, epoch: u64, sequence: u64) -> Result<(), SpoolGone> {
        self.ask(Ask::Ack { epoch, sequence }).await
    }

    /// Begins a new epoch, because somebody knows numbers up to `known` that
    /// this spool has not given out. Returns once it has begun.
    ///
    /// # Errors
    /// [`SpoolGone`].
    pub async fn renew(&self, known: u64) -> Result<(), SpoolGone> {
        let (answer, done) = oneshot::channel();
        self.ask(Ask::Renew { known, answer }).await?;
        done.await.map_err(|_| SpoolGone)
    }

    /// Returns once all that was reported before is on the disk.
    ///
    /// # Errors
    /// [`SpoolGone`].
    pub async fn flush(&self) -> Result<(), SpoolGone> {
        let (answer, done) = oneshot::channel();
        self.ask(Ask::Flush { answer }).await?;
        done.await.map_err(|_| SpoolGone)
    }

    /// What the spool holds, and every change.
    #[must_use]
    pub fn level(&self) -> watch::Receiver<SpoolLevel> {
        self.level.clone()
    }

    async fn ask(&self, ask: Ask) -> Result<(), SpoolGone> {
        self.asks.send(ask).await.map_err(|_| SpoolGone)
    }
}

/// Owner of the spool.
#[derive(Debug)]
pub struct SpoolTask {
    events: mpsc::Receiver<NodeEvent>,
    asks: mpsc::Receiver<Ask>,
    lost: Arc<AtomicU64>,
    level: watch::Sender<SpoolLevel>,
    spool: Spool,
}

impl SpoolTask {
    /// The spool in `dir`. Opens nothing before [`SpoolTask::run`].
    #[must_use]
    pub fn new(dir: &Path) -> (Reporter, SpoolHandle, Self) {
        Self::with_limit(dir, disk::LIMIT)
    }

    fn with_limit(dir: &Path, limit: u64) -> (Reporter, SpoolHandle, Self) {
        let (event_sender, events) = mpsc::channel(QUEUE);
        let (ask_sender, asks) = mpsc::channel(ASKS);
        let spool = Spool::new(dir, limit);
        let (level, level_receiver) = watch::channel(spool.level());
        let lost = Arc::new(AtomicU64::new(0));
        (
            Reporter { events: event_sender, lost: lost.clone() },
            SpoolHandle { asks: ask_sender, level: level_receiver },
            Self { events, asks, lost, level, spool },
        )
    }

    /// Serves until every reporter is gone, and returns once all that was
    /// reported is on the disk.
    pub async fn run(self) {
        let Self { mut events, mut asks, lost, level, mut spool } = self;
        let mut group = Vec::with_capacity(GROUP);
        let mut retry = tokio::time::interval(RETRY);
        retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asked = true;
        loop {
            // Cancel-safe: `recv_many` takes nothing out unless it completes,
            // nor does `recv`; a tick that is lost comes again.
            let work = tokio::select! {
                count = events.recv_many(&mut group, GROUP) => match count {
                    0 => return,
                    _ => Work::Append(std::mem::take(&mut group)),
                },
                ask = asks.recv(), if asked => match ask {
                    Some(Ask::Flush { answer }) => {
                        while let Ok(event) = events.try_recv() {
                            group.push(event);
                        }
                        Work::Flush(std::mem::take(&mut group), answer)
                    }
                    Some(Ask::Renew { known, answer }) => Work::Renew(known, answer),
                    Some(Ask::Ack { epoch, sequence }) => Work::Ack(epoch, sequence),
                    Some(Ask::Read { from, limit, answer }) => Work::Read(from, limit, answer),
                    None => {
                        asked = false;
                        continue;
                    }
                },
                _ = retry.tick() => Work::Append(Vec::new()),
            };
            let dropped = lost.swap(0, Ordering::Relaxed);
            let waiting;
            (spool, waiting) = disk_work(spool, work, dropped).await;
            level.send_if_modified(|old| {
                let new = spool.level();
                std::mem::replace(old, new) != new
            });
            if let Some(answer) = waiting {
                // Whoever asked may have gone meanwhile.
                let _ = answer.send(());
            }
        }
    }
}

enum Work {
    Append(Vec<NodeEvent>),
    Read(u64, usize, oneshot::Sender<Vec<SpooledEvent>>),
    Ack(u64, u64),
    Renew(u64, oneshot::Sender<()>),
    Flush(Vec<NodeEvent>, oneshot::Sender<()>),
}

/// Does `work` where the disk holds nobody up. Gives back who waits for the new
/// level.
async fn disk_work(
    mut spool: Spool,
    work: Work,
    dropped: u64,
) -> (Spool, Option<oneshot::Sender<()>>) {
    crate::blocking(move || {
        spool.lose(dropped, "more happened at once than the spool takes in");
        let waiting = match work {
            Work::Append(events) => {
                spool.append(&events);
                None
            }
            Work::Read(from, limit, answer) => {
                // The reader may have gone meanwhile.
                let _ = answer.send(spool.read(from, limit));
                None
            }
            Work::Ack(epoch, sequence) => {
                spool.ack(epoch, sequence);
                None
            }
            Work::Renew(known, answer) => {
                spool.renew(known);
                Some(answer)
            }
            Work::Flush(events, answer) => {
                spool.append(&events);
                Some(answer)
            }
        };
        (spool, waiting)
    })
    .await
}

#[cfg(test)]
mod tests;
