//! The first screen: what needs attention, and nothing else unless asked.

use super::markup::{Symbols, Tone, tone_of, word_of};
use super::table::Table;
use super::when::{age, age_of, span};
use crate::view::{Attention, Cluster, Counts, FleetStatus, Health, Outcome, Rollout};

/// What of a status is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    /// Healthy clusters too.
    pub all: bool,
    /// A line per cluster.
    pub wide: bool,
    /// How old the status can be at most, microseconds.
    pub snapshot_age_us: u64,
}

/// Rows of what needs attention that fit on a screen of 24 lines, with the sums
/// above them. The worst come first.
const FIRST_ROWS: usize = 15;

/// The lines of a status, marked up.
#[must_use]
pub fn fleet_status(status: &FleetStatus, shown: Shown, symbols: Symbols) -> Vec<String> {
    let mut lines = vec![head(status)];
    lines.push(clusters_line(&status.counts, status.clusters.len(), symbols));
    lines.push(addresses_line(&status.counts, symbols));
    lines.extend(status.rollout.as_ref().map(rollout_line));
    lines.push(String::new());
    if shown.all || shown.wide {
        lines.extend(cluster_table(status, shown, symbols).lines(true));
        lines.push(String::new());
    }
    if !status.attention.is_empty() {
        let heading = format!("NEEDS ATTENTION ({})", status.attention.len());
        lines.push(Tone::Bold.paint(&heading));
        let rows = if shown.all { status.attention.len() } else { FIRST_ROWS };
        let (first, rest) = status.attention.split_at(rows.min(status.attention.len()));
        lines.extend(attention(first, status.at_us, symbols).lines(true));
        if !rest.is_empty() {
            lines.push(format!("  and {} more, none of them worse (--all)", rest.len()));
        }
    }
    lines.push(foot(status, shown));
    lines
}

fn head(status: &FleetStatus) -> String {
    let fleet = Tone::Bold.paint(&status.fleet);
    let revision = status.head.as_ref().map_or_else(
        || "no revision yet".to_owned(),
        |head| {
            let age = age_of(status.head_at_us, status.at_us);
            let message = match status.head_message.as_str() {
                "" => String::new(),
                message => format!(": {message:?}"),
            };
            format!("rev {} ({age}, {}{message})", head.number, status.head_author)
        },
    );
    let counts = &status.counts;
    let agents = format!("agents {}/{}", counts.nodes_online, counts.nodes);
    format!("Fleet {fleet}   {revision}   controller {}   {agents}", status.controller)
}

fn clusters_line(counts: &Counts, total: usize, symbols: Symbols) -> String {
    let parts = [
        (Health::Ok, counts.ok),
        (Health::Degraded, counts.degraded),
        (Health::Down, counts.down),
        (Health::Split, counts.split),
        (Health::Unknown, counts.unknown),
    ];
    let mut line = format!("CLUSTERS  {total:>4}");
    for (health, count) in parts {
        if count > 0 {
            let text = format!("{} {count} {}", symbols.health(health), word_of(health));
            line = format!("{line}   {}", tone_of(health).paint(&text));
        }
    }
    line
}

fn addresses_line(counts: &Counts, symbols: Symbols) -> String {
    let mut parts = vec![format!("{} served", counts.addresses_served)];
    if counts.addresses_dark > 0 {
        parts.push(Tone::Bad.paint(&format!("{} dark", counts.addresses_dark)));
    }
    if counts.addresses_twice > 0 {
        parts.push(Tone::Bad.paint(&format!("{} served twice", counts.addresses_twice)));
    }
    if counts.addresses_unknown > 0 {
        parts.push(Tone::Warn.paint(&format!("{} unknown", counts.addresses_unknown)));
    }
    let parts = parts.join(&format!(" {} ", symbols.dot()));
    format!("VIPS      {:>4}   {parts}", counts.addresses)
}

fn rollout_line(rollout: &Rollout) -> String {
    let state = match (rollout.active, rollout.outcome) {
        (true, _) => Tone::Warn.paint("under way"),
        (false, Outcome::Complete) => "complete".to_owned(),
        (false, Outcome::Offline) => Tone::Warn.paint("complete but for offline nodes"),
        (false, Outcome::Rejected) => Tone::Bad.paint("stopped at a rejection"),
        (false, Outcome::Superseded) => "superseded".to_owned(),
        (false, Outcome::None) => "ended".to_owned(),
    };
    format!("ROLLOUT   {}   {}/{} clusters   {state}", rollout.name, rollout.done, rollout.clusters)
}

