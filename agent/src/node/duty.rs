use std::future::Future;
use std::sync::Arc;

use ha_model::plan::NodePlan;
use ha_model::secret::Secrets;
use tokio::sync::watch;

use crate::duty::{DutyGone, DutyHandle, DutyStatus};

/// What the node needs of duty.
pub trait Duty: Send + Sync + 'static {
    /// Runs `plan` from now on; returns once it runs.
    fn run_plan(
        &self,
        plan: Arc<NodePlan>,
        secrets: Arc<Secrets>,
    ) -> impl Future<Output = Result<(), DutyGone>> + Send;

    /// Present state of the virtual routers.
    fn status(&self) -> watch::Receiver<Arc<DutyStatus>>;
}

impl Duty for DutyHandle {
    async fn run_plan(&self, plan: Arc<NodePlan>, secrets: Arc<Secrets>) -> Result<(), DutyGone> {
        Self::run_plan(self, plan, secrets).await
    }

    fn status(&self) -> watch::Receiver<Arc<DutyStatus>> {
        Self::status(self)
    }
}
