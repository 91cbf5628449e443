//! Lists of objects.

use super::markup::{Symbols, Tone, word_of};
use super::status::cluster_row;
use super::table::Table;
use super::when::{age, age_of, clock};
use crate::exit::Exit;
use crate::view::{
    Cluster, Connection, ContextView, FleetStatus, Health, JoinToken, Node, PlanPhase, PlanRef,
    Revision, Secret,
};

/// Clusters.
#[must_use]
pub fn clusters(status: &FleetStatus, wide: bool, symbols: Symbols) -> Table {
    if wide {
        let mut table = Table::new(&[
            "NAME", "SITE", "STATE", "MASTER", "SINCE", "PRIO", "VIPS", "REV", "AGENTS",
        ]);
        for cluster in &status.clusters {
            table.row(cluster_row(cluster, status.at_us, symbols));
        }
        return table;
    }
    let mut table = Table::new(&["NAME", "STATE", "MASTER", "INSTANCES", "AGENTS"]);
    for cluster in &status.clusters {
        table.row([
            cluster.name.clone(),
            symbols.labelled(cluster.health, word_of(cluster.health)),
            masters(cluster),
            cluster.instances.len().to_string(),
            format!("{}/{}", cluster.online(), cluster.nodes.len()),
        ]);
    }
    table
}

fn masters(cluster: &Cluster) -> String {
    let mut masters: Vec<&str> =
        cluster.instances.iter().flat_map(|i| i.masters.iter().map(String::as_str)).collect();
    masters.sort_unstable();
    masters.dedup();
    masters.join(",")
}

/// A connection as symbol and word.
pub(super) fn connection(connection: Connection, symbols: Symbols) -> String {
    match connection {
        Connection::Online => symbols.labelled(Health::Ok, "online"),
        Connection::Unknown => symbols.labelled(Health::Unknown, "unknown"),
        Connection::Never => symbols.labelled(Health::Degraded, "never enrolled"),
    }
}

/// How far a node's plan is, in one word.
pub(super) fn plan_word(
    wanted: Option<&PlanRef>,
    running: Option<&PlanRef>,
    phase: Option<PlanPhase>,
) -> String {
    match (wanted, running, phase) {
        (None, None, _) => String::new(),
        (_, _, Some(PlanPhase::Rejected)) => Tone::Bad.paint("REJECTED"),
        (Some(wanted), Some(running), _) if wanted == running => "current".to_owned(),
        (Some(_), _, _) => Tone::Warn.paint("behind"),
        (None, Some(_), _) => Tone::Warn.paint("not wanted"),
    }
}

/// Nodes. `now_us` is this machine's clock: the list has none of its own.
#[must_use]
pub fn nodes(nodes: &[Node], wide: bool, now_us: u64, symbols: Symbols) -> Table {
    let mut header = vec!["NAME", "CLUSTER", "CONNECTION", "HEARD", "PLAN"];
    if wide {
        header.extend(["GENERATION", "AGENT", "CERT ENDS", "REFUSED"]);
    }
    let mut table = Table::new(&header);
    for node in nodes {
        let phase = node.offered.as_ref().map(|offered| offered.phase);
        let mut cells = vec![
            node.name.clone(),
            node.cluster.clone(),
            connection(node.connection, symbols),
            age_of(node.heard_at_us, now_us),
            plan_word(node.wanted.as_ref(), node.running.as_ref(), phase),
        ];
        if wide {
            cells.extend([
                node.running.as_ref().map_or_else(String::new, |plan| plan.generation.to_string()),
                node.agent_version.clone(),
                certificate(node.certificate_expires_at_us, now_us),
                node.duplicate_streams.to_string(),
            ]);
        }
        table.row(cells);
    }
    table
}

fn certificate(expires_at_us: u64, now_us: u64) -> String {
    match expires_at_us {
        0 => String::new(),
        past if past <= now_us => Tone::Bad.paint("expired"),
        future => format!("in {}", age(now_us, future)),
    }
}

