//! The judgement out: how each cluster does, and what needs attention.

use std::net::IpAddr;
use std::sync::Arc;

use ha_model::ids::{ClusterName, InstanceName, NodeName};
use ha_model::status::{InstanceStatus, PlanPhase, VrrpState};

use super::view::{ClusterView, Connection, Finding, Health, InstanceView, Judgement, NodeView};
use super::words;
use super::{
    FleetState, Heard, NodeState, SETTLE_US, SILENT_AFTER_US, Track, WishedCluster, WishedInstance,
    WishedNode,
};

/// How long a second agent with one certificate is shown after its last try.
const DUPLICATE_SHOWN_US: u64 = 15 * 60 * 1_000_000;

impl FleetState {
    /// Judges the clusters that `wanted` picks, as of `now_us`.
    pub fn judge(&self, now_us: u64, mut wanted: impl FnMut(&ClusterName) -> bool) -> Judgement {
        let mut judgement = Judgement::default();
        for (name, cluster) in &self.wish.clusters {
            if wanted(name) {
                let mut judge = Judge::new(self, name, cluster, now_us);
                judgement.clusters.push(judge.cluster());
                judgement.recheck_us = earlier(judgement.recheck_us, judge.recheck_us);
            }
        }
        judgement
    }

    /// Whether the agent of `node` is heard.
    #[must_use]
    pub fn connection(&self, node: &NodeName, now_us: u64) -> Connection {
        connection(self.nodes.get(node).map(Arc::as_ref), now_us)
    }
}

fn connection(state: Option<&NodeState>, now_us: u64) -> Connection {
    match state {
        Some(state) if state.fresh(now_us).is_some() => Connection::Online,
        Some(state) if state.enrolled() => Connection::Unknown,
        Some(_) | None => Connection::Never,
    }
}

fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Somebody who is, or is heard to be, master.
#[derive(Clone, Debug)]
struct Claim {
    who: String,
    since_us: u64,
    /// The node that hears it, where it does not say so itself.
    witness: Option<NodeName>,
}

struct Member<'a> {
    wished: &'a WishedNode,
    state: Option<&'a NodeState>,
    fresh: Option<&'a Heard>,
}

struct Judge<'a> {
    fleet: &'a FleetState,
    name: &'a ClusterName,
    cluster: &'a WishedCluster,
    members: Vec<Member<'a>>,
    now_us: u64,
    findings: Vec<Finding>,
    recheck_us: Option<u64>,
}

impl<'a> Judge<'a> {
    fn new(
        fleet: &'a FleetState,
        name: &'a ClusterName,
        cluster: &'a WishedCluster,
        now_us: u64,
    ) -> Self {
        let members = cluster
            .nodes
            .iter()
            .map(|wished| {
                let state = fleet.nodes.get(&wished.name).map(Arc::as_ref);
                Member { wished, state, fresh: state.and_then(|state| state.fresh(now_us)) }
            })
            .collect();
        Self { fleet, name, cluster, members, now_us, findings: vec![], recheck_us: None }
    }

