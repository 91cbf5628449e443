//! The duty thread: VRRP on one plain OS thread that never waits.
//!
//! [`start`] brings up the duty thread and the kernel thread and gives back a
//! [`DutyHandle`], the only way to them.

mod frames;
mod handle;
mod heartbeat;
mod outbox;
mod thread;
mod wires;

use std::io;
use std::path::Path;
use std::sync::Arc;

use ha_model::event::NodeEvent;
use ha_sys::{EventFd, Poller, SocketError, Timer};
use tokio::sync::mpsc;

use crate::kernel;

pub use handle::{DutyGone, DutyHandle, DutyStatus, StopMode};

/// Name of the table of last adverts in the run directory.
const HEARTBEATS: &str = "heartbeats";

/// The duty thread could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket for adverts or announcements.
    #[error("cannot open the sockets of VRRP")]
    Socket(#[source] SocketError),
    /// The table of last adverts.
    #[error("cannot use {} in the run directory", HEARTBEATS)]
    Heartbeats(#[source] io::Error),
    /// The kernel thread.
    #[error("cannot start the kernel thread")]
    Kernel(#[source] kernel::StartError),
    /// A thread, or what it waits with.
    #[error("cannot start the duty thread")]
    Thread(#[source] io::Error),
}

/// Starts duty and kernel thread, which keep two files in `run_dir`. Gives back
/// the way to duty, and what it reports. Call it inside a runtime, where the
/// task that carries reports on will run.
///
/// # Errors
/// See [`StartError`]; mostly missing capabilities.
pub fn start(run_dir: &Path) -> Result<(DutyHandle, mpsc::Receiver<NodeEvent>), StartError> {
    let wake = Arc::new(EventFd::new().map_err(StartError::Thread)?);
    let boot_id = ha_sys::boot_id().map_err(StartError::Heartbeats)?;
    let heartbeats = heartbeat::Heartbeats::open(&run_dir.join(HEARTBEATS), &boot_id)
        .map_err(StartError::Heartbeats)?;
    let wires = wires::Wires::open().map_err(StartError::Socket)?;
    let (outbox, relay, events) = outbox::outbox().map_err(StartError::Thread)?;
    let kernel = kernel::start(run_dir, Arc::clone(&wake)).map_err(StartError::Kernel)?;
    let mailbox = Arc::new(handle::Mailbox::new(wake));
    let duty = thread::Duty::new(thread::Parts {
        poller: Poller::new().map_err(StartError::Thread)?,
        timer: Timer::new().map_err(StartError::Thread)?,
        mailbox: Arc::clone(&mailbox),
        news: kernel.news,
        kernel: kernel.port,
        outbox,
        wires,
        heartbeats,
    })
    .map_err(StartError::Thread)?;
    let handle = DutyHandle::new(mailbox, relay.running.subscribe(), relay.status.subscribe());
    let builder = std::thread::Builder::new().name("duty".to_owned());
    let thread = builder.spawn(move || duty.run()).map_err(StartError::Thread)?;
    tokio::spawn(relay.run([thread, kernel.thread]));
    Ok((handle, events))
}
