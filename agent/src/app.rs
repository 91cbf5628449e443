//! Putting the parts together. Nothing here decides anything.

mod parts;
mod signals;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ha_durable::atomic::create_dir;
use ha_durable::lock::DirLock;
use ha_model::event::EventKind;
use ha_model::status::VrrpState;
use sd_notify::NotifyState;
use tokio::time::Instant;

use crate::cli::{CheckArgs, EnrollArgs, ReleaseArgs, RunArgs};
use crate::duty::{DutyHandle, DutyStatus, StopMode};
use crate::enroll::{self, Enrolment};
use crate::kernel;
use crate::node::source::OfflineSource;
use parts::{Agent, Offline};
use signals::{Asked, Signals};

/// Runs the agent until a signal ends it.
///
/// # Errors
/// Whatever keeps it from starting.
pub async fn run(args: &RunArgs) -> Result<()> {
    let mut signals = Signals::new().context("cannot take signals")?;
    let _run_lock = own(&args.run_dir, 0o750, "--run-dir")?;
    let _state_lock = own(&args.state_dir, 0o700, "--state-dir")?;
    let mut agent = Agent::start(args).await?;
    notify(&[NotifyState::Ready]);
    let mode = supervise(&agent.duty, agent.offline.as_mut(), &mut signals).await;
    notify(&[NotifyState::Stopping]);
    agent.reporter.report(EventKind::AgentStopping, None);
    agent.stop(mode).await;
    Ok(())
}

/// Says whether a plan of this machine can be run.
///
/// # Errors
/// If not, why.
pub async fn check(args: &CheckArgs) -> Result<()> {
    let files = args.offline.files().context("no plan is given")?;
    let mut source = OfflineSource::new(files, ha_model::secret::Secrets::new());
    let (node, plan) = crate::blocking(move || source.read()).await?;
    tracing::info!(%node, bytes = plan.document.len(), "the plan is good");
    Ok(())
}

/// Makes this machine a node of a fleet.
///
/// # Errors
/// If it does not become one, why.
pub async fn enroll(args: &EnrollArgs) -> Result<()> {
    let EnrollArgs { controller, node, token, ca_sha256, state_dir } = args.clone();
    let enrolment =
        Enrolment { controller, node: node.clone(), token: token.clone(), ca: ca_sha256 };
    enroll::enrol(&state_dir, enrolment).await?;
    tracing::info!(%node, "enrolled");
    Ok(())
}

/// Removes the addresses that an agent left.
///
/// # Errors
/// If an agent still runs there, or the kernel can't be asked.
pub async fn release(args: &ReleaseArgs) -> Result<()> {
    // What a running agent holds is not left behind.
    let _run_lock = own(&args.run_dir, 0o750, "--run-dir")?;
    let removed = kernel::release(&args.run_dir).await?;
    tracing::info!(removed, "virtual addresses removed");
    Ok(())
}

/// Makes a directory and takes it for this process.
fn own(dir: &Path, mode: u32, option: &str) -> Result<DirLock> {
    create_dir(dir, mode).with_context(|| format!("cannot make the directory of {option}"))?;
    DirLock::acquire(dir).with_context(|| format!("cannot take the directory of {option}"))
}

/// Follows signals and duty, and keeps the service manager informed, until it
/// is time to stop.
async fn supervise(
    duty: &DutyHandle,
    mut offline: Option<&mut Offline>,
    signals: &mut Signals,
) -> StopMode {
    let mut status = duty.status();
    let period = sd_notify::watchdog_enabled().map_or(Duration::from_secs(10), |it| it / 2);
    let mut tick = tokio::time::interval_at(Instant::now() + period, period);
    loop {
        // All of these are cancel-safe.
        tokio::select! {
            asked = signals.next() => match (asked, &mut offline) {
                (Asked::Stop(mode), _) => return mode,
                (Asked::Reload, Some(offline)) => offline.reload().await,
                (Asked::Reload, None) => {
                    tracing::info!("nothing to read again: plans come from the controller");
                }
            },
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
