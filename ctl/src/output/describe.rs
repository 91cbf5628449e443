//! Everything about one object.

use super::list::{connection, plan_word};
use super::markup::{Symbols, Tone, word_of};
use super::table::Table;
use super::when::{age, age_of};
use crate::view::{Cluster, ClusterNode, Instance, Node, NodeInstance, OfferedPlan, PlanPhase};

fn heading(text: &str) -> String {
    Tone::Bold.paint(text)
}

fn section(lines: &mut Vec<String>, title: &str, table: Option<Table>) {
    lines.push(String::new());
    lines.push(heading(title));
    match table {
        Some(table) => lines.extend(table.indented(2).lines(true)),
        None => lines.push("  none".to_owned()),
    }
}

/// A cluster: what is wrong, its virtual routers, its nodes.
#[must_use]
pub fn describe_cluster(cluster: &Cluster, at_us: u64, symbols: Symbols) -> Vec<String> {
    let state = symbols.labelled(cluster.health, word_of(cluster.health));
    let mut lines = vec![format!("Cluster {}   {state}", heading(&cluster.name))];
    if !cluster.labels.is_empty() {
        let labels: Vec<String> =
            cluster.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        lines.push(format!("labels {}", labels.join(" ")));
    }
    if !cluster.findings.is_empty() {
        let mut table = Table::new(&["SEV", "WHAT", "SINCE", "NEXT"]);
        for finding in &cluster.findings {
            table.row([
                symbols.labelled(finding.severity, word_of(finding.severity)),
                finding.what.clone(),
                age(finding.since_us, at_us),
                finding.next.clone(),
            ]);
        }
        section(&mut lines, "NEEDS ATTENTION", Some(table));
    }
    section(&mut lines, "INSTANCES", cluster_instances(cluster, at_us));
    section(&mut lines, "NODES", cluster_nodes(cluster, at_us, symbols));
    lines
}

fn cluster_instances(cluster: &Cluster, at_us: u64) -> Option<Table> {
    let mut table = Table::new(&["NAME", "VRID", "MASTER", "SINCE", "ADDRESSES"]);
    for instance in &cluster.instances {
        table.row([
            instance.name.clone(),
            instance.vrid.to_string(),
            masters(instance),
            age(instance.since_us, at_us),
            instance.addresses.join(" "),
        ]);
    }
    (!cluster.instances.is_empty()).then_some(table)
}

fn masters(instance: &Instance) -> String {
    match instance.masters.as_slice() {
        [] => Tone::Bad.paint("none"),
        [one] => one.clone(),
        many => Tone::Bad.paint(&many.join(" AND ")),
    }
}

fn cluster_nodes(cluster: &Cluster, at_us: u64, symbols: Symbols) -> Option<Table> {
    let mut table = Table::new(&["NAME", "CONNECTION", "HEARD", "PLAN", "INSTANCES", "AGENT"]);
    for node in &cluster.nodes {
        let phase = node.offered.as_ref().map(|offered| offered.phase);
        let states: Vec<String> =
            node.instances.iter().map(|i| format!("{} {}", i.name, state(&i.state))).collect();
        table.row([
            node.name.clone(),
            connection(node.connection, symbols),
            age_of(node.heard_at_us, at_us),
            plan_word(node.wanted.as_ref(), node.running.as_ref(), phase),
            states.join(", "),
            node.agent_version.clone(),
        ]);
    }
    (!cluster.nodes.is_empty()).then_some(table)
}

/// A state of a virtual router, in its tone.
pub(super) fn state(state: &str) -> String {
    match state {
        "master" => Tone::Good.paint("MASTER"),
        "fault" => Tone::Bad.paint("FAULT"),
        other => other.to_owned(),
    }
}

/// A node: its connection, its plan, its virtual routers. `member` is none for
/// a node that no cluster names.
#[must_use]
pub fn describe_node(
    node: &Node,
    member: Option<&ClusterNode>,
    at_us: u64,
    symbols: Symbols,
) -> Vec<String> {
    let cluster = match node.cluster.as_str() {
        "" => "in no cluster".to_owned(),
        cluster => format!("cluster {cluster}"),
    };
    let mut lines = vec![
        format!("Node {}   {cluster}", heading(&node.name)),
        format!(
            "connection   {}, heard {}",
            connection(node.connection, symbols),
            age_of(node.heard_at_us, at_us)
        ),
        format!("agent        {}", or_none(&node.agent_version, symbols)),
    ];
    if node.certificate_expires_at_us > 0 {
        let expires = node.certificate_expires_at_us;
        lines.push(if expires > at_us {
            format!("certificate  ends in {}", age(at_us, expires))
        } else {
            format!("certificate  {}", Tone::Bad.paint("expired"))
        });
    }
    if node.duplicate_streams > 0 {
        let text = format!("{} streams with its identity were refused", node.duplicate_streams);
        lines.push(format!("duplicates   {}", Tone::Bad.paint(&text)));
    }
    let phase = node.offered.as_ref().map(|offered| offered.phase);
    let plan = plan_word(node.wanted.as_ref(), node.running.as_ref(), phase);
    lines.push(format!(
        "plan         {}, generation {}",
        or_none(&plan, symbols),
        node.running
            .as_ref()
            .map_or_else(|| symbols.none().to_owned(), |plan| plan.generation.to_string())
    ));
    lines.extend(node.offered.as_ref().into_iter().flat_map(rejection));
    if let Some(member) = member {
        section(&mut lines, "INSTANCES", node_instances(&member.instances, at_us));
        lines.extend(member.instances.iter().flat_map(|instance| trouble(instance, at_us)));
    }
    lines
}

