//! Exact durations. Those on the right were computed by hand from the
//! formulas of RFC 3768 §6.1 and RFC 9568 §6.1.

use super::*;

/// Version, family, priority, interval in ms, and master-down in ns.
const MASTER_DOWN: &[(VrrpVersion, Family, u64, u64, u64)] = &[
    // 3 x 1 s + 156/256 s: what keepalived waits.
    (VrrpVersion::V2, Family::Ipv4, 100, 1_000, 3_609_375_000),
    // 3 x 1 s + 2/256 s.
    (VrrpVersion::V2, Family::Ipv4, 254, 1_000, 3_007_812_500),
    // 3 x 1 s + 255/256 s.
    (VrrpVersion::V2, Family::Ipv4, 1, 1_000, 3_996_093_750),
    // 3 x 10 s + 156/256 s: the skew of version 2 knows no interval.
    (VrrpVersion::V2, Family::Ipv4, 100, 10_000, 30_609_375_000),
    // 3 x 255 s + 56/256 s.
    (VrrpVersion::V2, Family::Ipv4, 200, 255_000, 765_218_750_000),
    // 3 x 1 s + 156/256 x 1 s.
    (VrrpVersion::V3, Family::Ipv4, 100, 1_000, 3_609_375_000),
    // 3 x 10 ms + 156/256 x 10 ms.
    (VrrpVersion::V3, Family::Ipv4, 100, 10, 36_093_750),
    // 3 x 100 ms + 56/256 x 100 ms.
    (VrrpVersion::V3, Family::Ipv4, 200, 100, 321_875_000),
    // 3 x 10 s + 255/256 x 10 s.
    (VrrpVersion::V3, Family::Ipv4, 1, 10_000, 39_960_937_500),
    // 3 x 40.95 s + 2/256 x 40.95 s.
    (VrrpVersion::V3, Family::Ipv4, 254, 40_950, 123_169_921_875),
    // 3 x 1 s + 106/256 x 1 s.
    (VrrpVersion::V3, Family::Ipv6, 150, 1_000, 3_414_062_500),
];

fn backup(version: VrrpVersion, family: Family, priority: u64, interval_ms: u64) -> Bench {
    let mut plan = plan();
    let instance = &mut plan.instances[0];
    instance.version = version;
    instance.priority = priority.try_into().expect("a priority");
    instance.interval_us = Micros::from_millis(interval_ms);
    if family == Family::Ipv6 {
        bench::make_ipv6(instance);
    }
    Bench::new(plan)
}

#[test]
fn a_backup_waits_for_three_intervals_and_the_skew() {
    for case in MASTER_DOWN {
        let (version, family, priority, interval, down) = *case;
        let mut bench = backup(version, family, priority, interval);
        let deadline = bench.core.next_deadline().expect("a backup listens");
        assert_eq!(deadline.reason, DeadlineReason::MasterDown, "{case:?}");
        assert_eq!(deadline.at.since(bench.now), Duration::from_nanos(down), "{case:?}");

        bench.at(deadline.at - Duration::from_nanos(1), Event::Tick);
        assert_eq!(bench.core.masters().count(), 0, "{case:?}: not a nanosecond early");
        bench.at(deadline.at, Event::Tick);
        assert_eq!(bench.core.masters().count(), 1, "{case:?}");
        let advert = bench.core.next_deadline().expect("a master advertises");
        assert_eq!(advert.reason, DeadlineReason::Advert);
        assert_eq!(advert.at.since(deadline.at), Duration::from_millis(interval), "{case:?}");
    }
}

#[test]
fn version_3_adopts_the_interval_of_its_master() {
    let mut bench = backup(VrrpVersion::V3, Family::Ipv4, 100, 1_000);
    // 3 x 2 s + 156/256 x 2 s.
    bench.hear(PEER, 150, Micros::from_secs(2));
    assert_eq!(bench.left(), (DeadlineReason::MasterDown, Duration::from_micros(7_218_750)));
    // 3 x 10 ms + 156/256 x 10 ms.
    bench.hear(PEER, 150, Micros::from_millis(10));
    assert_eq!(bench.left(), (DeadlineReason::MasterDown, Duration::from_nanos(36_093_750)));
    // As master it goes by its own again.
    bench.pass(Duration::from_millis(40));
    assert_eq!(bench.core.masters().count(), 1);
    let due = bench.core.next_deadline().expect("a master advertises").at;
    bench.at(due, Event::Tick);
    assert_eq!(bench.left(), (DeadlineReason::Advert, Duration::from_secs(1)));
}

#[test]
fn version_2_takes_no_other_interval_unless_the_plan_says_so() {
    let mut bench = backup(VrrpVersion::V2, Family::Ipv4, 100, 1_000);
    let before = bench.core.next_deadline();
    bench.hear(PEER, 150, Micros::from_secs(2));
    assert_eq!(bench.core.next_deadline(), before);
    assert_eq!(bench.status().counters.advert_interval_err, 1);

    let mut plan = plan();
    plan.instances[0].version = VrrpVersion::V2;
    plan.instances[0].accept.intervals_us = vec![Micros::from_secs(2)];
    bench.run(&plan);
    bench.hear(PEER, 150, Micros::from_secs(2));
    // 3 x 2 s + 156/256 s: a master that is slower by permission is waited for.
    assert_eq!(bench.left(), (DeadlineReason::MasterDown, Duration::from_micros(6_609_375)));
}

#[test]
fn after_priority_zero_only_the_skew_is_waited() {
    for (version, interval_ms, skew_us) in [
        (VrrpVersion::V2, 1_000, 609_375),
        (VrrpVersion::V2, 10_000, 609_375),
        (VrrpVersion::V3, 1_000, 609_375),
        (VrrpVersion::V3, 10_000, 6_093_750),
        (VrrpVersion::V3, 100, 60_937),
    ] {
        let mut bench = backup(version, Family::Ipv4, 100, interval_ms);
        let interval = Micros::from_millis(interval_ms);
        bench.hear(PEER, 150, interval);
        bench.hear(PEER, 0, interval);
        let (reason, left) = bench.left();
        assert_eq!((reason, left.as_micros()), (DeadlineReason::MasterDown, skew_us));
        assert_eq!(bench.status().counters.pri_zero_rcvd, 1);
    }
}

#[test]
fn announcements_come_now_after_five_seconds_and_then_as_refreshes() {
    let mut plan = plan();
    plan.instances[0].garp.refresh_us = Micros::from_secs(60);
    plan.instances[0].garp.refresh_repeat = 2;
    let mut bench = Bench::new(plan);
    bench.pass(Duration::from_secs(4));
    assert_eq!(bench.announced(), 0, "nothing before the kernel has the address");
    let converged = bench.now;
    bench.converge();
    assert_eq!(bench.announced(), 5);
    let mut sets = Vec::new();
    while bench.now.since(converged) < Duration::from_secs(130) {
        let due = bench.core.next_deadline().expect("a master advertises").at;
        bench.at(due, Event::Tick);
        let count = bench.announced();
        if count > 0 {
            sets.push((due.since(converged).as_secs(), count));
        }
    }
    assert_eq!(sets, [(5, 5), (60, 2), (120, 2)]);
}

#[test]
fn time_that_runs_backwards_stands_still() {
    let mut bench = Bench::new(plan());
    let deadline = bench.core.next_deadline();
    bench.at(Timestamp::ZERO, Event::Tick);
    assert_eq!(bench.core.next_deadline(), deadline);
    bench.hear_at(Timestamp::ZERO, PEER, 150, Micros::from_secs(1));
    assert_eq!(bench.core.next_deadline(), deadline, "heard when time stood still");
}