/// Virtual routers.
#[must_use]
pub fn instances(status: &FleetStatus, wide: bool, symbols: Symbols) -> Table {
    let mut header = vec!["CLUSTER", "NAME", "VRID", "STATE", "MASTER", "SINCE"];
    if wide {
        header.push("ADDRESSES");
    }
    let mut table = Table::new(&header);
    for cluster in &status.clusters {
        for instance in &cluster.instances {
            let health = cluster.health_of(instance);
            let mut cells = vec![
                cluster.name.clone(),
                instance.name.clone(),
                instance.vrid.to_string(),
                symbols.labelled(health, word_of(health)),
                instance.masters.join(","),
                age(instance.since_us, status.at_us),
            ];
            if wide {
                cells.push(instance.addresses.join(" "));
            }
            table.row(cells);
        }
    }
    table
}

/// Secrets.
#[must_use]
pub fn secrets(secrets: &[Secret]) -> Table {
    let mut table = Table::new(&["NAME", "VERSION"]);
    for secret in secrets {
        table.row([secret.name.clone(), secret.version.to_string()]);
    }
    table
}

/// Revisions.
#[must_use]
pub fn revisions(revisions: &[Revision], wide: bool) -> Table {
    let mut header = vec!["REVISION", "APPLIED", "AUTHOR", "MESSAGE"];
    if wide {
        header.extend(["EPOCH", "SHA256"]);
    }
    let mut table = Table::new(&header);
    for revision in revisions {
        let mut cells = vec![
            revision.id.number.to_string(),
            clock(revision.at_us),
            revision.author.clone(),
            revision.message.clone(),
        ];
        if wide {
            cells.extend([revision.id.epoch.clone(), revision.id.sha256.clone()]);
        }
        table.row(cells);
    }
    table
}

/// Contexts.
#[must_use]
pub fn contexts(contexts: &[ContextView], wide: bool) -> Table {
    let mut header = vec!["CURRENT", "NAME", "FLEET", "CONTROLLER"];
    if wide {
        header.extend(["CA", "CERT", "KEY"]);
    }
    let mut table = Table::new(&header);
    for context in contexts {
        let mut cells = vec![
            if context.current { "*" } else { "" }.to_owned(),
            context.name.clone(),
            context.fleet.clone(),
            context.controller.clone(),
        ];
        if wide {
            cells.extend([context.ca.clone(), context.cert.clone(), context.key.clone()]);
        }
        table.row(cells);
    }
    table
}

/// One context.
#[must_use]
pub fn context(context: &ContextView) -> Vec<String> {
    let current = if context.current { " (current)" } else { "" };
    vec![
        format!("{}{current}", Tone::Bold.paint(&context.name)),
        format!("  fleet       {}", context.fleet),
        format!("  controller  {}", context.controller),
        format!("  ca          {}", context.ca),
        format!("  cert        {}", context.cert),
        format!("  key         {}", context.key),
    ]
}

/// A token, and what to do with it.
#[must_use]
pub fn join_token(token: &JoinToken) -> Vec<String> {
    vec![
        Tone::Dim.paint(&format!(
            "# On {}, as root, before {}. The token is good once.",
            token.node,
            clock(token.expires_at_us)
        )),
        token.command.clone(),
    ]
}

/// Exit codes.
#[must_use]
pub fn exit_codes() -> Table {
    let mut table = Table::new(&["CODE", "MEANING"]);
    for exit in Exit::ALL {
        table.row([exit.code().to_string(), exit.meaning().to_owned()]);
    }
    table
}

/// Error codes with their titles.
#[must_use]
pub fn codes<'a>(codes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Table {
    let mut table = Table::new(&["CODE", "MEANING"]);
    for (code, title) in codes {
        table.row([code.to_owned(), title.to_owned()]);
    }
    table
}

/// A new fleet, and what to do next.
#[must_use]
pub fn fleet_made(
    fleet: &str,
    context: &str,
    pki: &str,
    ca_sha256: &str,
    files: &[String],
) -> Vec<String> {
    let mut lines =
        vec![format!("fleet {} is made; its CA has the SHA-256", Tone::Bold.paint(fleet))];
    lines.push(format!("  {ca_sha256}"));
    lines.push("files:".to_owned());
    lines.extend(files.iter().map(|file| format!("  {file}")));
    lines.push("next:".to_owned());
    lines.push(format!("  ha-controller run --pki {pki} --state-dir DIR --listen ADDR:PORT"));
    lines.push(format!("  hactl --context {context} status"));
    lines
}
