//! Nodes that run one virtual router together.

use std::net::IpAddr;
use std::time::Duration;

use ha_core::{Effect, Event, Link, NodeCore, Received, Rules, Timestamp};
use ha_model::event::{Cause, EventKind};
use ha_model::ids::{InstanceName, Priority};
use ha_model::plan::{
    Checksum, Family, Garp, InstancePlan, NodePlan, Peer, Preempt, Transport, VirtualAddress,
    VrrpVersion,
};
use ha_model::secret::Secrets;
use ha_model::status::{InstanceStatus, VrrpState};
use ha_model::units::Micros;

use super::rng::Rng;
use super::wire::{Arrival, Weather, Wire};

const INDEX: u32 = 3;

/// A machine; its core is there while its process runs.
pub(crate) struct Node {
    pub(crate) address: IpAddr,
    pub(crate) plan: NodePlan,
    pub(crate) core: Option<NodeCore>,
    /// Rises with every process.
    life: u32,
    /// What its clock shows more than the simulation's.
    clock: Duration,
    pub(crate) link_up: bool,
    /// It does nothing until then; datagrams wait.
    asleep_until: Timestamp,
    waiting: Vec<(IpAddr, IpAddr, Vec<u8>)>,
    /// The virtual address is on its interface.
    pub(crate) holds: bool,
    seen_generation: u64,
}

impl Node {
    pub(crate) fn priority(&self) -> u8 {
        self.plan.instances[0].priority.get()
    }

    /// What decides between two masters.
    pub(crate) fn rank(&self) -> (u8, IpAddr) {
        (self.priority(), self.address)
    }
}

/// The nodes, the wire, and what happened.
pub(crate) struct Cluster {
    pub(crate) rng: Rng,
    pub(crate) now: Timestamp,
    pub(crate) nodes: Vec<Node>,
    pub(crate) wire: Wire,
    pub(crate) setup: String,
    pub(crate) history: Vec<String>,
    /// Changes of state since it was cleared.
    pub(crate) transitions: usize,
    /// Reports of a second master, and masters that yielded to a better one,
    /// since it was cleared.
    pub(crate) noticed: usize,
    /// The node that announced the address last: where traffic goes.
    pub(crate) announced_by: Option<usize>,
    pub(crate) interval: Duration,
    pub(crate) max_delay: Duration,
    rules: Rules,
}

impl Cluster {
    pub(crate) fn new(seed: u64, rules: Rules) -> Self {
        let mut rng = Rng::new(seed);
        let size = rng.index(6) + 2;
        let (version, family) = rng.pick(&[
            (VrrpVersion::V2, Family::Ipv4),
            (VrrpVersion::V3, Family::Ipv4),
            (VrrpVersion::V3, Family::Ipv6),
        ]);
        let interval = match version {
            VrrpVersion::V2 => rng.pick(&[1_000, 2_000]),
            VrrpVersion::V3 => rng.pick(&[10, 100, 1_000]),
        };
        let interval = Duration::from_millis(interval);
        let preempt = Preempt { enabled: rng.percent(70), delay_us: Micros::ZERO };
        let unicast = rng.percent(60);
        let addresses: Vec<_> = (1..=size).map(|host| address(family, host)).collect();
        let equal = rng.percent(30).then(|| rng.range(1, 255));
        let nodes: Vec<_> = (0..size)
            .map(|place| {
                let priority = equal.unwrap_or_else(|| match rng.range(0, 4) {
                    0 => 100,
                    1 if place == 0 => 255,
                    _ => rng.range(1, 255),
                });
                let priority = priority.try_into().expect("a priority");
                let transport = transport(&addresses, place, unicast);
                let instance = instance(version, family, interval, priority, &preempt, transport);
                Node {
                    address: addresses[place],
                    plan: plan(place, instance),
                    core: None,
                    life: 0,
                    clock: Duration::from_micros(rng.range(0, 1 << 40)),
                    link_up: true,
                    asleep_until: Timestamp::ZERO,
                    waiting: Vec::new(),
                    holds: false,
                    seen_generation: 0,
                }
            })
            .collect();
        let priorities: Vec<_> = nodes.iter().map(Node::priority).collect();
        let max_delay = interval / 20;
        let weather = Weather {
            delay: (Duration::from_micros(20), max_delay),
            loss: 0,
            loss_in_a_row: 0,
            doubled: 0,
            reorders: false,
            sides: vec![0; size],
        };
        Self {
            rng,
            now: Timestamp::ZERO,
            nodes,
            wire: Wire::new(weather),
            setup: format!(
                "{version:?} {family:?} {interval:?} preempt {} unicast {unicast} {priorities:?}",
                preempt.enabled
            ),
            history: Vec::new(),
            transitions: 0,
            noticed: 0,
            announced_by: None,
            interval,
            max_delay,
            rules,
        }
    }

