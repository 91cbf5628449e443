//! Times and spans as people read them.

use time::OffsetDateTime;
use time::macros::format_description;

/// A span in microseconds: `0.4s`, `42s`, `3m10s`, `4h01m`, `2d03h`.
#[must_use]
pub fn span(span_us: u64) -> String {
    let seconds = span_us / 1_000_000;
    match seconds {
        0..10 => format!("{}.{}s", seconds, span_us % 1_000_000 / 100_000),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// How long ago something was; nothing if it is not known.
#[must_use]
pub fn age(then_us: u64, now_us: u64) -> String {
    if then_us == 0 { String::new() } else { span(now_us.saturating_sub(then_us)) }
}

/// The same in a sentence.
#[must_use]
pub fn age_of(then_us: u64, now_us: u64) -> String {
    if then_us == 0 { "never".to_owned() } else { format!("{} ago", age(then_us, now_us)) }
}

/// A wall clock in UTC, to the millisecond: a failover is over in a second.
#[must_use]
pub fn clock(at_us: u64) -> String {
    let form =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_us) * 1_000)
        .ok()
        .and_then(|at| at.format(form).ok())
        .unwrap_or_else(|| format!("{at_us} us"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_keep_two_units() {
        for (us, text) in [
            (0, "0.0s"),
            (450_000, "0.4s"),
            (42_000_000, "42s"),
            (190_000_000, "3m10s"),
            (14_460_000_000, "4h01m"),
            (183_600_000_000, "2d03h"),
        ] {
            assert_eq!(span(us), text);
        }
    }

    #[test]
    fn what_is_not_known_has_no_age() {
        assert_eq!(age(0, 5), "");
        assert_eq!(age_of(0, 5), "never");
        assert_eq!(age(9, 5), "0.0s");
    }

    #[test]
    fn clocks() {
        assert_eq!(clock(1_767_225_600_123_456), "2026-01-01T00:00:00.123Z");
        assert_eq!(clock(u64::MAX), format!("{} us", u64::MAX));
    }
}
