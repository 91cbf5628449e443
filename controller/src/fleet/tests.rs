use std::time::Instant;

use ha_model::ids::{Digest, Epoch, Generation};
use ha_model::plan::{Family, InstancePlan, Peer, VirtualAddress, VrrpVersion};
use ha_model::status::{FaultReason, FieldError, InstanceStatus, MasterSeen, PlanPhase};
use ha_model::units::Micros;

use super::*;
use crate::rollout::Presence;

const SECOND: u64 = 1_000_000;
/// When the tests begin, in the controller's time.
const START: u64 = 1_000 * SECOND;
/// How far the nodes' clocks are behind the controller's.
const BEHIND: u64 = 400 * SECOND;

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn plan_id(generation: u64) -> PlanId {
    let digest = Digest::of(&generation.to_be_bytes());
    PlanId { epoch: Epoch(1), generation: Generation(generation), digest }
}

fn address(index: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(index + 1).unwrap()])
}

/// Plans of one cluster with one unicast instance `web`.
fn plans(cluster: &str, nodes: &[&str]) -> Vec<NodePlan> {
    let plan = |(index, node): (usize, &&str)| NodePlan {
        schema: 1,
        cluster: cluster.parse().unwrap(),
        node: name(node),
        instances: vec![InstancePlan {
            name: "web".parse().unwrap(),
            interface: "eth0".parse().unwrap(),
            family: Family::Ipv4,
            vrid: 51.try_into().unwrap(),
            version: VrrpVersion::V3,
            priority: (250 - 50 * index as u64).try_into().unwrap(),
            interval_us: Micros(SECOND),
            addresses: vec![VirtualAddress {
                address: "192.0.2.50/24".parse().unwrap(),
                interface: None,
            }],
            transport: Transport::Unicast {
                source: address(index),
                peers: (0..nodes.len())
                    .filter(|other| *other != index)
                    .map(|other| Peer { address: address(other), priority: None, min_ttl: 255 })
                    .collect(),
            },
            preempt: Default::default(),
            checksum: Default::default(),
            auth: Default::default(),
            garp: Default::default(),
            accept: Default::default(),
        }],
    };
    nodes.iter().enumerate().map(plan).collect()
}

fn wish(clusters: &[(&str, &[&str])]) -> Wish {
    let head = Head {
        id: RevisionId { epoch: Epoch(1), number: 1, digest: Digest::of(b"wish") },
        at_us: START,
        author: "ops".into(),
        message: String::new(),
    };
    let plans: Vec<NodePlan> =
        clusters.iter().flat_map(|(cluster, nodes)| plans(cluster, nodes)).collect();
    Wish::of(Some(head), BTreeMap::new(), plans.iter().map(|plan| (plan, plan_id(1))))
}

struct World {
    fleet: FleetState,
    now: u64,
}

impl World {
    /// One cluster `fra` of `nodes`, all connected, none heard.
    fn new(nodes: &[&str]) -> Self {
        let mut world = Self { fleet: FleetState::default(), now: START };
        world.see(Observation::Wished(Arc::new(wish(&[("fra", nodes)]))));
        for node in nodes {
            world.connect(node);
        }
        world
    }

    fn see(&mut self, observation: Observation) {
        self.fleet.apply(observation, self.now);
    }

    fn connect(&mut self, node: &str) {
        let facts = AgentFacts {
            version: "0.1.0".into(),
            boot_id: "boot".into(),
            schema_min: 1,
            schema_max: 2,
        };
        self.see(Observation::Connected { node: name(node), session: SessionId(1), facts });
    }

    fn lose(&mut self, node: &str, how: SessionEnd) {
        self.see(Observation::Ended { node: name(node), session: SessionId(1), how });
    }

    fn status(&self, node: &str, state: VrrpState, hears: &[(IpAddr, u64)]) -> NodeStatus {
        let node_now = self.now - BEHIND;
        let phase = PlanPhase::Healthy;
        NodeStatus {
            node: name(node),
            agent_version: "0.1.0".into(),
            boot_id: "boot".into(),
            running: Some(plan_id(1)),
            offered: Some(PlanStatus { plan: plan_id(1), revision: None, phase, errors: vec![] }),
            instances: vec![InstanceStatus {
                name: "web".parse().unwrap(),
                interface: "eth0".parse().unwrap(),
                family: Family::Ipv4,
                vrid: 51,
                state,
                since_us: node_now,
                effective_priority: 100,
                faults: match state {
                    VrrpState::Fault => {
                        vec![FaultReason::InterfaceDown("eth0".parse().unwrap())]
                    }
                    VrrpState::Init | VrrpState::Backup | VrrpState::Master => vec![],
                },
                masters_seen: hears
                    .iter()
                    .map(|(address, heard_at_us)| MasterSeen {
                        address: *address,
                        priority: 250,
                        heard_at_us: *heard_at_us,
                    })
                    .collect(),
                addresses_held: vec![],
                addresses_failed: vec![],
                counters: Default::default(),
            }],
            at_us: node_now,
        }
    }

