//! The state of the fleet and of one agent.

use std::collections::BTreeMap;

use ha_proto::v1;

use super::{offered, plan_ref, progress, revision_ref};
use crate::view::{
    Attention, Cluster, ClusterNode, Connection, Counts, Finding, FleetStatus, Health, Instance,
    LocalStatus, NodeInstance, Rollout, Seen, Session, Uplink,
};

/// What `status` shows.
pub(in crate::client) fn fleet_status(uplink: &Uplink, status: v1::StatusResponse) -> FleetStatus {
    let mut clusters: Vec<Cluster> = status.clusters.into_iter().map(cluster).collect();
    clusters.sort_by(|left, right| left.name.cmp(&right.name));
    FleetStatus {
        fleet: uplink.fleet.clone(),
        controller: uplink.controller.clone(),
        at_us: status.at_us,
        head: status.head.filter(|head| head.number > 0).map(revision_ref),
        head_at_us: status.head_at_us,
        head_author: status.head_author,
        head_message: status.head_message,
        rollout: status.rollout.filter(|rollout| !rollout.rollout.is_empty()).map(rollout),
        counts: Counts::of(&clusters),
        attention: Attention::of(&clusters),
        clusters,
    }
}

fn rollout(rollout: v1::RolloutStatus) -> Rollout {
    Rollout {
        outcome: progress::outcome(rollout.outcome()),
        name: rollout.rollout,
        clusters: rollout.clusters_total,
        done: rollout.clusters_done,
        active: rollout.active,
    }
}

fn health(health: v1::Health) -> Health {
    match health {
        v1::Health::Ok => Health::Ok,
        v1::Health::Degraded => Health::Degraded,
        v1::Health::Down => Health::Down,
        v1::Health::Split => Health::Split,
        v1::Health::Unknown | v1::Health::Unspecified => Health::Unknown,
    }
}

fn cluster(cluster: v1::ClusterStatus) -> Cluster {
    Cluster {
        health: health(cluster.health()),
        name: cluster.name,
        labels: cluster.labels.into_iter().collect(),
        findings: cluster.findings.into_iter().map(finding).collect(),
        instances: cluster.instances.into_iter().map(instance).collect(),
        nodes: cluster.nodes.into_iter().map(cluster_node).collect(),
    }
}

fn finding(finding: v1::Finding) -> Finding {
    Finding {
        severity: health(finding.severity()),
        what: finding.what,
        since_us: finding.since_us,
        next: finding.next,
    }
}

fn instance(instance: v1::ClusterInstance) -> Instance {
    let v1::ClusterInstance { name, vrid, addresses, masters, since_us } = instance;
    Instance { name, vrid, addresses, masters, since_us }
}

pub(super) fn connection(connection: v1::Connection) -> Connection {
    match connection {
        v1::Connection::Online => Connection::Online,
        v1::Connection::Never => Connection::Never,
        v1::Connection::Unknown | v1::Connection::Unspecified => Connection::Unknown,
    }
}

fn cluster_node(node: v1::ClusterNode) -> ClusterNode {
    let connection = connection(node.connection());
    let status = node.status.unwrap_or_default();
    ClusterNode {
        name: node.name,
        connection,
        heard_at_us: node.heard_at_us,
        agent_version: status.agent_version,
        wanted: node.wanted.map(plan_ref),
        running: status.running.map(plan_ref),
        offered: status.offered.map(offered),
        instances: status.instances.into_iter().map(node_instance).collect(),
    }
}

fn node_instance(instance: v1::InstanceStatus) -> NodeInstance {
    NodeInstance {
        family: match instance.family() {
            v1::Family::Ipv4 => "ipv4",
            v1::Family::Ipv6 => "ipv6",
            v1::Family::Unspecified => "unknown",
        }
        .to_owned(),
        state: match instance.state() {
            v1::VrrpState::Init => "init",
            v1::VrrpState::Backup => "backup",
            v1::VrrpState::Master => "master",
            v1::VrrpState::Fault => "fault",
            v1::VrrpState::Unspecified => "unknown",
        }
        .to_owned(),
        name: instance.name,
        interface: instance.interface,
        vrid: instance.vrid,
        since_us: instance.since_us,
        priority: instance.effective_priority,
        faults: instance.faults.into_iter().map(fault).collect(),
        masters_seen: instance.masters_seen.into_iter().map(seen).collect(),
        addresses_held: instance.addresses_held,
        addresses_failed: instance.addresses_failed,
        counters: counters(instance.counters.unwrap_or_default()),
    }
}

fn seen(seen: v1::MasterSeen) -> Seen {
    let v1::MasterSeen { address, priority, heard_at_us } = seen;
    Seen { address, priority, heard_at_us }
}

fn fault(fault: v1::FaultReason) -> String {
    use v1::fault_reason::Reason;
    match fault.reason {
        Some(Reason::InterfaceMissing(interface)) => format!("{interface} does not exist"),
        Some(Reason::InterfaceDown(interface)) => format!("{interface} is down"),
        Some(Reason::NoSourceAddress(interface)) => format!("{interface} has no source address"),
        Some(Reason::SecretMissing(secret)) => format!("secret {secret} is missing"),
        None => "a reason that this hactl does not know".to_owned(),
    }
}

/// By name, so that a new counter of the message can't be forgotten: the
/// destructuring does not compile without it.
fn counters(counters: v1::InstanceCounters) -> BTreeMap<String, u64> {
    macro_rules! named {
        ($($name:ident),* $(,)?) => {{
            let v1::InstanceCounters { $($name),* } = counters;
            BTreeMap::from([$((stringify!($name).to_owned(), $name)),*])
        }};
    }
    named!(
        advert_rcvd,
        advert_sent,
        become_master,
        release_master,
        packet_len_err,
        advert_interval_err,
        ip_ttl_err,
        vers_err,
        chk_err,
        invalid_type_rcvd,
        transport_err,
        unknown_peer_err,
        addr_list_err,
        addr_list_diff,
        invalid_authtype,
        authtype_mismatch,
        auth_failure,
        pri_zero_rcvd,
        pri_zero_sent,
        own_advert_rcvd,
        garp_sent,
        address_put_back,
        send_err,
        late_wakeup,
    )
}

/// What an agent says about itself.
pub(in crate::client) fn local_status(response: v1::LocalStatusResponse) -> LocalStatus {
    let status = response.status.unwrap_or_default();
    LocalStatus {
        node: status.node,
        agent_version: status.agent_version,
        at_us: status.at_us,
        source: response.source,
        running: status.running.map(plan_ref),
        offered: status.offered.map(offered),
        session: response.session.filter(|session| session.configured).map(session),
        instances: status.instances.into_iter().map(node_instance).collect(),
    }
}

fn session(session: v1::SessionStatus) -> Session {
    Session {
        controller: session.controller,
        connected: session.connected,
        since_us: session.since_us,
        last_error: session.last_error,
        spooled_events: session.spooled_events,
    }
}
