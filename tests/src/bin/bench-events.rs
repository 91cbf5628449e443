//! How many durable events a second the controller takes in, and how many
//! transactions: on the disk where `TMPDIR` is.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use ha_controller::events::{Events, Incoming, Retention};
use ha_controller::store::{Limits, SledStore, Store as _, Transaction};
use ha_model::event::{Cause, EventKind, NodeEvent, SpoolPosition};
use ha_model::ids::NodeName;
use ha_model::status::VrrpState;

#[derive(Parser)]
struct Cli {
    /// Sessions that send at the same time.
    #[arg(long, default_value_t = 16)]
    sessions: u64,
    /// Events in a batch.
    #[arg(long, default_value_t = 50)]
    batch: u64,
    /// How long each part takes.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let dir = tempfile::tempdir()?;
    let span = Duration::from_secs(cli.seconds);

    let (events, _) = Events::open(&dir.path().join("events"), Retention::default())?;
    let events = Arc::new(events);
    let start = Instant::now();
    let mut senders = tokio::task::JoinSet::new();
    for session in 0..cli.sessions {
        senders.spawn(send(Arc::clone(&events), session, cli.batch, start + span));
    }
    let mut count = 0;
    while let Some(sent) = senders.join_next().await {
        count += sent??;
    }
    report("events", count, start.elapsed())?;

    let (store, _) = SledStore::open(&dir.path().join("store"), Limits::default())?;
    let store = Arc::new(store);
    let start = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for session in 0..cli.sessions {
        writers.spawn(transact(Arc::clone(&store), session, start + span));
    }
    let mut count = 0;
    while let Some(written) = writers.join_next().await {
        count += written??;
    }
    report("transactions", count, start.elapsed())
}

fn report(what: &str, count: u64, took: Duration) -> anyhow::Result<()> {
    let rate = count as f64 / took.as_secs_f64();
    writeln!(std::io::stdout().lock(), "{count} durable {what}: {rate:.0} a second")?;
    Ok(())
}

async fn send(events: Arc<Events>, session: u64, size: u64, end: Instant) -> anyhow::Result<u64> {
    let node: NodeName = format!("node-{session}").parse()?;
    let mut sequence = 0;
    while Instant::now() < end {
        let mut batch = Vec::new();
        for _ in 0..size {
            sequence += 1;
            let position = SpoolPosition { spool_epoch: 1, sequence };
            batch.push(Incoming { node: node.clone(), position, event: transition(sequence)? });
        }
        events.append(batch, sequence).await?;
    }
    Ok(sequence)
}

fn transition(n: u64) -> anyhow::Result<NodeEvent> {
    let kind = EventKind::Transition {
        instance: "VI_1".parse()?,
        from: VrrpState::Backup,
        to: VrrpState::Master,
        cause: Cause::MasterDown,
        priority: 100,
    };
    let traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    Ok(NodeEvent { at_us: n, boot_us: n, kind, traceparent })
}

async fn transact(store: Arc<SledStore>, session: u64, end: Instant) -> anyhow::Result<u64> {
    let mut count = 0;
    while Instant::now() < end {
        let key = format!("bench/{session}/{}", count % 100);
        store.transact(Transaction::new().put(key, vec![7; 1000])).await?;
        count += 1;
    }
    Ok(count)
}