    fn summary(&mut self, status: NodeStatus) {
        self.see(Observation::Summary { session: SessionId(1), status: Arc::new(status) });
    }

    /// `node` reports `state` and masters heard just now at `hears`.
    fn says(&mut self, node: &str, state: VrrpState, hears: &[IpAddr]) {
        let heard: Vec<_> = hears.iter().map(|at| (*at, self.now - BEHIND)).collect();
        let status = self.status(node, state, &heard);
        self.summary(status);
    }

    fn after(&mut self, span: u64) {
        self.now += span;
    }

    fn view(&self) -> ClusterView {
        self.fleet.judge(self.now, |_| true).clusters.remove(0)
    }

    fn health(&self) -> Health {
        self.view().health
    }

    fn found(&self) -> Vec<String> {
        self.view().findings.into_iter().map(|finding| finding.what).collect()
    }
}

#[test]
fn one_master_and_a_backup_are_ok() {
    let mut world = World::new(&["a", "b"]);
    world.says("a", VrrpState::Master, &[]);
    world.says("b", VrrpState::Backup, &[address(0)]);
    world.after(SECOND);
    let view = world.view();
    assert_eq!((view.health, view.findings), (Health::Ok, vec![]));
    assert_eq!(view.instances[0].masters, ["a"]);
    assert_eq!(view.instances[0].since_us, START);
    assert_eq!(view.nodes[0].connection, Connection::Online);
    assert_eq!(view.nodes[0].heard_at_us, START);
}

#[test]
fn two_masters_by_their_own_word_are_split_within_a_second() {
    let mut world = World::new(&["a", "b"]);
    world.says("a", VrrpState::Master, &[]);
    world.after(10 * SECOND);
    world.says("b", VrrpState::Master, &[]);
    world.says("a", VrrpState::Master, &[]);
    assert_eq!(world.health(), Health::Degraded, "the second report may be on its way");
    let recheck = world.fleet.judge(world.now, |_| true).recheck_us.unwrap();
    assert!(recheck - world.now < SECOND);
    world.now = recheck;
    let view = world.view();
    assert_eq!(view.health, Health::Split);
    assert_eq!(view.findings[0].what, "web: a and b are master at once");
    assert_eq!(view.findings[0].since_us, START + 10 * SECOND);
    assert_eq!(view.instances[0].masters, ["a", "b"]);
}

#[test]
fn a_handover_is_no_split_whichever_report_comes_first() {
    let mut world = World::new(&["a", "b"]);
    world.says("b", VrrpState::Master, &[]);
    world.after(SECOND);
    world.says("a", VrrpState::Master, &[]);
    assert_eq!(world.found(), ["web: the master is changing"]);
    world.after(1_000);
    world.says("b", VrrpState::Backup, &[address(0)]);
    assert_eq!(world.health(), Health::Ok);
    world.says("a", VrrpState::Backup, &[]);
    assert_eq!(world.found(), ["web: the master is changing"]);
    world.after(1_000);
    world.says("b", VrrpState::Master, &[]);
    assert_eq!(world.health(), Health::Ok);
}

#[test]
fn a_master_that_hears_a_silent_peer_is_a_witness_of_two() {
    let mut world = World::new(&["a", "b"]);
    world.says("b", VrrpState::Master, &[]);
    world.lose("a", SessionEnd::Lost);
    world.after(SECOND);
    let mut status = world.status("b", VrrpState::Master, &[(address(0), world.now - BEHIND)]);
    status.instances[0].since_us -= SECOND;
    world.summary(status);
    world.after(SETTLE_US);
    assert_eq!(world.health(), Health::Split);
    assert_eq!(world.found()[0], "web: b and a (heard by b) are master at once");
}

#[test]
fn what_a_master_heard_before_it_took_over_proves_nothing() {
    let mut world = World::new(&["a", "b"]);
    world.lose("a", SessionEnd::Lost);
    let before = world.now - BEHIND - 1;
    let status = world.status("b", VrrpState::Master, &[(address(0), before)]);
    world.summary(status);
    world.after(SECOND);
    assert_eq!(world.health(), Health::Degraded);
    assert_eq!(world.view().instances[0].masters, ["b"]);
}

