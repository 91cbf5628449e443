//! Every pair of state and input, with what comes out and the next deadline.
//!
//! The instance: version 3, priority 100, 1 s, so skew 0.609375 s and
//! master-down 3.609375 s, source 10.0.0.2, one address.

use std::fmt::Write as _;

use ha_model::ids::Priority;
use ha_model::plan::InstancePlan;
use ha_model::secret::Secrets;

use super::*;

/// What every column of the table starts from.
const STATES: [VrrpState; 4] =
    [VrrpState::Init, VrrpState::Backup, VrrpState::Master, VrrpState::Fault];

fn plan() -> InstancePlan {
    InstancePlan {
        name: "VI_1".parse().expect("a name"),
        interface: "eth0".parse().expect("a name"),
        family: ha_model::plan::Family::Ipv4,
        vrid: 51.try_into().expect("an id"),
        version: ha_model::plan::VrrpVersion::V3,
        priority: 100.try_into().expect("a priority"),
        interval_us: ha_model::units::Micros::from_secs(1),
        addresses: vec![ha_model::plan::VirtualAddress {
            address: "10.0.0.51/24".parse().expect("an address"),
            interface: None,
        }],
        transport: ha_model::plan::Transport::Multicast { source: None },
        preempt: Default::default(),
        checksum: Default::default(),
        auth: Default::default(),
        garp: Default::default(),
        accept: Default::default(),
    }
}

/// An instance with its surroundings.
struct Bench {
    instance: Instance,
    now: Timestamp,
    links: BTreeMap<InterfaceName, Link>,
    effects: VecDeque<Effect>,
    desired: Desired,
}

impl Bench {
    fn new(plan: &InstancePlan) -> Self {
        let link = Link {
            interface: "eth0".parse().expect("a name"),
            index: 7,
            running: true,
            mac: None,
            addresses: vec!["10.0.0.2/24".parse().expect("an address")],
        };
        let now = Timestamp::from_nanos(1_000_000_000);
        let settings = Settings::new(plan, &Secrets::new());
        let mut bench = Self {
            instance: Instance::new(InstanceId(0), settings, now),
            now,
            links: [(link.interface.clone(), link)].into(),
            effects: VecDeque::new(),
            desired: Desired::default(),
        };
        bench.act(|instance, out| instance.attach(out));
        bench
    }

    fn act(&mut self, act: impl FnOnce(&mut Instance, &mut Out<'_>)) {
        let mut out = Out {
            now: self.now,
            rules: &Rules::RFC,
            links: &self.links,
            effects: &mut self.effects,
            desired: &mut self.desired,
        };
        act(&mut self.instance, &mut out);
    }

    fn step(&mut self, input: Input) {
        self.act(|instance, out| instance.step(input, out));
    }

    fn later(&mut self, micros: u64) {
        self.now = self.now + Duration::from_micros(micros);
    }

    /// An instance that has been in `state` for a while: a backup for 1 s, a
    /// master for 1.4 s, with its address there.
    fn settled(plan: &InstancePlan, state: VrrpState) -> Self {
        let mut bench = Self::new(plan);
        match state {
            VrrpState::Init => {}
            VrrpState::Fault => bench.step(Input::Unready),
            VrrpState::Backup => {
                bench.step(Input::Ready { resume: false });
                bench.later(1_000_000);
            }
            VrrpState::Master => {
                bench.step(Input::Ready { resume: false });
                bench.later(3_609_375);
                bench.step(Input::Due(DeadlineReason::MasterDown));
                let generation = bench.desired.generation;
                bench.act(|instance, out| instance.converged(generation, &[], out));
                bench.later(1_000_000);
                bench.step(Input::Due(DeadlineReason::Advert));
                bench.later(400_000);
            }
        }
        assert_eq!(bench.instance.state(), state);
        bench.effects.clear();
        bench
    }

    /// State, effects, and what comes next, in one line.
    fn outcome(&self) -> String {
        let mut text = format!("{:?}:", self.instance.state()).to_lowercase();
        for effect in &self.effects {
            match effect {
                Effect::SendAdvert(_) => {
                    let priority = self.instance.wire().priority;
                    write!(text, " advert({priority})")
                }
                Effect::Announce { .. } => write!(text, " garp"),
                Effect::Report(EventKind::Transition { cause, .. }) => {
                    let cause = format!("{cause:?}");
                    let cause = cause.split([' ', '(']).next().expect("a word");
                    write!(text, " {cause}")
                }
                Effect::Report(EventKind::TwoMasters { .. }) => write!(text, " two"),
                Effect::Report(EventKind::TwoMastersEnded { .. }) => write!(text, " one"),
                Effect::Report(other) => panic!("an instance does not report {other:?}"),
            }
            .expect("a string takes everything");
        }
        let _ = match self.instance.deadline() {
            Some(next) => {
                write!(text, " | {:?} {}", next.reason, next.at.since(self.now).as_micros())
            }
            None => write!(text, " | never"),
        };
        text
    }
}

fn heard(source: &str, priority: u8) -> Input {
    Input::Heard(Heard {
        source: source.parse().expect("an address"),
        priority,
        interval: Duration::from_secs(1),
        differs: false,
    })
}

type Row = (&'static str, Input, [&'static str; 4]);

