//! What changes between two plans of a node, in the words of the manifest, and
//! how such a change may be rolled out.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::ids::InstanceName;
use crate::plan::{
    Accept, Auth, Checksum, Family, InstancePlan, NodePlan, Peer, Transport, VirtualAddress,
    VrrpVersion,
};

/// How a change may reach the nodes of a cluster, from the mildest to the
/// hardest.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeClass {
    /// In any order: peers do not notice.
    Live,
    /// Backups first, master last: mastership may move.
    Ordered,
    /// Nodes must accept both before they send the new.
    ExpandContract,
    /// Old and new can't hear each other: all nodes at one moment.
    Coordinated,
    /// Addresses go dark for a while.
    Disruptive,
}

impl fmt::Display for ChangeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Ordered => "ordered",
            Self::ExpandContract => "expand/contract",
            Self::Coordinated => "coordinated",
            Self::Disruptive => "disruptive",
        })
    }
}

/// One field that differs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct FieldChange {
    /// Such as `instances[web].priority`.
    pub path: String,
    /// Value before; none: there was none.
    pub before: Option<String>,
    /// Value after; none: there is none any more.
    pub after: Option<String>,
    /// How it may be rolled out.
    pub class: ChangeClass,
}

/// All that changes from `before` to `after`, by instance and field. No plan at
/// all is one without instances. Empty exactly if the two do the same.
#[must_use]
pub fn diff(before: Option<&NodePlan>, after: Option<&NodePlan>) -> Vec<FieldChange> {
    let mut changes = Changes::default();
    let cluster = |plan: Option<&NodePlan>| plan.map(|plan| plan.cluster.to_string());
    if let (Some(old), Some(new)) = (before, after) {
        changes.path.clear();
        changes.compare("cluster", ChangeClass::Disruptive, &old.cluster, &new.cluster, show);
    } else {
        changes.push(
            "cluster",
            cluster(before),
            cluster(after),
            match after {
                Some(_) => ChangeClass::Live,
                None => ChangeClass::Disruptive,
            },
        );
    }
    let (old, new) = (by_name(before), by_name(after));
    let mut names: Vec<_> = old.keys().chain(new.keys()).copied().collect();
    names.sort();
    names.dedup();
    for name in names {
        changes.instance(name, old.get(name).copied(), new.get(name).copied());
    }
    changes.found
}

/// The hardest class among `changes`; none if nothing changes.
#[must_use]
pub fn class_of(changes: &[FieldChange]) -> Option<ChangeClass> {
    changes.iter().map(|change| change.class).max()
}

fn by_name(plan: Option<&NodePlan>) -> BTreeMap<&InstanceName, &InstancePlan> {
    plan.iter().flat_map(|plan| &plan.instances).map(|one| (&one.name, one)).collect()
}

#[derive(Default)]
struct Changes {
    path: String,
    found: Vec<FieldChange>,
}

impl Changes {
    fn push(
        &mut self,
        field: &str,
        before: Option<String>,
        after: Option<String>,
        class: ChangeClass,
    ) {
        if before != after {
            let path = format!("{}{field}", self.path);
            self.found.push(FieldChange { path, before, after, class });
        }
    }

    fn compare<T: PartialEq>(
        &mut self,
        field: &str,
        class: ChangeClass,
        before: &T,
        after: &T,
        show: impl Fn(&T) -> String,
    ) {
        if before != after {
            self.push(field, Some(show(before)), Some(show(after)), class);
        }
    }

    fn instance(
        &mut self,
        name: &InstanceName,
        before: Option<&InstancePlan>,
        after: Option<&InstancePlan>,
    ) {
        self.path = format!("instances[{name}]");
        match (before, after) {
            (Some(before), Some(after)) => {
                self.path.push('.');
                self.fields(before, after);
            }
            // A new virtual router disturbs nobody; one that goes takes its
            // addresses with it.
            (None, after) => {
                self.push("", None, after.map(show_instance), ChangeClass::Live);
            }
            (before, None) => {
                self.push("", before.map(show_instance), None, ChangeClass::Disruptive);
            }
        }
        self.path.clear();
    }

    /// Destructured, so that a new field can't be forgotten here.
    fn fields(&mut self, before: &InstancePlan, after: &InstancePlan) {
        use ChangeClass::{Coordinated, Disruptive, ExpandContract, Live, Ordered};
        let InstancePlan {
            name: _,
            interface,
            family,
            vrid,
            version,
            priority,
            interval_us,
            addresses,
            transport,
            preempt,
            checksum,
            auth,
            garp,
            accept,
        } = before;
        // Version 3 takes the interval from the master's adverts; version 2
        // drops adverts with another one (RFC 3768 §7.1).
        let interval_class = match version {
            VrrpVersion::V2 => ExpandContract,
            VrrpVersion::V3 => Ordered,
        };
        let gone = addresses.iter().any(|vip| !after.addresses.contains(vip));
        let addresses_class = if gone { Disruptive } else { ExpandContract };
        self.compare("interface", Disruptive, interface, &after.interface, show);
        self.compare("family", Disruptive, family, &after.family, show_family);
        self.compare("vrid", Coordinated, vrid, &after.vrid, show);
        self.compare("version", Coordinated, version, &after.version, |version| {
            u8::from(*version).to_string()
        });
        self.compare("priority", Ordered, priority, &after.priority, show);
        self.compare("advertInterval", interval_class, interval_us, &after.interval_us, show);
        self.compare("vips", addresses_class, addresses, &after.addresses, |vips| show_vips(vips));
        self.transport(transport, &after.transport);
        self.compare("preempt.enabled", Ordered, &preempt.enabled, &after.preempt.enabled, show);
        self.compare("preempt.delay", Live, &preempt.delay_us, &after.preempt.delay_us, show);
        self.compare("checksum", Ordered, checksum, &after.checksum, show_checksum);
        self.compare("auth", ExpandContract, auth, &after.auth, show_auth);
        self.compare("garp.repeat", Live, &garp.repeat, &after.garp.repeat, show);
        self.compare("garp.delay", Live, &garp.delay_us, &after.garp.delay_us, show);
        self.compare("garp.refresh", Live, &garp.refresh_us, &after.garp.refresh_us, show);
        let (old, new) = (&garp.refresh_repeat, &after.garp.refresh_repeat);
        self.compare("garp.refreshRepeat", Live, old, new, show);
        self.accept(accept, &after.accept);
    }