    /// The longest that a backup waits for a master, by the RFCs' formulas
    /// and not by the code under test.
    pub(crate) fn longest_down(&self) -> Duration {
        let lowest = self.nodes.iter().map(Node::priority).min().expect("there are nodes");
        let unit = match self.nodes[0].plan.instances[0].version {
            VrrpVersion::V2 => Duration::from_secs(1),
            VrrpVersion::V3 => self.interval,
        };
        self.interval * 3 + unit.mul_f64(f64::from(256 - u32::from(lowest)) / 256.0)
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].core.is_some())
    }

    pub(crate) fn masters(&self) -> Vec<usize> {
        self.running().filter(|node| self.state(*node) == VrrpState::Master).collect()
    }

    pub(crate) fn state(&self, node: usize) -> VrrpState {
        self.status(node).state
    }

    pub(crate) fn status(&self, node: usize) -> InstanceStatus {
        let node = &self.nodes[node];
        let core = node.core.as_ref().expect("asked of a running node");
        core.status(self.now + node.clock, 0).remove(0)
    }

    pub(crate) fn note(&mut self, what: String) {
        let at = self.now.as_micros();
        self.history.push(format!("{}.{:06} {what}", at / 1_000_000, at % 1_000_000));
    }

    /// Starts the process of a node; `resume`: it follows one that was master
    /// a moment ago.
    pub(crate) fn start(&mut self, node: usize, resume: bool) {
        self.note(format!("start {node}{}", if resume { " as master" } else { "" }));
        let one = &mut self.nodes[node];
        one.life += 1;
        one.core = Some(NodeCore::with_rules(self.rules));
        one.asleep_until = self.now;
        one.waiting.clear();
        one.seen_generation = 0;
        let plan = one.plan.clone();
        if resume {
            let names: Vec<InstanceName> = vec![plan.instances[0].name.clone()];
            self.handle(node, Event::Resume { masters: &names });
        }
        self.tell_link(node);
        self.handle(node, Event::Plan { plan: &plan, secrets: &Secrets::new() });
    }

    /// Ends the process without a word. The address stays where it is, as in
    /// life, until the machine is made anew.
    pub(crate) fn crash(&mut self, node: usize) {
        self.note(format!("crash {node}"));
        self.nodes[node].core = None;
        self.nodes[node].holds = false;
    }

    pub(crate) fn stop(&mut self, node: usize) {
        self.note(format!("stop {node}"));
        self.handle(node, Event::Stop);
        self.nodes[node].core = None;
        self.nodes[node].holds = false;
    }

    pub(crate) fn stop_for_restart(&mut self, node: usize) {
        self.note(format!("stop {node} for a restart"));
        self.handle(node, Event::StopForRestart);
        self.nodes[node].core = None;
    }

    pub(crate) fn sleep(&mut self, node: usize, span: Duration) {
        self.note(format!("{node} sleeps for {span:?}"));
        self.nodes[node].asleep_until = self.now + span;
    }

    pub(crate) fn set_link(&mut self, node: usize, up: bool) {
        self.note(format!("link of {node} {}", if up { "up" } else { "down" }));
        self.nodes[node].link_up = up;
        self.tell_link(node);
    }

    fn tell_link(&mut self, node: usize) {
        let one = &self.nodes[node];
        let prefix = if one.address.is_ipv4() { 24 } else { 64 };
        let link = Link {
            interface: one.plan.instances[0].interface.clone(),
            index: INDEX,
            running: one.link_up,
            mac: None,
            addresses: vec![ipnet::IpNet::new(one.address, prefix).expect("a prefix length")],
        };
        if one.core.is_some() {
            self.handle(node, Event::Link(&link));
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let woken = self.running().map(|node| (self.wakes_at(node), node)).min();
            let arrival = self.wire.next_at();
            let next = woken.map(|(at, _)| at).into_iter().chain(arrival).min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            // What has arrived is heard before timers act.
            if arrival == Some(at) {
                let arrival = self.wire.pop().expect("it was there");
                self.arrive(arrival);
            } else if let Some((_, node)) = woken {
                self.wake(node);
            }
        }
        self.now = end;
    }

    fn wakes_at(&self, node: usize) -> Timestamp {
        let one = &self.nodes[node];
        let deadline = one.core.as_ref().and_then(NodeCore::next_deadline);
        let due = deadline.map_or(Timestamp::from_nanos(u64::MAX), |next| next.at - one.clock);
        let due = if one.waiting.is_empty() { due } else { one.asleep_until };
        due.max(one.asleep_until)
    }

    fn wake(&mut self, node: usize) {
        for (source, destination, message) in std::mem::take(&mut self.nodes[node].waiting) {
            self.receive(node, source, destination, &message);
        }
        self.handle(node, Event::Tick);
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Datagram { to, source, destination, message } => {
                let one = &mut self.nodes[to];
                if one.core.is_none() || !one.link_up {
                } else if one.asleep_until > self.now {
                    one.waiting.push((source, destination, message));
                } else {
                    self.receive(to, source, destination, &message);
                }
            }
            Arrival::Converged { node, life, generation } => {
                if self.nodes[node].life == life && self.nodes[node].core.is_some() {
                    self.converge(node, generation);
                }
            }
        }
    }

    fn receive(&mut self, node: usize, source: IpAddr, destination: IpAddr, message: &[u8]) {
        let packet = Received { index: INDEX, source, destination, ttl: Some(255), message };
        self.handle(node, Event::Packet(packet));
    }

    fn converge(&mut self, node: usize, generation: u64) {
        let core = self.nodes[node].core.as_ref().expect("checked by the caller");
        let wanted = core.desired().addresses.values().any(|wanted| *wanted);
        // The kernel thread takes the latest wish, not the one it was woken for.
        let latest = core.desired().generation;
        assert!(latest >= generation);
        self.nodes[node].holds = wanted;
        self.handle(node, Event::Converged { generation: latest, failed: &[] });
    }

    fn handle(&mut self, node: usize, event: Event<'_>) {
        let now = self.now + self.nodes[node].clock;
        let mut core = self.nodes[node].core.take().expect("only running nodes are told");
        core.handle(event, now);
        while let Some(effect) = core.next_effect() {
            match effect {
                Effect::SendAdvert(id) => {
                    if let Some(advert) = core.advert(id) {
                        for (destination, message) in advert.datagrams() {
                            self.transmit(node, advert.source, destination, message);
                        }
                    }
                }
                Effect::Announce { .. } => self.announced_by = Some(node),
                Effect::Report(kind) => self.report(node, &kind),
            }
        }
        let generation = core.desired().generation;
        self.nodes[node].core = Some(core);
        if generation > self.nodes[node].seen_generation {
            self.nodes[node].seen_generation = generation;
            let at = self.now + self.rng.span(self.interval / 10);
            let life = self.nodes[node].life;
            self.wire.push(at, Arrival::Converged { node, life, generation });
        }
    }

    fn report(&mut self, node: usize, kind: &EventKind) {
        if let EventKind::Transition { from, to, cause, .. } = kind {
            self.transitions += 1;
            // A master that yields has met the other one.
            let yields =
                *from == VrrpState::Master && matches!(cause, Cause::HigherPriority { .. });
            self.noticed += usize::from(yields);
            self.note(format!("{node} {from:?} -> {to:?} {cause:?}"));
        } else if let EventKind::TwoMasters { address, .. } = kind {
            self.noticed += 1;
            self.note(format!("{node} hears another master {address}"));
        } else if let EventKind::TwoMastersEnded { .. } = kind {
            self.note(format!("{node} is alone again"));
        } else {
            panic!("a core does not report {kind:?} here");
        }
    }

    fn transmit(&mut self, from: usize, source: IpAddr, destination: IpAddr, message: &[u8]) {
        if !self.nodes[from].link_up {
            return;
        }
        for to in 0..self.nodes.len() {
            let meant = destination.is_multicast() || self.nodes[to].address == destination;
            if to != from && meant {
                let addresses = (source, destination);
                self.wire.send(self.now, &mut self.rng, (from, to), addresses, message);
            }
        }
    }
}

