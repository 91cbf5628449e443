//! The agent: VRRP on one node, with or without a controller.

pub mod app;
pub mod cli;
pub mod duty;
pub mod enroll;
pub mod harden;
pub mod kernel;
pub mod ledger;
pub mod local;
pub mod metrics;
pub mod node;
pub mod session;
pub mod spool;
#[cfg(test)]
mod testing;

/// `error` and all that caused it, on one line.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Runs what waits for the disk on a thread where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime ends, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        },
    }
}