/// What an instance does as init, backup, master and fault if nothing comes of
/// an input, but for `changes`: (column, outcome). A backup's timer has
/// 2.609375 s left then, and a master's next advert is 0.6 s away.
fn with(changes: &[(usize, &'static str)]) -> [&'static str; 4] {
    let mut row = [
        "init: | never",
        "backup: | MasterDown 2609375",
        "master: | Advert 600000",
        "fault: | never",
    ];
    for (place, outcome) in changes {
        row[*place] = outcome;
    }
    row
}

const INIT: usize = 0;
const BACKUP: usize = 1;
const MASTER: usize = 2;
const FAULT: usize = 3;

fn table() -> Vec<Row> {
    [readiness_and_release(), adverts(), timers()].concat()
}

fn readiness_and_release() -> Vec<Row> {
    vec![
        (
            "ready",
            Input::Ready { resume: false },
            with(&[
                (INIT, "backup: Startup | MasterDown 3609375"),
                (FAULT, "backup: FaultCleared | MasterDown 3609375"),
            ]),
        ),
        (
            "ready, was master",
            Input::Ready { resume: true },
            with(&[
                (INIT, "master: advert(100) Resumed | Advert 1000000"),
                (FAULT, "master: advert(100) Resumed | Advert 1000000"),
            ]),
        ),
        (
            "unready",
            Input::Unready,
            with(&[
                (INIT, "fault: Fault | never"),
                (BACKUP, "fault: Fault | never"),
                (MASTER, "fault: advert(0) Fault | never"),
            ]),
        ),
        (
            "release",
            Input::Release(Cause::Stop),
            with(&[
                (BACKUP, "init: Stop | never"),
                (MASTER, "init: advert(0) Stop | never"),
                (FAULT, "init: Stop | never"),
            ]),
        ),
    ]
}

fn adverts() -> Vec<Row> {
    vec![
        (
            "priority 0",
            heard("10.0.0.9", 0),
            with(&[
                (BACKUP, "backup: | MasterDown 609375"),
                (MASTER, "master: advert(100) | Advert 1000000"),
            ]),
        ),
        (
            "lower priority",
            heard("10.0.0.9", 99),
            with(&[(MASTER, "master: advert(100) two garp garp garp garp garp | Advert 1000000")]),
        ),
        (
            "equal priority, lower address",
            heard("10.0.0.1", 100),
            with(&[
                (BACKUP, "backup: | MasterDown 3609375"),
                (MASTER, "master: advert(100) two garp garp garp garp garp | Advert 1000000"),
            ]),
        ),
        (
            "equal priority, higher address",
            heard("10.0.0.9", 100),
            with(&[
                (BACKUP, "backup: | MasterDown 3609375"),
                (MASTER, "backup: advert(100) HigherPriority | MasterDown 3609375"),
            ]),
        ),
        (
            "higher priority",
            heard("10.0.0.1", 101),
            with(&[
                (BACKUP, "backup: | MasterDown 3609375"),
                (MASTER, "backup: advert(100) HigherPriority | MasterDown 3609375"),
            ]),
        ),
    ]
}

fn timers() -> Vec<Row> {
    vec![
        (
            "advert is due",
            Input::Due(DeadlineReason::Advert),
            // 0.6 s early here, and counted from when it was due.
            with(&[(MASTER, "master: advert(100) | Advert 1600000")]),
        ),
        (
            "master is down",
            Input::Due(DeadlineReason::MasterDown),
            with(&[(BACKUP, "master: advert(100) MasterDown | Advert 1000000")]),
        ),
        ("preempt delay", Input::Due(DeadlineReason::PreemptDelay), with(&[])),
        ("announcements are due", Input::Due(DeadlineReason::Garp), with(&[])),
        (
            "rival is silent",
            Input::Due(DeadlineReason::MasterForgotten),
            with(&[(MASTER, "master: garp garp garp garp garp | Advert 600000")]),
        ),
    ]
}

#[test]
fn every_state_with_every_input() {
    for (what, input, outcomes) in table() {
        for (state, due) in STATES.into_iter().zip(outcomes) {
            let mut bench = Bench::settled(&plan(), state);
            bench.step(input.clone());
            assert_eq!(bench.outcome(), due, "{state:?}, {what}");
            let holds = bench.instance.state() == VrrpState::Master;
            let wanted = bench.desired.addresses.values().any(|wanted| *wanted);
            assert_eq!(wanted, holds, "{state:?}, {what}: addresses follow the state");
        }
    }
}

#[test]
fn the_table_has_every_input() {
    // A new kind of input does not compile here before the table has it.
    let kind = |input: &Input| match input {
        Input::Ready { resume } => usize::from(*resume),
        Input::Unready => 2,
        Input::Heard(_) => 3,
        Input::Due(DeadlineReason::Advert) => 4,
        Input::Due(DeadlineReason::MasterDown) => 5,
        Input::Due(DeadlineReason::PreemptDelay) => 6,
        Input::Due(DeadlineReason::Garp) => 7,
        Input::Due(DeadlineReason::MasterForgotten) => 8,
        Input::Release(_) => 9,
    };
    let kinds: std::collections::BTreeSet<_> =
        table().iter().map(|(_, input, _)| kind(input)).collect();
    assert_eq!(kinds, (0..10).collect());
}

#[test]
fn an_owner_is_master_at_once_and_preempts_whatever_the_plan_says() {
    let mut owner = plan();
    owner.priority = Priority::OWNER;
    owner.preempt.enabled = false;
    for state in [VrrpState::Init, VrrpState::Fault] {
        let mut bench = Bench::settled(&owner, state);
        bench.step(Input::Ready { resume: false });
        assert_eq!(bench.outcome(), "master: advert(255) Owner | Advert 1000000", "{state:?}");
    }
    let mut bench = Bench::settled(&owner, VrrpState::Init);
    bench.step(Input::Ready { resume: false });
    bench.step(heard("10.0.0.9", 255));
    assert_eq!(bench.instance.state(), VrrpState::Backup, "of two owners the higher address stays");
    let before = bench.instance.deadline();
    bench.later(1_000);
    bench.step(heard("10.0.0.8", 254));
    assert_eq!(bench.instance.deadline(), before, "a lower master is not followed");
}

#[test]
fn without_preemption_a_lower_master_is_followed() {
    let mut plan = plan();
    plan.preempt.enabled = false;
    let mut bench = Bench::settled(&plan, VrrpState::Backup);
    bench.step(heard("10.0.0.9", 1));
    assert_eq!(bench.outcome(), "backup: | MasterDown 3609375");
}

#[test]
fn a_preempt_delay_starts_with_the_first_lower_advert_and_ends_once() {
    let mut plan = plan();
    plan.preempt.delay_us = ha_model::units::Micros::from_secs(2);
    let mut bench = Bench::settled(&plan, VrrpState::Backup);
    bench.step(heard("10.0.0.9", 50));
    assert_eq!(bench.outcome(), "backup: | PreemptDelay 2000000");
    bench.later(1_500_000);
    bench.step(heard("10.0.0.9", 50));
    assert_eq!(bench.outcome(), "backup: | PreemptDelay 500000", "it runs on, and we follow");
    bench.later(500_000);
    bench.step(Input::Due(DeadlineReason::PreemptDelay));
    assert_eq!(bench.outcome(), "backup: | MasterDown 3109375");
    bench.later(1_000_000);
    bench.step(heard("10.0.0.9", 50));
    assert_eq!(bench.outcome(), "backup: | MasterDown 2109375", "it is followed no more");
    bench.step(heard("10.0.0.9", 100));
    bench.step(heard("10.0.0.8", 50));
    assert_eq!(bench.outcome(), "backup: | PreemptDelay 2000000", "a better master starts it anew");
}

#[test]
fn a_master_that_falls_below_us_is_taken_over_after_the_skew() {
    let mut bench = Bench::settled(&plan(), VrrpState::Backup);
    bench.step(heard("10.0.0.9", 150));
    assert_eq!(bench.outcome(), "backup: | MasterDown 3609375");
    bench.later(500_000);
    bench.step(heard("10.0.0.9", 90));
    assert_eq!(bench.outcome(), "backup: | MasterDown 609375");
    bench.later(100_000);
    bench.step(heard("10.0.0.9", 90));
    assert_eq!(bench.outcome(), "backup: | MasterDown 509375", "its next advert delays nothing");
}

#[test]
fn priority_zero_of_one_master_means_nothing_while_another_is_heard() {
    let mut bench = Bench::settled(&plan(), VrrpState::Backup);
    bench.step(heard("10.0.0.8", 150));
    bench.step(heard("10.0.0.9", 140));
    bench.step(heard("10.0.0.9", 0));
    assert_eq!(bench.outcome(), "backup: | MasterDown 3609375");
    bench.step(heard("10.0.0.8", 0));
    assert_eq!(bench.outcome(), "backup: | MasterDown 609375");
}

#[test]
fn a_master_that_overslept_yields_without_a_word() {
    let mut bench = Bench::settled(&plan(), VrrpState::Master);
    bench.later(3_000_000);
    bench.step(heard("10.0.0.9", 50));
    assert_eq!(bench.outcome(), "backup: LateWakeup | MasterDown 3609375");

    let mut bench = Bench::settled(&plan(), VrrpState::Master);
    bench.later(700_000);
    bench.step(heard("10.0.0.9", 150));
    assert_eq!(
        bench.outcome(),
        "backup: HigherPriority | MasterDown 3609375",
        "an advert that is overdue is not sent to a better master"
    );
}

#[test]
fn a_backup_that_overslept_listens_once_more_and_only_once() {
    let mut bench = Bench::settled(&plan(), VrrpState::Backup);
    bench.later(2_609_375 + 3_609_376);
    bench.step(Input::Due(DeadlineReason::MasterDown));
    assert_eq!(bench.outcome(), "backup: | MasterDown 3609375");
    bench.later(60_000_000);
    bench.step(Input::Due(DeadlineReason::MasterDown));
    assert_eq!(bench.instance.state(), VrrpState::Master);

    let mut bench = Bench::settled(&plan(), VrrpState::Backup);
    bench.later(2_609_375 + 3_609_375);
    bench.step(Input::Due(DeadlineReason::MasterDown));
    assert_eq!(bench.instance.state(), VrrpState::Master, "late, but not too late");
}

#[test]
fn late_adverts_do_not_shift_those_that_follow() {
    let mut plan = plan();
    plan.garp.delay_us = ha_model::units::Micros::ZERO;
    let mut bench = Bench::settled(&plan, VrrpState::Master);
    bench.later(600_000 + 300_000);
    bench.step(Input::Due(DeadlineReason::Advert));
    assert_eq!(bench.outcome(), "master: advert(100) | Advert 700000");
    assert_eq!(bench.instance.counters.late_wakeup, 0);
    bench.later(700_000 + 1_500_000);
    bench.effects.clear();
    bench.step(Input::Due(DeadlineReason::Advert));
    assert_eq!(bench.outcome(), "master: advert(100) | Advert 1000000", "one, not two");
    assert_eq!(bench.instance.counters.late_wakeup, 1);
}

#[test]
fn two_masters_are_told_once_until_one_is_silent() {
    let mut bench = Bench::settled(&plan(), VrrpState::Master);
    bench.step(heard("10.0.0.9", 99));
    bench.effects.clear();
    bench.later(500_000);
    bench.step(heard("10.0.0.9", 99));
    assert_eq!(bench.outcome(), "master: advert(100) | Advert 1000000", "no news, no flood");
    bench.effects.clear();
    bench.later(500_000);
    bench.step(heard("10.0.0.9", 99));
    assert_eq!(
        bench.outcome(),
        "master: advert(100) garp garp garp garp garp | Advert 1000000",
        "a second later the caches are corrected again"
    );
    bench.effects.clear();
    bench.instance.timers = Timers::default();
    assert_eq!(
        bench.outcome(),
        "master: | MasterForgotten 3609375",
        "three intervals of the other and our skew"
    );
    bench.later(3_609_375);
    bench.step(Input::Due(DeadlineReason::MasterForgotten));
    assert_eq!(bench.outcome(), "master: one garp garp garp garp garp | never");
}

#[test]
fn the_last_word_of_the_master_before_us_is_no_second_master() {
    let mut bench = Bench::settled(&plan(), VrrpState::Backup);
    bench.later(2_609_375);
    bench.step(Input::Due(DeadlineReason::MasterDown));
    bench.effects.clear();
    bench.later(1_000);
    bench.step(heard("10.0.0.9", 50));
    assert_eq!(bench.outcome(), "master: | Advert 999000");
}

#[test]
fn answers_to_lower_masters_do_not_become_a_flood() {
    let mut bench = Bench::settled(&plan(), VrrpState::Master);
    for _ in 0..1_000 {
        bench.later(1_000);
        bench.step(heard("10.0.0.9", 50));
        bench.step(heard("10.0.0.8", 0));
    }
    let sent = bench.effects.iter().filter(|e| matches!(e, Effect::SendAdvert(_))).count();
    assert_eq!(sent, 4, "one each quarter of an interval");
}
