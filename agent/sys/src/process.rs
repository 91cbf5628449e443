//! What the process asks of the scheduler and of memory management.

use std::io;

use crate::check;

/// From the kernel's `include/uapi/asm-generic/mman.h`; the libc crate has it
/// for one C library only.
const MCL_ONFAULT: libc::c_int = 4;

/// Puts the calling thread on `SCHED_RR` at the lowest real-time priority.
/// Threads and processes that it starts do not inherit it.
///
/// # Errors
/// Without `CAP_SYS_NICE` and without `RLIMIT_RTPRIO`.
pub fn run_in_real_time() -> io::Result<()> {
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: no pointers.
    let priority = check(unsafe { libc::sched_get_priority_min(libc::SCHED_RR) })?;
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: `parameters` is valid and only read; 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) })?;
    Ok(())
}

/// What [`lock_memory`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MemoryLock {
    /// Every page stays in memory from its first use on.
    Locked,
    /// Not locked: `RLIMIT_MEMLOCK` is finite and would later make starting a
    /// thread fail, since `CAP_IPC_LOCK` is not kept.
    LimitTooLow,
}

/// Keeps pages of this process in memory once they are used. `privileged` says
/// that the process keeps `CAP_IPC_LOCK`; without it a finite
/// `RLIMIT_MEMLOCK` makes later thread starts fail, so nothing is locked then.
///
/// # Errors
/// What the kernel said.
pub fn lock_memory(privileged: bool) -> io::Result<MemoryLock> {
    if !privileged && memory_limit()? != libc::RLIM_INFINITY {
        return Ok(MemoryLock::LimitTooLow);
    }
    // SAFETY: no pointers.
    check(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | MCL_ONFAULT) })?;
    Ok(MemoryLock::Locked)
}

fn memory_limit() -> io::Result<libc::rlim_t> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    check(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) })?;
    Ok(limit.rlim_cur)
}

/// No program started from here gains privileges (`PR_SET_NO_NEW_PRIVS`).
///
/// # Errors
/// On kernels before 3.5.
pub fn block_new_privileges() -> io::Result<()> {
    let (zero, one): (libc::c_ulong, libc::c_ulong) = (0, 1);
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) })?;
    Ok(())
}

/// Sets the mask of permissions that new files never get.
pub fn set_umask(mask: u32) {
    // SAFETY: no pointers; can't fail.
    unsafe { libc::umask(mask) };
}
