//! The controller: holds the wish for the whole fleet, hands every node its
//! part, and hears back what became of it.

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod events;
pub mod fleet;
pub mod pki;
pub mod revisions;
pub mod rollout;
pub mod session;
pub mod store;
#[cfg(test)]
mod testing;

/// An error with all its causes, for a log line or a person.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
