//! When to try again. Pure: the random number is an argument.

use std::time::Duration;

/// Shortest wait.
const MIN: Duration = Duration::from_millis(200);
/// Longest wait.
const MAX: Duration = Duration::from_secs(60);
/// Upper end of the first draw; doubles with every failure.
const FIRST: Duration = Duration::from_millis(400);

/// Full jitter: each wait is drawn evenly from a span. The span doubles with
/// every failure; the controller may set the next one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Backoff {
    failures: u32,
    window: Option<(Duration, Duration)>,
}

impl Backoff {
    /// The controller took us in, and wants the next reconnect in this span.
    pub(super) fn welcomed(&mut self, min: Duration, max: Duration) {
        self.failures = 0;
        self.window = (!max.is_zero()).then(|| ordered(min, max));
    }

    /// The controller is busy: come back within this span.
    pub(super) fn retry_after(&mut self, min: Duration, max: Duration) {
        self.window = Some(ordered(min, max));
    }

    /// How long to wait now; `random` is drawn evenly from all of `u64`.
    pub(super) fn next(&mut self, random: u64) -> Duration {
        let (min, max) = self.window.take().unwrap_or_else(|| {
            let doubled = FIRST.saturating_mul(1 << self.failures.min(16));
            (MIN, doubled.min(MAX))
        });
        self.failures = self.failures.saturating_add(1);
        let share = ((max - min).as_micros() * u128::from(random)) >> 64;
        min + Duration::from_micros(u64::try_from(share).unwrap_or(u64::MAX))
    }
}

fn ordered(min: Duration, max: Duration) -> (Duration, Duration) {
    (min, max.max(min))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: u64 = 0;
    const HIGH: u64 = u64::MAX;

    #[test]
    fn the_span_doubles_up_to_its_limit_and_starts_short() {
        let mut backoff = Backoff::default();
        let highest: Vec<u128> = (0..12).map(|_| backoff.next(HIGH).as_millis()).collect();
        assert!(highest[0] <= 400 && highest[0] >= 399, "{highest:?}");
        assert!(highest.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!((59_999..=60_000).contains(&highest[11]));
        assert_eq!(backoff.next(LOW), MIN);
    }

    #[test]
    fn the_controller_sets_the_next_wait_once() {
        let mut backoff = Backoff::default();
        backoff.next(HIGH);
        backoff.welcomed(Duration::from_secs(3), Duration::from_secs(5));
        let wait = backoff.next(HIGH / 2);
        assert!(wait >= Duration::from_millis(3_999) && wait <= Duration::from_secs(4));
        assert!(backoff.next(HIGH) <= Duration::from_millis(800));
    }

    #[test]
    fn a_window_that_is_upside_down_is_its_lower_end() {
        let mut backoff = Backoff::default();
        backoff.retry_after(Duration::from_secs(9), Duration::from_secs(1));
        assert_eq!(backoff.next(HIGH), Duration::from_secs(9));
    }
}
