//! Values as people type them: spans of time, points in time, labels.

use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A span of time: a whole number with `s`, `m`, `h` or `d`, or `ms`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span(pub Duration);

impl Span {
    /// In microseconds.
    #[must_use]
    pub fn micros(self) -> u64 {
        u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Parses a span of time.
///
/// # Errors
/// A text that is no number with a unit, or more than fits.
pub fn parse_span(text: &str) -> Result<Span, String> {
    let form = || format!("`{text}` is not a span of time such as 30s, 15m, 2h or 1d");
    let digits = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(form)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| form())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(form()),
    };
    number.checked_mul(unit_ms).map(|ms| Span(Duration::from_millis(ms))).ok_or_else(form)
}

/// A point in time, as it was typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Since {
    /// So long ago.
    Ago(Span),
    /// At this wall clock, microseconds since 1970.
    At(u64),
}

impl Since {
    /// As wall clock, if it is `now_us` now.
    #[must_use]
    pub fn wall_clock_us(self, now_us: u64) -> u64 {
        match self {
            Self::Ago(span) => now_us.saturating_sub(span.micros()),
            Self::At(at_us) => at_us,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(span) = parse_span(text) {
            return Ok(Self::Ago(span));
        }
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            format!(
                "`{text}` is neither a span such as 15m nor a time such as 2026-01-31T12:00:00Z"
            )
        })?;
        u64::try_from(at.unix_timestamp_nanos() / 1_000)
            .map(Self::At)
            .map_err(|_| format!("`{text}` is before 1970"))
    }
}

/// Parses `KEY=VALUE`.
///
/// # Errors
/// A text without `=`, or with nothing before it.
pub fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(format!("`{text}` is not a label such as site=fra")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(parse_span("90s"), Ok(Span(Duration::from_secs(90))));
        assert_eq!(parse_span("15m"), Ok(Span(Duration::from_secs(900))));
        assert_eq!(parse_span("250ms"), Ok(Span(Duration::from_millis(250))));
        for bad in ["", "15", "m", "-1m", "1.5h", "99999999999999999999d", "99999999999999999d"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn points_in_time() {
        let hour: Since = "1h".parse().expect("a span");
        assert_eq!(hour.wall_clock_us(3_600_000_001), 1);
        assert_eq!(hour.wall_clock_us(5), 0);
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(Since::At(1_000_000)));
        assert!("yesterday".parse::<Since>().is_err());
        assert!("1969-12-31T00:00:00Z".parse::<Since>().is_err());
    }

    #[test]
    fn labels() {
        assert_eq!(parse_label("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(parse_label("=b").is_err());
        assert!(parse_label("ab").is_err());
    }
}