    fn cluster(&mut self) -> ClusterView {
        let cluster = self.cluster;
        let instances =
            cluster.instances.iter().map(|(name, wished)| self.instance(name, wished)).collect();
        for index in 0..self.members.len() {
            self.node(index);
        }
        self.findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.since_us.cmp(&b.since_us)));
        let findings = std::mem::take(&mut self.findings);
        ClusterView {
            name: self.name.clone(),
            health: findings.first().map_or(Health::Ok, |worst| worst.severity),
            findings,
            instances,
            nodes: self.members.iter().map(|member| member.view(self.now_us)).collect(),
            labels: cluster.labels.clone(),
        }
    }

    fn find(&mut self, severity: Health, since_us: u64, what: String, next: String) {
        self.findings.push(Finding { severity, what, since_us, next });
    }

    fn recheck_at(&mut self, at_us: u64) {
        if at_us > self.now_us {
            self.recheck_us = earlier(self.recheck_us, Some(at_us));
        }
    }

    fn describe(&self) -> String {
        format!("hactl describe cluster {}", self.name)
    }

    fn instance(&mut self, name: &InstanceName, wished: &WishedInstance) -> InstanceView {
        let claims = self.claims(name, wished);
        match claims.as_slice() {
            [] => self.no_master(name, wished),
            [only] => self.one_master(name, wished, only),
            [_, second, ..] => self.split(name, &claims, second.since_us),
        }
        let since_us = claims.last().map_or(0, |newest| newest.since_us);
        let masters = claims.into_iter().map(|claim| claim.who).collect();
        let addresses = wished.addresses.clone();
        InstanceView { name: name.clone(), vrid: wished.vrid, addresses, masters, since_us }
    }

    /// Everybody who is master, the oldest claim first. What a node says of
    /// itself stands over what others hear of it; what others hear stands in
    /// for a node that is silent.
    fn claims(&self, name: &InstanceName, wished: &WishedInstance) -> Vec<Claim> {
        let mut claims = vec![];
        let mut strangers = vec![];
        for (member, instance, track) in self.reports(name) {
            if instance.state == VrrpState::Master {
                let since_us = track.since_us;
                claims.push(Claim { who: member.wished.name.to_string(), since_us, witness: None });
            }
        }
        for (member, instance, track) in self.reports(name) {
            for (address, since_us) in heard_masters(instance, track) {
                let witness = Some(member.wished.name.clone());
                match wished.sources.get(&address) {
                    Some(node) if self.is_fresh(node) => {}
                    Some(node) => {
                        claims.push(Claim { who: node.to_string(), since_us, witness });
                    }
                    // A backup may only hear the master that speaks for
                    // itself from an address that no plan names.
                    None if instance.state == VrrpState::Master => {
                        claims.push(Claim { who: address.to_string(), since_us, witness });
                    }
                    None => strangers.push(Claim { who: address.to_string(), since_us, witness }),
                }
            }
        }
        if claims.is_empty() {
            claims = strangers;
        }
        claims.sort_by(|a, b| a.who.cmp(&b.who).then(a.since_us.cmp(&b.since_us)));
        claims.dedup_by(|later, first| later.who == first.who);
        claims.sort_by_key(|claim| claim.since_us);
        claims
    }

    /// What the nodes that are heard say of one virtual router.
    fn reports(
        &self,
        name: &InstanceName,
    ) -> impl Iterator<Item = (&Member<'a>, &'a InstanceStatus, &'a Track)> {
        self.members.iter().filter_map(move |member| {
            let heard = member.fresh?;
            let instance = heard.status.instances.iter().find(|one| one.name == *name)?;
            Some((member, instance, member.state?.tracks.get(name)?))
        })
    }

    fn is_fresh(&self, node: &NodeName) -> bool {
        self.members.iter().any(|member| member.wished.name == *node && member.fresh.is_some())
    }

    fn one_master(&mut self, name: &InstanceName, wished: &WishedInstance, claim: &Claim) {
        let node = wished.nodes.iter().any(|node| node.as_str() == claim.who);
        // Without a source in every plan an address may well be one of ours.
        let complete = wished.sources.len() >= wished.nodes.len();
        if !node && complete {
            let what = format!("{name}: master is {}, no node of this cluster", claim.who);
            self.find(Health::Degraded, claim.since_us, what, self.describe());
        }
    }

    fn split(&mut self, name: &InstanceName, claims: &[Claim], since_us: u64) {
        let settled_us = since_us.saturating_add(SETTLE_US);
        if self.now_us < settled_us {
            self.recheck_at(settled_us);
            let what = format!("{name}: the master is changing");
            return self.find(Health::Degraded, since_us, what, self.describe());
        }
        let mut masters = vec![];
        for claim in claims {
            masters.push(match &claim.witness {
                None => claim.who.clone(),
                Some(witness) => format!("{} (heard by {witness})", claim.who),
            });
        }
        let what = format!("{name}: {} are master at once", masters.join(" and "));
        let next = format!("hactl events {} --since 15m", self.name);
        self.find(Health::Split, since_us, what, next);
    }

    fn no_master(&mut self, name: &InstanceName, wished: &WishedInstance) {
        let mut reasons = vec![];
        let mut since_us = 0;
        let mut listening = false;
        let mut running = 0;
        for (member, instance, track) in self.reports(name) {
            running += 1;
            listening |= instance.state == VrrpState::Backup;
            since_us = since_us.max(track.released_us.unwrap_or(track.since_us));
            reasons.push(format!("{} {}", member.wished.name, words::state(instance)));
        }
        let silent = wished.nodes.iter().filter(|node| !self.is_fresh(node)).count();
        for node in wished.nodes.iter().filter(|node| !self.is_fresh(node)) {
            reasons.push(format!("{node} silent"));
        }
        let reasons = reasons.join(", ");
        if running == 0 && silent < wished.nodes.len() {
            let what = format!("{name}: runs on no node yet");
            return self.find(Health::Degraded, self.head_at_us(), what, self.describe());
        }
        if running == 0 || (silent > 0 && !listening) {
            let what = format!("{name}: nobody can say who is master ({reasons})");
            let since_us = since_us.max(self.silent_since_us());
            return self.find(Health::Unknown, since_us, what, self.describe());
        }
        let settled_us = since_us.saturating_add(SETTLE_US);
        if self.now_us < settled_us {
            self.recheck_at(settled_us);
            let what = format!("{name}: the master is changing");
            return self.find(Health::Degraded, since_us, what, self.describe());
        }
        let what = format!("{name}: no master ({reasons})");
        self.find(Health::Down, since_us, what, self.describe());
    }

    fn head_at_us(&self) -> u64 {
        self.fleet.wish.head.as_ref().map_or(0, |head| head.at_us)
    }

    fn silent_since_us(&self) -> u64 {
        let silent = self.members.iter().filter(|member| member.fresh.is_none());
        let since = silent.filter_map(|member| member.state).map(silent_since).max();
        since.unwrap_or_else(|| self.head_at_us())
    }

    /// What one node lacks.
    fn node(&mut self, index: usize) {
        let Member { wished, state, fresh } = self.members[index];
        let name = &wished.name;
        let next = format!("hactl describe node {name}");
        match (state.filter(|state| state.enrolled()), fresh) {
            (None, _) => {
                let what = format!("{name} has never connected");
                let next = format!("hactl node join-token {name}");
                self.find(Health::Degraded, self.head_at_us(), what, next);
            }
            (Some(state), None) => {
                let what = format!("{name} {}", words::silent(state));
                self.find(Health::Degraded, silent_since(state), what, next.clone());
            }
            (Some(state), Some(heard)) => {
                self.recheck_at(heard.at_us.saturating_add(SILENT_AFTER_US));
                self.plan(wished, heard, &next);
                self.faults(wished, state, heard, &next);
            }
        }
        let recent = |state: &&NodeState| {
            state.duplicates > 0
                && self.now_us.saturating_sub(state.duplicate_at_us) < DUPLICATE_SHOWN_US
        };
        if let Some(state) = state.filter(recent) {
            let what = format!(
                "another agent uses the certificate of {name} (refused {} times)",
                state.duplicates
            );
            self.find(Health::Degraded, state.duplicate_at_us, what, next);
        }
    }

    /// Whether the node runs what it should.
    fn plan(&mut self, wished: &WishedNode, heard: &Heard, next: &str) {
        let (name, wanted) = (&wished.name, wished.plan);
        let since_us = self.head_at_us();
        let running = heard.status.running;
        if let Some(running) = running.filter(|one| one.generation > wanted.generation) {
            let what = format!(
                "{name} runs plan {}, newer than {} here: was the store restored?",
                running.generation, wanted.generation
            );
            return self.find(Health::Degraded, heard.at_us, what, next.to_owned());
        }
        let offered = heard.status.offered.as_ref().filter(|offered| offered.plan == wanted);
        let what = match offered.map(|offered| (offered.phase, offered.errors.first())) {
            Some((PlanPhase::Healthy, _)) => return,
            Some((PlanPhase::Rejected | PlanPhase::RolledBack, error)) => {
                words::rejected(name, wanted.generation, error)
            }
            _ if self.fleet.rollout.is_some_and(|rollout| rollout.active) => return,
            Some((PlanPhase::Applied, _)) => {
                format!("{name} runs plan {} but is not healthy on it", wanted.generation)
            }
            None | Some((PlanPhase::Received | PlanPhase::Prepared, _)) => match running {
                Some(running) if running == wanted => return,
                Some(running) => format!(
                    "{name} runs plan {}, wanted is {}",
                    running.generation, wanted.generation
                ),
                None => format!("{name} runs no plan, wanted is {}", wanted.generation),
            },
        };
        self.find(Health::Degraded, since_us, what, next.to_owned());
    }

    /// Faults and addresses, unless the virtual router has no master: then it
    /// has a worse finding, which names them.
    fn faults(&mut self, wished: &WishedNode, state: &NodeState, heard: &Heard, next: &str) {
        for instance in &heard.status.instances {
            let since_us = state.tracks.get(&instance.name).map_or(0, |track| track.since_us);
            if !self.cluster.instances.contains_key(&instance.name) {
                continue;
            }
            let dark = format!("{}: no", instance.name);
            let named = self.findings.iter().any(|one| one.what.starts_with(&dark));
            if instance.state == VrrpState::Fault && !named {
                let what =
                    format!("{}: {} is in {}", instance.name, wished.name, words::state(instance));
                self.find(Health::Degraded, since_us, what, next.to_owned());
            }
            if let Some(address) = instance.addresses_failed.first() {
                let what = format!("{}: {address} is not on {}", instance.name, wished.name);
                self.find(Health::Degraded, since_us, what, next.to_owned());
            }
        }
    }
}

