//! What must be unique in the whole fleet: virtual router ids of a network and
//! virtual addresses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::diagnostic::{Collector, Diagnostic, Span};
use crate::explain::codes;
use crate::ids::{ClusterName, InterfaceName, SegmentName, Vrid};
use crate::manifest::spec::{ClusterSpec, InstanceSpec};
use crate::plan::Family;

/// Where virtual router ids meet: a named segment, or a cluster by itself.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Network<'a> {
    Segment(&'a SegmentName),
    Cluster(&'a ClusterName),
}

impl<'a> Network<'a> {
    fn of(cluster: &'a ClusterSpec) -> Self {
        match &cluster.segment {
            Some(segment) => Self::Segment(segment),
            None => Self::Cluster(&cluster.name.value),
        }
    }
}

/// Family of an instance: that of its first address.
pub(super) fn family(instance: &InstanceSpec) -> Option<Family> {
    instance.vips.first().map(|vip| Family::of(vip.address.value.addr()))
}

type Place<'a> = (&'a ClusterSpec, &'a InstanceSpec);

/// Who uses which virtual router id, by network, interface and family.
pub(super) struct UsedVrids<'a> {
    by_network: BTreeMap<(Network<'a>, &'a InterfaceName, Family), BTreeMap<Vrid, Vec<Place<'a>>>>,
}

impl<'a> UsedVrids<'a> {
    pub(super) fn of(clusters: &[&'a ClusterSpec]) -> Self {
        let mut by_network: BTreeMap<_, BTreeMap<Vrid, Vec<Place<'a>>>> = BTreeMap::new();
        for cluster in clusters {
            for instance in &cluster.instances {
                if let Some(family) = family(instance) {
                    let key = (Network::of(cluster), &instance.interface, family);
                    let vrids = by_network.entry(key).or_default();
                    vrids.entry(instance.vrid.value).or_default().push((cluster, instance));
                }
            }
        }
        Self { by_network }
    }

    pub(super) fn report(&self, out: &mut Collector) {
        for ((_, interface, _), vrids) in &self.by_network {
            for places in vrids.values() {
                let Some(((first_cluster, first), others)) = places.split_first() else { continue };
                for (cluster, instance) in others {
                    let vrid = &instance.vrid;
                    let message = format!(
                        "virtual router id {} is already used on {interface} by instance `{}` of \
                         cluster `{}`",
                        vrid.value, first.name.value, first_cluster.name.value
                    );
                    let diagnostic = Diagnostic::error(codes::VRID_TAKEN, &vrid.span, message)
                        .related(&first.vrid.span);
                    let apart = if first_cluster.name.value == cluster.name.value {
                        ""
                    } else {
                        ", or another spec.segment if these are different L2 networks"
                    };
                    out.push(match free(vrids, vrid.value.get()) {
                        Some(free) => diagnostic.hint(format!("vrid: {free} (free){apart}")),
                        None => diagnostic,
                    });
                }
            }
        }
    }
}

/// The next free id from `wanted` upwards, then from 1.
fn free(used: &BTreeMap<Vrid, Vec<Place<'_>>>, wanted: u8) -> Option<u8> {
    let is_free = |id: &u8| used.keys().all(|vrid| vrid.get() != *id);
    (wanted..=255).chain(1..wanted).find(is_free)
}

/// Who uses which virtual address.
pub(super) struct UsedVips<'a> {
    by_address: BTreeMap<IpAddr, Vec<(Place<'a>, &'a Span)>>,
}

impl<'a> UsedVips<'a> {
    pub(super) fn of(clusters: &[&'a ClusterSpec]) -> Self {
        let mut by_address: BTreeMap<IpAddr, Vec<_>> = BTreeMap::new();
        for cluster in clusters {
            for instance in &cluster.instances {
                for vip in &instance.vips {
                    let places = by_address.entry(vip.address.value.addr()).or_default();
                    places.push(((*cluster, instance), &vip.address.span));
                }
            }
        }
        Self { by_address }
    }

    pub(super) fn report(&self, out: &mut Collector) {
        for (address, places) in &self.by_address {
            let Some((((first_cluster, first), first_span), others)) = places.split_first() else {
                continue;
            };
            for ((cluster, _), span) in others {
                let message = format!(
                    "{address} is a virtual address of instance `{}` of cluster `{}` already",
                    first.name.value, first_cluster.name.value
                );
                let apart = first_cluster.segment.is_some()
                    && cluster.segment.is_some()
                    && first_cluster.segment != cluster.segment;
                let diagnostic = if apart {
                    Diagnostic::warning(codes::VIP_IN_TWO_SEGMENTS, span, message)
                } else {
                    Diagnostic::error(codes::VIP_TAKEN, span, message)
                };
                out.push(diagnostic.related(first_span));
            }
        }
    }
}
