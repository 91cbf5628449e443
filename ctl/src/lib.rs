//! `hactl`: how people and their scripts use the fleet.
//!
//! A command line is parsed into low-level arguments ([`cli`]), checked, and
//! handed to one verb ([`verb`]). A verb asks the controller or an agent's
//! socket through [`client`], which turns messages into [`view`] types, and
//! prints them through [`output`] and nowhere else. All that a verb touches of
//! its surroundings comes in by [`host::Host`], so that every verb runs in a
//! test against a service in the same process.

pub mod cli;
pub mod client;
pub mod context;
pub mod error;
pub mod exit;
pub mod host;
pub mod manifest;
pub mod output;
mod span;
pub mod view;

mod app;
mod verb;

#[cfg(test)]
mod tests;

pub use app::{run, run_process};
