use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::duty::StopMode;

/// What a signal asks for.
pub(super) enum Asked {
    Stop(StopMode),
    /// Read the plan of this machine again.
    Reload,
}

/// The signals that the agent knows.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    restart: Signal,
    reload: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            restart: signal(SignalKind::user_defined2())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// The next one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Asked {
        // Cancel-safe: `recv` takes a signal only when it completes.
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop(StopMode::Final),
            _ = self.interrupt.recv() => Asked::Stop(StopMode::Final),
            _ = self.restart.recv() => Asked::Stop(StopMode::ForRestart),
            _ = self.reload.recv() => Asked::Reload,
        }
    }
}
