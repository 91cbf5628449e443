//! From the duty thread to everything else: nothing here can make it wait.
//!
//! History goes through a bounded ring, levels through one-place slots, and a
//! byte in a pipe wakes the relay task that carries both on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ha_core::Timestamp;
use ha_model::event::{EventKind, NodeEvent};
use ha_sys::WakePipe;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};

use super::handle::DutyStatus;

/// Room for every instance of a large node to change its state twice while the
/// relay is held up. What does not fit is counted and becomes a gap.
pub(super) const RING: usize = 4096;

/// Something for the log.
#[derive(Debug)]
pub(super) enum Note {
    /// The thread runs; whether with real-time priority.
    Started { real_time: Result<(), std::io::Error> },
    /// An interface can't be heard; its instances are in fault.
    Deaf { interface: ha_model::ids::InterfaceName, error: ha_sys::SocketError },
    /// The kernel did not take an advert.
    SendFailed { instance: String, error: std::io::Error },
    /// The kernel did not take announcements.
    AnnounceFailed { frames: usize },
    /// Reading a socket failed.
    ReceiveFailed { index: u32, error: std::io::Error },
    /// The core asked for the same deadline again; it was put off.
    DeadlineStuck,
}

#[derive(Debug)]
enum Out {
    Event(NodeEvent),
    Note(Note),
}

/// The duty thread's end.
#[derive(Debug)]
pub(super) struct Outbox {
    ring: SyncSender<Out>,
    levels: Arc<Levels>,
    wake: WakePipe,
    lost: u64,
    waiting: bool,
}

#[derive(Debug, Default)]
struct Levels {
    status: ArcSwapOption<DutyStatus>,
    /// Sequence of the last order that runs.
    running: AtomicU64,
}

impl Outbox {
    /// Puts down what happened. A full ring loses it and counts.
    pub(super) fn report(&mut self, kind: EventKind, now: Timestamp) {
        if self.lost > 0 {
            let reason = "the agent could not take reports fast enough".to_owned();
            let gap = event(EventKind::Gap { lost: self.lost, reason }, now);
            match self.ring.try_send(Out::Event(gap)) {
                Ok(()) => self.lost = 0,
                Err(_) => {
                    self.lost += 1;
                    return;
                }
            }
        }
        if self.ring.try_send(Out::Event(event(kind, now))).is_err() {
            self.lost += 1;
        }
        self.waiting = true;
    }

    /// Puts down something for the log. A full ring loses it.
    pub(super) fn note(&mut self, note: Note) {
        self.waiting |= self.ring.try_send(Out::Note(note)).is_ok();
    }

    /// Publishes the present state.
    pub(super) fn publish(&mut self, status: DutyStatus) {
        self.levels.status.store(Some(Arc::new(status)));
        self.waiting = true;
    }

    /// The order with this sequence runs.
    pub(super) fn acknowledge(&mut self, sequence: u64) {
        self.levels.running.store(sequence, Ordering::Release);
        self.waiting = true;
    }

    /// Wakes the relay if there is anything for it.
    pub(super) fn flush(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.wake.signal();
        }
    }
}

fn event(kind: EventKind, now: Timestamp) -> NodeEvent {
    NodeEvent { at_us: ha_sys::wall_micros(), boot_us: now.as_micros(), kind, traceparent: None }
}

/// The other end: an ordinary task that logs and hands on.
#[derive(Debug)]
pub(super) struct Relay {
    ring: Receiver<Out>,
    levels: Arc<Levels>,
    wake: pipe::Receiver,
    events: mpsc::Sender<NodeEvent>,
    lost: u64,
    pub(super) running: watch::Sender<u64>,
    pub(super) status: watch::Sender<Arc<DutyStatus>>,
}

/// Both ends, and where events come out.
pub(super) fn outbox() -> std::io::Result<(Outbox, Relay, mpsc::Receiver<NodeEvent>)> {
    let (sender, receiver) = sync_channel(RING);
    let (wake, woken) = WakePipe::new()?;
    let levels = Arc::new(Levels::default());
    // As the ring: the reader of events may be held up as long as the relay.
    let (events, event_receiver) = mpsc::channel(RING);
    let relay = Relay {
        ring: receiver,
        levels: Arc::clone(&levels),
        wake: pipe::Receiver::from_owned_fd(woken)?,
        events,
        lost: 0,
        running: watch::Sender::new(0),
        status: watch::Sender::new(Arc::default()),
    };
    let outbox = Outbox { ring: sender, levels, wake, lost: 0, waiting: false };
    Ok((outbox, relay, event_receiver))
}

