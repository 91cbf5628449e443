use std::collections::{BTreeMap, BTreeSet};

use ha_model::ids::{ClusterName, Digest, Epoch, Generation, NodeName, PlanId, RevisionId};
use ha_model::status::{FieldError, PlanPhase, PlanStatus};
use ha_model::units::Micros;
use proptest::prelude::*;

use super::*;

const ALLOWED: u64 = 60_000_000;

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn cluster(name: &str) -> ClusterName {
    name.parse().unwrap()
}

fn plan(generation: u64) -> PlanId {
    PlanId {
        epoch: Epoch(7),
        generation: Generation(generation),
        digest: Digest::of(&generation.to_be_bytes()),
    }
}

fn header(id: u64) -> Header {
    Header {
        id: RolloutId(id),
        revision: RevisionId { epoch: Epoch(7), number: id, digest: Digest::of(b"wish") },
        traceparent: None,
        begun_at_us: 0,
    }
}

fn planned(names: &[&str], generation: u64) -> Vec<PlannedNode> {
    let one = |name: &&str| PlannedNode {
        node: node(name),
        plan: plan(generation),
        allowed: Micros(ALLOWED),
    };
    names.iter().map(one).collect()
}

fn rollout(clusters: &[(&str, &[&str])]) -> Rollout {
    let clusters =
        clusters.iter().map(|(name, nodes)| (cluster(name), planned(nodes, 1))).collect();
    Rollout::begin(header(1), clusters, &BTreeSet::new(), None)
}

/// Nodes that are online, with how many virtual routers they are master of.
fn online(nodes: &[(&str, u32)]) -> Levels {
    nodes
        .iter()
        .map(|(name, masters)| {
            let level = NodeLevel { masters: *masters, ..NodeLevel::unheard(Presence::Online) };
            (node(name), level)
        })
        .collect()
}

fn says(levels: &mut Levels, name: &str, id: PlanId, phase: PlanPhase) {
    let errors = match phase {
        PlanPhase::Rejected => vec![FieldError {
            code: "E2101".into(),
            path: "instances[web].interface".into(),
            message: "interface eth9 is not there".into(),
            hint: String::new(),
        }],
        PlanPhase::Received
        | PlanPhase::Prepared
        | PlanPhase::Applied
        | PlanPhase::Healthy
        | PlanPhase::RolledBack => vec![],
    };
    let level = levels.get_mut(&node(name)).unwrap();
    if matches!(phase, PlanPhase::Applied | PlanPhase::Healthy) {
        level.running = Some(id);
    }
    level.offered = Some(PlanStatus { plan: id, revision: None, phase, errors });
}

fn offered(turn: &Turn) -> Vec<&str> {
    turn.offers.iter().map(|offer| offer.node.as_str()).collect()
}

#[test]
fn backups_go_before_masters_and_one_at_a_time() {
    let mut rollout = rollout(&[("fra", &["a", "b", "c"])]);
    let mut levels = online(&[("a", 0), ("b", 1), ("c", 0)]);
    assert_eq!(offered(&rollout.advance(&levels, 1)), ["c"]);
    assert_eq!(offered(&rollout.advance(&levels, 2)), [""; 0]);
    says(&mut levels, "c", plan(1), PlanPhase::Applied);
    assert_eq!(offered(&rollout.advance(&levels, 3)), [""; 0], "applied is not healthy");
    says(&mut levels, "c", plan(1), PlanPhase::Healthy);
    assert_eq!(offered(&rollout.advance(&levels, 4)), ["a"]);
    says(&mut levels, "a", plan(1), PlanPhase::Healthy);
    assert_eq!(offered(&rollout.advance(&levels, 5)), ["b"]);
    assert_eq!(rollout.outcome, None);
    says(&mut levels, "b", plan(1), PlanPhase::Healthy);
    let last = rollout.advance(&levels, 6);
    assert!(last.header && last.offers.is_empty());
    assert_eq!(rollout.outcome, Some(Outcome::Complete));
    assert_eq!(rollout.next_deadline_us(), None);
}

