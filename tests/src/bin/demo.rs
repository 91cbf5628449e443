//! `make demo`: a controller and two clusters on this machine, a failover, and
//! one that happens while the controller is away.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use ha_tests::fleet::{Cluster, Fleet, NodeHost};

/// Shows a fleet at work, in network namespaces of this machine.
#[derive(Parser)]
struct Arguments {
    /// Keep the fleet running until Enter is pressed, and say how to play.
    #[arg(long)]
    keep: bool,
    /// Manifests to apply.
    #[arg(long, default_value = "deploy/examples")]
    manifests: PathBuf,
}

/// Longer than any failover of the example manifests.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(nix::unistd::geteuid().is_root(), "network namespaces need root: sudo make demo");
    let mut demo = Demo { fleet: Fleet::new()? };
    demo.begin(&arguments.manifests)?;
    demo.failover()?;
    demo.failover_without_controller()?;
    if arguments.keep {
        demo.keep()?;
    }
    drop(demo);
    say("The end: everything that was started is stopped and removed.");
    Ok(())
}

struct Demo {
    fleet: Fleet,
}

#[expect(clippy::print_stdout, reason = "the demo talks to the one who started it")]
fn say(text: &str) {
    println!("\n\x1b[1m# {text}\x1b[0m");
}

#[expect(clippy::print_stdout, reason = "the demo talks to the one who started it")]
fn show(command: &str, output: &str) {
    println!("$ {command}\n{}", output.trim_end());
}

impl Demo {
    fn hactl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.fleet.hactl(arguments)?;
        show(&format!("hactl {}", arguments.join(" ")), &output);
        Ok(output)
    }

    fn begin(&mut self, manifests: &std::path::Path) -> Result<()> {
        say("A fleet: its certificate authority, and a controller");
        let output = self.fleet.init()?;
        show("hactl init", &output);
        self.fleet.start_controller()?;

        say("Two clusters of nodes, each node enrolled with a join token of its own");
        for cluster in [Cluster::fra(), Cluster::ams()] {
            self.fleet.add_cluster(&cluster)?;
        }
        self.hactl(&["node", "list"])?;

        say("The wish: two manifests");
        let manifests = manifests.to_str().context("the path of the manifests is text")?;
        self.hactl(&["apply", "-f", manifests, "-m", "first fleet", "-y"])?;
        for cluster in [Cluster::fra(), Cluster::ams()] {
            self.fleet.wait_for_master(&cluster, PATIENCE)?;
        }
        self.hactl(&["status"])?;
        self.hactl(&["status", "-o", "wide"])?;
        Ok(())
    }

    fn failover(&mut self) -> Result<()> {
        let cluster = Cluster::fra();
        let master = self.fleet.wait_for_master(&cluster, PATIENCE)?;
        say(&format!("The service link of {master} is cut; its management link stays"));
        self.fleet.cut(&cluster, &master)?;
        let heir = self.fleet.wait_for_other_master(&cluster, &master, PATIENCE)?;
        say(&format!("{heir} has the address"));
        self.fleet.wait_for_events(|events| events.contains("fault"), PATIENCE)?;
        self.hactl(&["status"])?;
        self.hactl(&["events", cluster.name])?;

        say("The link comes back");
        self.fleet.heal(&cluster, &master)?;
        self.fleet.wait_for_holder(&cluster, &master, PATIENCE)?;
        self.hactl(&["status"])?;
        Ok(())
    }

    fn failover_without_controller(&mut self) -> Result<()> {
        let cluster = Cluster::ams();
        say("The controller is stopped");
        self.fleet.stop_controller()?;
        let master = self.fleet.wait_for_master(&cluster, PATIENCE)?;
        say(&format!("The service link of {master} is cut: a failover needs no controller"));
        self.fleet.cut(&cluster, &master)?;
        let heir = self.fleet.wait_for_other_master(&cluster, &master, PATIENCE)?;
        let shown =
            self.fleet.node(&heir)?.host.run(&["ip", "-br", "addr", "show", "dev", "eth0"])?;
        show(
            &format!("ip -br addr show dev eth0   (on {heir})"),
            &String::from_utf8_lossy(&shown.stdout),
        );

        say("The controller is back: what happened meanwhile arrives, in order");
        self.fleet.start_controller()?;
        self.fleet.wait_for_events(|events| became_master(events, &heir), PATIENCE)?;
        self.hactl(&["events", cluster.name])?;
        say(&format!(
            "The link of {master} comes back; {heir} keeps the address, as the manifest says"
        ));
        self.fleet.heal(&cluster, &master)?;
        self.fleet.wait_for_holder(&cluster, &heir, PATIENCE)?;
        self.hactl(&["status"])?;
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the demo talks to the one who started it")]
    fn keep(&self) -> Result<()> {
        say("It stays up until you press Enter. In another terminal:");
        println!("export HACTL_CONFIG={}", self.fleet.hactl_config().display());
        println!(
            "alias hactl='ip netns exec {} {}'",
            self.fleet.controller_namespace(),
            self.fleet.hactl_program()?.display()
        );
        println!("hactl status -w");
        for NodeHost { host, .. } in self.fleet.nodes() {
            println!("ip netns exec {} ip addr    # {}", host.namespace(), host.name());
        }
        std::io::stdin().read_line(&mut String::new())?;
        Ok(())
    }
}

/// Whether the history tells that `node` became master.
fn became_master(events: &str, node: &str) -> bool {
    events.lines().any(|line| line.contains(node) && line.to_lowercase().contains("master"))
}
