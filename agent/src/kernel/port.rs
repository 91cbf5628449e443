//! What crosses between the duty thread and the kernel thread.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ha_core::Desired;
use ha_core::event::Link;
use ha_core::kernel::Place;
use ha_model::ids::InterfaceName;
use ha_sys::{EventFd, WakePipe};
use ipnet::IpNet;

/// News for the duty thread; every interface of a large host fits at once.
/// When it is full the kernel thread waits, and reads nothing meanwhile.
pub(super) const NEWS: usize = 1024;

/// News of the kernel, in the order in which they became true.
#[derive(Debug)]
pub(crate) enum KernelNews {
    /// Present state of an interface.
    Link(Link),
    /// The interface has gone.
    LinkGone(InterfaceName),
    /// Every interface was told of; comes once, at start.
    Ready,
    /// The kernel shows this generation, but for `failed`.
    Converged { generation: u64, failed: Vec<Failure> },
    /// Somebody removed an address of ours; it is there again.
    PutBack { interface: InterfaceName, address: IpNet },
}

/// An address that is wanted and not there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    pub(crate) place: Place,
    /// What the kernel said, or that it was removed too often; `None` while its
    /// interface is missing or down, which is told otherwise.
    pub(crate) reason: Option<String>,
}

/// The duty thread's way to the kernel thread. Dropping it ends that thread.
#[derive(Debug)]
pub(crate) struct KernelPort {
    pub(super) desired: Arc<ArcSwapOption<Desired>>,
    pub(super) wake: WakePipe,
}

impl KernelPort {
    /// Replaces the desired state. Never waits.
    pub(crate) fn want(&self, desired: Desired) {
        self.desired.store(Some(Arc::new(desired)));
        self.wake.signal();
    }
}

/// The duty thread has ended.
#[derive(Debug)]
pub(super) struct DutyEnded;

/// The kernel thread's way to the duty thread.
#[derive(Debug)]
pub(super) struct NewsSender {
    pub(super) ring: SyncSender<KernelNews>,
    pub(super) wake: Arc<EventFd>,
}

impl NewsSender {
    /// Hands `news` over; waits while the duty thread does not take any.
    pub(super) async fn send(&self, mut news: KernelNews) -> Result<(), DutyEnded> {
        loop {
            match self.ring.try_send(news) {
                Ok(()) => {
                    self.wake.signal();
                    return Ok(());
                }
                Err(TrySendError::Full(back)) => {
                    news = back;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(TrySendError::Disconnected(_)) => return Err(DutyEnded),
            }
        }
    }
}