#[test]
fn a_fresh_cluster_starts_with_the_least_preferred_node() {
    let mut rollout = rollout(&[("fra", &["a", "b"]), ("ams", &["x", "y", "z"])]);
    let levels = online(&[("a", 0), ("b", 0), ("x", 0), ("y", 0), ("z", 0)]);
    assert_eq!(offered(&rollout.advance(&levels, 1)), ["z", "b"], "all clusters at once");
}

#[test]
fn the_first_rejection_stops_every_cluster() {
    let mut rollout = rollout(&[("fra", &["a", "b"]), ("ams", &["x", "y"])]);
    let mut levels = online(&[("a", 0), ("b", 0), ("x", 0), ("y", 0)]);
    rollout.advance(&levels, 1);
    says(&mut levels, "b", plan(1), PlanPhase::Rejected);
    says(&mut levels, "y", plan(1), PlanPhase::Applied);
    let turn = rollout.advance(&levels, 2);
    assert!(turn.offers.is_empty() && turn.header);
    assert_eq!(rollout.outcome, None, "y is still under way");
    says(&mut levels, "y", plan(1), PlanPhase::Healthy);
    assert!(rollout.advance(&levels, 3).offers.is_empty(), "x keeps its plan");
    assert_eq!(rollout.outcome, Some(Outcome::Rejected));
    let ams = &rollout.clusters[&cluster("ams")];
    assert_eq!(rollout.phase(ams, &levels), ClusterPhase::Stopped);
    let StepState::Rejected { errors } = &rollout.clusters[&cluster("fra")].steps[1].state else {
        panic!("b rejected")
    };
    assert_eq!(errors[0].code, "E2101");
}

#[test]
fn a_node_that_is_not_healthy_in_time_stops_its_own_cluster_only() {
    let mut rollout = rollout(&[("fra", &["a", "b"]), ("ams", &["x", "y"])]);
    let mut levels = online(&[("a", 0), ("b", 0), ("x", 0), ("y", 0)]);
    rollout.advance(&levels, 0);
    assert_eq!(rollout.next_deadline_us(), Some(ALLOWED));
    says(&mut levels, "b", plan(1), PlanPhase::Applied);
    says(&mut levels, "y", plan(1), PlanPhase::Healthy);
    assert_eq!(offered(&rollout.advance(&levels, ALLOWED - 1)), ["x"]);
    assert!(rollout.advance(&levels, ALLOWED).offers.is_empty());
    let fra = &rollout.clusters[&cluster("fra")];
    assert_eq!(fra.steps[1].state, StepState::TimedOut { silent: false });
    assert_eq!(rollout.phase(fra, &levels), ClusterPhase::Stopped);
    says(&mut levels, "x", plan(1), PlanPhase::Healthy);
    rollout.advance(&levels, ALLOWED + 1);
    assert_eq!(rollout.outcome, Some(Outcome::Rejected));
    says(&mut levels, "b", plan(1), PlanPhase::Healthy);
    assert!(rollout.advance(&levels, ALLOWED + 2).offers.is_empty(), "stays stopped");
    assert_eq!(rollout.clusters[&cluster("fra")].steps[1].state, StepState::Healthy);
}

#[test]
fn an_offline_node_holds_nobody_up_and_gets_its_plan_on_return() {
    let mut rollout = rollout(&[("fra", &["a", "b"])]);
    let mut levels = online(&[("a", 1)]);
    assert_eq!(offered(&rollout.advance(&levels, 1)), ["a"]);
    says(&mut levels, "a", plan(1), PlanPhase::Healthy);
    rollout.advance(&levels, 2);
    assert_eq!(rollout.outcome, Some(Outcome::Offline));
    let fra = &rollout.clusters[&cluster("fra")];
    assert_eq!(rollout.phase(fra, &levels), ClusterPhase::DoneOffline);
    levels.insert(node("b"), NodeLevel::unheard(Presence::Online));
    assert_eq!(offered(&rollout.advance(&levels, 3)), ["b"]);
    says(&mut levels, "b", plan(1), PlanPhase::Healthy);
    rollout.advance(&levels, 4);
    assert_eq!(rollout.outcome, Some(Outcome::Complete));
}

