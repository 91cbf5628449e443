//! A whole fleet on this machine: a controller, and clusters of nodes with a
//! management network for all and a service network for each cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use crate::lab::{Host, Lab, Network, Process, eventually, finish, log_path};
use crate::programs::program;

/// Where the controller listens on the management network.
pub const CONTROLLER: &str = "10.80.0.1:7443";

/// A cluster of the example manifests.
#[derive(Clone, Copy, Debug)]
pub struct Cluster {
    /// Name in the manifest.
    pub name: &'static str,
    /// Nodes and their addresses on the service network, on `eth0`.
    pub nodes: &'static [(&'static str, &'static [&'static str])],
    /// A virtual address that tells who is master.
    pub address: &'static str,
}

impl Cluster {
    /// Two nodes.
    #[must_use]
    pub const fn fra() -> Self {
        Self {
            name: "fra-web",
            nodes: &[("fra-lb1", &["10.1.0.11/24"]), ("fra-lb2", &["10.1.0.12/24"])],
            address: "10.1.0.50",
        }
    }

    /// Three nodes, with IPv6 as well.
    #[must_use]
    pub const fn ams() -> Self {
        Self {
            name: "ams-dns",
            nodes: &[
                ("ams-lb1", &["10.2.0.11/24", "fd02::11/64"]),
                ("ams-lb2", &["10.2.0.12/24", "fd02::12/64"]),
                ("ams-lb3", &["10.2.0.13/24", "fd02::13/64"]),
            ],
            address: "10.2.0.53",
        }
    }
}

/// A node that runs its agent.
#[derive(Debug)]
pub struct NodeHost {
    /// Where.
    pub host: Host,
    /// The agent; `None` while it is stopped.
    pub agent: Option<Process>,
}

/// Where the collector of traces listens on the management network.
const COLLECTOR: &str = "10.80.0.1:4317";

/// The fleet. Everything ends and goes when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    // Processes end before the namespaces that they live in.
    collector: Option<Process>,
    controller: Option<Process>,
    nodes: Vec<NodeHost>,
    networks: Vec<(&'static str, Network)>,
    management: Network,
    controller_host: Host,
    lab: Lab,
}

impl Fleet {
    /// The management network and the controller's host.
    ///
    /// # Errors
    ///
    /// The lab could not be made.
    pub fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let management = lab.network("mgmt")?;
        let controller_host = lab.host("ctl")?;
        controller_host.attach(&management, "mgmt0", &["10.80.0.1/16"])?;
        Ok(Self {
            collector: None,
            controller: None,
            nodes: Vec::new(),
            networks: Vec::new(),
            management,
            controller_host,
            lab,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.lab.directory().join(name)
    }

    /// Starts a collector of traces; programs that are started from now on
    /// export to it. The file that it writes.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn start_collector(&mut self) -> Result<PathBuf> {
        let file = self.path("spans.jsonl");
        let mut command = self.controller_host.command(program("lab-tool")?);
        command.args(["collect", COLLECTOR]).arg(&file);
        let log = log_path(&self.lab, "collector");
        self.collector = Some(Process::start(&mut command, &log)?);
        let listens = eventually(Duration::from_secs(10), || Ok(file.exists()))?;
        ensure!(listens, "the collector does not start: {}", read(&log));
        Ok(file)
    }

    /// Tells a program where the collector is, if there is one.
    fn trace(&self, command: &mut std::process::Command) {
        if self.collector.is_some() {
            command.args(["--otlp", &format!("http://{COLLECTOR}")]);
        }
    }

    /// Configuration file of `hactl`.
    #[must_use]
    pub fn hactl_config(&self) -> PathBuf {
        self.path("hactl.toml")
    }

    /// Namespace that the controller and `hactl` run in.
    #[must_use]
    pub fn controller_namespace(&self) -> &str {
        self.controller_host.namespace()
    }

    /// The `hactl` program.
    ///
    /// # Errors
    ///
    /// It is not built.
    pub fn hactl_program(&self) -> Result<PathBuf> {
        program("hactl")
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[NodeHost] {
        &self.nodes
    }

    /// A node by its name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn node(&self, name: &str) -> Result<&NodeHost> {
        self.nodes
            .iter()
            .find(|node| node.host.name() == name)
            .with_context(|| format!("no node {name}"))
    }

    /// Makes the fleet's certificate authority.
    ///
    /// # Errors
    ///
    /// `hactl init` failed.
    pub fn init(&self) -> Result<String> {
        let pki = self.path("pki");
        let pki = pki.to_str().context("the path is text")?;
        self.hactl(&["init", "--fleet", "demo", "--pki", pki, "--controller-address", CONTROLLER])
    }

