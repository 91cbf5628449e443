//! "From two nodes with keepalived to a managed fleet", played with the files
//! of the README, while a client asks the virtual address a thousand times a
//! second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ha_tests::fleet::{Cluster, Fleet};
use ha_tests::lab::{Host, Process, eventually, log_path};
use ha_tests::probe::{PORT, Seen, probe_while};
use ha_tests::programs::program;
use ha_tests::router::start_keepalived;
use ha_tests::skip::{program_or_skip, root_or_skip};

use super::{README, block};

const MASTER: &str = "fra-lb1";
const BACKUP: &str = "fra-lb2";
/// Longer than an election at adverts of a second takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Shorter than the shortest takeover: a skew of 0.61 s.
const NO_TAKEOVER: Duration = Duration::from_millis(500);
/// After priority 0 the backup waits for its skew, 0.61 s at priority 100;
/// without priority 0 it would be 2.6 s at least.
const TAKEOVER: Duration = Duration::from_secs(2);

#[test]
fn two_nodes_with_keepalived_become_a_managed_fleet() {
    const NAME: &str = "two_nodes_with_keepalived_become_a_managed_fleet";
    if !root_or_skip(NAME) || program_or_skip(NAME, "keepalived").is_none() {
        return;
    }
    if let Err(error) = play() {
        panic!("{error:?}");
    }
}

fn play() -> Result<()> {
    let mut guide = Guide::begin()?;
    let told = guide.move_over();
    told.with_context(|| guide.fleet.logs())
}

/// Two nodes with keepalived, enrolled, and a client beside them.
struct Guide {
    // Processes end before the fleet's namespaces go.
    keepalived: Vec<(&'static str, Process)>,
    _echoes: Vec<Process>,
    client: Host,
    cluster: Cluster,
    fleet: Fleet,
}

impl Guide {
    /// Up to step 4 of the guide.
    fn begin() -> Result<Self> {
        let cluster = Cluster::fra();
        let mut fleet = Fleet::new()?;
        fleet.init()?;
        fleet.start_controller()?;
        fleet.enrol_cluster(&cluster)?;
        let client = fleet.client(&cluster, "client", "10.1.0.100/24")?;
        let (mut keepalived, mut echoes) = (Vec::new(), Vec::new());
        for name in [MASTER, BACKUP] {
            let host = &fleet.node(name)?.host;
            keepalived.push((name, start_keepalived(&configuration(name)?, fleet.lab(), host)?));
            let mut echo = host.command(program("lab-tool")?);
            echo.args(["echo", name]);
            echoes.push(Process::start(&mut echo, &log_path(fleet.lab(), "echo"))?);
        }
        let guide = Self { keepalived, _echoes: echoes, client, cluster, fleet };
        guide.fleet.wait_for_holder(&guide.cluster, MASTER, PATIENCE)?;
        Ok(guide)
    }

    /// Steps 5 and 6.
    fn move_over(&mut self) -> Result<()> {
        self.watch(NO_TAKEOVER)?;
        let client = Client::start(&self.client, self.cluster.address)?;
        self.stop_keepalived(BACKUP)?;
        self.fleet.start_node(BACKUP)?;
        self.apply()?;
        self.wait_for_state(BACKUP, "backup")?;
        // Longer than its master-down interval: it hears the other one.
        self.watch(Duration::from_secs(5))?;
        let seen = client.end()?;
        tell("the backup moves", &seen);
        ensure!(seen.served_by == [MASTER], "{seen:?}");
        ensure!(outage(&seen) < NO_TAKEOVER, "{seen:?}");

        let client = Client::start(&self.client, self.cluster.address)?;
        self.stop_keepalived(MASTER)?;
        self.fleet.wait_for_holder(&self.cluster, BACKUP, PATIENCE)?;
        self.fleet.start_node(MASTER)?;
        self.fleet.wait_for_holder(&self.cluster, MASTER, PATIENCE)?;
        self.watch(Duration::from_secs(5))?;
        let seen = client.end()?;
        tell("the master moves", &seen);
        ensure!(seen.served_by == [MASTER, BACKUP, MASTER], "{seen:?}");
        ensure!(outage(&seen) < TAKEOVER, "{seen:?}");

        let well = || Ok(self.fleet.hactl_output(&["status"])?.status.success());
        ensure!(eventually(PATIENCE, well)?, "{}", self.fleet.hactl(&["status"])?);
        Ok(())
    }