impl Member<'_> {
    fn view(&self, now_us: u64) -> NodeView {
        let heard = self.state.and_then(|state| state.heard.as_ref());
        NodeView {
            name: self.wished.name.clone(),
            connection: connection(self.state, now_us),
            heard_at_us: heard.map_or(0, |heard| heard.at_us),
            status: heard.map(|heard| heard.status.clone()),
            wanted: self.wished.plan,
        }
    }
}

/// Since when a node that is not heard is not heard.
fn silent_since(state: &NodeState) -> u64 {
    match (state.session, &state.heard) {
        (Some(_), Some(heard)) => heard.at_us,
        (None, _) | (Some(_), None) => state.since_us,
    }
}

/// The masters that a report proves, each with the time since when.
///
/// A master hears a second one once an advert came after it became master. A
/// backup hears the one whose advert came last; another one beside it only if
/// the two overlap: each was heard again after the other had begun. An old
/// master that fell silent stays listed for a while and proves nothing.
fn heard_masters<'a>(
    instance: &'a InstanceStatus,
    track: &'a Track,
) -> impl Iterator<Item = (IpAddr, u64)> + 'a {
    let is_master = instance.state == VrrpState::Master;
    let latest = track.hears.iter().max_by_key(|(_, hears)| hears.last_us).map(|(at, _)| *at);
    track.hears.iter().filter_map(move |(address, hears)| {
        let counts = if is_master {
            hears.last_us > instance.since_us
        } else {
            Some(*address) == latest
                || latest.and_then(|latest| track.hears.get(&latest)).is_some_and(|other| {
                    hears.last_us > other.first_us && other.last_us > hears.first_us
                })
        };
        counts.then_some((*address, hears.since_us))
    })
}
