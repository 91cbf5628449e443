//! From manifests to the fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::instance::Scope;
use super::unique::{UsedVips, UsedVrids};
use super::{Cluster, Fleet};
use crate::diagnostic::{Collector, Diagnostic, Span};
use crate::explain::codes;
use crate::ids::{NodeName, SecretName};
use crate::manifest::spec::{ClusterSpec, SecretSpec};
use crate::manifest::{Body, Object};
use crate::secret::Secrets;

/// The fleet that `objects` describe. What does not fit together goes to `out`;
/// the fleet is good if no error did. `values` are the secrets that are known.
pub(crate) fn build<'a>(
    objects: impl Iterator<Item = &'a Object>,
    values: &Secrets,
    out: &mut Collector,
) -> Fleet {
    let mut clusters = Vec::new();
    let mut secrets = BTreeMap::new();
    for object in objects {
        match &object.body {
            Body::Cluster(spec) => clusters.push(spec),
            Body::Secret(spec) => {
                secrets.insert(spec.name.value.clone(), spec);
            }
        }
    }
    let mut fleet = Fleet {
        clusters: BTreeMap::new(),
        secrets: secrets.iter().map(|(name, spec)| (name.clone(), version(spec))).collect(),
    };
    check_nodes(&clusters, out);
    let mut used = BTreeSet::new();
    for spec in &clusters {
        check_addresses(spec, out);
        let scope = Scope { cluster: spec, secrets: &fleet.secrets, values };
        let cluster = cluster(&scope, &mut used, out);
        fleet.clusters.insert(cluster.name.clone(), cluster);
    }
    UsedVrids::of(&clusters).report(out);
    UsedVips::of(&clusters).report(out);
    for (name, spec) in secrets {
        if !used.contains(&name) {
            let message = format!("no instance uses the secret `{name}`");
            out.push(Diagnostic::warning(codes::UNUSED_SECRET, &spec.name.span, message));
        }
    }
    fleet
}

fn version(spec: &SecretSpec) -> u64 {
    spec.version.as_ref().map_or(1, |version| version.value)
}

fn cluster(scope: &Scope<'_>, used: &mut BTreeSet<SecretName>, out: &mut Collector) -> Cluster {
    let spec = scope.cluster;
    let mut names = BTreeMap::new();
    let mut instances = Vec::new();
    for instance in &spec.instances {
        if let Some(first) = names.insert(&instance.name.value, &instance.name.span) {
            let message = format!("a second instance `{}`", instance.name.value);
            let at = &instance.name.span;
            out.push(Diagnostic::error(codes::INSTANCE_TWICE, at, message).related(first));
        }
        used.extend(instance.auth.iter().map(|name| name.value.clone()));
        used.extend(instance.accept.secrets.iter().map(|name| name.value.clone()));
        instances.extend(scope.instance(instance, out));
    }
    instances.sort_by(|a, b| a.name.cmp(&b.name));
    Cluster {
        name: spec.name.value.clone(),
        labels: spec.labels.iter().cloned().collect(),
        segment: spec.segment.clone(),
        nodes: spec.nodes.iter().map(|node| node.name.value.clone()).collect(),
        instances,
    }
}

/// A node is in one cluster, once.
fn check_nodes(clusters: &[&ClusterSpec], out: &mut Collector) {
    let mut seen: BTreeMap<&NodeName, (&ClusterSpec, &Span)> = BTreeMap::new();
    for cluster in clusters {
        for node in &cluster.nodes {
            let Some((other, first)) = seen.get(&node.name.value) else {
                seen.insert(&node.name.value, (cluster, &node.name.span));
                continue;
            };
            let message = if other.name.value == cluster.name.value {
                format!("the node `{}` is listed twice", node.name.value)
            } else {
                format!(
                    "the node `{}` is in the cluster `{}` already",
                    node.name.value, other.name.value
                )
            };
            let at = &node.name.span;
            out.push(Diagnostic::error(codes::NODE_TWICE, at, message).related(first));
        }
    }
}

/// An address belongs to one node of a cluster.
fn check_addresses(cluster: &ClusterSpec, out: &mut Collector) {
    let mut seen: BTreeMap<IpAddr, (&NodeName, &Span)> = BTreeMap::new();
    for node in &cluster.nodes {
        let by_interface = node.interface_addresses.iter().flat_map(|(_, addresses)| addresses);
        for address in node.addresses.iter().chain(by_interface) {
            let (owner, first) =
                *seen.entry(address.value).or_insert((&node.name.value, &address.span));
            if *owner != node.name.value {
                let message = format!("{} is the address of `{owner}` already", address.value);
                out.push(
                    Diagnostic::error(codes::NODE_ADDRESS_TWICE, &address.span, message)
                        .related(first),
                );
            }
        }
    }
}
