use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use ha_agent::ledger::Ledger;
use ha_agent::spool::{READ_LIMIT, SpoolTask};
use ha_controller::events::{Events, MAX_EVENTS, Query};
use ha_controller::revisions::Revisions;
use ha_controller::store::{SharedStore, SledStore, range_prefix};
use ha_model::event::EventKind;

use super::{Acks, Lane, STORE_LANES, content, events_dir, number, spool_dir, store_dir};

/// The last number that each lane has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Checked(BTreeMap<Lane, u64>);

impl Checked {
    /// Of one lane; 0: none.
    #[must_use]
    pub fn last(&self, lane: Lane) -> u64 {
        self.0.get(&lane).copied().unwrap_or(0)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (lane, last) in &self.0 {
            write!(f, " {lane}={last}")?;
        }
        Ok(())
    }
}

/// Opens everything in `dir` as the product does, and checks that every number
/// in `acks` is there, and nothing half.
///
/// # Errors
/// What is missing or wrong.
pub async fn check(dir: &Path, acks: &Acks) -> anyhow::Result<Checked> {
    let mut checked = Checked::default();
    let (store, report) = SledStore::open(&store_dir(dir), super::LIMITS)?;
    ensure!(report.journal.damage.is_empty(), "a power cut damages nothing: {report:?}");
    let store: SharedStore = Arc::new(store);
    for lane in 0..STORE_LANES {
        checked.0.insert(Lane::Store(lane), transactions(&store, lane).await?);
    }
    checked.0.insert(Lane::Revisions, revisions(&store).await?);
    checked.0.insert(Lane::Events, events(dir).await?);
    checked.0.insert(Lane::Ledger, ledger(dir)?);
    checked.0.insert(Lane::Spool, spool(dir).await?);
    for lane in Lane::all() {
        let (acknowledged, found) = (acks.last(lane), checked.last(lane));
        ensure!(
            found >= acknowledged,
            "{lane}: {acknowledged} was acknowledged, {found} is the last"
        );
    }
    Ok(checked)
}

/// The two keys that one transaction writes.
pub(super) fn twin_keys(lane: u64, n: u64) -> (String, String) {
    (format!("one/{lane}/{n:08}"), format!("other/{lane}/{n:08}"))
}

async fn transactions(store: &SharedStore, lane: u64) -> anyhow::Result<u64> {
    let ones = range_prefix(&**store, &format!("one/{lane}/")).await?.entries;
    let others = range_prefix(&**store, &format!("other/{lane}/")).await?.entries;
    ensure!(ones.len() == others.len(), "half a transaction of store{lane}");
    for (n, (one, other)) in (1..).zip(ones.iter().zip(&others)) {
        let whole = content(n);
        let keys = twin_keys(lane, n);
        ensure!(
            (one.key.as_str(), other.key.as_str()) == (&keys.0, &keys.1)
                && one.value == whole
                && other.value == whole
                && one.modified == other.modified,
            "transaction {n} of store{lane} is not whole"
        );
    }
    Ok(ones.len() as u64)
}

async fn revisions(store: &SharedStore) -> anyhow::Result<u64> {
    let revisions = Revisions::open(Arc::clone(store)).await?;
    let Some(head) = revisions.head().await? else { return Ok(0) };
    for n in 1..=head.number {
        let revision = revisions.get(n).await?.with_context(|| format!("no revision {n}"))?;
        let texts = revisions.texts(&revision).await?;
        ensure!(texts.values().eq([&content(n)]), "revision {n} is not whole");
    }
    let plans = revisions.plans().await?;
    let plan = plans.values().next().context("a revision brought a plan")?;
    ensure!(plan.generation.0 == head.number, "the plan is not that of the head");
    let document = revisions.document(plan.digest.context("the node has a plan")?).await?;
    ensure!(document == content(head.number), "the document is not that of the head");
    Ok(head.number)
}

async fn events(dir: &Path) -> anyhow::Result<u64> {
    let (events, recovery) = Events::open(&events_dir(dir), super::RETENTION)?;
    ensure!(recovery.damage.is_empty(), "a power cut damages nothing: {recovery:?}");
    let (mut last, mut after) = (0, 0);
    loop {
        let page = events.query(Query::after(after, MAX_EVENTS)).await?;
        let Some(newest) = page.last() else { return Ok(last) };
        after = newest.index;
        for event in page {
            last += 1;
            ensure!(
                event.position.sequence == last && numbered(&event.event.kind)? == last,
                "event {last} of the controller is not there"
            );
        }
    }
}

fn numbered(kind: &EventKind) -> anyhow::Result<u64> {
    let EventKind::AgentStarted { version } = kind else { bail!("no event of ours: {kind:?}") };
    number(version).with_context(|| format!("half an event: {version}"))
}

fn ledger(dir: &Path) -> anyhow::Result<u64> {
    let loaded = Ledger::new(dir).load();
    ensure!(loaded.set_aside.is_empty(), "the ledger is damaged: {:?}", loaded.set_aside);
    let Some(running) = loaded.entry.running else { return Ok(0) };
    number(&running.document).context("half a plan in the ledger")
}

async fn spool(dir: &Path) -> anyhow::Result<u64> {
    let (reporter, handle, task) = SpoolTask::new(&spool_dir(dir));
    let running = tokio::spawn(task.run());
    // It is opened by its task; until then there is nothing to read.
    handle.level().wait_for(|level| level.epoch != 0).await?;
    let (mut last, mut from) = (0, 0);
    loop {
        let page = handle.read(from, READ_LIMIT).await?;
        let Some(newest) = page.last() else { break };
        from = newest.sequence + 1;
        for spooled in page {
            last += 1;
            ensure!(numbered(&spooled.event.kind)? == last, "event {last} is not in the spool");
        }
    }
    drop((reporter, handle));
    running.await?;
    Ok(last)
}
