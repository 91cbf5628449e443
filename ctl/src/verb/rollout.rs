//! `hactl rollout`.

use super::follow;
use crate::app::App;
use crate::cli::{Rollout, RolloutStatus};
use crate::error::Outcome;

/// Follows a rollout.
pub(super) async fn run(args: Rollout, app: &mut App) -> Outcome {
    let Rollout::Status(RolloutStatus { rollout, follow }) = args;
    let mut controller = app.controller()?;
    let stream = controller.watch_rollout(rollout).await?;
    follow::to_the_end(controller, stream, &follow, app).await
}
