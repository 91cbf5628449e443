//! Slows down who tries too often, per source.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tokio::time::Instant;

/// Tries at once before the pace counts.
const BURST: u32 = 5;
/// Time after which one more try is free.
const PACE: Duration = Duration::from_secs(1);
/// Sources that are remembered. Beyond it all new ones share one place: who has
/// that many addresses gets no more tries than one who has one.
const SOURCES: usize = 4096;

/// Counts failed tries per source address: an IPv4 address or an IPv6 /64.
#[derive(Debug, Default)]
pub struct Limiter {
    /// When all tries of a source are free again.
    free_at: BTreeMap<IpAddr, Instant>,
}

impl Limiter {
    /// Takes one try of `address`; false if there is none. Give it back with
    /// [`Limiter::succeeded`].
    pub fn attempt(&mut self, address: IpAddr, now: Instant) -> bool {
        let source = self.place(address, now);
        let free_at = self.free_at.get(&source).copied().unwrap_or(now).max(now);
        if free_at + PACE > now + PACE * BURST {
            return false;
        }
        self.free_at.insert(source, free_at + PACE);
        true
    }

    /// The last try of `address` was a good one and does not count.
    pub fn succeeded(&mut self, address: IpAddr, now: Instant) {
        let source = self.place(address, now);
        if let Some(free_at) = self.free_at.get_mut(&source) {
            *free_at = free_at.checked_sub(PACE).unwrap_or(now);
        }
    }

    fn place(&mut self, address: IpAddr, now: Instant) -> IpAddr {
        let source = source(address);
        if self.free_at.contains_key(&source) {
            return source;
        }
        if self.free_at.len() >= SOURCES {
            self.free_at.retain(|_, free_at| *free_at > now);
        }
        if self.free_at.len() >= SOURCES { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { source }
    }
}

fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + last).into())
    }

    #[test]
    fn after_the_burst_one_try_a_second() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        let tries = (0..10).filter(|_| limiter.attempt(v4(1), start)).count();
        assert_eq!(tries, 5);
        assert!(limiter.attempt(v4(2), start), "another source is not affected");
        assert!(!limiter.attempt(v4(1), start + Duration::from_millis(999)));
        assert!(limiter.attempt(v4(1), start + PACE));
        assert!(!limiter.attempt(v4(1), start + PACE));
    }

    #[test]
    fn good_tries_are_free() {
        let mut limiter = Limiter::default();
        let now = Instant::now();
        for _ in 0..1000 {
            assert!(limiter.attempt(v4(1), now));
            limiter.succeeded(v4(1), now);
        }
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        let mut limiter = Limiter::default();
        let now = Instant::now();
        let tries = (0..20_u32)
            .filter(|host| {
                let address = format!("2001:db8::{host:x}").parse().unwrap();
                limiter.attempt(address, now)
            })
            .count();
        assert_eq!(tries, 5);
        let mapped = "::ffff:10.0.0.9".parse().unwrap();
        assert!((0..5).all(|_| limiter.attempt(mapped, now)));
        assert!(!limiter.attempt("10.0.0.9".parse().unwrap(), now));
    }

    #[test]
    fn memory_is_bounded_and_an_army_gets_one_burst() {
        let mut limiter = Limiter::default();
        let now = Instant::now();
        let sources = u32::try_from(SOURCES).unwrap();
        let tries = (0..2 * sources).filter(|host| limiter.attempt(v4(*host), now)).count();
        assert_eq!(tries, SOURCES + 5);
        assert_eq!(limiter.free_at.len(), SOURCES + 1);
        assert!(limiter.attempt(v4(3 * sources), now + PACE * 6), "they are forgotten");
        assert_eq!(limiter.free_at.len(), 1);
    }
}
