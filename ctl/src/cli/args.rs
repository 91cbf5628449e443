//! The arguments of each verb.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Since, Span, parse_label, parse_span};

/// `status`.
#[derive(Args, Clone, Debug, Default)]
pub struct Status {
    /// Only these clusters.
    #[arg(value_name = "CLUSTER")]
    pub clusters: Vec<String>,
    /// Healthy clusters too.
    #[arg(long)]
    pub all: bool,
    /// Only clusters with this label.
    #[arg(short = 'l', long, value_name = "KEY=VALUE", value_parser = parse_label)]
    pub label: Vec<(String, String)>,
    /// Show it anew whenever it changes.
    #[arg(short, long)]
    pub watch: bool,
}

/// `events`.
#[derive(Args, Clone, Debug, Default)]
pub struct Events {
    /// Only of these; `cluster/NAME` or `node/NAME` where both have the name.
    #[arg(value_name = "CLUSTER|NODE")]
    pub names: Vec<String>,
    /// Go on with new ones.
    #[arg(short, long)]
    pub follow: bool,
    /// Not older than a span (15m, 2h, 1d) or a time (2026-01-31T12:00:00Z).
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// The newest so many, 0 for all [default: 50, or all with --since].
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub limit: Option<u32>,
}

/// Kinds of objects.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Kind {
    /// The nodes that share virtual addresses.
    #[value(alias = "cluster")]
    Clusters,
    /// Machines.
    #[value(alias = "node")]
    Nodes,
    /// Virtual routers.
    #[value(alias = "instance")]
    Instances,
    /// Names and versions of secrets.
    #[value(alias = "secret")]
    Secrets,
    /// What was applied, newest first.
    #[value(alias = "revision")]
    Revisions,
}

/// `get`.
#[derive(Args, Clone, Debug)]
pub struct Get {
    /// What to list.
    #[arg(value_enum)]
    pub kind: Kind,
    /// Only these.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Only clusters with this label.
    #[arg(short = 'l', long, value_name = "KEY=VALUE", value_parser = parse_label)]
    pub label: Vec<(String, String)>,
    /// Revisions: the newest so many, 0 for all.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    pub limit: u32,
}

/// Kinds that `describe` knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Described {
    /// The nodes that share virtual addresses.
    Cluster,
    /// A machine.
    Node,
    /// A virtual router: `CLUSTER/INSTANCE`, or `INSTANCE` if there is one.
    Instance,
}

/// `describe`.
#[derive(Args, Clone, Debug)]
pub struct Describe {
    /// What kind of object.
    #[arg(value_enum)]
    pub kind: Described,
    /// Its name.
    pub name: String,
}

/// Where manifests come from.
#[derive(Args, Clone, Debug, Default)]
pub struct Files {
    /// File, directory (all .yaml, .yml and .json under it) or - for stdin.
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR|-", required = true)]
    pub files: Vec<PathBuf>,
}

/// `validate`.
#[derive(Args, Clone, Debug)]
pub struct Validate {
    /// Where manifests come from.
    #[command(flatten)]
    pub files: Files,
    /// The files are the whole wish: a secret that they do not hold is a
    /// mistake.
    #[arg(long)]
    pub replace: bool,
}

/// `plan`.
#[derive(Args, Clone, Debug)]
pub struct Plan {
    /// Where manifests come from.
    #[command(flatten)]
    pub files: Files,
    /// The files are the whole wish: what is not in them is deleted.
    #[arg(long)]
    pub replace: bool,
}