#[test]
fn a_node_that_falls_silent_under_way_is_waited_for_until_its_deadline() {
    let mut rollout = rollout(&[("fra", &["a", "b"])]);
    let mut levels = online(&[("a", 1), ("b", 0)]);
    assert_eq!(offered(&rollout.advance(&levels, 0)), ["b"]);
    levels.insert(node("b"), NodeLevel::unheard(Presence::Offline));
    assert!(rollout.advance(&levels, 1).offers.is_empty(), "the plan may have cut it off");
    rollout.advance(&levels, ALLOWED);
    let fra = &rollout.clusters[&cluster("fra")];
    assert_eq!(fra.steps[1].state, StepState::TimedOut { silent: true });
    assert_eq!(rollout.outcome, Some(Outcome::Rejected));
}

#[test]
fn nobody_is_offered_anything_while_a_node_may_yet_turn_up() {
    let mut rollout = rollout(&[("fra", &["a", "b"])]);
    let mut levels = online(&[("a", 1)]);
    levels.insert(node("b"), NodeLevel::unheard(Presence::Settling));
    assert!(rollout.advance(&levels, 1).offers.is_empty());
    assert_eq!(rollout.outcome, None);
    levels.insert(node("b"), NodeLevel::unheard(Presence::Offline));
    assert_eq!(offered(&rollout.advance(&levels, 2)), ["a"]);
}

#[test]
fn a_node_that_is_ahead_is_left_alone() {
    let mut rollout = rollout(&[("fra", &["a", "b"])]);
    let mut levels = online(&[("a", 1), ("b", 0)]);
    let newer = PlanId { epoch: Epoch(99), ..plan(5) };
    levels.get_mut(&node("b")).unwrap().running = Some(newer);
    assert!(rollout.advance(&levels, 1).offers.is_empty());
    let fra = &rollout.clusters[&cluster("fra")];
    assert_eq!(fra.steps[1].state, StepState::Ahead { running: newer });
    assert_eq!(rollout.outcome, Some(Outcome::Rejected));
}

#[test]
fn what_was_rejected_before_is_not_offered_again() {
    let mut rollout = rollout(&[("fra", &["a"])]);
    let mut levels = online(&[("a", 0)]);
    says(&mut levels, "a", plan(1), PlanPhase::Rejected);
    assert!(rollout.advance(&levels, 1).offers.is_empty());
    assert_eq!(rollout.outcome, Some(Outcome::Rejected));
}

#[test]
fn a_restart_goes_on_where_it_was_with_full_time() {
    let mut rollout = rollout(&[("fra", &["a", "b"])]);
    let levels = online(&[("a", 1), ("b", 0)]);
    rollout.advance(&levels, 0);
    let kept = serde_json::to_string(&rollout).unwrap();
    let mut again: Rollout = serde_json::from_str(&kept).unwrap();
    assert_eq!(again, rollout);
    again.resume(5 * ALLOWED);
    assert!(again.advance(&Levels::new(), 5 * ALLOWED).offers.is_empty());
    assert_eq!(again.next_deadline_us(), Some(6 * ALLOWED));
    let mut levels = levels;
    says(&mut levels, "b", plan(1), PlanPhase::Healthy);
    assert_eq!(offered(&again.advance(&levels, 5 * ALLOWED + 1)), ["a"]);
}

#[test]
fn a_newer_rollout_waits_for_what_is_under_way() {
    let mut old = rollout(&[("fra", &["a", "b", "c"])]);
    let mut levels = online(&[("a", 1), ("b", 0), ("c", 0)]);
    assert_eq!(offered(&old.advance(&levels, 0)), ["c"]);
    let nodes = BTreeMap::from([(cluster("fra"), planned(&["a", "b"], 2))]);
    let mut new = Rollout::begin(header(2), nodes, &BTreeSet::new(), Some(&old));
    old.supersede();
    assert!(old.advance(&levels, 1).offers.is_empty());
    assert!(new.advance(&levels, 1).offers.is_empty(), "c is under way");
    says(&mut levels, "c", plan(1), PlanPhase::Healthy);
    assert_eq!(offered(&new.advance(&levels, 2)), ["b"]);
}