    fn stop_keepalived(&mut self, name: &str) -> Result<()> {
        let at = self.keepalived.iter().position(|(node, _)| *node == name);
        let (_, process) = self.keepalived.remove(at.context("keepalived runs there")?);
        process.terminate().map(drop)
    }

    fn apply(&self) -> Result<()> {
        let file = self.fleet.lab().directory().join("fra-web.yaml");
        std::fs::write(&file, block(README, "yaml")?)?;
        let file = file.to_str().context("the path is text")?;
        let output =
            self.fleet.hactl_output(&["apply", "-f", file, "-m", "fra-web leaves keepalived"])?;
        // The other node still runs keepalived, so it is offline for us.
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.code() == Some(5), "{}: {text}", output.status);
        ensure!(text.contains(MASTER), "the node that is offline is not named: {text}");
        Ok(())
    }

    fn wait_for_state(&self, node: &str, state: &str) -> Result<()> {
        let mut shown = String::new();
        let reached = eventually(PATIENCE, || {
            shown = self.fleet.hactl(&["describe", "node", node, "-o", "json"])?;
            Ok(shown.contains(&format!("\"{state}\"")))
        })?;
        ensure!(reached, "{node} is not {state}: {shown}");
        Ok(())
    }

    /// Sees the preferred node hold the address alone all the time.
    fn watch(&self, span: Duration) -> Result<()> {
        let end = Instant::now() + span;
        while Instant::now() < end {
            self.fleet.wait_for_holder(&self.cluster, MASTER, Duration::ZERO)?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

/// The README's keepalived.conf, as the text above it says for each node.
fn configuration(node: &str) -> Result<String> {
    let master = block(README, "conf")?;
    if node == MASTER {
        return Ok(master);
    }
    let backup = master
        .replace("priority 200", "priority 100")
        .replace("10.1.0.11", "OTHER")
        .replace("10.1.0.12", "10.1.0.11")
        .replace("OTHER", "10.1.0.12");
    ensure!(backup != master, "the configuration of the README has another form");
    Ok(backup)
}

/// A client that asks until it is ended.
struct Client {
    more: Arc<AtomicBool>,
    asking: JoinHandle<Result<Seen>>,
}

impl Client {
    fn start(host: &Host, address: &str) -> Result<Self> {
        let target: SocketAddr = format!("{address}:{PORT}").parse()?;
        let namespace = std::fs::File::open(format!("/run/netns/{}", host.namespace()))?;
        let more = Arc::new(AtomicBool::new(true));
        let asks = Arc::clone(&more);
        let asking = std::thread::spawn(move || {
            // The namespace is that of this thread alone.
            nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)?;
            let period = Duration::from_millis(1);
            Ok(probe_while(target, period, |_| asks.load(Ordering::Relaxed))?)
        });
        Ok(Self { more, asking })
    }

    fn end(self) -> Result<Seen> {
        self.more.store(false, Ordering::Relaxed);
        self.asking.join().ok().context("the client does not panic")?
    }
}

fn outage(seen: &Seen) -> Duration {
    Duration::from_micros(seen.outage_us)
}

#[expect(clippy::print_stderr, reason = "the figure is for whoever reads the test's output")]
fn tell(step: &str, seen: &Seen) {
    let Seen { sent, lost, outage_us, served_by } = seen;
    eprintln!("{step}: longest outage {outage_us} us, {lost} of {sent} lost, by {served_by:?}");
}
