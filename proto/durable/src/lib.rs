//! Files that survive a power cut: [`atomic`] replacement of whole files,
//! checksummed record [`log`]s, and the [`lock`] that keeps a directory to one
//! process.
//!
//! Everything here blocks on the disk: callers on an async runtime use a
//! blocking task or a thread of their own.

pub mod atomic;
mod error;
pub mod lock;
pub mod log;

pub use error::FileError;
