//! Fleets to look at.

use ha_proto::v1;

use super::bench::{NOW_US, ago};
use super::fake::{plan_id, revision_id};

/// A virtual router on a node.
fn instance(state: v1::VrrpState, priority: u32) -> v1::InstanceStatus {
    let seen =
        v1::MasterSeen { address: "10.1.0.11".to_owned(), priority: 250, heard_at_us: ago(0) };
    v1::InstanceStatus {
        name: "web".to_owned(),
        interface: "vlan120".to_owned(),
        family: v1::Family::Ipv4.into(),
        vrid: 51,
        state: state.into(),
        since_us: ago(7_200),
        effective_priority: priority,
        addresses_held: if state == v1::VrrpState::Master {
            vec!["192.0.2.50/24".to_owned()]
        } else {
            Vec::new()
        },
        masters_seen: if state == v1::VrrpState::Backup { vec![seen] } else { Vec::new() },
        counters: Some(v1::InstanceCounters {
            advert_rcvd: 7,
            advert_sent: 11,
            ..v1::InstanceCounters::default()
        }),
        ..v1::InstanceStatus::default()
    }
}

fn node(name: &str, state: v1::VrrpState, priority: u32) -> v1::ClusterNode {
    v1::ClusterNode {
        name: name.to_owned(),
        connection: v1::Connection::Online.into(),
        heard_at_us: ago(1),
        wanted: Some(plan_id(4)),
        status: Some(v1::NodeStatus {
            node: name.to_owned(),
            agent_version: "0.1.0".to_owned(),
            boot_id: "boot".to_owned(),
            running: Some(plan_id(4)),
            offered: Some(v1::PlanStatus {
                plan: Some(plan_id(4)),
                revision: Some(revision_id(1842)),
                phase: v1::PlanPhase::Healthy.into(),
                ..v1::PlanStatus::default()
            }),
            instances: vec![instance(state, priority)],
            at_us: ago(1),
        }),
    }
}

/// A cluster of two nodes where all is well.
pub(super) fn cluster(name: &str) -> v1::ClusterStatus {
    let (first, second) = (format!("{name}-lb1"), format!("{name}-lb2"));
    let site = name.split('-').next().unwrap_or_default().to_owned();
    v1::ClusterStatus {
        name: name.to_owned(),
        health: v1::Health::Ok.into(),
        findings: Vec::new(),
        instances: vec![v1::ClusterInstance {
            name: "web".to_owned(),
            vrid: 51,
            addresses: vec!["192.0.2.50/24".to_owned()],
            masters: vec![first.clone()],
            since_us: ago(7_200),
        }],
        nodes: vec![
            node(&first, v1::VrrpState::Master, 250),
            node(&second, v1::VrrpState::Backup, 200),
        ],
        labels: [("site".to_owned(), site)].into(),
    }
}

fn finding(severity: v1::Health, what: &str, seconds: u64, next: &str) -> v1::Finding {
    v1::Finding {
        severity: severity.into(),
        what: what.to_owned(),
        since_us: ago(seconds),
        next: next.to_owned(),
    }
}

/// A cluster with something wrong.
pub(super) fn bad(name: &str, health: v1::Health, what: &str, seconds: u64) -> v1::ClusterStatus {
    let mut cluster = cluster(name);
    cluster.health = health.into();
    cluster.findings =
        vec![finding(health, what, seconds, &format!("hactl describe cluster {name}"))];
    let second = format!("{name}-lb2");
    match health {
        v1::Health::Split => cluster.instances[0].masters.push(second),
        v1::Health::Down => cluster.instances[0].masters.clear(),
        v1::Health::Unknown => {
            for node in &mut cluster.nodes {
                node.connection = v1::Connection::Unknown.into();
                node.heard_at_us = ago(seconds);
            }
        }
        v1::Health::Unspecified | v1::Health::Ok | v1::Health::Degraded => {}
    }
    cluster
}

/// The status of these clusters.
pub(super) fn status(clusters: Vec<v1::ClusterStatus>) -> v1::StatusResponse {
    v1::StatusResponse {
        head: Some(revision_id(1842)),
        head_at_us: ago(7_200),
        head_author: "ops".to_owned(),
        head_message: "add web vip".to_owned(),
        clusters,
        at_us: NOW_US,
        rollout: Some(v1::RolloutStatus {
            rollout: "r-77".to_owned(),
            clusters_total: 200,
            clusters_done: 88,
            active: true,
            outcome: 0,
        }),
    }
}

/// Two hundred clusters, six of them with something wrong.
pub(super) fn two_hundred() -> v1::StatusResponse {
    let mut clusters: Vec<v1::ClusterStatus> =
        (0..194).map(|number| cluster(&format!("s{:02}-web{number:03}", number % 20))).collect();
    clusters.extend([
        bad("nyc-old", v1::Health::Unknown, "both agents unreachable; last seen ok", 35),
        bad("fra-web", v1::Health::Degraded, "backup lb2 does not hear lb1", 720),
        bad("ams-web", v1::Health::Degraded, "lb2 is offline", 86_400),
        bad("fra-dns", v1::Health::Degraded, "lb1 rejected its plan: E2101", 241),
        bad("osl-api", v1::Health::Down, "no master; lb1 FAULT (eth1 is down), lb2 silent", 190),
        bad("par-mail", v1::Health::Split, "web has two masters: lb1 and lb2", 42),
    ]);
    status(clusters)
}

/// The node list that belongs to clusters.
pub(super) fn nodes(status: &v1::StatusResponse) -> Vec<v1::NodeInfo> {
    let of_cluster = |cluster: &v1::ClusterStatus| -> Vec<v1::NodeInfo> {
        cluster
            .nodes
            .iter()
            .map(|node| v1::NodeInfo {
                name: node.name.clone(),
                cluster: cluster.name.clone(),
                connection: node.connection,
                heard_at_us: node.heard_at_us,
                agent_version: "0.1.0".to_owned(),
                certificate_expires_at_us: NOW_US + 39_600_000_000,
                wanted: Some(plan_id(4)),
                running: Some(plan_id(4)),
                offered: node.status.as_ref().and_then(|status| status.offered.clone()),
                duplicate_streams: 0,
            })
            .collect()
    };
    status.clusters.iter().flat_map(of_cluster).collect()
}
