//! One virtual router, to be run by our agent or by a peer: the same wish in
//! each one's language.

use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use ha_model::ids::{Priority, Vrid};
use ha_model::plan::{
    Accept, Auth, Checksum, Family, Garp, InstancePlan, NodePlan, Peer, Preempt, Transport,
    VirtualAddress, VrrpVersion,
};
use ha_model::units::Micros;
use ipnet::IpNet;

use crate::lab::{Host, Lab, Process, log_path};
use crate::programs::program;

/// Who runs a virtual router.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Our agent, without a controller.
    HaAgent,
    /// Debian's keepalived.
    Keepalived,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::HaAgent => "ha-agent",
            Self::Keepalived => "keepalived",
        })
    }
}

/// One node's part of a virtual router, on `eth0`, in unicast.
#[derive(Clone, Debug)]
pub struct Router {
    /// Protocol version.
    pub version: VrrpVersion,
    /// Priority, 1 to 255.
    pub priority: u8,
    /// Between two adverts.
    pub interval: Micros,
    /// Virtual addresses; all of one family.
    pub addresses: Vec<IpNet>,
    /// Own address.
    pub source: IpAddr,
    /// The other nodes.
    pub peers: Vec<IpAddr>,
    /// Whether a higher priority takes over.
    pub preempt: bool,
    /// Lowest TTL or hop limit that our agent accepts from its peers.
    pub min_ttl: u8,
}

/// Name of the one instance.
pub const INSTANCE: &str = "VI_1";
/// Its virtual router id.
pub const VRID: u8 = 51;

impl Router {
    /// The plan document of our agent.
    ///
    /// # Errors
    ///
    /// A value is out of the protocol's range.
    pub fn plan(&self, node: &str) -> Result<Vec<u8>> {
        let peers = self.peers.iter().map(|&address| Peer {
            address,
            priority: None,
            min_ttl: self.min_ttl,
        });
        let first = self.addresses.first().context("a router without addresses")?;
        let instance = InstancePlan {
            name: INSTANCE.parse()?,
            interface: "eth0".parse()?,
            family: Family::of(first.addr()),
            vrid: Vrid::try_from(u64::from(VRID))?,
            version: self.version,
            priority: Priority::try_from(u64::from(self.priority))?,
            interval_us: self.interval,
            addresses: self
                .addresses
                .iter()
                .map(|&address| VirtualAddress { address, interface: None })
                .collect(),
            transport: Transport::Unicast { source: self.source, peers: peers.collect() },
            preempt: Preempt { enabled: self.preempt, ..Preempt::default() },
            checksum: Checksum::default(),
            auth: Auth::default(),
            garp: Garp::default(),
            accept: Accept::default(),
        };
        let plan = NodePlan {
            schema: 1,
            cluster: "lab".parse()?,
            node: node.parse()?,
            instances: vec![instance],
        };
        Ok(serde_json::to_vec(&plan)?)
    }

    /// The configuration file of keepalived.
    #[must_use]
    pub fn keepalived_conf(&self, node: &str) -> String {
        let version = u8::from(self.version);
        let interval = self.interval.0 as f64 / 1e6;
        let mut conf = format!("global_defs {{\n  router_id {node}\n}}\n");
        let mut line = |text: String| {
            // Writing to a String does not fail.
            let _ = writeln!(conf, "{text}");
        };
        line(format!("vrrp_instance {INSTANCE} {{\n  state BACKUP\n  interface eth0"));
        line(format!("  version {version}\n  virtual_router_id {VRID}"));
        line(format!("  priority {}\n  advert_int {interval}", self.priority));
        if !self.preempt {
            line("  nopreempt".to_owned());
        }
        line(format!("  unicast_src_ip {}\n  unicast_peer {{", self.source));
        for peer in &self.peers {
            line(format!("    {peer}"));
        }
        line("  }\n  virtual_ipaddress {".to_owned());
        for address in &self.addresses {
            line(format!("    {address}"));
        }
        line("  }\n}".to_owned());
        conf
    }

    /// Starts the router on a host.
    ///
    /// # Errors
    ///
    /// Its program is missing or can't be started.
    pub fn start(&self, kind: Kind, lab: &Lab, host: &Host) -> Result<Process> {
        match kind {
            Kind::HaAgent => self.start_agent(lab, host),
            Kind::Keepalived => start_keepalived(&self.keepalived_conf(host.name()), lab, host),
        }
    }

    fn start_agent(&self, lab: &Lab, host: &Host) -> Result<Process> {
        let home = lab.directory().join(host.name());
        std::fs::create_dir_all(&home)?;
        let plan = home.join("plan.json");
        std::fs::write(&plan, self.plan(host.name())?)?;
        let mut command = host.command(program("ha-agent")?);
        command.arg("run").arg("--plan").arg(plan);
        command.arg("--state-dir").arg(home.join("state"));
        command.arg("--run-dir").arg(home.join("run"));
        command.arg("--local-socket").arg(home.join("local.sock"));
        Process::start(&mut command, &log_path(lab, host.name()))
    }
}

/// Starts keepalived on a host with this configuration.
///
/// # Errors
///
/// It can't be started.
pub fn start_keepalived(text: &str, lab: &Lab, host: &Host) -> Result<Process> {
    let home = lab.directory().join(host.name());
    std::fs::create_dir_all(&home)?;
    let conf = home.join("keepalived.conf");
    std::fs::write(&conf, text)?;
    let mut command = host.command("keepalived");
    command.args(["-n", "-l", "-D", "-P", "-f"]).arg(conf);
    command.arg("-p").arg(home.join("keepalived.pid"));
    command.arg("-r").arg(home.join("vrrp.pid"));
    Process::start(&mut command, &log_path(lab, host.name()))
}
