//! Putting the parts together. Nothing here decides anything.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ha_durable::atomic::create_dir;
use ha_durable::lock::DirLock;
use ha_model::event::NodeEvent;
use ha_model::secret::Secrets;
use ha_model::status::VrrpState;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cli::{PlanArgs, ReleaseArgs, RunArgs};
use crate::duty::{self, DutyHandle, DutyStatus, StopMode};
use crate::{kernel, metrics, offline};

/// Runs the agent until a signal ends it.
///
/// # Errors
/// Whatever keeps it from starting.
pub async fn run(args: &RunArgs) -> Result<()> {
    let plan = Arc::new(offline::read_plan(&args.plan.plan)?);
    let mut signals = Signals::new().context("cannot take signals")?;
    create_dir(&args.run_dir, 0o750).context("cannot make the run directory (--run-dir)")?;
    let _lock =
        DirLock::acquire(&args.run_dir).context("cannot take the run directory (--run-dir)")?;
    let (duty, events) = duty::start(&args.run_dir)?;
    let events = tokio::spawn(log_events(events));
    if let Some(address) = args.metrics {
        let server = metrics::Server::bind(address, duty.status()).await?;
        tokio::spawn(server.run());
    }
    duty.run_plan(plan, Arc::default()).await?;
    notify(&[NotifyState::Ready]);
    let mode = supervise(&duty, args, &mut signals).await;
    notify(&[NotifyState::Stopping]);
    duty.stop(mode).await;
    events.await.context("the task that logs events failed")
}

/// Says whether the plan can be read.
///
/// # Errors
/// If not, why.
pub fn check(args: &PlanArgs) -> Result<()> {
    let plan = offline::read_plan(&args.plan)?;
    tracing::info!(node = %plan.node, instances = plan.instances.len(), "the plan is good");
    Ok(())
}

/// Removes the addresses that an agent left.
///
/// # Errors
/// If the kernel can't be asked.
pub async fn release(args: &ReleaseArgs) -> Result<()> {
    let removed = kernel::release(&args.run_dir).await?;
    tracing::info!(removed, "virtual addresses removed");
    Ok(())
}

/// The signals that the agent knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    restart: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            restart: signal(SignalKind::user_defined2())?,
            reload: signal(SignalKind::hangup())?,
        })
    }
}

/// Follows signals and duty, and keeps the service manager informed, until it
/// is time to stop.
async fn supervise(duty: &DutyHandle, args: &RunArgs, signals: &mut Signals) -> StopMode {
    let mut status = duty.status();
    let period = sd_notify::watchdog_enabled().map_or(Duration::from_secs(10), |it| it / 2);
    let mut tick = tokio::time::interval_at(Instant::now() + period, period);
    loop {
        // All of these are cancel-safe.
        tokio::select! {
            _ = signals.terminate.recv() => return StopMode::Final,
            _ = signals.interrupt.recv() => return StopMode::Final,
            _ = signals.restart.recv() => return StopMode::ForRestart,
            _ = signals.reload.recv() => reload(duty, &args.plan.plan).await,
            _ = tick.tick() => match status.has_changed() {
                Ok(true) => alive(&status.borrow_and_update()),
                // Duty publishes every second: it hangs, and the service
                // manager will notice.
                Ok(false) => tracing::warn!("the duty thread gives no status"),
                Err(_) => {
                    tracing::error!("the duty thread has ended");
                    return StopMode::Final;
                }
            },
        }
    }
}

async fn reload(duty: &DutyHandle, path: &Path) {
    match offline::read_plan(path) {
        Ok(plan) => match duty.run_plan(Arc::new(plan), Arc::<Secrets>::default()).await {
            Ok(()) => tracing::info!("the plan was read again"),
            Err(error) => tracing::error!(%error, "the plan was not taken"),
        },
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "the plan was not taken; the one before it runs on"
        ),
    }
}

fn alive(status: &DutyStatus) {
    let count = |state: VrrpState| status.instances.iter().filter(|it| it.state == state).count();
    let text = format!(
        "{} master, {} backup, {} fault",
        count(VrrpState::Master),
        count(VrrpState::Backup),
        count(VrrpState::Fault)
    );
    notify(&[NotifyState::Status(&text), NotifyState::Watchdog]);
}

/// Without a service manager this does nothing.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

async fn log_events(mut events: mpsc::Receiver<NodeEvent>) {
    while let Some(event) = events.recv().await {
        tracing::info!(event = ?event.kind, "event");
    }
}