    fn transport(&mut self, before: &Transport, after: &Transport) {
        use ChangeClass::{ExpandContract, Live};
        match (before, after) {
            (
                Transport::Unicast { source, peers },
                Transport::Unicast { source: new_source, peers: new_peers },
            ) => {
                self.compare("source", ExpandContract, source, new_source, show);
                let addresses = |peers: &[Peer]| -> Vec<_> {
                    peers.iter().map(|peer| (peer.address, peer.min_ttl)).collect()
                };
                // A peer's priority is there for information; only who counts
                // as a peer must be changed with care.
                let same_peers = addresses(peers) == addresses(new_peers);
                let class = if same_peers { Live } else { ExpandContract };
                self.compare("peers", class, peers, new_peers, |peers| show_peers(peers));
            }
            (Transport::Multicast { source }, Transport::Multicast { source: new_source }) => {
                self.compare("source", Live, source, new_source, |source| {
                    source.map_or_else(|| "of the interface".to_owned(), |one| one.to_string())
                });
            }
            (Transport::Unicast { .. } | Transport::Multicast { .. }, _) => {
                self.compare("transport", ExpandContract, before, after, show_transport);
            }
        }
    }

    fn accept(&mut self, before: &Accept, after: &Accept) {
        use ChangeClass::{ExpandContract, Live};
        let Accept { peers, other_transport, intervals_us, auth, require_addresses, addresses } =
            before;
        // To accept more is harmless; to accept less may cut a node off.
        let class = |narrower: bool| if narrower { ExpandContract } else { Live };
        let fewer = peers.iter().any(|one| !after.peers.contains(one));
        self.compare("accept.peers", class(fewer), peers, &after.peers, |peers| show_peers(peers));
        let (old, new) = (other_transport, &after.other_transport);
        self.compare("accept.otherTransport", class(*old), old, new, show);
        let fewer = intervals_us.iter().any(|one| !after.intervals_us.contains(one));
        let (old, new) = (intervals_us, &after.intervals_us);
        self.compare("accept.intervals", class(fewer), old, new, |list| show_list(list));
        let fewer = auth.iter().any(|one| !after.auth.contains(one));
        self.compare("accept.auth", class(fewer), auth, &after.auth, |list| {
            list.iter().map(show_auth).collect::<Vec<_>>().join(", ")
        });
        let (old, new) = (require_addresses, &after.require_addresses);
        self.compare("accept.requireAddresses", class(*new), old, new, show);
        let fewer = addresses.iter().any(|one| !after.addresses.contains(one));
        let (old, new) = (addresses, &after.addresses);
        self.compare("accept.addresses", class(fewer), old, new, |list| show_list(list));
    }
}

fn show<T: fmt::Display>(value: &T) -> String {
    value.to_string()
}

fn show_list<T: fmt::Display>(list: &[T]) -> String {
    list.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn show_family(family: &Family) -> String {
    match family {
        Family::Ipv4 => "IPv4".to_owned(),
        Family::Ipv6 => "IPv6".to_owned(),
    }
}

fn show_checksum(checksum: &Checksum) -> String {
    match checksum {
        Checksum::PseudoHeader => "pseudo-header".to_owned(),
        Checksum::Rfc9568 => "rfc9568".to_owned(),
    }
}

fn show_auth(auth: &Auth) -> String {
    match auth {
        Auth::None => "none".to_owned(),
        Auth::Pass { secret } => format!("secret {} version {}", secret.name, secret.version),
    }
}

fn show_transport(transport: &Transport) -> String {
    match transport {
        Transport::Unicast { .. } => "unicast".to_owned(),
        Transport::Multicast { .. } => "multicast".to_owned(),
    }
}

fn show_vips(vips: &[VirtualAddress]) -> String {
    let show = |vip: &VirtualAddress| match &vip.interface {
        Some(interface) => format!("{} on {interface}", vip.address),
        None => vip.address.to_string(),
    };
    vips.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn show_peers(peers: &[Peer]) -> String {
    let show = |peer: &Peer| {
        let mut text = peer.address.to_string();
        if let Some(priority) = peer.priority {
            text.push_str(&format!(" (priority {priority})"));
        }
        if peer.min_ttl != 255 {
            text.push_str(&format!(" (TTL {} or more)", peer.min_ttl));
        }
        text
    };
    peers.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn show_instance(instance: &InstancePlan) -> String {
    let InstancePlan { interface, vrid, addresses, .. } = instance;
    format!("vrid {vrid} on {interface}: {}", show_vips(addresses))
}

#[cfg(test)]
mod tests;
