//! The arithmetic of the protocol, all in one place.

use std::net::IpAddr;
use std::time::Duration;

use ha_model::plan::VrrpVersion;

/// Timers and tie-break of a virtual router. A value and not plain functions,
/// so that a test can break one of them and show that the simulation notices;
/// everything else runs with [`Rules::RFC`].
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `Skew_Time` for a version, a priority and the master's interval.
    pub skew: fn(VrrpVersion, u8, Duration) -> Duration,
    /// `Master_Down_Interval` (RFC 9568: `Active_Down_Interval`) for the
    /// master's interval and the skew.
    pub down: fn(Duration, Duration) -> Duration,
    /// Whether the first master (priority, source address) is to stay rather
    /// than the second.
    pub beats: fn((u8, IpAddr), (u8, IpAddr)) -> bool,
}

impl Rules {
    /// As the RFCs have it.
    pub const RFC: Self = Self { skew, down, beats };

    /// How long a backup of `priority` waits for a master with `interval`.
    #[must_use]
    pub fn master_down(&self, version: VrrpVersion, priority: u8, interval: Duration) -> Duration {
        (self.down)(interval, (self.skew)(version, priority, interval))
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::RFC
    }
}

/// Version 2: `((256 - Priority) / 256)` seconds whatever the interval (RFC
/// 3768 §6.1). Version 3: `(256 - Priority) * Active_Adver_Interval / 256`
/// (RFC 9568 §6.1). Exact to the nanosecond: the formula's centiseconds are a
/// unit of the wire, not of our timers.
fn skew(version: VrrpVersion, priority: u8, interval: Duration) -> Duration {
    let unit = match version {
        VrrpVersion::V2 => Duration::from_secs(1),
        VrrpVersion::V3 => interval,
    };
    unit * (256 - u32::from(priority)) / 256
}

/// `3 * Active_Adver_Interval + Skew_Time` (RFC 9568 §6.1).
fn down(interval: Duration, skew: Duration) -> Duration {
    interval * 3 + skew
}

/// The higher priority, then the higher address (RFC 9568 §6.4.3).
fn beats(one: (u8, IpAddr), other: (u8, IpAddr)) -> bool {
    one > other
}