#[test]
fn a_backup_is_a_witness_of_two_only_when_their_adverts_overlap() {
    let mut world = World::new(&["a", "b", "c"]);
    world.lose("a", SessionEnd::Lost);
    world.lose("b", SessionEnd::Lost);
    let at = |world: &World, back: u64| world.now - BEHIND - back;
    let heard = [(address(0), at(&world, 0))];
    let status = world.status("c", VrrpState::Backup, &heard);
    world.summary(status);
    world.after(3 * SECOND);
    let heard = [(address(0), at(&world, 3 * SECOND)), (address(1), at(&world, 0))];
    let status = world.status("c", VrrpState::Backup, &heard);
    world.summary(status);
    world.after(SECOND);
    assert_eq!(world.view().instances[0].masters, ["b"], "a fell silent, b took over");
    assert_eq!(world.health(), Health::Degraded);
    let heard = [(address(0), at(&world, 10)), (address(1), at(&world, 0))];
    let status = world.status("c", VrrpState::Backup, &heard);
    world.summary(status);
    world.after(SECOND);
    assert_eq!(world.health(), Health::Split);
}

#[test]
fn no_master_is_down_and_says_why() {
    let mut world = World::new(&["a", "b"]);
    world.says("a", VrrpState::Master, &[]);
    world.says("b", VrrpState::Fault, &[]);
    world.after(SECOND);
    assert_eq!(world.found(), ["web: b is in FAULT (eth0 is down)"]);
    world.says("a", VrrpState::Fault, &[]);
    world.after(SECOND);
    let view = world.view();
    assert_eq!(view.health, Health::Down);
    assert_eq!(view.findings.len(), 1, "{:?}", view.findings);
    assert_eq!(
        view.findings[0].what,
        "web: no master (a FAULT (eth0 is down), b FAULT (eth0 is down))"
    );
    assert_eq!(view.findings[0].since_us, START + SECOND);
}

#[test]
fn a_silent_node_is_unknown_and_its_peers_decide() {
    let mut world = World::new(&["a", "b"]);
    world.says("a", VrrpState::Master, &[]);
    world.says("b", VrrpState::Backup, &[address(0)]);
    world.lose("a", SessionEnd::Lost);
    world.after(SECOND);
    let view = world.view();
    assert_eq!(view.health, Health::Degraded);
    assert_eq!(view.instances[0].masters, ["a"], "b hears it");
    assert_eq!(view.findings[0].what, "a is silent; last seen as master of web");
    assert_eq!(view.nodes[0].connection, Connection::Unknown);
    world.says("b", VrrpState::Backup, &[]);
    world.after(SECOND);
    assert_eq!(world.health(), Health::Down, "b listens and hears nobody");
    world.says("b", VrrpState::Fault, &[]);
    world.after(SECOND);
    assert_eq!(world.health(), Health::Unknown, "nobody is left who could tell");
}

#[test]
fn all_silent_is_unknown_never_down() {
    let mut world = World::new(&["a", "b"]);
    world.says("a", VrrpState::Master, &[]);
    world.says("b", VrrpState::Backup, &[address(0)]);
    world.after(SILENT_AFTER_US - 1);
    assert_eq!(world.health(), Health::Ok);
    world.after(1);
    assert_eq!(world.health(), Health::Unknown, "connected, but nothing is heard");
    world.lose("a", SessionEnd::Bye);
    assert!(
        world.found().contains(
            &"a is silent (its agent was stopped); last seen as master of web".to_owned()
        )
    );
}

#[test]
fn a_node_that_never_came_says_how_to_bring_it() {
    let mut world = World::new(&["a"]);
    world.see(Observation::Wished(Arc::new(wish(&[("fra", &["a", "b"])]))));
    world.says("a", VrrpState::Master, &[]);
    world.after(SECOND);
    let finding = &world.view().findings[0];
    assert_eq!(finding.what, "b has never connected");
    assert_eq!(finding.next, "hactl node join-token b");
    world.see(Observation::Enrolled { node: name("b"), certificate_expires_at_us: 1 });
    assert_eq!(world.found(), ["b has not come back since the controller started"]);
}

#[test]
fn a_foreign_master_is_named() {
    let mut world = World::new(&["a"]);
    world.says("a", VrrpState::Backup, &["10.9.9.9".parse().unwrap()]);
    world.after(SECOND);
    assert_eq!(world.found(), ["web: master is 10.9.9.9, no node of this cluster"]);
}

