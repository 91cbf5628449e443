//! The state of the fleet and of its parts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{PlanPhase, Problem, RevisionRef};

/// How something is, the best first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// All is well.
    Ok,
    /// Not enough is known to tell.
    Unknown,
    /// It serves, but something is wrong.
    Degraded,
    /// An instance has no master.
    Down,
    /// An instance has more than one master.
    Split,
}

/// Whether a node is connected to the controller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Connection {
    /// Its stream is up.
    Online,
    /// Not heard. Says nothing about the services of the node.
    Unknown,
    /// It never enrolled.
    Never,
}

/// Everything that `hactl status` shows.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetStatus {
    /// Name of the fleet, from the context.
    pub fleet: String,
    /// Address of the controller, from the context.
    pub controller: String,
    /// Time on the controller when this was true.
    pub at_us: u64,
    /// The newest revision; none before the first apply.
    pub head: Option<RevisionRef>,
    /// When it was applied.
    pub head_at_us: u64,
    /// By whom.
    pub head_author: String,
    /// Why.
    pub head_message: String,
    /// The newest rollout.
    pub rollout: Option<Rollout>,
    /// Sums over the clusters below.
    pub counts: Counts,
    /// What needs attention, worst first.
    pub attention: Vec<Attention>,
    /// The clusters, by name.
    pub clusters: Vec<Cluster>,
}

/// The newest rollout in short.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Its name.
    pub name: String,
    /// Clusters that it changes.
    pub clusters: u32,
    /// Those that are done.
    pub done: u32,
    /// It is under way.
    pub active: bool,
    /// How it ended; `none` while it is under way.
    pub outcome: super::Outcome,
}

/// Sums over clusters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Clusters that are well.
    pub ok: usize,
    /// Clusters in the other states of [`Health`].
    pub degraded: usize,
    /// See [`Health::Down`].
    pub down: usize,
    /// See [`Health::Split`].
    pub split: usize,
    /// See [`Health::Unknown`].
    pub unknown: usize,
    /// Nodes.
    pub nodes: usize,
    /// Nodes that are connected.
    pub nodes_online: usize,
    /// Virtual addresses.
    pub addresses: usize,
    /// Addresses with exactly one master.
    pub addresses_served: usize,
    /// Addresses of clusters of which not enough is known.
    pub addresses_unknown: usize,
    /// Addresses with no master.
    pub addresses_dark: usize,
    /// Addresses with more than one.
    pub addresses_twice: usize,
}

impl Counts {
    /// Sums up `clusters`.
    #[must_use]
    pub fn of(clusters: &[Cluster]) -> Self {
        let mut counts = Self::default();
        for cluster in clusters {
            *match cluster.health {
                Health::Ok => &mut counts.ok,
                Health::Degraded => &mut counts.degraded,
                Health::Down => &mut counts.down,
                Health::Split => &mut counts.split,
                Health::Unknown => &mut counts.unknown,
            } += 1;
            counts.nodes += cluster.nodes.len();
            counts.nodes_online += cluster.online();
            for instance in &cluster.instances {
                let addresses = instance.addresses.len();
                counts.addresses += addresses;
                *match cluster.health_of(instance) {
                    Health::Unknown => &mut counts.addresses_unknown,
                    Health::Down => &mut counts.addresses_dark,
                    Health::Split => &mut counts.addresses_twice,
                    Health::Ok | Health::Degraded => &mut counts.addresses_served,
                } += addresses;
            }
        }
        counts
    }
}

/// One line of the attention list.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attention {
    /// How bad.
    pub severity: Health,
    /// Where.
    pub cluster: String,
    /// Label `site` of the cluster, where it has one.
    pub site: String,
    /// What is wrong.
    pub what: String,
    /// Since when; 0 if not known.
    pub since_us: u64,
    /// A command to type next.
    pub next: String,
}

impl Attention {
    /// The attention list of `clusters`: worst first, then newest first.
    #[must_use]
    pub fn of(clusters: &[Cluster]) -> Vec<Self> {
        let mut list: Vec<Self> = clusters.iter().flat_map(Self::of_cluster).collect();
        list.sort_by(|left, right| {
            right
                .severity
                .rank()
                .cmp(&left.severity.rank())
                .then_with(|| right.since_us.cmp(&left.since_us))
                .then_with(|| left.cluster.cmp(&right.cluster))
        });
        list
    }

    fn of_cluster(cluster: &Cluster) -> Vec<Self> {
        let line = |severity, what: &str, since_us, next: &str| Self {
            severity,
            cluster: cluster.name.clone(),
            site: cluster.site().to_owned(),
            what: what.to_owned(),
            since_us,
            next: next.to_owned(),
        };
        if cluster.findings.is_empty() && cluster.health != Health::Ok {
            let next = format!("hactl describe cluster {}", cluster.name);
            return vec![line(cluster.health, "no details were reported", 0, &next)];
        }
        cluster
            .findings
            .iter()
            .map(|finding| line(finding.severity, &finding.what, finding.since_us, &finding.next))
            .collect()
    }
}