fn attention(list: &[Attention], at_us: u64, symbols: Symbols) -> Table {
    let sites = list.iter().any(|line| !line.site.is_empty());
    let mut table = match sites {
        true => Table::new(&["SEV", "CLUSTER", "SITE", "WHAT", "SINCE", "NEXT"]),
        false => Table::new(&["SEV", "CLUSTER", "WHAT", "SINCE", "NEXT"]),
    }
    .indented(2);
    for line in list {
        let severity = symbols.labelled(line.severity, short(line.severity));
        let mut cells = vec![severity, line.cluster.clone()];
        if sites {
            cells.push(line.site.clone());
        }
        cells.extend([line.what.clone(), age(line.since_us, at_us), line.next.clone()]);
        table.row(cells);
    }
    table
}

/// One word, for a column.
fn short(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Unknown => "unknown",
        Health::Degraded => "degraded",
        Health::Down => "down",
        Health::Split => "SPLIT",
    }
}

/// A line per cluster; with `all` the healthy ones too.
fn cluster_table(status: &FleetStatus, shown: Shown, symbols: Symbols) -> Table {
    let mut table =
        Table::new(&["NAME", "SITE", "STATE", "MASTER", "SINCE", "PRIO", "VIPS", "REV", "AGENTS"]);
    for cluster in &status.clusters {
        if shown.all || shown.wide || cluster.health != Health::Ok {
            table.row(cluster_row(cluster, status.at_us, symbols));
        }
    }
    table
}

/// One cluster in the wide form.
pub(super) fn cluster_row(cluster: &Cluster, at_us: u64, symbols: Symbols) -> Vec<String> {
    let mut masters: Vec<&str> =
        cluster.instances.iter().flat_map(|i| i.masters.iter().map(String::as_str)).collect();
    masters.sort_unstable();
    masters.dedup();
    let since = cluster.instances.iter().map(|instance| instance.since_us).max().unwrap_or(0);
    let vips: usize = cluster.instances.iter().map(|instance| instance.addresses.len()).sum();
    vec![
        cluster.name.clone(),
        cluster.site().to_owned(),
        symbols.labelled(cluster.health, word_of(cluster.health)),
        masters.join(","),
        age(since, at_us),
        priorities(cluster, &masters),
        vips.to_string(),
        revisions(cluster),
        format!("{}/{}", cluster.online(), cluster.nodes.len()),
    ]
}

/// Priorities of the instances that are master, each once.
fn priorities(cluster: &Cluster, masters: &[&str]) -> String {
    let mut list: Vec<u32> = cluster
        .nodes
        .iter()
        .filter(|node| masters.contains(&node.name.as_str()))
        .flat_map(|node| node.instances.iter())
        .filter(|instance| instance.state == "master")
        .map(|instance| instance.priority)
        .collect();
    list.sort_unstable_by(|left, right| right.cmp(left));
    list.dedup();
    list.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// Revisions that the nodes took their plans from, each once.
fn revisions(cluster: &Cluster) -> String {
    let mut list: Vec<u64> = cluster
        .nodes
        .iter()
        .filter_map(|node| node.offered.as_ref().and_then(|offered| offered.revision))
        .collect();
    list.sort_unstable();
    list.dedup();
    list.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

fn foot(status: &FleetStatus, shown: Shown) -> String {
    let healthy = match (status.counts.ok, shown.all || shown.wide) {
        (_, true) => String::new(),
        (0, false) => String::new(),
        (1, false) => "1 healthy cluster hidden (--all). ".to_owned(),
        (count, false) => format!("{count} healthy clusters hidden (--all). "),
    };
    let age = span(shown.snapshot_age_us);
    let foot = match status.clusters.len() {
        0 => format!("No clusters yet: hactl apply -f FILE. Snapshot age {age}."),
        _ => format!("{healthy}Snapshot age {age}."),
    };
    Tone::Dim.paint(&foot)
}
