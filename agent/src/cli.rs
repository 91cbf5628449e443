//! The command line of `ha-agent`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use ha_certs::certificate::Fingerprint;
use ha_model::ids::NodeName;
use ha_telemetry::LogFormat;

use crate::node::source::Files;

/// VRRP on one node, with or without a controller.
#[derive(Debug, Parser)]
#[command(name = "ha-agent", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run in the foreground; log to standard error.
    ///
    /// SIGTERM and SIGINT stop for good, SIGUSR2 stops so that the next process
    /// goes on as master, SIGHUP reads the plan again.
    ///
    /// Without a controller the plan comes from files of this machine. With
    /// one, the last plan runs from the state directory until it offers
    /// another.
    Run(RunArgs),
    /// Read a plan of this machine, say what is wrong with it, and run nothing.
    Check(CheckArgs),
    /// Join a fleet: a one-time token against a certificate.
    Enroll(EnrollArgs),
    /// Remove the virtual addresses that an agent left behind.
    Release(ReleaseArgs),
}

/// Plans of this machine.
#[derive(Args, Clone, Debug)]
pub struct OfflineArgs {
    /// Run what the manifests in this directory say for --node.
    #[arg(long, value_name = "DIR", requires = "node")]
    pub manifest: Option<PathBuf>,
    /// Name of this node in the manifests.
    #[arg(long, value_name = "NAME", requires = "manifest", conflicts_with = "plan")]
    pub node: Option<NodeName>,
    /// Run the plan document in this file.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Values of the secrets that the plan names: a JSON list of objects with
    /// name, version and value.
    #[arg(long, value_name = "FILE", requires = "plan", conflicts_with = "manifest")]
    pub secrets: Option<PathBuf>,
}

impl OfflineArgs {
    /// The files, if any are given.
    #[must_use]
    pub fn files(&self) -> Option<Files> {
        let Self { manifest, node, plan, secrets } = self.clone();
        match (manifest, node, plan) {
            (Some(dir), Some(node), _) => Some(Files::Manifest { dir, node }),
            (None, _, Some(plan)) => Some(Files::Plan { plan, secrets }),
            (Some(_), None, _) | (None, _, None) => None,
        }
    }
}

/// Arguments of `check`.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("source").required(true).args(["manifest", "plan"])))]
pub struct CheckArgs {
    /// The plan.
    #[command(flatten)]
    pub offline: OfflineArgs,
}

/// Arguments of `enroll`.
#[derive(Args, Clone)]
pub struct EnrollArgs {
    /// The controller.
    #[arg(long, value_name = "HOST:PORT")]
    pub controller: String,
    /// Name of this node in the manifests.
    #[arg(long, value_name = "NAME")]
    pub node: NodeName,
    /// As `hactl node join-token` printed it.
    #[arg(long, value_name = "TOKEN", env = "HA_JOIN_TOKEN", hide_env_values = true)]
    pub token: String,
    /// SHA-256 of the fleet CA's certificate, as `hactl node join-token`
    /// printed it: nobody else is believed.
    #[arg(long, value_name = "HEX")]
    pub ca_sha256: Fingerprint,
    /// Where the key and the certificate go, in pki/.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ha-agent")]
    pub state_dir: PathBuf,
}

impl fmt::Debug for EnrollArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollArgs")
            .field("controller", &self.controller)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// Arguments of `run`.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("source").required(true).args(["controller", "manifest", "plan"])))]
pub struct RunArgs {
    /// Take plans from this controller.
    // Named one by one: clap drops a `requires` whose target is in conflict.
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["node", "secrets"])]
    pub controller: Option<String>,
    /// Plans of this machine.
    #[command(flatten)]
    pub offline: OfflineArgs,
    /// What must outlive a reboot.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ha-agent")]
    pub state_dir: PathBuf,
    /// What must not: on a tmpfs.
    #[arg(long, value_name = "DIR", default_value = "/run/ha-agent")]
    pub run_dir: PathBuf,
    /// Unix socket for `hactl --local`.
    #[arg(long, value_name = "PATH", default_value = "/run/ha-agent/local.sock")]
    pub local_socket: PathBuf,
    /// Serve metrics for Prometheus here.
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,
    /// How to observe the program.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// Logs and traces.
#[derive(Args, Clone, Debug)]
pub struct ObserveArgs {
    /// Export traces to this collector.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Form of log lines: text or json.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// Arguments of `release`.
#[derive(Args, Clone, Debug)]
pub struct ReleaseArgs {
    /// As given to `run`.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ha-agent")]
    pub state_dir: PathBuf,
    /// As given to `run`.
    #[arg(long, value_name = "DIR", default_value = "/run/ha-agent")]
    pub run_dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_plan_has_exactly_one_source() {
        let run = |args: &str| {
            Cli::try_parse_from(format!("ha-agent run {args}").split_whitespace()).is_ok()
        };
        assert!(run("--controller c:1"));
        assert!(run("--manifest d --node n"));
        assert!(run("--plan p") && run("--plan p --secrets s"));
        assert!(!run(""));
        assert!(!run("--controller c:1 --plan p"));
        for half in [
            "--manifest d",
            "--node n",
            "--secrets s",
            "--controller c:1 --secrets s",
            "--controller c:1 --node n",
            "--plan p --node n",
            "--manifest d --node n --secrets s",
        ] {
            assert!(!run(half), "{half}");
        }
    }
}
