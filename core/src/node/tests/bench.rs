//! One core with its hands free: a plan, an interface, and what came out.

use std::time::Duration;

use super::*;

/// One of the two peers of [`plan`].
pub(super) const PEER: &str = "10.0.0.2";

/// A core and everything that it asked for.
pub(super) struct Bench {
    pub(super) core: NodeCore,
    pub(super) now: Timestamp,
    pub(super) effects: Vec<Effect>,
    pub(super) secrets: Secrets,
}

/// `eth0` with an address of each family.
pub(super) fn eth0() -> Link {
    Link {
        interface: "eth0".parse().expect("a name"),
        index: 7,
        running: true,
        mac: Some([2, 0, 0, 0, 0, 1]),
        addresses: vec![
            "10.0.0.1/24".parse().expect("an address"),
            "fe80::1/64".parse().expect("an address"),
        ],
    }
}

/// A plan with one instance: version 3, IPv4, unicast, priority 100, 1 s.
pub(super) fn plan() -> NodePlan {
    NodePlan {
        schema: 1,
        cluster: "web".parse().expect("a name"),
        node: "a".parse().expect("a name"),
        instances: vec![instance("VI_1", 51, 100)],
    }
}

/// An instance of that kind.
pub(super) fn instance(name: &str, vrid: u64, priority: u64) -> ha_model::plan::InstancePlan {
    use ha_model::plan::{Peer, Transport, VirtualAddress};
    let peer = |address: &str| Peer {
        address: address.parse().expect("an address"),
        priority: None,
        min_ttl: 255,
    };
    ha_model::plan::InstancePlan {
        name: name.parse().expect("a name"),
        interface: "eth0".parse().expect("a name"),
        family: Family::Ipv4,
        vrid: vrid.try_into().expect("an id"),
        version: VrrpVersion::V3,
        priority: priority.try_into().expect("a priority"),
        interval_us: Micros::from_secs(1),
        addresses: vec![VirtualAddress {
            address: format!("10.0.0.{vrid}/24").parse().expect("an address"),
            interface: None,
        }],
        transport: Transport::Unicast {
            source: "10.0.0.1".parse().expect("an address"),
            peers: vec![peer("10.0.0.2"), peer("10.0.0.3")],
        },
        preempt: Default::default(),
        checksum: Default::default(),
        auth: Default::default(),
        garp: Default::default(),
        accept: Default::default(),
    }
}

/// Turns an instance into the same one over IPv6.
pub(super) fn make_ipv6(instance: &mut ha_model::plan::InstancePlan) {
    instance.family = Family::Ipv6;
    instance.transport = ha_model::plan::Transport::Multicast { source: None };
    instance.addresses[0].address = "fe80::51/64".parse().expect("an address");
}

impl Bench {
    /// A core with `eth0` that runs `plan`.
    pub(super) fn new(plan: NodePlan) -> Self {
        let mut bench = Self::empty();
        bench.at(bench.now, Event::Link(&eth0()));
        bench.run(&plan);
        bench
    }

    /// A core that knows nothing yet.
    pub(super) fn empty() -> Self {
        let now = Timestamp::from_nanos(5_000_000_000);
        Self { core: NodeCore::new(), now, effects: Vec::new(), secrets: Secrets::new() }
    }

    pub(super) fn run(&mut self, plan: &NodePlan) -> Vec<Effect> {
        let secrets = self.secrets.clone();
        self.at(self.now, Event::Plan { plan, secrets: &secrets })
    }

    /// Hands in an event and returns what came out.
    pub(super) fn at(&mut self, now: Timestamp, event: Event<'_>) -> Vec<Effect> {
        self.now = self.now.max(now);
        self.core.handle(event, now);
        let effects: Vec<_> = std::iter::from_fn(|| self.core.next_effect()).collect();
        self.effects.extend(effects.clone());
        effects
    }

    /// Serves the deadlines of the next `span`, each at its moment.
    pub(super) fn pass(&mut self, span: Duration) -> Vec<Effect> {
        let end = self.now + span;
        let mut effects = Vec::new();
        while let Some(deadline) = self.core.next_deadline().filter(|deadline| deadline.at <= end) {
            effects.extend(self.at(deadline.at.max(self.now), Event::Tick));
        }
        self.now = end;
        effects
    }

    /// The kernel shows what is desired.
    pub(super) fn converge(&mut self) -> Vec<Effect> {
        let generation = self.core.desired().generation;
        self.at(self.now, Event::Converged { generation, failed: &[] })
    }

    /// An advert of the first instance's router, from a peer.
    pub(super) fn hear(&mut self, source: &str, priority: u8, interval: Micros) -> Vec<Effect> {
        self.hear_at(self.now, source, priority, interval)
    }

    pub(super) fn hear_at(
        &mut self,
        now: Timestamp,
        source: &str,
        priority: u8,
        interval: Micros,
    ) -> Vec<Effect> {
        let settings = self.core.slots[0].as_ref().expect("there is an instance").settings();
        let (version, checksum) = (settings.plan.version, settings.plan.checksum);
        let addresses = settings.address_bytes.clone();
        let advert = packet::Advertisement {
            vrid: settings.plan.vrid.get(),
            priority,
            interval,
            auth: settings.auth,
            addresses: packet::Addresses::new(Family::Ipv4, &addresses),
        };
        let source = source.parse().expect("an address");
        let destination = "10.0.0.1".parse().expect("an address");
        let mut message = Vec::new();
        advert.encode(&mut message);
        packet::seal(&mut message, version, checksum, source, destination);
        let packet = Received { index: 7, source, destination, ttl: Some(255), message: &message };
        self.at(now, Event::Packet(packet))
    }

    /// Why and in how long the core wants to be called.
    pub(super) fn left(&self) -> (DeadlineReason, Duration) {
        let deadline = self.core.next_deadline().expect("there is a deadline");
        (deadline.reason, deadline.at.since(self.now))
    }

    /// Announcements since it was last asked.
    pub(super) fn announced(&mut self) -> usize {
        let effects = std::mem::take(&mut self.effects);
        effects.iter().filter(|effect| matches!(effect, Effect::Announce { .. })).count()
    }

    /// Status of the only instance.
    pub(super) fn status(&self) -> InstanceStatus {
        let mut status = self.core.status(self.now, 0);
        assert_eq!(status.len(), 1);
        status.remove(0)
    }
}