    /// Runs `hactl` on the controller's host; its output.
    ///
    /// # Errors
    ///
    /// It could not be started. How it ended is not judged.
    pub fn hactl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.hactl_output(arguments)?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            matches!(output.status.code(), Some(0 | 3 | 5 | 10)),
            "hactl {arguments:?} ended with {}: {error}",
            output.status
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &error)
    }

    /// Runs `hactl` on the controller's host.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn hactl_output(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let mut command = self.controller_host.command(program("hactl")?);
        command.args(arguments).env("HACTL_CONFIG", self.hactl_config());
        self.trace(&mut command);
        command.output().context("can't start hactl")
    }

    /// Starts the controller and waits until it listens.
    ///
    /// # Errors
    ///
    /// It does not listen in time; its log is in the error.
    pub fn start_controller(&mut self) -> Result<()> {
        let mut command = self.controller_host.command(program("ha-controller")?);
        command.arg("run").args(["--listen", CONTROLLER]);
        command.arg("--pki").arg(self.path("pki"));
        command.arg("--state-dir").arg(self.path("controller"));
        self.trace(&mut command);
        let log = log_path(&self.lab, "controller");
        self.controller = Some(Process::start(&mut command, &log)?);
        let answers = eventually(Duration::from_secs(20), || {
            Ok(self.hactl_output(&["node", "list"])?.status.success())
        })?;
        ensure!(answers, "the controller does not answer: {}", read(&log));
        Ok(())
    }

    /// Stops the controller.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn stop_controller(&mut self) -> Result<()> {
        self.controller.take().context("the controller runs")?.terminate()?;
        Ok(())
    }

    /// Kills the controller.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn kill_controller(&mut self) -> Result<()> {
        self.controller.take().context("the controller runs")?.kill()?;
        Ok(())
    }

    /// Makes a cluster's network and nodes, enrols each node and starts its
    /// agent.
    ///
    /// # Errors
    ///
    /// A node could not be enrolled.
    pub fn add_cluster(&mut self, cluster: &Cluster) -> Result<()> {
        self.enrol_cluster(cluster)?;
        cluster.nodes.iter().try_for_each(|(name, _)| self.start_node(name))
    }

    /// Makes a cluster's network and nodes and enrols each node; no agent runs
    /// yet.
    ///
    /// # Errors
    ///
    /// A node could not be enrolled.
    pub fn enrol_cluster(&mut self, cluster: &Cluster) -> Result<()> {
        let network = self.lab.network(cluster.name)?;
        for (name, addresses) in cluster.nodes {
            let host = self.lab.host(name)?;
            let number = self.nodes.len() + 1;
            host.attach(&self.management, "mgmt0", &[&format!("10.80.1.{number}/16")])?;
            host.attach(&network, "eth0", addresses)?;
            self.enrol(&host)?;
            self.nodes.push(NodeHost { host, agent: None });
        }
        self.networks.push((cluster.name, network));
        Ok(())
    }

    /// Starts the agent of an enrolled node.
    ///
    /// # Errors
    ///
    /// There is no such node, or the program is not built.
    pub fn start_node(&mut self, name: &str) -> Result<()> {
        let agent = self.start_agent(&self.node(name)?.host)?;
        let node = self.nodes.iter_mut().find(|node| node.host.name() == name);
        node.with_context(|| format!("no node {name}"))?.agent = Some(agent);
        Ok(())
    }

    /// A host on a cluster's service network that is no node of it.
    ///
    /// # Errors
    ///
    /// The cluster was not added.
    pub fn client(&self, cluster: &Cluster, name: &str, address: &str) -> Result<Host> {
        let host = self.lab.host(name)?;
        host.attach(self.network(cluster)?, "eth0", &[address])?;
        Ok(host)
    }

    /// The lab that the fleet lives in.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    fn enrol(&self, host: &Host) -> Result<()> {
        let token = self.hactl(&["node", "join-token", host.name(), "-o", "json"])?;
        let token: serde_json::Value = serde_json::from_str(&token)
            .with_context(|| format!("the join token is JSON: {token}"))?;
        let field = |name: &str| -> Result<&str> {
            token[name].as_str().with_context(|| format!("{name} in {token}"))
        };
        let mut command = host.command(program("ha-agent")?);
        command.args(["enroll", "--controller", CONTROLLER, "--node", host.name()]);
        command.args(["--token", field("token")?, "--ca-sha256", field("caSha256")?]);
        command.arg("--state-dir").arg(self.state_directory(host));
        finish(&mut command).map(drop)
    }

    /// Where the agent of a host keeps what outlives it.
    #[must_use]
    pub fn state_directory(&self, host: &Host) -> PathBuf {
        self.path(host.name()).join("state")
    }

    /// Starts the agent of a host.
    ///
    /// # Errors
    ///
    /// The program is not built.
    pub fn start_agent(&self, host: &Host) -> Result<Process> {
        let home = self.path(host.name());
        let mut command = host.command(program("ha-agent")?);
        command.args(["run", "--controller", CONTROLLER]);
        command.arg("--state-dir").arg(self.state_directory(host));
        command.arg("--run-dir").arg(home.join("run"));
        command.arg("--local-socket").arg(home.join("local.sock"));
        self.trace(&mut command);
        Process::start(&mut command, &log_path(&self.lab, host.name()))
    }

    /// Stops a node's agent, does something, and starts the agent again.
    ///
    /// # Errors
    ///
    /// It does not run, or the error of `meanwhile`.
    pub fn restart_agent(
        &mut self,
        node: &str,
        meanwhile: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let stopped = self.nodes.iter_mut().find(|it| it.host.name() == node);
        let agent = stopped.and_then(|it| it.agent.take()).context("the agent runs")?;
        agent.terminate()?;
        let host = self.node(node)?.host.clone();
        meanwhile(&self.state_directory(&host))?;
        let agent = self.start_agent(&host)?;
        let started = self.nodes.iter_mut().find(|it| it.host.name() == node);
        started.context("the node is there")?.agent = Some(agent);
        Ok(())
    }

    /// Sends a signal to a node's agent.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn signal_agent(&self, node: &str, signal: Signal) -> Result<()> {
        self.node(node)?.agent.as_ref().context("the agent runs")?.signal(signal)
    }

    fn network(&self, cluster: &Cluster) -> Result<&Network> {
        self.networks
            .iter()
            .find_map(|(name, network)| (*name == cluster.name).then_some(network))
            .context("the cluster was added")
    }

    /// Cuts a node's service link.
    ///
    /// # Errors
    ///
    /// The node is not of that cluster.
    pub fn cut(&self, cluster: &Cluster, node: &str) -> Result<()> {
        self.network(cluster)?.cut(&self.node(node)?.host)
    }

    /// Gives a node's service link back.
    ///
    /// # Errors
    ///
    /// The node is not of that cluster.
    pub fn heal(&self, cluster: &Cluster, node: &str) -> Result<()> {
        self.network(cluster)?.heal(&self.node(node)?.host)
    }

    /// Nodes of a cluster that hold its address now.
    fn holders(&self, cluster: &Cluster) -> Result<Vec<&'static str>> {
        let mut holders = Vec::new();
        for (name, _) in cluster.nodes {
            if self.node(name)?.host.holds("eth0", cluster.address)? {
                holders.push(*name);
            }
        }
        Ok(holders)
    }

    /// Waits until exactly one node holds the cluster's address; its name.
    ///
    /// # Errors
    ///
    /// That did not happen within `limit`; the nodes' logs are in the error.
    pub fn wait_for_master(&self, cluster: &Cluster, limit: Duration) -> Result<String> {
        self.wait_for(cluster, limit, |holders| holders.len() == 1)
    }

    /// Waits until one node holds the address, and it is not `not`.
    ///
    /// # Errors
    ///
    /// See [`Fleet::wait_for_master`].
    pub fn wait_for_other_master(
        &self,
        cluster: &Cluster,
        not: &str,
        limit: Duration,
    ) -> Result<String> {
        self.wait_for(cluster, limit, |holders| matches!(holders, [one] if *one != not))
    }

    /// Waits until `node` alone holds the address.
    ///
    /// # Errors
    ///
    /// See [`Fleet::wait_for_master`].
    pub fn wait_for_holder(&self, cluster: &Cluster, node: &str, limit: Duration) -> Result<()> {
        self.wait_for(cluster, limit, |holders| holders == [node]).map(drop)
    }

    fn wait_for(
        &self,
        cluster: &Cluster,
        limit: Duration,
        good: impl Fn(&[&str]) -> bool,
    ) -> Result<String> {
        let mut holders = Vec::new();
        let found = eventually(limit, || {
            holders = self.holders(cluster)?;
            Ok(good(&holders))
        })?;
        ensure!(found, "{} is held by {holders:?}\n{}", cluster.address, self.logs());
        Ok(holders.first().context("one holder")?.to_string())
    }

    /// Waits until the controller's history satisfies `good`.
    ///
    /// # Errors
    ///
    /// That did not happen within `limit`; the history and logs are in the
    /// error.
    pub fn wait_for_events(&self, good: impl Fn(&str) -> bool, limit: Duration) -> Result<()> {
        let mut events = String::new();
        let found = eventually(limit, || {
            events = self.hactl(&["events", "-o", "json"])?;
            Ok(good(&events))
        })?;
        ensure!(found, "the events do not arrive: {events}\n{}", self.logs());
        Ok(())
    }

    /// Logs of all programs.
    #[must_use]
    pub fn logs(&self) -> String {
        let names = self.nodes.iter().map(|node| node.host.name()).chain(["controller"]);
        names
            .map(|name| format!("--- {name} ---\n{}\n", read(&log_path(&self.lab, name))))
            .collect()
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
