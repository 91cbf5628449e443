//! The command line as it is typed. Nothing here touches a file or a socket.

mod args;
mod value;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use args::*;
pub use value::{Since, Span, parse_label, parse_span};

use crate::output::Format;

/// The command line of hafleet: virtual routers, managed as a fleet.
#[derive(Debug, Parser)]
#[command(
    name = "hactl",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        hactl status\n  \
        hactl apply -f fleet/ -m \"add the web address\"\n  \
        hactl events -f fra-web\n\n\
        Exit codes: hactl help exit-codes. Error codes: hactl explain --list."
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Form of the output.
    #[arg(short, long, value_enum, global = true, value_name = "FORM")]
    pub output: Option<Format>,
    /// Context to use [env: HACTL_CONTEXT]; default: the current one.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Ask the agent on this node through its socket, not the controller.
    #[arg(long, global = true, value_name = "SOCKET")]
    pub local: Option<PathBuf>,
    /// Symbols and lines in plain ASCII.
    #[arg(long, global = true)]
    pub ascii: bool,
    /// Tables without their header line.
    #[arg(long, global = true)]
    pub no_headers: bool,
    /// Send traces to this collector [env: OTEL_EXPORTER_OTLP_ENDPOINT].
    #[arg(long, global = true, value_name = "URL")]
    pub otlp: Option<String>,
}

/// All verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what needs attention in the fleet.
    #[command(after_help = "Examples:\n  \
        hactl status\n  \
        hactl status --all -l site=fra\n  \
        hactl status -w\n\n\
        Exit code 0: all is well. 3: something needs attention.")]
    Status(Status),
    /// Show what happened, oldest first.
    #[command(after_help = "Examples:\n  \
        hactl events --since 1h\n  \
        hactl events -f fra-web\n  \
        hactl events fra-lb1 --limit 20 -o json")]
    Events(Events),
    /// List objects.
    #[command(after_help = "Examples:\n  \
        hactl get nodes\n  \
        hactl get clusters -l site=fra -o wide\n  \
        hactl get revisions -o json")]
    Get(Get),
    /// Show everything about one object.
    #[command(after_help = "Examples:\n  \
        hactl describe cluster fra-web\n  \
        hactl describe node fra-lb1\n  \
        hactl describe instance fra-web/web")]
    Describe(Describe),
    /// Check manifests on this machine; asks nobody.
    #[command(after_help = "Examples:\n  \
        hactl validate -f fleet/\n  \
        hactl validate -f web.yaml -f dns.yaml\n  \
        cat web.yaml | hactl validate -f -")]
    Validate(Validate),
    /// Show what apply would change, node by node.
    #[command(after_help = "Examples:\n  \
        hactl plan -f fleet/\n  \
        hactl plan -f fleet/ --replace\n  \
        hactl plan -f web.yaml -o json\n\n\
        Exit code 0: no change. 10: there are changes.")]
    Plan(Plan),
    /// Show each changed field, or what changed between two revisions.
    #[command(after_help = "Examples:\n  \
        hactl diff -f fleet/\n  \
        hactl diff 41 43\n  \
        hactl diff 41\n\n\
        Exit code 0: no change. 10: there are changes.")]
    Diff(Diff),
    /// Store manifests as a new revision and roll it out.
    #[command(after_help = "Examples:\n  \
        hactl apply -f fleet/ -m \"add the web address\"\n  \
        hactl apply -f fleet/ --replace -y --timeout 5m\n  \
        hactl apply -f web.yaml --wait=false\n\n\
        Ctrl-C stops watching; the rollout goes on.")]
    Apply(Apply),
    /// Follow a rollout.
    #[command(subcommand, arg_required_else_help = true)]
    Rollout(Rollout),
    /// Print the plan document of a node.
    #[command(after_help = "Examples:\n  \
        hactl render fra-lb1\n  \
        hactl render fra-lb1 --revision 41\n  \
        hactl render fra-lb1 -o json > plan.json")]
    Render(Render),
    /// Let nodes join, and list them.
    #[command(subcommand, arg_required_else_help = true)]
    Node(Node),
    /// Choose the controller to talk to.
    #[command(subcommand, arg_required_else_help = true)]
    Context(Context),
    /// Make a fleet: its CA, the controller's certificate and a context.
    ///
    /// Runs on the controller's machine. The context is called as --context
    /// says, or like the fleet.
    #[command(after_help = "Examples:\n  \
        hactl init --fleet prod --pki /etc/hafleet/pki --controller-address ctl.example.net:7443\n  \
        hactl init --fleet lab --pki ./pki --controller-address 127.0.0.1:7443 --context lab\n  \
        hactl init --fleet prod --pki ./pki --controller-address 192.0.2.1:7443 --user ops")]
    Init(Init),
    /// Explain an error code.
    #[command(after_help = "Examples:\n  \
        hactl explain E1207\n  \
        hactl explain --list\n  \
        hactl explain --list -o json")]
    Explain(Explain),
    /// Print a completion script for a shell.
    #[command(after_help = "Examples:\n  \
        source <(hactl completion bash)\n  \
        hactl completion zsh > ~/.zfunc/_hactl\n  \
        hactl completion fish > ~/.config/fish/completions/hactl.fish")]
    Completion(Completion),
    /// Print the version.
    #[command(
        after_help = "Examples:\n  hactl version\n  hactl version -o json\n  hactl --version"
    )]
    Version,
    /// Explain a command, or the exit codes.
    #[command(after_help = "Examples:\n  \
        hactl help exit-codes\n  \
        hactl help apply\n  \
        hactl help node join-token")]
    Help(Help),
}
