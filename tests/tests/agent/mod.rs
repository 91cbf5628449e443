//! Agents in namespaces, driven by plan files and watched from outside: by the
//! addresses that they hold and the metrics that they serve.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use ha_tests::lab::{Host, Lab, Network, Process, eventually, log_path};
use ha_tests::programs::program;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Where every agent serves its metrics, inside its namespace.
const METRICS: &str = "127.0.0.1:9100";
/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// One virtual router of two nodes, in unicast on `eth0`.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    pub(crate) name: &'static str,
    pub(crate) vrid: u8,
    pub(crate) interval_us: u64,
    pub(crate) preempt: bool,
    pub(crate) addresses: Vec<String>,
}

impl Router {
    /// Version 3 over IPv4 with one address and preemption.
    pub(crate) fn new(interval_us: u64) -> Self {
        let addresses = vec!["10.9.0.100/24".to_owned()];
        Self { name: "web", vrid: 51, interval_us, preempt: true, addresses }
    }

    fn instance(&self, node: &Node) -> Value {
        let addresses: Vec<_> = self.addresses.iter().map(|it| json!({ "address": it })).collect();
        json!({
            "name": self.name, "interface": "eth0", "family": "ipv4", "vrid": self.vrid,
            "version": 3, "priority": node.priority, "interval_us": self.interval_us,
            "addresses": addresses, "preempt": { "enabled": self.preempt },
            "transport": { "unicast": {
                "source": node.address, "peers": [{ "address": node.peer }],
            } },
        })
    }
}

/// A host with an agent.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) host: Host,
    address: &'static str,
    peer: &'static str,
    priority: u8,
    home: PathBuf,
    log: PathBuf,
    agent: Option<Process>,
}

/// Two nodes on one network: `first` has the higher priority.
#[derive(Debug)]
pub(crate) struct Pair {
    // Before the lab: it ends its agent before its namespace goes.
    pub(crate) first: Node,
    pub(crate) second: Node,
    pub(crate) network: Network,
    _lab: Lab,
}

impl Pair {
    /// Two hosts whose agents have `routers` to run, not started yet.
    pub(crate) fn new(routers: &[Router]) -> Result<Self> {
        let lab = Lab::new()?;
        let network = lab.network("net")?;
        let first = Node::new(&lab, &network, "a", ("10.9.0.1", "10.9.0.2"), 200)?;
        let second = Node::new(&lab, &network, "b", ("10.9.0.2", "10.9.0.1"), 100)?;
        let pair = Self { first, second, network, _lab: lab };
        pair.first.write_plan(routers)?;
        pair.second.write_plan(routers)?;
        Ok(pair)
    }

    /// The same, with the first as master and the second as backup.
    pub(crate) fn settled(routers: &[Router]) -> Result<Self> {
        let mut pair = Self::new(routers)?;
        pair.first.start()?;
        pair.first.wait_for("web", State::Master)?;
        pair.second.start()?;
        pair.second.wait_for("web", State::Backup)?;
        let hears = || Ok(pair.second.metrics()?.of("ha_masters_seen", "web") == 1);
        ensure!(eventually(PATIENCE, hears)?, "the second never heard the first");
        Ok(pair)
    }
}

/// State as `keepalived_vrrp_state` has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    Backup = 1,
    Master = 2,
}

impl Node {
    fn new(
        lab: &Lab,
        network: &Network,
        name: &str,
        (address, peer): (&'static str, &'static str),
        priority: u8,
    ) -> Result<Self> {
        let host = lab.host(name)?;
        let home = lab.directory().join(name);
        std::fs::create_dir_all(&home)?;
        let log = log_path(lab, name);
        let node = Self { host, address, peer, priority, home, log, agent: None };
        node.attach(network)?;
        Ok(node)
    }

    /// Joins the network by `eth0`.
    pub(crate) fn attach(&self, network: &Network) -> Result<()> {
        self.host.attach(network, "eth0", &[&format!("{}/24", self.address)])
    }

