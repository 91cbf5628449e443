//! The spool's files: a record log of events, and its epoch. Blocks on the
//! disk.

use std::path::{Path, PathBuf};

use ha_durable::FileError;
use ha_durable::atomic::{self, ReadError};
use ha_durable::log::{self, AppendError, Log, OpenError, Options, Recovery};
use ha_model::event::{EventKind, NodeEvent};

use super::{SpoolLevel, SpooledEvent, stamp};

/// How much is kept for a controller that is away.
pub(super) const LIMIT: u64 = 64 << 20;

/// The newest so many are kept when a new epoch begins; they may be stored
/// elsewhere already.
const RENEWED: u64 = 4096;

const OPTIONS: Options = Options {
    tag: *b"ha-spool",
    // The longest event is a rejection with the errors of a whole plan.
    max_record: 256 << 10,
    segment_bytes: 1 << 20,
    first: 1,
};

/// Why the spool could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    #[error("the spool's epoch can't be read")]
    ReadEpoch(#[source] ReadError),
    #[error("the spool's epoch can't be written")]
    WriteEpoch(#[source] FileError),
    #[error("no random number for the spool's epoch")]
    Random(#[source] getrandom::Error),
    #[error("the spool's log can't be opened")]
    Log(#[source] OpenError),
}

/// Events that are not on the disk and never will be, not yet recorded as a
/// gap.
#[derive(Debug, Default)]
struct Lost {
    count: u64,
    reason: String,
}

/// The spool on the disk.
#[derive(Debug)]
pub(super) struct Spool {
    dir: PathBuf,
    limit: u64,
    open: Option<Open>,
    lost: Lost,
    acked: u64,
}

#[derive(Debug)]
struct Open {
    epoch: u64,
    log: Log,
}

impl Spool {
    /// The spool in `dir`, holding at most about `limit` bytes. Opened with
    /// the first call that needs it, and again after a failure.
    pub(super) fn new(dir: &Path, limit: u64) -> Self {
        Self { dir: dir.to_owned(), limit, open: None, lost: Lost::default(), acked: 0 }
    }

    /// Counts `count` events as lost; the next append records it.
    pub(super) fn lose(&mut self, count: u64, reason: &str) {
        if count > 0 {
            self.lost.count += count;
            reason.clone_into(&mut self.lost.reason);
        }
    }

    /// Appends `events` in one write, behind what was lost before them. What
    /// can't be written is lost and counted.
    pub(super) fn append(&mut self, events: &[NodeEvent]) {
        let mut found = Vec::new();
        if let Err(error) = self.ensure_open(&mut found) {
            tracing::warn!(
                error = crate::error_chain(&error),
                lost = events.len(),
                "events are lost: no spool"
            );
            self.lose(events.len() as u64, &crate::error_chain(&error));
            return;
        }
        let Some(open) = &mut self.open else { return };
        let mut records: Vec<Vec<u8>> = found.iter().map(encode).collect();
        if self.lost.count > 0 {
            let (lost, reason) = (self.lost.count, self.lost.reason.clone());
            records.push(encode(&stamp(EventKind::Gap { lost, reason }, None)));
        }
        records.extend(events.iter().map(encode));
        match open.log.append(&records) {
            Ok(_) => {
                self.lost = Lost::default();
                self.drop_oldest();
            }
            Err(error) => {
                let reason = append_reason(&error);
                tracing::warn!(reason, lost = events.len(), "events are lost: can't be spooled");
                self.lose(events.len() as u64 + found.len() as u64, &reason);
            }
        }
    }

    /// At most `limit` events from `from` on, in order; what is missing
    /// between them stands there as a gap.
    pub(super) fn read(&mut self, from: u64, limit: usize) -> Vec<SpooledEvent> {
        for _ in 0..2 {
            let Some(open) = &self.open else { return Vec::new() };
            match collect(&open.log, from, limit) {
                Ok(events) => return events,
                Err(error) => {
                    tracing::error!(error = crate::error_chain(&error), "spool damaged");
                    // Opening repairs, and what is then missing is a gap.
                    self.open = None;
                    self.append(&[]);
                }
            }
        }
        Vec::new()
    }

    /// Everything up to `sequence` is stored elsewhere. Whole segments go.
    pub(super) fn ack(&mut self, epoch: u64, sequence: u64) {
        let Some(open) = &mut self.open else { return };
        if open.epoch != epoch || sequence >= open.log.next() || sequence <= self.acked {
            return;
        }
        self.acked = sequence;
        if let Err(error) = open.log.drop_before(sequence + 1) {
            tracing::warn!(error = crate::error_chain(&error), "stored events stay in the spool");
        }
    }

    /// Gives what is kept new numbers in a new epoch: the one who stores events
    /// knows numbers up to `known` of this epoch, and this spool has not given
    /// them out, or has forgotten it.
    pub(super) fn renew(&mut self, known: u64) {
        let level = self.level();
        if level.epoch == 0 {
            return;
        }
        let reason = format!(
            "events up to {known} of spool {:016x} are known elsewhere, here the last is {}",
            level.epoch,
            level.next - 1
        );
        tracing::error!(reason, "the spool went back in time; it begins a new epoch");
        let kept_from = level.next.saturating_sub(RENEWED).max(level.first);
        let kept = self.read(kept_from, usize::MAX);
        if let Err(error) = atomic::set_aside(&self.dir) {
            tracing::error!(error = crate::error_chain(&error), "spool can't be set aside");
            return;
        }
        self.open = None;
        self.acked = 0;
        let aside = EventKind::FileSetAside { file: "spool".into(), reason };
        let mut events = vec![stamp(aside, None)];
        events.extend(kept.into_iter().map(|event| event.event));
        self.append(&events);
    }

    /// What it holds.
    pub(super) fn level(&self) -> SpoolLevel {
        match &self.open {
            Some(open) => SpoolLevel {
                epoch: open.epoch,
                first: open.log.first(),
                next: open.log.next(),
                acked: self.acked,
            },
            None => SpoolLevel { epoch: 0, first: 1, next: 1, acked: 0 },
        }
    }

    /// Opens the spool; what had to be repaired goes to `found`.
    fn ensure_open(&mut self, found: &mut Vec<NodeEvent>) -> Result<(), SpoolError> {
        if self.open.is_some() {
            return Ok(());
        }
        let (log, recovery) = Log::open(&self.dir, OPTIONS).map_err(SpoolError::Log)?;
        report(&recovery, found);
        let epoch = read_epoch(&self.dir.join("epoch"), found)?;
        self.open = Some(Open { epoch, log });
        Ok(())
    }

    /// Over the limit the oldest go: what happened last is what people ask for
    /// first. The numbers show the gap.
    fn drop_oldest(&mut self) {
        let Some(open) = &mut self.open else { return };
        while open.log.bytes() > self.limit {
            let Some(second) = open.log.segments().nth(1) else { return };
            tracing::warn!(before = second, "spool is full: the oldest events are lost");
            if let Err(error) = open.log.drop_before(second) {
                tracing::warn!(error = crate::error_chain(&error), "spool can't be shortened");
                return;
            }
        }
    }
}

/// The epoch in `path`, or a new one where there is none that can be read.
fn read_epoch(path: &Path, found: &mut Vec<NodeEvent>) -> Result<u64, SpoolError> {
    let bytes = atomic::read_limited(path, 64).map_err(SpoolError::ReadEpoch)?;
    if let Some(bytes) = bytes {
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        match u64::from_str_radix(text.trim_end(), 16) {
            Ok(epoch) if epoch != 0 && text.trim_end().len() == 16 => return Ok(epoch),
            Ok(_) | Err(_) => found.push(stamp(
                EventKind::FileSetAside {
                    file: "spool/epoch".into(),
                    reason: "is not a number; the spool begins a new epoch".into(),
                },
                None,
            )),
        }
    }
    // Zero stands for "no spool yet".
    let epoch = getrandom::u64().map_err(SpoolError::Random)?.max(1);
    atomic::replace(path, format!("{epoch:016x}\n").as_bytes(), 0o600)
        .map_err(SpoolError::WriteEpoch)?;
    Ok(epoch)
}

fn report(recovery: &Recovery, found: &mut Vec<NodeEvent>) {
    for torn in &recovery.torn {
        tracing::info!(
            segment = %torn.segment.display(), bytes = torn.bytes,
            "an event that was being written when the agent ended is not in the spool"
        );
    }
    for damage in &recovery.damage {
        let lost: u64 = damage.lost.iter().map(|range| range.end - range.start).sum();
        let file = damage.segment.file_name().unwrap_or_default().to_string_lossy();
        let reason = format!("damaged; {lost} events are lost");
        tracing::error!(file = %file, reason, "spool repaired");
        found.push(stamp(EventKind::FileSetAside { file: format!("spool/{file}"), reason }, None));
    }
}

fn append_reason(error: &AppendError) -> String {
    if error.is_full() { "the disk is full".into() } else { crate::error_chain(error) }
}

fn encode(event: &NodeEvent) -> Vec<u8> {
    let bytes = |event: &NodeEvent| {
        serde_json::to_vec(event).expect("events have text keys only, so they are valid JSON")
    };
    let record = bytes(event);
    if u32::try_from(record.len()).is_ok_and(|length| length <= OPTIONS.max_record) {
        return record;
    }
    let reason = format!("an event of {} bytes is too long for the spool", record.len());
    tracing::error!(reason, "event lost");
    let kind = EventKind::Gap { lost: 1, reason };
    bytes(&NodeEvent { kind, traceparent: None, ..*event })
}

/// Reads from `from`, a gap for every hole. A gap has the number of the last
/// event that it stands for, so that an acknowledgement of it covers them all.
fn collect(log: &Log, from: u64, limit: usize) -> Result<Vec<SpooledEvent>, log::ReadError> {
    let mut events = Vec::new();
    let mut expected = from.max(1);
    for record in log.read_from(expected) {
        if events.len() >= limit {
            break;
        }
        let record = record?;
        let event = serde_json::from_slice::<NodeEvent>(&record.payload);
        let readable = event.is_ok();
        let event = event.unwrap_or_else(|error| {
            let reason = format!("an event can't be read by this version: {error}");
            stamp(EventKind::Gap { lost: 1, reason }, None)
        });
        if record.position > expected {
            let kind = EventKind::Gap {
                lost: record.position - expected,
                reason: "dropped from the spool: it was full or damaged".into(),
            };
            // The times of the event behind it: the same at every reading.
            let gap = NodeEvent { kind, traceparent: None, ..event.clone() };
            events.push(SpooledEvent { sequence: record.position - 1, event: gap });
        }
        if !readable {
            tracing::warn!(sequence = record.position, "spooled event can't be read");
        }
        events.push(SpooledEvent { sequence: record.position, event });
        expected = record.position + 1;
    }
    Ok(events)
}