#[test]
fn a_newer_plan_replaces_the_one_under_way_on_the_same_node() {
    let mut old = rollout(&[("fra", &["a", "b", "c"])]);
    let levels = online(&[("a", 1), ("b", 0), ("c", 0)]);
    assert_eq!(offered(&old.advance(&levels, 0)), ["c"]);
    let nodes = BTreeMap::from([(cluster("fra"), planned(&["a", "b", "c"], 2))]);
    let mut new = Rollout::begin(header(2), nodes, &BTreeSet::new(), Some(&old));
    let turn = new.advance(&levels, 1);
    assert_eq!(turn.offers, [Offer { node: node("c"), plan: plan(2) }]);
}

#[test]
fn the_same_plan_stays_under_way_across_rollouts() {
    let mut old = rollout(&[("fra", &["a", "b"])]);
    let levels = online(&[("a", 1), ("b", 0)]);
    old.advance(&levels, 0);
    let nodes = BTreeMap::from([(cluster("fra"), planned(&["a", "b"], 1))]);
    let mut new = Rollout::begin(header(2), nodes, &BTreeSet::new(), Some(&old));
    assert!(new.advance(&levels, 1).offers.is_empty());
    assert_eq!(
        new.clusters[&cluster("fra")].steps[1].state,
        StepState::Offered { deadline_us: ALLOWED }
    );
}

#[test]
fn a_carried_cluster_stays_stopped_and_says_nothing_of_the_new_rollout() {
    let mut old = rollout(&[("fra", &["a", "b"])]);
    let mut levels = online(&[("a", 1), ("b", 0), ("x", 0)]);
    old.advance(&levels, 0);
    says(&mut levels, "b", plan(1), PlanPhase::Rejected);
    old.advance(&levels, 1);
    let nodes = BTreeMap::from([(cluster("ams"), planned(&["x"], 2))]);
    let carried = BTreeSet::from([cluster("fra")]);
    let mut new = Rollout::begin(header(2), nodes, &carried, Some(&old));
    assert_eq!(offered(&new.advance(&levels, 2)), ["x"]);
    says(&mut levels, "x", plan(2), PlanPhase::Healthy);
    assert!(new.advance(&levels, 3).offers.is_empty(), "a waits for a change of b");
    assert_eq!(new.outcome, Some(Outcome::Complete));
}

/// What happens to a simulated fleet between two turns.
#[derive(Clone, Debug)]
enum Happening {
    Presence(usize, u8),
    Masters(usize, u32),
    Answer(usize, u8),
    Wait(u64),
    Restart,
    Newer,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => (0..7usize, 0..3u8).prop_map(|(node, presence)| Happening::Presence(node, presence)),
        2 => (0..7usize, 0..3u32).prop_map(|(node, masters)| Happening::Masters(node, masters)),
        6 => (0..7usize, 0..10u8).prop_map(|(node, answer)| Happening::Answer(node, answer)),
        1 => (0..40_000_000u64).prop_map(Happening::Wait),
        1 => Just(Happening::Restart),
        1 => Just(Happening::Newer),
    ]
}

const FLEET: [(&str, &[&str]); 3] =
    [("one", &["a"]), ("two", &["b", "c"]), ("three", &["d", "e", "f", "g"])];
const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

/// The fleet, its rollout, and what must hold at every turn.
struct World {
    rollout: Rollout,
    levels: Levels,
    /// The newest plan that each node was offered.
    held: BTreeMap<NodeName, PlanId>,
    /// Offered, and nothing final heard.
    open: BTreeMap<NodeName, u64>,
    generation: u64,
    now: u64,
}

impl World {
    fn new() -> Self {
        Self {
            rollout: rollout(&FLEET),
            levels: online(&NAMES.map(|name| (name, 0))),
            held: BTreeMap::new(),
            open: BTreeMap::new(),
            generation: 1,
            now: 0,
        }
    }

