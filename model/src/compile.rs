//! The compiler: from the fleet to one plan for each node.

use std::collections::BTreeMap;

use crate::fleet::{Cluster, Fleet, Instance, Member};
use crate::ids::NodeName;
use crate::plan::{
    Accept, Checksum, Family, InstancePlan, NodePlan, Peer, SCHEMA_MIN, Transport, VrrpVersion,
};

/// The plan of every node of `fleet`. Equal fleets give equal plans, whatever
/// order their manifests came in.
#[must_use]
pub fn compile(fleet: &Fleet) -> BTreeMap<NodeName, NodePlan> {
    let mut plans = BTreeMap::new();
    for cluster in fleet.clusters.values() {
        for node in &cluster.nodes {
            plans.insert(node.clone(), node_plan(cluster, node));
        }
    }
    plans
}

fn node_plan(cluster: &Cluster, node: &NodeName) -> NodePlan {
    let instances = cluster.instances.iter().filter_map(|instance| {
        let member = instance.members.get(node)?;
        Some(instance_plan(instance, node, member))
    });
    let mut plan = NodePlan {
        schema: SCHEMA_MIN,
        cluster: cluster.name.clone(),
        node: node.clone(),
        instances: instances.collect(),
    };
    plan.schema = plan.required_schema();
    plan
}

fn instance_plan(instance: &Instance, node: &NodeName, member: &Member) -> InstancePlan {
    let pseudo_header_matters =
        instance.version == VrrpVersion::V3 && instance.family == Family::Ipv4;
    InstancePlan {
        name: instance.name.clone(),
        interface: instance.interface.clone(),
        family: instance.family,
        vrid: instance.vrid,
        version: instance.version,
        priority: member.priority,
        interval_us: instance.interval,
        addresses: instance.vips.clone(),
        transport: transport(instance, node, member),
        preempt: instance.preempt.clone(),
        checksum: if pseudo_header_matters { instance.checksum } else { Checksum::default() },
        auth: instance.auth.clone(),
        garp: instance.garp.clone(),
        accept: accept(instance, node, member),
    }
}

fn transport(instance: &Instance, node: &NodeName, member: &Member) -> Transport {
    match member.source {
        Some(source) if instance.unicast => {
            Transport::Unicast { source, peers: peers(instance, node) }
        }
        source => Transport::Multicast { source },
    }
}

/// The other nodes, sorted by address.
fn peers(instance: &Instance, node: &NodeName) -> Vec<Peer> {
    let others = instance.members.iter().filter(|(name, _)| *name != node);
    let mut peers: Vec<_> = others
        .filter_map(|(_, member)| {
            Some(Peer {
                address: member.source?,
                priority: Some(member.priority),
                min_ttl: instance.min_ttl,
            })
        })
        .collect();
    peers.sort();
    peers
}

/// What is accepted beyond what is sent; nothing that counts anyway, and never
/// the node itself.
fn accept(instance: &Instance, node: &NodeName, member: &Member) -> Accept {
    let mut accept = instance.accept.clone();
    let peers = peers(instance, node);
    accept.peers.retain(|extra| {
        Some(extra.address) != member.source
            && (!instance.unicast || peers.iter().all(|peer| peer.address != extra.address))
    });
    accept.intervals_us.retain(|interval| *interval != instance.interval);
    accept.auth.retain(|auth| *auth != instance.auth);
    accept.addresses.retain(|extra| instance.vips.iter().all(|vip| vip.address.addr() != *extra));
    accept
}

#[cfg(test)]
mod tests;