fn or_none(text: &str, symbols: Symbols) -> String {
    if text.is_empty() { symbols.none().to_owned() } else { text.to_owned() }
}

/// Why the newest plan was not taken.
pub(super) fn rejection(offered: &OfferedPlan) -> Vec<String> {
    match offered.phase {
        PlanPhase::Rejected | PlanPhase::RolledBack => offered
            .errors
            .iter()
            .map(|error| {
                let code = Tone::Bad.paint(&error.code);
                let place = match error.path.as_str() {
                    "" => String::new(),
                    path => format!(" ({path})"),
                };
                format!("             {code}: {}{place}", error.message)
            })
            .collect(),
        PlanPhase::Unknown
        | PlanPhase::Received
        | PlanPhase::Prepared
        | PlanPhase::Applied
        | PlanPhase::Healthy => Vec::new(),
    }
}

/// The virtual routers of one node.
pub(super) fn node_instances(instances: &[NodeInstance], at_us: u64) -> Option<Table> {
    let mut table =
        Table::new(&["NAME", "INTERFACE", "VRID", "STATE", "SINCE", "PRIO", "HELD", "HEARS"]);
    for instance in instances {
        let hears: Vec<String> = instance
            .masters_seen
            .iter()
            .map(|seen| format!("{} prio {}", seen.address, seen.priority))
            .collect();
        table.row([
            instance.name.clone(),
            instance.interface.clone(),
            instance.vrid.to_string(),
            state(&instance.state),
            age(instance.since_us, at_us),
            instance.priority.to_string(),
            instance.addresses_held.join(" "),
            hears.join(", "),
        ]);
    }
    (!instances.is_empty()).then_some(table)
}

/// What is wrong with an instance of a node.
pub(super) fn trouble(instance: &NodeInstance, at_us: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for fault in &instance.faults {
        let since = age(instance.since_us, at_us);
        lines.push(format!("  {}: {} for {since}", instance.name, Tone::Bad.paint(fault)));
    }
    if instance.state == "master" {
        for seen in &instance.masters_seen {
            let other = Tone::Bad.paint("another MASTER");
            lines.push(format!("  {}: {other} at {}", instance.name, seen.address));
        }
    }
    for address in &instance.addresses_failed {
        let lost = Tone::Bad.paint("address missing");
        lines.push(format!("  {}: {lost}: {address}", instance.name));
    }
    lines
}

/// A virtual router on every node of its cluster.
#[must_use]
pub fn describe_instance(
    cluster: &Cluster,
    instance: &Instance,
    at_us: u64,
    symbols: Symbols,
) -> Vec<String> {
    let mut lines = vec![
        format!("Instance {}   cluster {}", heading(&instance.name), cluster.name),
        format!("vrid       {}", instance.vrid),
        format!("addresses  {}", instance.addresses.join(" ")),
        format!("master     {} since {}", masters(instance), age_of(instance.since_us, at_us)),
    ];
    let mut table =
        Table::new(&["NODE", "STATE", "SINCE", "PRIO", "INTERFACE", "HEARS", "STATUS AGE"]);
    let mut counters = Table::new(&["NODE", "COUNTERS SINCE THE AGENT STARTED"]);
    let mut wrong = Vec::new();
    for node in &cluster.nodes {
        let Some(here) = node.instances.iter().find(|here| here.name == instance.name) else {
            let unknown = connection(node.connection, symbols);
            let heard = age_of(node.heard_at_us, at_us);
            table.row([
                node.name.clone(),
                unknown,
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                heard,
            ]);
            continue;
        };
        let hears: Vec<&str> = here.masters_seen.iter().map(|seen| seen.address.as_str()).collect();
        table.row([
            node.name.clone(),
            state(&here.state),
            age(here.since_us, at_us),
            here.priority.to_string(),
            here.interface.clone(),
            hears.join(", "),
            age(node.heard_at_us, at_us),
        ]);
        let nonzero: Vec<String> = here
            .counters
            .iter()
            .filter(|(_, value)| **value > 0)
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        counters.row([node.name.clone(), nonzero.join(", ")]);
        wrong.extend(trouble(here, at_us).iter().map(|line| format!("{line} ({})", node.name)));
    }
    section(&mut lines, "NODES", Some(table));
    lines.extend(wrong);
    section(&mut lines, "COUNTERS", Some(counters));
    lines
}
