//! Metrics for Prometheus, from the published status: a scrape asks nobody.

mod collect;
mod server;

pub use server::{BindError, Server};