impl Health {
    /// Order in the attention list: what is not known comes after what is
    /// known to be wrong.
    fn rank(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Unknown => 1,
            Self::Degraded => 2,
            Self::Down => 3,
            Self::Split => 4,
        }
    }
}

/// A cluster.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// As the controller judges it.
    pub health: Health,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// Its virtual routers.
    pub instances: Vec<Instance>,
    /// Its nodes, in order of preference.
    pub nodes: Vec<ClusterNode>,
}

impl Cluster {
    /// The label `site`, or nothing.
    #[must_use]
    pub fn site(&self) -> &str {
        self.labels.get("site").map_or("", String::as_str)
    }

    /// How many of its nodes are connected.
    #[must_use]
    pub fn online(&self) -> usize {
        self.nodes.iter().filter(|node| node.connection == Connection::Online).count()
    }

    /// Whether one of its instances is served. What is not known any more is
    /// not shown as if it still were.
    #[must_use]
    pub fn health_of(&self, instance: &Instance) -> Health {
        match (self.health, instance.masters.len()) {
            (Health::Unknown, _) => Health::Unknown,
            (_, 0) => Health::Down,
            (_, 1) => Health::Ok,
            (_, _) => Health::Split,
        }
    }

    /// Whether it has all these labels.
    #[must_use]
    pub fn has_labels(&self, labels: &[(String, String)]) -> bool {
        labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad.
    pub severity: Health,
    /// What, for people.
    pub what: String,
    /// Since when; 0 if not known.
    pub since_us: u64,
    /// A command to type next.
    pub next: String,
}

/// A virtual router across the nodes of its cluster.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Its name, unique in the cluster.
    pub name: String,
    /// Virtual router id.
    pub vrid: u32,
    /// Virtual addresses.
    pub addresses: Vec<String>,
    /// Nodes that say they are master.
    pub masters: Vec<String>,
    /// Since when it is so; 0 if not known.
    pub since_us: u64,
}

/// A node as a member of its cluster.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterNode {
    /// Its name.
    pub name: String,
    /// Whether it is connected.
    pub connection: Connection,
    /// When what follows was taken in; 0: never.
    pub heard_at_us: u64,
    /// Version of its agent.
    pub agent_version: String,
    /// The plan that it should run.
    pub wanted: Option<PlanRef>,
    /// The plan that it runs.
    pub running: Option<PlanRef>,
    /// What became of the newest plan that it was offered.
    pub offered: Option<OfferedPlan>,
    /// Its virtual routers.
    pub instances: Vec<NodeInstance>,
}

/// Identity of a plan.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanRef {
    /// Life of the controller's store, 16 hex digits.
    pub epoch: String,
    /// Order among the plans of one node.
    pub generation: u64,
    /// SHA-256 of the document, 64 hex digits.
    pub sha256: String,
}

/// What became of a plan.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OfferedPlan {
    /// Which plan.
    pub plan: Option<PlanRef>,
    /// Number of the revision that it came with, for people.
    pub revision: Option<u64>,
    /// How far it got.
    pub phase: PlanPhase,
    /// Why it was not taken.
    pub errors: Vec<Problem>,
}

/// A virtual router on one node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeInstance {
    /// Its name.
    pub name: String,
    /// Where it sends its adverts.
    pub interface: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Virtual router id.
    pub vrid: u32,
    /// `init`, `backup`, `master`, `fault` or `unknown`.
    pub state: String,
    /// Since when; 0 if not known.
    pub since_us: u64,
    /// The priority that adverts carry.
    pub priority: u32,
    /// Why it is in fault.
    pub faults: Vec<String>,
    /// Other masters that it hears.
    pub masters_seen: Vec<Seen>,
    /// Virtual addresses on its interfaces.
    pub addresses_held: Vec<String>,
    /// Those that should be there and are not.
    pub addresses_failed: Vec<String>,
    /// Counters since the agent started.
    pub counters: BTreeMap<String, u64>,
}

/// A master that was heard.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Source of its adverts.
    pub address: String,
    /// Its priority.
    pub priority: u32,
    /// When its last advert came.
    pub heard_at_us: u64,
}

/// Where a status came from and how old it can be at most.
#[derive(Clone, Debug, Default)]
pub struct Uplink {
    /// Name of the fleet.
    pub fleet: String,
    /// Address of the controller.
    pub controller: String,
}

impl FleetStatus {
    /// Leaves out what was not asked for; sums and attention follow.
    pub fn narrow(&mut self, names: &[String], labels: &[(String, String)]) {
        if names.is_empty() && labels.is_empty() {
            return;
        }
        self.clusters.retain(|cluster| {
            (names.is_empty() || names.contains(&cluster.name)) && cluster.has_labels(labels)
        });
        self.counts = Counts::of(&self.clusters);
        self.attention = Attention::of(&self.clusters);
    }

    /// Nothing needs attention.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.attention.is_empty() && self.clusters.iter().all(|c| c.health == Health::Ok)
    }
}