    /// Writes the plan file.
    pub(crate) fn write_plan(&self, routers: &[Router]) -> Result<()> {
        let mut sorted: Vec<_> = routers.iter().collect();
        sorted.sort_by_key(|router| router.name);
        let instances: Vec<_> = sorted.iter().map(|router| router.instance(self)).collect();
        let plan = json!({
            "schema": 1, "cluster": "lab", "node": self.host.name(), "instances": instances,
        });
        Ok(std::fs::write(self.plan_file(), serde_json::to_vec(&plan)?)?)
    }

    /// The file that the agent runs.
    pub(crate) fn plan_file(&self) -> PathBuf {
        self.home.join("plan.json")
    }

    /// Starts the agent.
    pub(crate) fn start(&mut self) -> Result<()> {
        let mut command = self.host.command(program("ha-agent")?);
        command.arg("run").arg("--plan").arg(self.plan_file());
        command.arg("--state-dir").arg(self.home.join("state"));
        command.arg("--run-dir").arg(self.home.join("run"));
        command.arg("--local-socket").arg(self.home.join("local.sock"));
        command.args(["--metrics", METRICS]);
        self.agent = Some(Process::start(&mut command, &self.log)?);
        Ok(())
    }

    /// Runs `ha-agent release` to its end.
    pub(crate) fn release(&self) -> Result<()> {
        let agent = program("ha-agent")?.display().to_string();
        let run_dir = self.home.join("run").display().to_string();
        let state_dir = self.home.join("state").display().to_string();
        let arguments =
            [&agent, "release", "--run-dir", &run_dir, "--state-dir", &state_dir].map(|it| it);
        self.host.run(&arguments).map(drop)
    }

    /// Sends a signal to the agent.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.agent.as_ref().context("no agent runs")?.signal(signal)
    }

    /// Sends a signal to the agent and waits for its end.
    pub(crate) fn end_by(&mut self, signal: Signal) -> Result<()> {
        let agent = self.agent.take().context("no agent runs")?;
        agent.signal(signal)?;
        let status = agent.wait()?;
        ensure!(signal == Signal::SIGKILL || status.success(), "ended with {status}");
        Ok(())
    }

    /// What was true after this call began.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
        let end = Instant::now() + PATIENCE;
        loop {
            let metrics = self.scrape()?;
            if metrics.time > now {
                return Ok(metrics);
            }
            ensure!(Instant::now() < end, "no fresh figures:\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the agent serves; up to a second old.
    fn scrape(&self) -> Result<Metrics> {
        let namespace = format!("/run/netns/{}", self.host.namespace());
        let fetch = move || -> Result<String> {
            // The namespace is that of this thread alone, which ends here.
            let file = std::fs::File::open(namespace)?;
            nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET)?;
            let mut stream = TcpStream::connect(METRICS)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = std::thread::spawn(fetch).join().expect("fetching does not panic")?;
        Ok(Metrics::parse(&text))
    }

    /// Waits until the router is in this state.
    pub(crate) fn wait_for(&self, router: &str, state: State) -> Result<()> {
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
    pub(crate) fn holds(&self, address: &str) -> Result<bool> {
        self.host.holds("eth0", address)
    }

    /// Waits until an address is there, or is not.
    pub(crate) fn wait_until_holds(&self, address: &str, wanted: bool) -> Result<()> {
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
    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Metrics by name and the router they are of.
#[derive(Debug)]
pub(crate) struct Metrics {
    figures: BTreeMap<(String, String), u64>,
    /// When they were true, in seconds since 1970.
    time: f64,
}

impl Metrics {
    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (name, rest) = line.split_once("{iname=\"")?;
            let (router, rest) = rest.split_once('"')?;
            let value = rest.rsplit_once(' ')?.1.parse().ok()?;
            Some(((name.to_owned(), router.to_owned()), value))
        };
        let time = |line: &str| line.strip_prefix("ha_status_time_seconds ")?.parse().ok();
        Self {
            figures: text.lines().filter_map(line).collect(),
            time: text.lines().find_map(time).unwrap_or(0.0),
        }
    }

    /// One figure of one router; 0 if it is not there.
    pub(crate) fn of(&self, name: &str, router: &str) -> u64 {
        self.figures.get(&(name.to_owned(), router.to_owned())).copied().unwrap_or(0)
    }
}