/// `diff`.
#[derive(Args, Clone, Debug)]
pub struct Diff {
    /// Revision before, and after [default: the newest].
    #[arg(value_name = "REVISION", num_args = 0..=2)]
    pub revisions: Vec<u64>,
    /// File, directory or -: what applying them would change.
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR|-", conflicts_with = "revisions")]
    pub files: Vec<PathBuf>,
    /// The files are the whole wish: what is not in them is deleted.
    #[arg(long, requires = "files")]
    pub replace: bool,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum ProgressForm {
    /// Live on a terminal, one line per change elsewhere.
    #[default]
    Auto,
    /// One line per change.
    Plain,
    /// One JSON document per change.
    Json,
}

/// `apply`.
#[derive(Args, Clone, Debug)]
pub struct Apply {
    /// Where manifests come from.
    #[command(flatten)]
    pub files: Files,
    /// Why; kept with the revision.
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    pub message: String,
    /// The files are the whole wish: what is not in them is deleted.
    #[arg(long)]
    pub replace: bool,
    /// Show what would change and stop there; the same as `hactl plan`.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// How to watch the rollout.
    #[command(flatten)]
    pub follow: Follow,
}

/// How a rollout is watched.
#[derive(Args, Clone, Debug)]
pub struct Follow {
    /// Wait until the nodes have reported.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1,
          default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub wait: bool,
    /// Stop watching after this long (30s, 5m); the rollout goes on.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    pub timeout: Option<Span>,
    /// How progress is shown.
    #[arg(long, value_enum, value_name = "FORM", default_value = "auto")]
    pub progress: ProgressForm,
}

/// `rollout`.
#[derive(Clone, Debug, Subcommand)]
pub enum Rollout {
    /// Follow a rollout to its end, or tell how it ended.
    #[command(after_help = "Examples:\n  \
        hactl rollout status\n  \
        hactl rollout status r-42 --timeout 5m\n  \
        hactl rollout status --progress json")]
    Status(RolloutStatus),
}

/// `rollout status`.
#[derive(Args, Clone, Debug)]
pub struct RolloutStatus {
    /// Which [default: the newest].
    #[arg(value_name = "ROLLOUT", default_value = "", hide_default_value = true)]
    pub rollout: String,
    /// How to watch it.
    #[command(flatten)]
    pub follow: Follow,
}

/// `render`.
#[derive(Args, Clone, Debug)]
pub struct Render {
    /// The node; not needed with --local.
    #[arg(value_name = "NODE")]
    pub node: Option<String>,
    /// Of this revision [default: the newest].
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    pub revision: u64,
}

/// `node`.
#[derive(Clone, Debug, Subcommand)]
pub enum Node {
    /// Make a token that lets one node join once.
    #[command(after_help = "Examples:\n  \
        hactl node join-token fra-lb1\n  \
        hactl node join-token fra-lb1 --ttl 1h\n  \
        hactl node join-token fra-lb1 -o json")]
    JoinToken(JoinToken),
    /// List nodes; the same as `hactl get nodes`.
    #[command(after_help = "Examples:\n  \
        hactl node list\n  \
        hactl node list -o wide\n  \
        hactl node list -o name")]
    List,
}

/// `node join-token`.
#[derive(Args, Clone, Debug)]
pub struct JoinToken {
    /// The node that may join with it.
    pub node: String,
    /// How long it is good for.
    #[arg(long, value_name = "SPAN", value_parser = parse_span, default_value = "15m")]
    pub ttl: Span,
}

/// `context`.
#[derive(Clone, Debug, Subcommand)]
pub enum Context {
    /// List contexts.
    #[command(
        after_help = "Examples:\n  hactl context list\n  hactl context list -o json\n  hactl context list -o name"
    )]
    List,
    /// Make a context the current one.
    #[command(
        after_help = "Examples:\n  hactl context use prod\n  hactl context use lab\n  hactl --context lab status"
    )]
    Use(ContextUse),
    /// Add a context, or replace one.
    #[command(after_help = "Examples:\n  \
        hactl context add prod --fleet prod --controller ctl.example.net:7443 --ca ca.pem --cert ops.pem --key ops.key\n  \
        hactl context add lab --fleet lab --controller 127.0.0.1:7443 --ca ca.pem --cert me.pem --key me.key\n  \
        hactl context list")]
    Add(ContextAdd),
    /// Show a context.
    #[command(
        after_help = "Examples:\n  hactl context show\n  hactl context show prod\n  hactl context show -o json"
    )]
    Show(ContextShow),
}

/// `context use`.
#[derive(Args, Clone, Debug)]
pub struct ContextUse {
    /// Which.
    pub name: String,
}

/// `context add`.
#[derive(Args, Clone, Debug)]
pub struct ContextAdd {
    /// What to call it.
    pub name: String,
    /// Name of the fleet.
    #[arg(long)]
    pub fleet: String,
    /// Address of the controller.
    #[arg(long, value_name = "HOST:PORT")]
    pub controller: String,
    /// Certificate of the fleet's CA.
    #[arg(long, value_name = "PEM")]
    pub ca: PathBuf,
    /// Your certificate.
    #[arg(long, value_name = "PEM")]
    pub cert: PathBuf,
    /// Its key.
    #[arg(long, value_name = "PEM")]
    pub key: PathBuf,
}

/// `context show`.
#[derive(Args, Clone, Debug)]
pub struct ContextShow {
    /// Which [default: the current one].
    pub name: Option<String>,
}

/// `init`.
#[derive(Args, Clone, Debug)]
pub struct Init {
    /// Name of the fleet.
    #[arg(long)]
    pub fleet: String,
    /// Directory for the CA and the controller's certificate.
    #[arg(long, value_name = "DIR")]
    pub pki: PathBuf,
    /// Where agents and hactl reach the controller.
    #[arg(long, value_name = "HOST:PORT")]
    pub controller_address: String,
    /// Name of the first administrator.
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub user: String,
}

/// `explain`.
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// The code, such as E1207.
    #[arg(required_unless_present = "list")]
    pub code: Option<String>,
    /// All codes.
    #[arg(long)]
    pub list: bool,
}

/// `completion`.
#[derive(Args, Clone, Debug)]
pub struct Completion {
    /// For which shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `help`.
#[derive(Args, Clone, Debug)]
pub struct Help {
    /// A command, or `exit-codes`.
    #[arg(value_name = "COMMAND")]
    pub topic: Vec<String>,
}
