//! Stories of two routers, one ours and one a peer's, told both ways round.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ha_model::plan::{Family, VrrpVersion};
use ha_model::units::Micros;
use nix::sys::signal::Signal;

use crate::lab::{Host, Lab, Network, Process, eventually, log_path};
use crate::router::{Kind, Router};

/// Protocol version and address family of a story.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// VRRP version 2.
    V2,
    /// VRRP version 3 over IPv4.
    V3Ipv4,
    /// VRRP version 3 over IPv6.
    V3Ipv6,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Story {
    /// The higher priority is master; the other stays backup.
    HigherPriorityLeads,
    /// Two masters of one priority meet: the higher address stays.
    EqualPriorityHigherAddressLeads,
    /// The master is stopped: the other takes over on priority 0.
    Stop,
    /// The master's link is cut: the other takes over, and gives back after.
    LinkCut,
}

/// A story with its actors: `lead` is on the node that is to be master first.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Version and family.
    pub protocol: Protocol,
    /// What happens.
    pub story: Story,
    /// Who runs the node that leads.
    pub lead: Kind,
    /// Who runs the other node.
    pub other: Kind,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, story, lead, other } = self;
        write!(f, "{protocol:?} {story:?}: {lead} leads {other}")
    }
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V2, Self::V3Ipv4, Self::V3Ipv6];

    fn version(self) -> VrrpVersion {
        match self {
            Self::V2 => VrrpVersion::V2,
            Self::V3Ipv4 | Self::V3Ipv6 => VrrpVersion::V3,
        }
    }

    fn family(self) -> Family {
        match self {
            Self::V2 | Self::V3Ipv4 => Family::Ipv4,
            Self::V3Ipv6 => Family::Ipv6,
        }
    }

    /// Version 2 can do no less than a second.
    fn interval(self) -> Micros {
        match self {
            Self::V2 => Micros::from_secs(1),
            Self::V3Ipv4 | Self::V3Ipv6 => Micros::from_millis(100),
        }
    }

    /// Lowest TTL that keepalived's unicast adverts arrive with: over IPv6 it
    /// leaves the hop limit at the kernel's default (seen with 2.2.7).
    fn peer_ttl(self) -> u8 {
        match self {
            Self::V2 | Self::V3Ipv4 => 255,
            Self::V3Ipv6 => 64,
        }
    }

    /// Longest master-down interval there is, and half as much for the
    /// programs to start and for a busy machine.
    fn patience(self) -> Duration {
        Duration::from(self.interval()) * 6 + Duration::from_secs(2)
    }
}

impl Story {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::HigherPriorityLeads,
        Self::EqualPriorityHigherAddressLeads,
        Self::Stop,
        Self::LinkCut,
    ];
}

/// Two nodes on a network; the second has the higher address.
struct Stage {
    lab: Lab,
    lan: Network,
    lead: Actor,
    other: Actor,
    case: Case,
}

struct Actor {
    host: Host,
    kind: Kind,
    router: Router,
    process: Option<Process>,
}

/// Tells the story. An error says what went otherwise, with both logs.
///
/// # Errors
///
/// See above; or the lab could not be made.
pub fn play(case: Case) -> Result<()> {
    let mut stage = Stage::new(case)?;
    let told = match case.story {
        Story::HigherPriorityLeads => stage.higher_priority_leads(),
        Story::EqualPriorityHigherAddressLeads => stage.equal_priority(),
        Story::Stop => stage.stop(),
        Story::LinkCut => stage.link_cut(),
    };
    told.with_context(|| format!("{case}\n{}", stage.logs()))
}