fn address(family: Family, host: usize) -> IpAddr {
    let host = u8::try_from(host).expect("few nodes");
    match family {
        Family::Ipv4 => IpAddr::from([10, 0, 0, host]),
        Family::Ipv6 => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, u16::from(host)]),
    }
}

fn transport(addresses: &[IpAddr], place: usize, unicast: bool) -> Transport {
    if !unicast {
        return Transport::Multicast { source: None };
    }
    let others = addresses.iter().filter(|address| **address != addresses[place]);
    let peers = others.map(|address| Peer { address: *address, priority: None, min_ttl: 255 });
    Transport::Unicast { source: addresses[place], peers: peers.collect() }
}

fn instance(
    version: VrrpVersion,
    family: Family,
    interval: Duration,
    priority: Priority,
    preempt: &Preempt,
    transport: Transport,
) -> InstancePlan {
    let vip = match family {
        Family::Ipv4 => "10.0.0.100/24",
        Family::Ipv6 => "fe80::100/64",
    };
    InstancePlan {
        name: "VI_1".parse().expect("a name"),
        interface: "eth0".parse().expect("a name"),
        family,
        vrid: 51.try_into().expect("an id"),
        version,
        priority,
        interval_us: Micros(u64::try_from(interval.as_micros()).expect("a short interval")),
        addresses: vec![VirtualAddress {
            address: vip.parse().expect("an address"),
            interface: None,
        }],
        transport,
        preempt: preempt.clone(),
        checksum: Checksum::default(),
        auth: ha_model::plan::Auth::None,
        garp: Garp::default(),
        accept: ha_model::plan::Accept::default(),
    }
}

fn plan(place: usize, instance: InstancePlan) -> NodePlan {
    NodePlan {
        schema: 1,
        cluster: "sim".parse().expect("a name"),
        node: format!("n{place}").parse().expect("a name"),
        instances: vec![instance],
    }
}
