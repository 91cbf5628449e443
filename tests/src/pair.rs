//! Agents in namespaces, driven by plan files and watched from outside: by the
//! addresses that they hold and the metrics that they serve.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use crate::lab::{Host, Lab, Network, Process, eventually, log_path};
use crate::metrics::{Metrics, fetch};
use crate::programs::program;

/// Where every agent serves its metrics, inside its namespace.
const METRICS: &str = "127.0.0.1:9100";
/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// One virtual router of two nodes, on `eth0`.
#[derive(Clone, Debug)]
pub struct Router {
    /// Name of the instance.
    pub name: &'static str,
    /// Its virtual router id.
    pub vrid: u8,
    /// Protocol version, 2 or 3.
    pub version: u8,
    /// Between two adverts, microseconds.
    pub interval_us: u64,
    /// Whether a higher priority takes over.
    pub preempt: bool,
    /// Multicast, else unicast.
    pub multicast: bool,
    /// Virtual addresses, with prefix length, all of one family.
    pub addresses: Vec<String>,
    /// Further fields of the instance in the plan; they need schema 2.
    pub further: Map<String, Value>,
}

impl Router {
    /// Version 3 over IPv4 with one address and preemption.
    #[must_use]
    pub fn new(interval_us: u64) -> Self {
        let addresses = vec!["10.9.0.100/24".to_owned()];
        Self {
            name: "web",
            vrid: 51,
            version: 3,
            interval_us,
            preempt: true,
            multicast: false,
            addresses,
            further: Map::new(),
        }
    }

    fn instance(&self, node: &Node) -> Value {
        let addresses: Vec<_> = self.addresses.iter().map(|it| json!({ "address": it })).collect();
        let ipv6 = self.addresses.iter().any(|address| address.contains(':'));
        let of_family = |number: u8| if ipv6 { address_v6(number) } else { address_v4(number) };
        let transport = if self.multicast {
            json!({ "multicast": {} })
        } else {
            let peers = json!([{ "address": of_family(node.peer) }]);
            json!({ "unicast": { "source": of_family(node.number), "peers": peers } })
        };
        let mut instance = json!({
            "name": self.name, "interface": "eth0", "family": if ipv6 { "ipv6" } else { "ipv4" },
            "vrid": self.vrid, "version": self.version, "priority": node.priority,
            "interval_us": self.interval_us, "addresses": addresses,
            "preempt": { "enabled": self.preempt }, "transport": transport,
        });
        for (field, value) in &self.further {
            instance[field] = value.clone();
        }
        instance
    }
}

/// IPv4 address of a host of the network.
#[must_use]
pub fn address_v4(number: u8) -> IpAddr {
    IpAddr::from([10, 9, 0, number])
}

/// IPv6 address of a host of the network.
#[must_use]
pub fn address_v6(number: u8) -> IpAddr {
    IpAddr::from([0xfd09, 0, 0, 0, 0, 0, 0, u16::from(number)])
}

fn join(host: &Host, network: &Network, number: u8) -> Result<()> {
    let addresses = [format!("{}/24", address_v4(number)), format!("{}/64", address_v6(number))];
    host.attach(network, "eth0", &[&addresses[0], &addresses[1]])
}

/// A host with an agent.
#[derive(Debug)]
pub struct Node {
    /// Where.
    pub host: Host,
    number: u8,
    peer: u8,
    priority: u8,
    home: PathBuf,
    log: PathBuf,
    agent: Option<Process>,
}

/// Two nodes on one network: `first` has the higher priority.
#[derive(Debug)]
pub struct Pair {
    // The nodes come before the lab, so that their agents end before the
    // namespaces go.
    /// Priority 200.
    pub first: Node,
    /// Priority 100.
    pub second: Node,
    /// What joins them.
    pub network: Network,
    lab: Lab,
}

impl Pair {
    /// Two hosts whose agents have `routers` to run, not started yet.
    ///
    /// # Errors
    ///
    /// The lab could not be made.
    pub fn new(routers: &[Router]) -> Result<Self> {
        let lab = Lab::new()?;
        let network = lab.network("net")?;
        let first = Node::new(&lab, &network, "a", (1, 2), 200)?;
        let second = Node::new(&lab, &network, "b", (2, 1), 100)?;
        let pair = Self { first, second, network, lab };
        pair.first.write_plan(routers)?;
        pair.second.write_plan(routers)?;
        Ok(pair)
    }

    /// The same, with the first as master and the second as backup.
    ///
    /// # Errors
    ///
    /// The lab could not be made, or a node does not get there; its log is in the
    /// error.
    pub fn settled(routers: &[Router]) -> Result<Self> {
        let mut pair = Self::new(routers)?;
        pair.first.start()?;
        pair.first.wait_for("web", State::Master)?;
        pair.second.start()?;
        pair.second.wait_for("web", State::Backup)?;
        let hears = || Ok(pair.second.metrics()?.of("ha_masters_seen", "web") == 1);
        ensure!(eventually(PATIENCE, hears)?, "the second never heard the first");
        Ok(pair)
    }

    /// A third host on the network.
    ///
    /// # Errors
    ///
    /// The kernel refused.
    pub fn stranger(&self, number: u8) -> Result<Host> {
        let host = self.lab.host("c")?;
        join(&host, &self.network, number)?;
        Ok(host)
    }
}

/// State as `keepalived_vrrp_state` has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It listens.
    Backup = 1,
    /// It sends and holds the addresses.
    Master = 2,
}

