//! The command line of `ha-controller`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use ha_telemetry::LogFormat;

/// The controller of a fleet: holds its wish, hands every node its part, and
/// hears what became of it.
#[derive(Debug, Parser)]
#[command(name = "ha-controller", version)]
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
    /// SIGTERM and SIGINT stop it. The nodes go on without it.
    Run(RunArgs),
    /// Look after the store of a controller that does not run.
    #[command(subcommand)]
    Store(StoreCommand),
}

/// Arguments of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The fleet's CA and the controller's certificate, as `hactl init` makes
    /// them.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ha-controller/pki")]
    pub pki: PathBuf,
    /// Everything that the controller keeps.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ha-controller")]
    pub state_dir: PathBuf,
    /// Where agents and people connect. With port 0 the system picks one; the
    /// address is in listen.addr in the state directory.
    #[arg(long, value_name = "ADDR:PORT", default_value = "[::]:7443")]
    pub listen: SocketAddr,
    /// Serve metrics for Prometheus here.
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,
    /// Export traces to this collector.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Form of log lines: text or json.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Look for damage; change nothing. Fails if there is any.
    Verify(StoreArgs),
    /// Make the index anew from the journal.
    Rebuild(StoreArgs),
}

/// Which store.
#[derive(Args, Clone, Debug)]
pub struct StoreArgs {
    /// As given to `run`.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ha-controller")]
    pub state_dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
