//! Clocks and the identity of this boot.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// `CLOCK_BOOTTIME` in nanoseconds.
#[must_use]
pub fn boot_nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for a timespec and lives through the call.
    // The call can't fail: the clock exists since Linux 2.6.39.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Wall clock in microseconds since 1970; 0 if it is set before that.
#[must_use]
pub fn wall_micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |span| u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
}

/// Random identity that the kernel drew at boot, a UUID in its text form.
///
/// # Errors
/// If `/proc` can't be read.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}