impl Node {
    fn new(
        lab: &Lab,
        network: &Network,
        name: &str,
        (number, peer): (u8, u8),
        priority: u8,
    ) -> Result<Self> {
        let host = lab.host(name)?;
        let home = lab.directory().join(name);
        std::fs::create_dir_all(&home)?;
        let log = log_path(lab, name);
        let node = Self { host, number, peer, priority, home, log, agent: None };
        node.attach(network)?;
        Ok(node)
    }

    /// Joins the network by `eth0`.
    ///
    /// # Errors
    ///
    /// The kernel refused.
    pub fn attach(&self, network: &Network) -> Result<()> {
        join(&self.host, network, self.number)
    }

    /// Writes the plan file.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn write_plan(&self, routers: &[Router]) -> Result<()> {
        let mut sorted: Vec<_> = routers.iter().collect();
        sorted.sort_by_key(|router| router.name);
        let instances: Vec<_> = sorted.iter().map(|router| router.instance(self)).collect();
        let schema = if routers.iter().all(|it| it.further.is_empty()) { 1 } else { 2 };
        let plan = json!({
            "schema": schema, "cluster": "lab", "node": self.host.name(), "instances": instances,
        });
        Ok(std::fs::write(self.plan_file(), serde_json::to_vec(&plan)?)?)
    }

    /// The file that the agent runs.
    #[must_use]
    pub fn plan_file(&self) -> PathBuf {
        self.home.join("plan.json")
    }

    /// Values of the plan's secrets, if it names any: to be written before the
    /// start.
    #[must_use]
    pub fn secrets_file(&self) -> PathBuf {
        self.home.join("secrets.json")
    }

    fn socket(&self) -> PathBuf {
        self.home.join("local.sock")
    }

    /// What `hactl --local` prints on this node; how it ends is not judged.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn hactl(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new(program("hactl")?);
        command.arg("--local").arg(self.socket()).args(arguments);
        Ok(command.output()?.stdout)
    }

    /// Starts the agent.
    ///
    /// # Errors
    ///
    /// The program is not built.
    pub fn start(&mut self) -> Result<()> {
        let mut command = self.host.command(program("ha-agent")?);
        command.arg("run").arg("--plan").arg(self.plan_file());
        command.arg("--state-dir").arg(self.home.join("state"));
        command.arg("--run-dir").arg(self.home.join("run"));
        command.arg("--local-socket").arg(self.socket());
        if self.secrets_file().exists() {
            command.arg("--secrets").arg(self.secrets_file());
        }
        command.args(["--metrics", METRICS]);
        self.agent = Some(Process::start(&mut command, &self.log)?);
        Ok(())
    }

    /// Runs `ha-agent release` to its end.
    ///
    /// # Errors
    ///
    /// It failed.
    pub fn release(&self) -> Result<()> {
        let agent = program("ha-agent")?.display().to_string();
        let run_dir = self.home.join("run").display().to_string();
        let state_dir = self.home.join("state").display().to_string();
        let arguments =
            [&agent, "release", "--run-dir", &run_dir, "--state-dir", &state_dir].map(|it| it);
        self.host.run(&arguments).map(drop)
    }

    /// Sends a signal to the agent.
    ///
    /// # Errors
    ///
    /// No agent runs.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.agent.as_ref().context("no agent runs")?.signal(signal)
    }

    /// Sends a signal to the agent and waits for its end.
    ///
    /// # Errors
    ///
    /// No agent runs, or it fails at its end.
    pub fn end_by(&mut self, signal: Signal) -> Result<()> {
        let agent = self.agent.take().context("no agent runs")?;
        agent.signal(signal)?;
        let status = agent.wait()?;
        ensure!(signal == Signal::SIGKILL || status.success(), "ended with {status}");
        Ok(())
    }

    /// What was true after this call began.
    ///
    /// # Errors
    ///
    /// It serves none; its log is in the error.
    pub fn metrics(&self) -> Result<Metrics> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
        let end = Instant::now() + PATIENCE;
        loop {
            let metrics = self.scrape()?;
            if metrics.time() > now {
                return Ok(metrics);
            }
            ensure!(Instant::now() < end, "no fresh figures:\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the agent serves; up to a second old.
    fn scrape(&self) -> Result<Metrics> {
        let text = self.host.within(|| fetch(METRICS))?;
        Ok(Metrics::parse(&text))
    }

    /// Waits until the router is in this state.
    ///
    /// # Errors
    ///
    /// It did not get there; its log is in the error.
    pub fn wait_for(&self, router: &str, state: State) -> Result<()> {
        let wanted = state as u64;
        let there = || match self.scrape() {
            Ok(metrics) => Ok(metrics.of("keepalived_vrrp_state", router) == wanted),
            // It may be starting.
            Err(_) => Ok(false),
        };
        let reached = eventually(PATIENCE, there)?;
        ensure!(reached, "{} never became {state:?}:\n{}", self.host.name(), self.log_text());
        Ok(())
    }

    /// Whether the first router's address is on `eth0`.
    ///
    /// # Errors
    ///
    /// `eth0` is not there.
    pub fn holds(&self, address: &str) -> Result<bool> {
        self.host.holds("eth0", address)
    }

    /// Waits until an address is there, or is not.
    ///
    /// # Errors
    ///
    /// That did not happen; its log is in the error.
    pub fn wait_until_holds(&self, address: &str, wanted: bool) -> Result<()> {
        let reached = eventually(PATIENCE, || Ok(self.holds(address)? == wanted))?;
        ensure!(
            reached,
            "{}: {address} there: {}, wanted: {wanted}\n{}",
            self.host.name(),
            !wanted,
            self.log_text()
        );
        Ok(())
    }

    /// What the agent logged.
    #[must_use]
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
