//! The one owner of "which plan runs here".
//!
//! [`NodeTask`] takes plans (from a controller's session, or from files of this
//! machine), checks them with [`acceptance`], writes them to the ledger before
//! they run, hands them to duty, and publishes the node's status as a level.
//! Everybody else holds a [`NodeHandle`].

pub mod acceptance;
mod duty;
mod health;
mod message;
pub mod source;
mod task;

use std::sync::Arc;

use ha_model::status::FieldError;
use tokio::sync::{mpsc, oneshot, watch};

pub use duty::Duty;
pub use message::{Command, GivenSecret, NodeView, Offer, OfflinePlan, Source};
pub use task::{NodeConfig, NodeTask};

/// The node task has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the node task has ended")]
pub struct NodeGone;

/// What a plan of this machine came to.
pub type OfflineResult = Result<(), Vec<FieldError>>;

/// Something to do, and where its outcome goes, if anybody waits for it.
#[derive(Debug)]
struct Request {
    command: Command,
    outcome: Option<oneshot::Sender<OfflineResult>>,
}

/// Way to the node. Clones share it.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<Arc<NodeView>>,
}

impl NodeHandle {
    /// Values for the next offer.
    ///
    /// # Errors
    /// [`NodeGone`].
    pub async fn secrets(&self, given: Vec<GivenSecret>) -> Result<(), NodeGone> {
        self.send(Command::Secrets(given), None).await
    }

    /// A plan. What becomes of it is told by [`NodeView::status`].
    ///
    /// # Errors
    /// [`NodeGone`].
    pub async fn offer(&self, offer: Offer) -> Result<(), NodeGone> {
        self.send(Command::Offer(offer), None).await
    }

    /// A plan of this machine; returns once it runs, or why it does not.
    ///
    /// # Errors
    /// [`NodeGone`].
    pub async fn offline(&self, plan: OfflinePlan) -> Result<OfflineResult, NodeGone> {
        let (outcome, answer) = oneshot::channel();
        self.send(Command::Offline(plan), Some(outcome)).await?;
        answer.await.map_err(|_| NodeGone)
    }

    /// The node as it is now, and every change.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<Arc<NodeView>> {
        self.view.clone()
    }

    async fn send(
        &self,
        command: Command,
        outcome: Option<oneshot::Sender<OfflineResult>>,
    ) -> Result<(), NodeGone> {
        self.requests.send(Request { command, outcome }).await.map_err(|_| NodeGone)
    }
}

#[cfg(test)]
mod tests;