#[test]
fn a_rejected_plan_and_a_newer_plan_are_found() {
    let mut world = World::new(&["a"]);
    let mut status = world.status("a", VrrpState::Master, &[]);
    let offered = status.offered.as_mut().unwrap();
    offered.phase = PlanPhase::Rejected;
    offered.errors = vec![FieldError {
        code: "E2101".into(),
        path: "instances[web].interface".into(),
        message: "eth9 does not exist".into(),
        hint: String::new(),
    }];
    world.summary(status);
    world.after(SECOND);
    assert_eq!(
        world.found(),
        ["a rejected plan 1: E2101: eth9 does not exist (instances[web].interface)"]
    );
    let mut status = world.status("a", VrrpState::Master, &[]);
    status.running = Some(plan_id(9));
    world.summary(status);
    assert_eq!(world.found(), ["a runs plan 9, newer than 1 here: was the store restored?"]);
}

#[test]
fn the_last_word_of_a_replaced_stream_is_not_heard() {
    let mut world = World::new(&["a"]);
    world.says("a", VrrpState::Master, &[]);
    let facts = world.fleet.nodes[&name("a")].facts.clone().unwrap();
    world.see(Observation::Connected { node: name("a"), session: SessionId(2), facts });
    world.says("a", VrrpState::Fault, &[]);
    world.lose("a", SessionEnd::Replaced);
    let node = &world.fleet.nodes[&name("a")];
    assert_eq!(node.session, Some(SessionId(2)));
    assert_eq!(node.tracks[&"web".parse().unwrap()].state, VrrpState::Master);
}

#[test]
fn a_second_agent_with_one_certificate_is_shown_for_a_while() {
    let mut world = World::new(&["a"]);
    world.says("a", VrrpState::Master, &[]);
    world.see(Observation::Duplicate { node: name("a") });
    let found = "another agent uses the certificate of a (refused 1 times)";
    assert_eq!(world.found(), [found]);
    world.after(16 * 60 * SECOND);
    world.says("a", VrrpState::Master, &[]);
    assert_eq!(world.health(), Health::Ok);
    assert_eq!(world.fleet.nodes[&name("a")].duplicates, 1, "it is still counted");
}

#[test]
fn levels_for_the_rollout_tell_offline_from_not_yet_back() {
    let mut world = World::new(&["a", "b"]);
    world.says("a", VrrpState::Master, &[]);
    world.lose("b", SessionEnd::Lost);
    world.fleet.settled_at_us = world.now + 1;
    let nodes = [name("a"), name("b")];
    let levels = world.fleet.levels(&nodes, world.now);
    assert_eq!(levels[&name("a")].presence, Presence::Online);
    assert_eq!(levels[&name("a")].masters, 1);
    assert_eq!(levels[&name("b")].presence, Presence::Settling);
    let levels = world.fleet.levels(&nodes, world.now + 1);
    assert_eq!(levels[&name("b")].presence, Presence::Offline);
}

#[test]
fn two_hundred_clusters_are_judged_quickly() {
    let names: Vec<(String, [String; 3])> = (0..200)
        .map(|index| {
            let nodes = ["a", "b", "c"].map(|node| format!("c{index}-{node}"));
            (format!("c{index}"), nodes)
        })
        .collect();
    let lists: Vec<(&str, Vec<&str>)> = names
        .iter()
        .map(|(cluster, nodes)| (cluster.as_str(), nodes.iter().map(String::as_str).collect()))
        .collect();
    let slices: Vec<(&str, &[&str])> =
        lists.iter().map(|(cluster, nodes)| (*cluster, nodes.as_slice())).collect();
    let mut world = World::new(&[]);
    world.see(Observation::Wished(Arc::new(wish(&slices))));
    for (_, nodes) in &names {
        for (index, node) in nodes.iter().enumerate() {
            world.connect(node);
            let state = if index == 0 { VrrpState::Master } else { VrrpState::Backup };
            world.says(node, state, &[]);
        }
    }
    world.after(SECOND);
    let begin = Instant::now();
    let judgement = world.fleet.judge(world.now, |_| true);
    let took = begin.elapsed();
    println!("200 clusters, 600 nodes judged in {took:?}");
    assert_eq!(judgement.clusters.len(), 200);
    assert!(judgement.clusters.iter().all(|cluster| cluster.health == Health::Ok));
    assert!(took.as_millis() < 200, "{took:?}");
}
