//! One instance: settings inherited and resolved, and whether they fit.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use super::rules::{self, family_name};
use super::unique::family;
use super::{Instance, Member};
use crate::diagnostic::{Collector, Diagnostic, Span};
use crate::explain::codes;
use crate::ids::{InterfaceName, NodeName, Priority, SecretName};
use crate::manifest::spec::{ClusterSpec, InstanceSpec, NodeSpec, TransportKind, VrrpSpec};
use crate::manifest::{Spanned, suggest};
use crate::plan::{Accept, Auth, Family, Garp, Peer, Preempt, VirtualAddress, VrrpVersion};
use crate::secret::{SecretRef, Secrets};
use crate::units::Micros;

/// Advert interval where a manifest gives none, in both versions.
const DEFAULT_INTERVAL: Micros = Micros::from_secs(1);
/// Bytes for a password in a version 2 advert (RFC 2338 §5.3.6).
const MAX_PASSWORD: usize = 8;

/// What an instance of a cluster refers to.
pub(super) struct Scope<'a> {
    pub(super) cluster: &'a ClusterSpec,
    pub(super) secrets: &'a BTreeMap<SecretName, u64>,
    pub(super) values: &'a Secrets,
}

impl Scope<'_> {
    /// `spec`, resolved. None if it has no address to go by; where settings
    /// could not be read, only what does not depend on them is checked.
    pub(super) fn instance(&self, spec: &InstanceSpec, out: &mut Collector) -> Option<Instance> {
        let family = family(spec)?;
        rules::families(spec, family, out);
        let members = self.members(spec, family, out);
        self.check_owned_addresses(spec, &members, out);
        let sound = spec.sound && self.cluster.vrrp.sound;
        let version = self.inherit(spec, |vrrp| vrrp.version.clone());
        let interval = self.inherit(spec, |vrrp| vrrp.interval.clone());
        let version_value = version.as_ref().map_or(VrrpVersion::V3, |version| version.value);
        if sound {
            rules::version(spec, family, version.as_ref(), out);
            if let Some(interval) = &interval {
                rules::interval(interval, version_value, out);
            }
            rules::accept(spec, family, version_value, out);
            rules::lints(spec, out);
        }
        Some(Instance {
            name: spec.name.value.clone(),
            interface: spec.interface.clone(),
            vrid: spec.vrid.value,
            family,
            version: version_value,
            interval: interval.map_or(DEFAULT_INTERVAL, |interval| interval.value),
            unicast: self.unicast(spec),
            min_ttl: self.min_ttl(spec),
            vips: vips(spec),
            preempt: preempt(spec),
            checksum: self.inherit(spec, |vrrp| vrrp.checksum).unwrap_or_default(),
            auth: self.auth(spec.auth.as_ref(), out),
            garp: garp(spec),
            accept: self.accept(spec, out),
            members,
        })
    }

    /// A setting of the instance, else of the cluster.
    fn inherit<T>(&self, spec: &InstanceSpec, get: impl Fn(&VrrpSpec) -> Option<T>) -> Option<T> {
        get(&spec.vrrp).or_else(|| get(&self.cluster.vrrp))
    }

    fn unicast(&self, spec: &InstanceSpec) -> bool {
        let kind = self.inherit(spec, |vrrp| vrrp.transport).unwrap_or(TransportKind::Unicast);
        kind == TransportKind::Unicast
    }

    fn min_ttl(&self, spec: &InstanceSpec) -> u8 {
        self.inherit(spec, |vrrp| vrrp.min_ttl).unwrap_or(255)
    }

    fn members(
        &self,
        spec: &InstanceSpec,
        family: Family,
        out: &mut Collector,
    ) -> BTreeMap<NodeName, Member> {
        let sound = spec.sound && self.cluster.vrrp.sound && self.cluster.nodes_sound;
        let unicast = self.unicast(spec);
        if sound && unicast && self.cluster.nodes.len() < 2 {
            let message = format!("`{}` is unicast, and the cluster has one node", spec.name.value);
            out.error(codes::NO_PEER, &spec.name.span, message);
        }
        if self.cluster.nodes_sound {
            self.check_named_nodes(spec, out);
        }
        let priorities = self.priorities(spec);
        if sound {
            rules::priorities(spec, &priorities, out);
        }
        let mut members = BTreeMap::new();
        for (node, priority) in self.cluster.nodes.iter().zip(priorities) {
            let source = source(node, &spec.interface, family, unicast);
            if unicast && source.is_none() && node.sound && sound {
                let message = format!(
                    "node `{}` has no {} address for instance `{}` on {}",
                    node.name.value,
                    family_name(family),
                    spec.name.value,
                    spec.interface
                );
                out.push(
                    Diagnostic::error(codes::NO_NODE_ADDRESS, &node.name.span, message)
                        .related(&spec.name.span),
                );
            }
            members.insert(node.name.value.clone(), Member { priority: priority.1, source });
        }
        members
    }

    /// Order and priorities name nodes of the cluster, each once.
    fn check_named_nodes(&self, spec: &InstanceSpec, out: &mut Collector) {
        let known: Vec<&NodeName> =
            self.cluster.nodes.iter().map(|node| &node.name.value).collect();
        let mut seen: BTreeMap<&NodeName, &Span> = BTreeMap::new();
        for name in &spec.order {
            if let Some(first) = seen.insert(&name.value, &name.span) {
                let message = format!("the node `{}` is named twice", name.value);
                out.push(Diagnostic::error(codes::ORDER_TWICE, &name.span, message).related(first));
            }
        }
        let named = spec.order.iter().chain(spec.priorities.iter().map(|(name, _)| name));
        for name in named.filter(|name| !known.contains(&&name.value)) {
            let message =
                format!("`{}` is not a node of `{}`", name.value, self.cluster.name.value);
            let names: Vec<_> = known.iter().map(|name| name.as_str()).collect();
            out.push(
                Diagnostic::error(codes::UNKNOWN_NODE, &name.span, message)
                    .hint(nearest(name.value.as_str(), &names)),
            );
        }
    }

    /// Base priority of each node of the cluster, in the cluster's order, and
    /// where it is given: `priorities` of the instance, else its place in
    /// `order`, else `priority` of the node, else its place in the cluster.
    fn priorities(&self, spec: &InstanceSpec) -> Vec<(Option<Span>, Priority)> {
        let nodes = &self.cluster.nodes;
        let in_order = |name: &NodeName| spec.order.iter().position(|named| named.value == *name);
        let mut places: Vec<usize> = (0..nodes.len()).collect();
        places.sort_by_key(|&at| in_order(&nodes[at].name.value).unwrap_or(usize::MAX));
        let mut derived = vec![Priority::DEFAULT; nodes.len()];
        for (place, at) in places.into_iter().enumerate() {
            derived[at] = derived_priority(place, nodes.len());
        }
        let given = |node: &NodeSpec| {
            let own = spec.priorities.iter().find(|(name, _)| name.value == node.name.value);
            own.map(|(_, priority)| priority.clone())
                .or_else(|| if spec.order.is_empty() { node.priority.clone() } else { None })
        };
        nodes
            .iter()
            .zip(derived)
            .map(|(node, derived)| match given(node) {
                Some(priority) => (Some(priority.span), priority.value),
                None => (None, derived),
            })
            .collect()
    }

    /// A virtual address may be a node's own only where the node owns it.
    fn check_owned_addresses(
        &self,
        spec: &InstanceSpec,
        members: &BTreeMap<NodeName, Member>,
        out: &mut Collector,
    ) {
        if !spec.sound {
            return;
        }
        for node in &self.cluster.nodes {
            let owner =
                members.get(&node.name.value).is_some_and(|one| one.priority == Priority::OWNER);
            let by_interface = node.interface_addresses.iter().flat_map(|(_, list)| list);
            for address in node.addresses.iter().chain(by_interface) {
                let same = |vip: &&crate::manifest::spec::VipSpec| {
                    vip.address.value.addr() == address.value
                };
                if let Some(vip) = spec.vips.iter().find(same)
                    && !owner
                {
                    let message =
                        format!("{} is the address of node `{}`", address.value, node.name.value);
                    let at = &vip.address.span;
                    out.push(
                        Diagnostic::error(codes::VIP_IS_NODE_ADDRESS, at, message)
                            .related(&address.span),
                    );
                }
            }
        }
    }

    fn auth(&self, name: Option<&Spanned<SecretName>>, out: &mut Collector) -> Auth {
        let Some(name) = name else { return Auth::None };
        let Some(version) = self.secrets.get(&name.value) else {
            let known: Vec<_> = self.secrets.keys().map(SecretName::as_str).collect();
            let message = format!("there is no secret `{}`", name.value);
            out.push(
                Diagnostic::error(codes::UNKNOWN_SECRET, &name.span, message)
                    .hint(nearest(name.value.as_str(), &known)),
            );
            return Auth::None;
        };
        let secret = SecretRef { name: name.value.clone(), version: *version };
        let length = self.values.get(&secret).map(|value| value.expose().len());
        if length.is_some_and(|length| length > MAX_PASSWORD) {
            let message = format!("the secret `{}` has more than 8 bytes", name.value);
            out.error(codes::SECRET_DOES_NOT_FIT, &name.span, message);
        }
        Auth::Pass { secret }
    }

    fn accept(&self, spec: &InstanceSpec, out: &mut Collector) -> Accept {
        let accept = &spec.accept;
        let min_ttl = self.min_ttl(spec);
        let peer = |address: IpAddr| Peer { address, priority: None, min_ttl };
        let mut peers: Vec<_> = accept.peers.iter().map(|one| peer(one.value)).collect();
        peers.sort();
        peers.dedup();
        let mut intervals_us: Vec<_> = accept.intervals.iter().map(|one| one.value).collect();
        intervals_us.sort_unstable();
        intervals_us.dedup();
        let mut auth: Vec<_> =
            accept.secrets.iter().map(|name| self.auth(Some(name), out)).collect();
        if accept.no_auth.as_ref().is_some_and(|flag| flag.value) {
            auth.insert(0, Auth::None);
        }
        Accept {
            peers,
            other_transport: accept.other_transport,
            intervals_us,
            auth,
            require_addresses: accept.require_addresses,
            addresses: accept.addresses.iter().map(|one| one.value).collect(),
        }
    }
}

