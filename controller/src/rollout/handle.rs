//! How others reach the rollouts.

use std::sync::Arc;

use ha_model::ids::NodeName;
use tokio::sync::{mpsc, oneshot, watch};

use super::keep::{Keep, KeepError};
use super::{Begin, Begun, Release, Rollout, RolloutId, RolloutView};

/// The rollouts have ended: the controller is going down.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the rollouts are gone: the controller is stopping")]
pub struct RolloutGone;

pub(super) type Released = watch::Receiver<Option<Arc<Release>>>;

/// What the task is asked.
pub(super) enum Command {
    Begin(Box<Begin>, oneshot::Sender<Result<Begun, Arc<KeepError>>>),
    Follow(NodeName, oneshot::Sender<Released>),
}

/// How others reach the rollouts.
#[derive(Clone)]
pub struct RolloutHandle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) view: watch::Receiver<Option<Arc<RolloutView>>>,
    pub(super) keep: Keep,
}

/// Why a rollout did not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// It could not be kept.
    #[error("the rollout could not be stored")]
    Keep(#[source] Arc<KeepError>),
    /// The controller is stopping.
    #[error(transparent)]
    Gone(RolloutGone),
}

impl RolloutHandle {
    /// Begins a rollout of what is not settled, which takes the place of the
    /// one at hand.
    ///
    /// # Errors
    /// See [`BeginError`]; then the one at hand goes on.
    pub async fn begin(&self, begin: Begin) -> Result<Begun, BeginError> {
        let (reply, answer) = oneshot::channel();
        let gone = |()| BeginError::Gone(RolloutGone);
        let command = Command::Begin(Box::new(begin), reply);
        self.commands.send(command).await.map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?.map_err(BeginError::Keep)
    }

    /// Follows what `node` may run.
    ///
    /// # Errors
    /// The controller is stopping.
    pub async fn released(&self, node: NodeName) -> Result<Released, RolloutGone> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Follow(node, reply);
        self.commands.send(command).await.map_err(|_| RolloutGone)?;
        answer.await.map_err(|_| RolloutGone)
    }

    /// Follows the rollout at hand.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Option<Arc<RolloutView>>> {
        self.view.clone()
    }

    /// A rollout as it was last stored; `None` as `id`: the newest.
    ///
    /// # Errors
    /// The store, or what it holds.
    pub async fn stored(&self, id: Option<RolloutId>) -> Result<Option<Rollout>, KeepError> {
        self.keep.rollout(id).await
    }
}
