use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use ha_agent::ledger::{Entry, Ledger, Running};
use ha_agent::node::Source;
use ha_agent::spool::SpoolTask;
use ha_controller::events::{Events, Incoming};
use ha_controller::revisions::{NewRevision, Revisions};
use ha_controller::store::{SharedStore, SledStore, Transaction};
use ha_model::event::{EventKind, NodeEvent, SpoolPosition};

use super::{Checked, Lane, STORE_LANES, content, events_dir, spool_dir, store_dir};

/// Events in one batch.
const BATCH: u64 = 3;

/// Writes in all lanes, from where `checked` says that they stand, and prints
/// `ack LANE NUMBER` for each number that is stored. Never ends by itself.
///
/// # Errors
/// The first that a lane meets.
pub async fn write(dir: &Path, checked: &Checked) -> anyhow::Result<()> {
    let (store, _) = SledStore::open(&store_dir(dir), super::LIMITS)?;
    let store: SharedStore = Arc::new(store);
    let revisions = Revisions::open(Arc::clone(&store)).await?;
    let (events, _) = Events::open(&events_dir(dir), super::RETENTION)?;
    let mut lanes = tokio::task::JoinSet::new();
    for number in 0..STORE_LANES {
        let last = checked.last(Lane::Store(number));
        lanes.spawn(transactions(Arc::clone(&store), number, last));
    }
    lanes.spawn(commits(revisions));
    lanes.spawn(batches(events, checked.last(Lane::Events)));
    lanes.spawn(plans(Ledger::new(dir), checked.last(Lane::Ledger)));
    lanes.spawn(spooled(spool_dir(dir), checked.last(Lane::Spool)));
    while let Some(lane) = lanes.join_next().await {
        lane.context("a lane panicked")??;
    }
    Ok(())
}

fn acknowledge(lane: Lane, number: u64) -> anyhow::Result<()> {
    let line = format!("ack {lane} {number}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).context("printing")
}

async fn transactions(store: SharedStore, lane: u64, last: u64) -> anyhow::Result<()> {
    for n in last + 1.. {
        let (one, other) = super::check::twin_keys(lane, n);
        let both =
            Transaction::new().if_absent(one.as_str()).put(one, content(n)).put(other, content(n));
        store.transact(both).await?;
        acknowledge(Lane::Store(lane), n)?;
    }
    Ok(())
}

async fn commits(revisions: Revisions) -> anyhow::Result<()> {
    let mut base = revisions.head().await?;
    loop {
        let n = base.map_or(1, |head| head.number + 1);
        let new = NewRevision {
            base,
            author: "writer".to_owned(),
            message: String::new(),
            at_us: n,
            objects: [("Cluster/a".to_owned(), content(n))].into(),
            plans: [("n1".parse()?, Bytes::from(content(n)))].into(),
        };
        base = Some(revisions.commit(new).await?.revision);
        acknowledge(Lane::Revisions, n)?;
    }
}

fn event(n: u64) -> NodeEvent {
    let kind = EventKind::AgentStarted { version: content(n) };
    NodeEvent { at_us: n, boot_us: n, kind, traceparent: None }
}

async fn batches(events: Events, last: u64) -> anyhow::Result<()> {
    let mut next = last + 1;
    loop {
        let incoming = |sequence| -> anyhow::Result<Incoming> {
            let position = SpoolPosition { spool_epoch: 1, sequence };
            Ok(Incoming { node: "n1".parse()?, position, event: event(sequence) })
        };
        let batch: Result<_, _> = (next..next + BATCH).map(incoming).collect();
        let acks = events.append(batch?, next).await?;
        let ack = acks.values().next().context("a batch of one node has an answer")?;
        acknowledge(Lane::Events, ack.sequence)?;
        next += BATCH;
    }
}

async fn plans(ledger: Ledger, last: u64) -> anyhow::Result<()> {
    for n in last + 1.. {
        let running = Running {
            plan: None,
            revision: None,
            source: Source::Controller,
            document: content(n),
        };
        let (ledger, entry) = (ledger.clone(), Entry { running: Some(running), offered: None });
        tokio::task::spawn_blocking(move || ledger.save(&entry)).await??;
        acknowledge(Lane::Ledger, n)?;
    }
    Ok(())
}

async fn spooled(dir: std::path::PathBuf, last: u64) -> anyhow::Result<()> {
    let (reporter, handle, task) = SpoolTask::new(&dir);
    let running = tokio::spawn(task.run());
    let mut level = handle.level();
    let mut stored = level.wait_for(|level| level.epoch != 0).await?.next;
    for n in last + 1.. {
        reporter.report(EventKind::AgentStarted { version: content(n) }, None);
        while level.borrow_and_update().next <= stored {
            level.changed().await?;
        }
        stored = level.borrow().next;
        acknowledge(Lane::Spool, n)?;
    }
    drop(reporter);
    Ok(running.await?)
}
