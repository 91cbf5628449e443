//! The one owner of the fleet's state.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{FleetState, Observation};
use crate::clock::now_us;

/// A summary every 5 s from 5,000 agents is 1,000 a second; this holds what
/// comes in while a turn is taken, and sessions wait when it is full.
const QUEUE: usize = 1024;

/// Turns are taken over what has come in by then, so that a storm of
/// reconnects costs one snapshot and not thousands.
const BATCH: usize = 512;

/// The fleet's state has ended: the controller is going down.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the fleet's state is gone: the controller is stopping")]
pub struct FleetGone;

/// Applies observations and publishes snapshots.
pub struct FleetTask {
    state: FleetState,
    observations: mpsc::Receiver<Observation>,
    snapshots: watch::Sender<Arc<FleetState>>,
}

/// How others reach the fleet's state.
#[derive(Clone, Debug)]
pub struct FleetHandle {
    observations: mpsc::Sender<Observation>,
    snapshots: watch::Receiver<Arc<FleetState>>,
}

impl FleetTask {
    /// A task that begins with `state`, and the handle to it.
    #[must_use]
    pub fn new(state: FleetState) -> (Self, FleetHandle) {
        let (sender, observations) = mpsc::channel(QUEUE);
        let (snapshots, receiver) = watch::channel(Arc::new(state.clone()));
        let handle = FleetHandle { observations: sender, snapshots: receiver };
        (Self { state, observations, snapshots }, handle)
    }

    /// Runs until every handle is gone.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.observations.recv_many(&mut batch, BATCH).await > 0 {
            let now_us = now_us();
            for observation in batch.drain(..) {
                self.state.apply(observation, now_us);
            }
            self.snapshots.send_replace(Arc::new(self.state.clone()));
        }
    }
}

impl FleetHandle {
    /// Hands in what was seen; waits while the queue is full. Cancel-safe: an
    /// observation is either in the queue or was never handed in.
    ///
    /// # Errors
    /// The controller is stopping.
    pub async fn observe(&self, observation: Observation) -> Result<(), FleetGone> {
        self.observations.send(observation).await.map_err(|_| FleetGone)
    }

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<FleetState> {
        self.snapshots.borrow().clone()
    }

    /// Follows what is known.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Arc<FleetState>> {
        self.snapshots.clone()
    }
}
