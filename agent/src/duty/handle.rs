//! What the rest of the agent holds of the duty thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arc_swap::ArcSwapOption;
use ha_core::node::NodeCounters;
use ha_model::plan::NodePlan;
use ha_model::secret::Secrets;
use ha_model::status::InstanceStatus;
use ha_sys::EventFd;
use tokio::sync::{Mutex, watch};

/// Present state of all that duty owns.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DutyStatus {
    /// Every virtual router, sorted by name.
    pub instances: Vec<InstanceStatus>,
    /// Messages that belong to no virtual router here.
    pub strays: NodeCounters,
    /// The kernel shows the desired state, with no address missing.
    pub settled: bool,
    /// Wall clock when this was true, microseconds since 1970.
    pub at_us: u64,
}

/// The duty thread has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the duty thread has ended")]
pub struct DutyGone;

/// How to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopMode {
    /// For good: priority 0 as master, addresses removed.
    Final,
    /// The next process goes on: one more advert, addresses stay.
    ForRestart,
}

/// A plan on its way to the duty thread.
#[derive(Debug)]
pub(super) struct PlanOrder {
    /// Rises with every order.
    pub(super) sequence: u64,
    pub(super) plan: Arc<NodePlan>,
    pub(super) secrets: Arc<Secrets>,
}

/// One-place slots that the duty thread empties at the start of each turn.
/// Nothing here is a lock on its side.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) plan: ArcSwapOption<PlanOrder>,
    stop: AtomicU8,
    pub(super) wake: Arc<EventFd>,
}

impl Mailbox {
    pub(super) fn new(wake: Arc<EventFd>) -> Self {
        Self { plan: ArcSwapOption::empty(), stop: AtomicU8::new(0), wake }
    }

    /// How to stop, once somebody asked.
    pub(super) fn stop(&self) -> Option<StopMode> {
        match self.stop.load(Ordering::Acquire) {
            1 => Some(StopMode::Final),
            2 => Some(StopMode::ForRestart),
            _ => None,
        }
    }

    fn ask_stop(&self, mode: StopMode) {
        let code = match mode {
            StopMode::Final => 1,
            StopMode::ForRestart => 2,
        };
        self.stop.store(code, Ordering::Release);
        self.wake.signal();
    }
}

/// Way to the duty thread. Clones share it.
#[derive(Clone, Debug)]
pub struct DutyHandle {
    mailbox: Arc<Mailbox>,
    /// Sequence of the last order; held while an order is placed, so that
    /// orders lie in the slot in the order of their sequences.
    ordered: Arc<Mutex<u64>>,
    /// Sequence of the last order that runs. Closed when duty has ended.
    running: watch::Receiver<u64>,
    status: watch::Receiver<Arc<DutyStatus>>,
}

impl DutyHandle {
    pub(super) fn new(
        mailbox: Arc<Mailbox>,
        running: watch::Receiver<u64>,
        status: watch::Receiver<Arc<DutyStatus>>,
    ) -> Self {
        Self { mailbox, ordered: Arc::default(), running, status }
    }

    /// Runs `plan` from now on, and returns once it runs. The plan must have
    /// been checked for this node. If calls overlap, the latest wins, and the
    /// earlier ones return as well once it runs.
    ///
    /// Cancel-safe: a dropped call may or may not run its plan.
    ///
    /// # Errors
    /// [`DutyGone`] if the duty thread has ended.
    pub async fn run_plan(
        &self,
        plan: Arc<NodePlan>,
        secrets: Arc<Secrets>,
    ) -> Result<(), DutyGone> {
        let mut running = self.running.clone();
        let sequence = {
            let mut last = self.ordered.lock().await;
            *last += 1;
            let order = PlanOrder { sequence: *last, plan, secrets };
            self.mailbox.plan.store(Some(Arc::new(order)));
            *last
        };
        self.mailbox.wake.signal();
        running.wait_for(|done| *done >= sequence).await.map(drop).map_err(|_| DutyGone)
    }

    /// Present state; published on change and every second.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Arc<DutyStatus>> {
        self.status.clone()
    }

    /// Stops, and returns once both threads have ended.
    pub async fn stop(&self, mode: StopMode) {
        self.mailbox.ask_stop(mode);
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
    }
}
