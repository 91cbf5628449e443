//! Giving up what the agent does not need. Call it before any other thread is
//! there: capabilities belong to threads.

use std::io;

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use ha_sys::MemoryLock;

/// Addresses and links; raw sockets; real-time priority; locked memory.
const KEPT: [Capability; 4] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_RAW,
    Capability::CAP_SYS_NICE,
    Capability::CAP_IPC_LOCK,
];
/// New files are for the agent and its group.
const UMASK: u32 = 0o027;

/// What came of it.
#[derive(Debug)]
pub struct Hardening {
    capabilities: Result<(), CapsError>,
    privileges: io::Result<()>,
    memory: io::Result<MemoryLock>,
}

/// Drops privileges and locks memory. What the system does not allow is done
/// without.
pub fn harden() -> Hardening {
    ha_sys::set_umask(UMASK);
    let capabilities = drop_capabilities();
    let may_lock = caps::has_cap(None, CapSet::Effective, Capability::CAP_IPC_LOCK);
    Hardening {
        capabilities,
        privileges: ha_sys::block_new_privileges(),
        memory: ha_sys::lock_memory(may_lock.unwrap_or(false)),
    }
}

impl Hardening {
    /// Logs what could not be done.
    pub fn log(&self) {
        if let Err(error) = &self.capabilities {
            tracing::warn!(%error, "capabilities were not dropped");
        }
        if let Err(error) = &self.privileges {
            tracing::warn!(%error, "new privileges are not blocked");
        }
        match &self.memory {
            Ok(MemoryLock::Locked) => {}
            Ok(MemoryLock::LimitTooLow) => {
                tracing::info!("memory is not locked: LimitMEMLOCK is finite");
            }
            Err(error) => tracing::info!(%error, "memory is not locked"),
        }
    }
}

fn drop_capabilities() -> Result<(), CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    // The bounding set first: it takes a capability that goes next.
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding)? {
            if !KEPT.contains(&capability) {
                caps::drop(None, CapSet::Bounding, capability)?;
            }
        }
    }
    let kept: CapsHashSet = KEPT.into_iter().filter(|it| permitted.contains(it)).collect();
    caps::clear(None, CapSet::Ambient)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::clear(None, CapSet::Inheritable)
}