/// The priority of a place in the order, from 0: 250, 200, 150, … and in
/// smaller steps where five nodes are not enough. Strictly falling, 1 to 250,
/// for up to 250 nodes.
fn derived_priority(place: usize, nodes: usize) -> Priority {
    let step = (250 / nodes.max(1)).clamp(1, 50);
    let value = 250_usize.saturating_sub(place * step).max(1);
    Priority::try_from(value as u64).unwrap_or(Priority::DEFAULT)
}

/// The node's own address for adverts on `interface`.
fn source(
    node: &NodeSpec,
    interface: &InterfaceName,
    family: Family,
    unicast: bool,
) -> Option<IpAddr> {
    let of_family = |list: &[Spanned<IpAddr>]| {
        list.iter().map(|one| one.value).find(|address| Family::of(*address) == family)
    };
    let own = node.interface_addresses.iter().find(|(name, _)| name == interface);
    let own = own.and_then(|(_, list)| of_family(list));
    if unicast {
        return own.or_else(|| of_family(&node.addresses));
    }
    // RFC 9568 §5.1.2.1: the source of IPv6 multicast adverts is link-local.
    own.filter(|address| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => Ipv6Addr::is_unicast_link_local(address),
    })
}

fn vips(spec: &InstanceSpec) -> Vec<VirtualAddress> {
    spec.vips
        .iter()
        .map(|vip| VirtualAddress {
            address: vip.address.value,
            interface: vip.interface.clone().filter(|name| *name != spec.interface),
        })
        .collect()
}

fn preempt(spec: &InstanceSpec) -> Preempt {
    let enabled = spec.preempt.enabled.unwrap_or(true);
    let delay = spec.preempt.delay.as_ref().filter(|_| enabled);
    Preempt { enabled, delay_us: delay.map_or(Micros::ZERO, |delay| delay.value) }
}

fn garp(spec: &InstanceSpec) -> Garp {
    let default = Garp::default();
    Garp {
        repeat: spec.garp.repeat.unwrap_or(default.repeat),
        delay_us: spec.garp.delay.unwrap_or(default.delay_us),
        refresh_us: spec.garp.refresh.unwrap_or(default.refresh_us),
        refresh_repeat: spec.garp.refresh_repeat.unwrap_or(default.refresh_repeat),
    }
}

/// The name that was probably meant, else those that there are.
fn nearest(written: &str, known: &[&str]) -> String {
    match suggest(written, known) {
        Some(guess) => guess.hint,
        None if known.is_empty() => "there is none yet".to_owned(),
        None => format!("one of {}", known.join(", ")),
    }
}
