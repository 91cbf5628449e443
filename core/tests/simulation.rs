//! Clusters on a virtual LAN, and broken rules that they must notice.
//!
//! A failing seed is run alone with `SIM_SEED=N`, and more of them with
//! `SIM_SEEDS=N`.

use std::net::IpAddr;
use std::time::Duration;

use ha_core::Rules;
use ha_model::plan::VrrpVersion;

mod sim;

use sim::Story;

/// Seeds in one run; a quarter of them in each of four tests, which run beside
/// each other.
const SEEDS: u64 = 800;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn quarter(which: u64) {
    let seeds: Vec<_> = match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => {
            (0..number("SIM_SEEDS").unwrap_or(SEEDS)).filter(|seed| seed % 4 == which).collect()
        }
    };
    for seed in seeds {
        if let Err(violation) = Story::run(seed, Rules::RFC) {
            panic!("{violation}");
        }
    }
}

#[test]
fn the_invariants_hold_first_quarter() {
    quarter(0);
}

#[test]
fn the_invariants_hold_second_quarter() {
    quarter(1);
}

#[test]
fn the_invariants_hold_third_quarter() {
    quarter(2);
}

#[test]
fn the_invariants_hold_fourth_quarter() {
    quarter(3);
}

/// How many of the first seeds notice that `rules` are broken.
fn noticed(rules: Rules) -> usize {
    (0..60).filter(|seed| Story::run(*seed, rules).is_err()).count()
}

#[test]
fn a_missing_skew_is_noticed() {
    fn none(_: VrrpVersion, _: u8, _: Duration) -> Duration {
        Duration::ZERO
    }
    assert!(noticed(Rules { skew: none, ..Rules::RFC }) > 0);
}

#[test]
fn a_skew_that_forgets_the_interval_is_noticed() {
    fn a_second(_: VrrpVersion, priority: u8, _: Duration) -> Duration {
        Duration::from_secs(1) * (256 - u32::from(priority)) / 256
    }
    assert!(noticed(Rules { skew: a_second, ..Rules::RFC }) > 0);
}

#[test]
fn a_halved_master_down_timer_is_noticed() {
    fn half(interval: Duration, skew: Duration) -> Duration {
        (interval * 3 + skew) / 2
    }
    assert!(noticed(Rules { down: half, ..Rules::RFC }) > 0);
}

#[test]
fn an_inverted_tie_break_is_noticed() {
    fn inverted(one: (u8, IpAddr), other: (u8, IpAddr)) -> bool {
        (one.0, other.1) > (other.0, one.1)
    }
    assert!(noticed(Rules { beats: inverted, ..Rules::RFC }) > 0);
}

#[test]
fn a_tie_break_that_looks_at_addresses_alone_is_noticed() {
    fn addresses(one: (u8, IpAddr), other: (u8, IpAddr)) -> bool {
        one.1 > other.1
    }
    assert!(noticed(Rules { beats: addresses, ..Rules::RFC }) > 0);
}

#[test]
fn a_tie_that_nobody_wins_is_noticed() {
    fn never(_: (u8, IpAddr), _: (u8, IpAddr)) -> bool {
        false
    }
    assert!(noticed(Rules { beats: never, ..Rules::RFC }) > 0);
}

#[test]
fn equal_seeds_make_equal_stories() {
    for seed in 0..5 {
        let broken = Rules { beats: |_, _| false, ..Rules::RFC };
        let tell = || Story::run(seed, broken).map_err(|violation| violation.to_string());
        assert_eq!(tell(), tell());
    }
}