impl Relay {
    /// Runs until the duty thread has ended and all it left is handed on, and
    /// `threads` have ended.
    pub(super) async fn run(mut self, threads: impl IntoIterator<Item = JoinHandle<()>>) {
        let mut bytes = [0_u8; 64];
        while !self.carry() {
            // The end of the pipe means that the thread is about to end; the
            // ring, dropped after it, then says so.
            match self.wake.read(&mut bytes).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        for thread in threads {
            let ended = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!("a thread of the agent panicked");
            }
        }
    }

    /// Hands on what there is; says whether the duty thread has ended.
    fn carry(&mut self) -> bool {
        let ended = loop {
            match self.ring.try_recv() {
                Ok(Out::Event(event)) => self.hand_on(event),
                Ok(Out::Note(note)) => log(&note),
                Err(TryRecvError::Empty) => break false,
                Err(TryRecvError::Disconnected) => break true,
            }
        };
        if let Some(status) = self.levels.status.swap(None) {
            self.status.send_replace(status);
        }
        let running = self.levels.running.load(Ordering::Acquire);
        self.running.send_if_modified(|known| std::mem::replace(known, running) != running);
        ended
    }

    fn hand_on(&mut self, event: NodeEvent) {
        if self.lost > 0 {
            let reason = "the spool could not take events fast enough".to_owned();
            let kind = EventKind::Gap { lost: self.lost, reason };
            if self.events.try_send(NodeEvent { kind, ..event.clone() }).is_ok() {
                self.lost = 0;
            }
        }
        if self.lost > 0 || self.events.try_send(event).is_err() {
            self.lost += 1;
        }
    }
}

fn log(note: &Note) {
    match note {
        Note::Started { real_time: Ok(()) } => tracing::debug!("duty runs in real time"),
        Note::Started { real_time: Err(error) } => tracing::info!(
            %error,
            "duty runs without real-time priority: under load its timers may be late"
        ),
        Note::Deaf { interface, error } => tracing::error!(
            %interface,
            error = error as &dyn std::error::Error,
            "can't hear adverts; instances on this interface are in fault"
        ),
        Note::SendFailed { instance, error } => {
            tracing::debug!(instance, %error, "an advert was not sent");
        }
        Note::AnnounceFailed { frames } => {
            tracing::debug!(frames, "announcements were not sent");
        }
        Note::ReceiveFailed { index, error } => {
            tracing::debug!(index, %error, "a socket could not be read");
        }
        Note::DeadlineStuck => tracing::error!("a timer did not move on; it was put off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_becomes_a_gap() {
        let (mut outbox, mut relay, mut events) = outbox().unwrap();
        for _ in 0..RING + 5 {
            outbox.report(EventKind::AgentStopping, Timestamp::ZERO);
        }
        assert!(!relay.carry());
        for _ in 0..RING {
            assert_eq!(events.try_recv().unwrap().kind, EventKind::AgentStopping);
        }
        outbox.report(EventKind::AgentStopping, Timestamp::ZERO);
        assert!(!relay.carry());
        let gap = events.try_recv().unwrap().kind;
        assert!(matches!(gap, EventKind::Gap { lost: 5, .. }), "{gap:?}");
        assert_eq!(events.try_recv().unwrap().kind, EventKind::AgentStopping);
    }

    #[tokio::test]
    async fn a_reader_that_does_not_keep_up_gets_a_gap() {
        let (mut outbox, mut relay, mut events) = outbox().unwrap();
        for _ in 0..RING + 3 {
            outbox.report(EventKind::AgentStopping, Timestamp::ZERO);
            assert!(!relay.carry());
        }
        while events.try_recv().is_ok() {}
        outbox.report(EventKind::AgentStopping, Timestamp::ZERO);
        assert!(!relay.carry());
        let gap = events.try_recv().unwrap().kind;
        assert!(matches!(gap, EventKind::Gap { lost: 3, .. }), "{gap:?}");
    }

    #[tokio::test]
    async fn the_relay_hands_on_all_that_is_left_and_ends() {
        let (mut outbox, relay, mut events) = outbox().unwrap();
        let (running, status) = (relay.running.subscribe(), relay.status.subscribe());
        outbox.report(EventKind::AgentStopping, Timestamp::ZERO);
        outbox.publish(DutyStatus { settled: true, ..DutyStatus::default() });
        outbox.acknowledge(7);
        drop(outbox);
        relay.run([]).await;
        assert_eq!(events.recv().await.unwrap().kind, EventKind::AgentStopping);
        assert!(events.recv().await.is_none());
        assert_eq!(*running.borrow(), 7);
        assert!(status.borrow().settled);
    }
}