impl Stage {
    fn new(case: Case) -> Result<Self> {
        let lab = Lab::new()?;
        let lan = lab.network("lan")?;
        let actor = |name: &str, number: u8, kind: Kind, priority: u8| -> Result<Actor> {
            let host = lab.host(name)?;
            let (v4, v6) = (format!("10.90.0.{number}"), format!("fd90::{number}"));
            host.attach(&lan, "eth0", &[&format!("{v4}/24"), &format!("{v6}/64")])?;
            let at = |number: u8| match case.protocol.family() {
                Family::Ipv4 => format!("10.90.0.{number}").parse(),
                Family::Ipv6 => format!("fd90::{number}").parse(),
            };
            let router = Router {
                version: case.protocol.version(),
                priority,
                interval: case.protocol.interval(),
                addresses: vec![virtual_address(case.protocol).parse()?],
                source: at(number)?,
                peers: vec![at(3 - number)?],
                preempt: true,
                min_ttl: case.protocol.peer_ttl(),
            };
            Ok(Actor { host, kind, router, process: None })
        };
        let (lead, other) = match case.story {
            Story::EqualPriorityHigherAddressLeads => (100, 100),
            Story::HigherPriorityLeads | Story::Stop | Story::LinkCut => (200, 100),
        };
        let lead = actor("lead", 2, case.lead, lead)?;
        let other = actor("other", 1, case.other, other)?;
        Ok(Self { lab, lan, lead, other, case })
    }

    fn start(&mut self) -> Result<()> {
        for actor in [&mut self.lead, &mut self.other] {
            actor.process = Some(actor.router.start(actor.kind, &self.lab, &actor.host)?);
        }
        Ok(())
    }

    /// Waits until exactly the named side holds the address.
    fn expect(&self, what: &str, lead: bool, other: bool) -> Result<()> {
        let address = virtual_address(self.case.protocol);
        let address = address.split('/').next().context("an address has a prefix length")?;
        let mut now = (false, false);
        let held = eventually(self.case.protocol.patience(), || {
            now = (self.lead.host.holds("eth0", address)?, self.other.host.holds("eth0", address)?);
            Ok(now == (lead, other))
        })?;
        ensure!(held, "{what}: expected lead {lead}, other {other}; it is {now:?}");
        Ok(())
    }

    /// Watches for longer than a master-down interval that nothing changes.
    fn expect_steady(&self, what: &str, lead: bool, other: bool) -> Result<()> {
        let end = std::time::Instant::now() + Duration::from(self.case.protocol.interval()) * 5;
        while std::time::Instant::now() < end {
            self.expect(what, lead, other)?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn higher_priority_leads(&mut self) -> Result<()> {
        self.start()?;
        self.expect("after the start", true, false)?;
        self.expect_steady("in peace", true, false)
    }

    fn equal_priority(&mut self) -> Result<()> {
        self.lan.silence(&self.lead.host)?;
        self.start()?;
        self.expect("without hearing each other", true, true)?;
        self.lan.unsilence(&self.lead.host)?;
        self.expect("after they met", true, false)?;
        self.expect_steady("in peace", true, false)
    }

    fn stop(&mut self) -> Result<()> {
        self.start()?;
        self.expect("after the start", true, false)?;
        let process = self.lead.process.take().context("the lead runs")?;
        process.signal(Signal::SIGTERM)?;
        // Priority 0 makes the backup wait for its skew time alone, which is
        // less than one interval; without it, it would be more than three.
        let interval = Duration::from(self.case.protocol.interval());
        let address = virtual_address(self.case.protocol);
        let address = address.split('/').next().context("an address has a prefix length")?;
        let limit = interval + interval / 2 + Duration::from_millis(200);
        let took = eventually(limit, || self.other.host.holds("eth0", address))?;
        ensure!(took, "no takeover within {limit:?} of the stop: priority 0 did not work");
        process.wait()?;
        self.expect("after the stop", false, true)
    }

    fn link_cut(&mut self) -> Result<()> {
        self.start()?;
        self.expect("after the start", true, false)?;
        self.lan.cut(&self.lead.host)?;
        self.expect("after the cut", false, true)?;
        self.lan.heal(&self.lead.host)?;
        self.expect("after the heal", true, false)?;
        self.expect_steady("in peace", true, false)
    }

    fn logs(&self) -> String {
        [&self.lead, &self.other]
            .map(|actor| {
                let path = log_path(&self.lab, actor.host.name());
                let log = std::fs::read_to_string(path).unwrap_or_default();
                format!("--- {} ({}) ---\n{log}", actor.host.name(), actor.kind)
            })
            .concat()
    }
}

fn virtual_address(protocol: Protocol) -> &'static str {
    match protocol.family() {
        Family::Ipv4 => "10.90.0.50/24",
        Family::Ipv6 => "fd90::50/64",
    }
}
