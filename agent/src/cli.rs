//! The command line of `ha-agent`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ha_telemetry::LogFormat;

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
    Run(RunArgs),
    /// Read a plan, say what is wrong with it, and run nothing.
    Check(PlanArgs),
    /// Remove the virtual addresses that an agent left behind.
    Release(ReleaseArgs),
}

/// Where the plan comes from.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// Run the plan document in this file.
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
}

/// Arguments of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Where the plan comes from.
    #[command(flatten)]
    pub plan: PlanArgs,
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
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