    fn turn(&mut self) {
        let stopped = self.rollout.stopped;
        let turn = self.rollout.advance(&self.levels, self.now);
        assert!(!stopped || turn.offers.is_empty(), "offers after the stop");
        let (now, levels, held) = (self.now, &self.levels, &self.held);
        self.open.retain(|name, deadline| {
            let said = levels[name].phase_of(&held[name]).map(|said| said.phase);
            !matches!(said, Some(PlanPhase::Healthy | PlanPhase::Rejected)) && now < *deadline
        });
        for offer in turn.offers {
            self.check(&offer);
            self.open.insert(offer.node.clone(), self.now + ALLOWED);
            self.held.insert(offer.node, offer.plan);
        }
    }

    fn check(&self, offer: &Offer) {
        let level = &self.levels[&offer.node];
        assert_eq!(level.presence, Presence::Online);
        let said = level.phase_of(&offer.plan).map(|said| said.phase);
        assert_ne!(said, Some(PlanPhase::Rejected), "offered what was rejected");
        let cluster = self
            .rollout
            .clusters
            .values()
            .find(|cluster| cluster.steps.iter().any(|step| step.node == offer.node))
            .unwrap();
        for step in cluster.steps.iter().filter(|step| step.node != offer.node) {
            assert!(!self.open.contains_key(&step.node), "two under way: {step:?} {offer:?}");
            let other = &self.levels[&step.node];
            if step.state == StepState::Waiting && other.presence == Presence::Online {
                assert!(other.masters >= level.masters, "a master before {step:?}");
            }
        }
    }

    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Presence(index, presence) => {
                let level = self.levels.get_mut(&node(NAMES[*index])).unwrap();
                level.presence = [Presence::Online, Presence::Offline, Presence::Settling]
                    [usize::from(*presence)];
            }
            Happening::Masters(index, masters) => {
                self.levels.get_mut(&node(NAMES[*index])).unwrap().masters = *masters;
            }
            Happening::Answer(index, answer) => self.answer(NAMES[*index], *answer),
            Happening::Wait(span) => self.now += span,
            Happening::Restart => {
                let kept = serde_json::to_vec(&self.rollout).unwrap();
                self.rollout = serde_json::from_slice(&kept).unwrap();
                self.rollout.resume(self.now);
                for deadline in self.open.values_mut() {
                    *deadline = self.now + ALLOWED;
                }
            }
            Happening::Newer => {
                self.generation += 1;
                let nodes = FLEET
                    .iter()
                    .map(|(name, nodes)| (cluster(name), planned(nodes, self.generation)))
                    .collect();
                self.rollout = Rollout::begin(
                    header(self.generation),
                    nodes,
                    &BTreeSet::new(),
                    Some(&self.rollout),
                );
            }
        }
    }

    fn answer(&mut self, name: &str, answer: u8) {
        let Some(id) = self.held.get(&node(name)).copied() else { return };
        if self.levels[&node(name)].presence != Presence::Online {
            return;
        }
        let phase = match answer {
            0 => PlanPhase::Rejected,
            1..=3 => PlanPhase::Applied,
            _ => PlanPhase::Healthy,
        };
        let ended = self.levels[&node(name)]
            .phase_of(&id)
            .is_some_and(|said| matches!(said.phase, PlanPhase::Healthy | PlanPhase::Rejected));
        if !ended {
            says(&mut self.levels, name, id, phase);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_happens_the_rules_hold_and_it_ends(
        happenings in proptest::collection::vec(happening(), 0..120),
    ) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
            world.turn();
        }
        for name in NAMES {
            world.levels.get_mut(&node(name)).unwrap().presence = Presence::Online;
        }
        for _ in 0..20 {
            world.now += ALLOWED / 2;
            world.turn();
            for name in NAMES {
                world.answer(name, 9);
            }
        }
        world.turn();
        prop_assert!(world.rollout.outcome.is_some(), "{:?}", world.rollout);
        prop_assert_eq!(world.rollout.next_deadline_us(), None);
    }
}
