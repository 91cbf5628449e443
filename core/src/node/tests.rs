use std::time::Duration;

use ha_model::plan::NodePlan;
use ha_model::secret::Secrets;

use super::*;

mod bench;

use bench::{Bench, plan};

#[test]
fn a_backup_waits_for_three_intervals_and_the_skew() {
    let mut bench = Bench::new(plan());
    let deadline = bench.core.next_deadline().expect("a backup listens");
    assert_eq!(deadline.reason, DeadlineReason::MasterDown);
    assert_eq!(deadline.at.since(bench.now), Duration::from_micros(3_609_375));
    bench.at(deadline.at - Duration::from_nanos(1), Event::Tick);
    assert_eq!(bench.core.masters().count(), 0);
    bench.at(deadline.at, Event::Tick);
    assert_eq!(bench.core.masters().count(), 1);
}
