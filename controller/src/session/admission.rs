//! How many sessions may open at once: a bucket of tokens. Pure.

/// Sessions that may open in one burst. A handshake costs 0.3 ms of a core, so
/// this is a moment's work.
const BURST: u64 = 500;
/// Sessions a second after that: 5,000 agents are back within 10 s.
const RATE: u64 = 500;
/// Shortest wait of who is turned away, microseconds.
const WAIT_MIN_US: u64 = 1_000_000;

/// Lets sessions in at a bounded rate, and spreads those who must wait over
/// the time that it takes to let them all in.
#[derive(Clone, Debug)]
pub struct Bucket {
    tokens: u64,
    /// Turned away and not let in since.
    waiting: u64,
    filled_us: u64,
}

/// Come back within this span, microseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ComeBack {
    /// Not earlier.
    pub min_us: u64,
    /// Not later.
    pub max_us: u64,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(now_us: u64) -> Self {
        Self { tokens: BURST, waiting: 0, filled_us: now_us }
    }

    /// Lets one in, or says when to come back.
    ///
    /// # Errors
    /// The span within which to come back.
    pub fn take(&mut self, now_us: u64) -> Result<(), ComeBack> {
        self.fill(now_us);
        if let Some(left) = self.tokens.checked_sub(1) {
            self.tokens = left;
            self.waiting = self.waiting.saturating_sub(1);
            return Ok(());
        }
        self.waiting += 1;
        let max_us = WAIT_MIN_US + (self.waiting + RATE) * 1_000_000 / RATE;
        Err(ComeBack { min_us: WAIT_MIN_US, max_us })
    }

    fn fill(&mut self, now_us: u64) {
        let new = now_us.saturating_sub(self.filled_us).saturating_mul(RATE) / 1_000_000;
        if new == 0 {
            return;
        }
        self.tokens = self.tokens.saturating_add(new).min(BURST);
        if self.tokens == BURST {
            self.waiting = 0;
        }
        self.filled_us = now_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_rest_is_spread() {
        let mut bucket = Bucket::new(0);
        let let_in = (0..5_000).filter(|_| bucket.take(0).is_ok()).count();
        assert_eq!(let_in, 500);
        let last = bucket.take(0).unwrap_err();
        assert_eq!(last.min_us, 1_000_000);
        assert!((10_000_000..=12_000_000).contains(&last.max_us), "{last:?}");
    }

    #[test]
    fn it_fills_again_up_to_a_burst() {
        let mut bucket = Bucket::new(0);
        while bucket.take(0).is_ok() {}
        assert!(bucket.take(1_999).is_err());
        assert!(bucket.take(2_000).is_ok(), "one every 2 ms");
        assert!(bucket.take(2_000).is_err());
        let let_in = (0..5_000).filter(|_| bucket.take(60_000_000).is_ok()).count();
        assert_eq!(let_in, 500);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_and_breaks_nothing() {
        let mut bucket = Bucket::new(10_000_000);
        while bucket.take(10_000_000).is_ok() {}
        assert!(bucket.take(1).is_err());
    }
}
