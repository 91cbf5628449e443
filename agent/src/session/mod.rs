//! The session with the controller: one stream at a time, opened again for as
//! long as the agent runs. The node does without it at any time.
//!
//! What is sent when is decided by [`machine`], when to try again by
//! [`backoff`]; both are pure. [`stream`] runs one stream, [`SessionTask`] one
//! after the other.

mod backoff;
mod dial;
mod machine;
mod renew;
mod stream;

use std::time::Duration;

use ha_model::ids::NodeName;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::node::NodeHandle;
use crate::spool::SpoolHandle;
use backoff::Backoff;
use stream::{End, Rest};

pub use dial::{Dial, TlsDial};
pub use renew::RenewTask;

/// Longest wait for the spool before the first session.
const SPOOL_PATIENCE: Duration = Duration::from_secs(1);

/// How the session is, for people: a level.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct SessionView {
    /// The controller's address; empty: none is configured.
    pub controller: String,
    /// Whether the controller has taken this node in.
    pub connected: bool,
    /// Since when that is so, microseconds since 1970.
    pub since_us: u64,
    /// Why it is not connected, or was not the last time.
    pub last_error: String,
}

/// What the session is made of.
#[derive(Debug)]
pub struct SessionConfig<D> {
    /// Makes connections.
    pub dial: D,
    /// Address of the controller, for people.
    pub controller: String,
    /// This node, as its certificate names it.
    pub node_name: NodeName,
    /// The node.
    pub node: NodeHandle,
    /// Its events.
    pub spool: SpoolHandle,
    /// Turns true once the agent stops.
    pub stop: watch::Receiver<bool>,
}

/// Owner of the session.
#[derive(Debug)]
pub struct SessionTask<D> {
    dial: D,
    rest: Rest,
    backoff: Backoff,
    view: watch::Sender<SessionView>,
}

impl<D: Dial> SessionTask<D> {
    /// A session that begins with [`SessionTask::run`].
    ///
    /// # Errors
    /// The system gives no random number.
    pub fn new(
        config: SessionConfig<D>,
    ) -> Result<(watch::Receiver<SessionView>, Self), getrandom::Error> {
        let SessionConfig { dial, controller, node_name, node, spool, stop } = config;
        let process_id = getrandom::u64()?;
        let since_us = ha_sys::wall_micros();
        let (view, receiver) =
            watch::channel(SessionView { controller, since_us, ..SessionView::default() });
        let rest = Rest { node_name, node, spool, process_id, stop };
        Ok((receiver, Self { dial, rest, backoff: Backoff::default(), view }))
    }

    /// Keeps a stream open until the agent stops.
    pub async fn run(mut self) {
        let mut stop = self.rest.stop.clone();
        self.await_spool().await;
        loop {
            let end = self.stream().await;
            self.tell(&end);
            match end {
                End::Stopped | End::NodeGone(_) | End::SpoolGone(_) => return,
                End::RetryAfter { min, max } => self.backoff.retry_after(min, max),
                End::Bye(_)
                | End::Refused { .. }
                | End::Silent
                | End::NoWelcome
                | End::Address(_)
                | End::Transport(_)
                | End::Unreadable(_)
                | End::Unexpected(_)
                | End::Break(_) => {}
            }
            let wait = self.backoff.next(random());
            tracing::debug!(?wait, "waiting before the next session");
            // Cancel-safe: neither holds anything.
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// A session names the spool's epoch and ends when that changes, so the
    /// first one waits for it. Not for ever: a full disk may keep the spool away,
    /// and plans matter more.
    async fn await_spool(&self) {
        let mut level = self.rest.spool.level();
        let ready = level.wait_for(|level| level.epoch != 0);
        if tokio::time::timeout(SPOOL_PATIENCE, ready).await.is_err() {
            tracing::warn!("there is no spool yet: events wait in memory");
        }
    }

    async fn stream(&mut self) -> End {
        let channel = match self.dial.dial().await {
            Ok(channel) => channel,
            Err(error) => return End::Address(error),
        };
        let (view, backoff) = (&self.view, &mut self.backoff);
        stream::run(channel, self.rest.clone(), |welcomed| {
            let (min, max) = welcomed.reconnect;
            backoff.welcomed(min, max);
            view.send_modify(|view| {
                view.connected = true;
                view.since_us = ha_sys::wall_micros();
                view.last_error.clear();
            });
            tracing::info!(controller = view.borrow().controller, "session with the controller");
        })
        .await
    }

    /// Says once that a session ended, and at each failed try only in detail.
    fn tell(&self, end: &End) {
        let error = crate::error_chain(end);
        let was_connected = self.view.borrow().connected;
        if matches!(end, End::Refused { .. }) {
            tracing::warn!(error, "the controller refuses this node");
        } else if was_connected {
            tracing::info!(error, "session with the controller ended; the node goes on without");
        } else if self.view.borrow().last_error != error {
            tracing::info!(error, "no session with the controller; the node goes on without");
        } else {
            tracing::debug!(error, "still no session with the controller");
        }
        self.view.send_modify(|view| {
            if was_connected {
                view.connected = false;
                view.since_us = ha_sys::wall_micros();
            }
            view.last_error = error;
        });
    }
}

/// A number for the jitter. Without one all waits are the longest: rather late
/// than all at once.
fn random() -> u64 {
    getrandom::u64().unwrap_or(u64::MAX)
}

/// A span drawn evenly from `min` to `max`.
fn draw(min: Duration, max: Duration) -> Duration {
    let span = max.saturating_sub(min).as_micros();
    let share = (span * u128::from(random())) >> 64;
    min + Duration::from_micros(u64::try_from(share).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
