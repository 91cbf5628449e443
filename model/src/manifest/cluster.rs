//! `kind: Cluster`.

use std::net::IpAddr;

use super::decode::{Decoder, Fields, Spanned};
use super::spec::{
    AcceptSpec, ClusterSpec, GarpSpec, InstanceSpec, NodeSpec, PreemptSpec, TransportKind, VipSpec,
    VrrpSpec,
};
use super::yaml::{Node, Value};
use crate::diagnostic::Diagnostic;
use crate::explain::codes;
use crate::ids::{ClusterName, Priority, Vrid};
use crate::plan::{Checksum, VrrpVersion};
use crate::units::Micros;

/// Most nodes of a cluster: derived priorities stay different up to here.
pub(crate) const MAX_NODES: usize = 250;
/// Most instances of a cluster.
const MAX_INSTANCES: usize = 4096;
/// Most addresses of an instance: the count is one byte (RFC 9568 §5.2.5).
const MAX_VIPS: usize = 255;
/// Longest delay of a timer that is not an advert interval.
const MAX_DELAY: Micros = Micros::from_secs(3600);
/// Bounds of an advert interval in any version.
const INTERVALS: (Micros, Micros) = (Micros::from_millis(10), Micros::from_secs(255));

const VRRP_FIELDS: [&str; 5] = ["version", "transport", "advertInterval", "checksum", "minTtl"];

/// The spec of a cluster, as far as it is good. None if it is no mapping.
pub(super) fn decode(
    decoder: &mut Decoder<'_>,
    name: Spanned<ClusterName>,
    labels: Vec<(String, String)>,
    spec: &Node,
) -> Option<ClusterSpec> {
    let known = ["segment", "nodes", "vrrp", "instances"];
    let fields = decoder.fields(spec, "the spec of a Cluster", &known)?;
    let segment = fields.get("segment").and_then(|node| decoder.name(node, "a segment"));
    let before = decoder.mistakes;
    let nodes = decoder
        .required(&fields, "nodes")
        .map(|node| decoder.list(node, (1, MAX_NODES), node_spec))
        .unwrap_or_default();
    let nodes_sound = decoder.mistakes == before;
    let vrrp = match fields.get("vrrp") {
        Some(node) => vrrp_mapping(decoder, node),
        None => VrrpSpec { sound: true, ..VrrpSpec::default() },
    };
    let instances = decoder
        .required(&fields, "instances")
        .map(|node| decoder.list(node, (1, MAX_INSTANCES), instance))
        .unwrap_or_default();
    let segment = segment.map(|segment| segment.value);
    Some(ClusterSpec { name, labels, segment, nodes, vrrp, instances, nodes_sound })
}

fn node_spec(decoder: &mut Decoder<'_>, node: &Node) -> Option<NodeSpec> {
    let before = decoder.mistakes;
    let known = ["name", "address", "addresses", "priority", "interfaceAddresses"];
    let fields = decoder.fields(node, "a node", &known)?;
    let name = decoder.required(&fields, "name").and_then(|node| decoder.name(node, "a node"));
    let addresses = node_addresses(decoder, &fields);
    let priority = fields.get("priority").and_then(|node| priority(decoder, node));
    let mut interface_addresses = Vec::new();
    if let Some(map) = fields.get("interfaceAddresses") {
        for (key, value) in decoder.entries(map, "addresses by interface").unwrap_or_default() {
            let interface = decoder.key_name(key, "an interface");
            let addresses = one_or_more(decoder, value);
            if let Some(interface) = interface {
                interface_addresses.push((interface.value, addresses));
            }
        }
    }
    let sound = decoder.mistakes == before;
    Some(NodeSpec { name: name?, addresses, interface_addresses, priority, sound })
}

/// `address`, one, or `addresses`, one of each family.
fn node_addresses(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Spanned<IpAddr>> {
    if let (Some(one), Some(other)) = (fields.key("address"), fields.key("addresses")) {
        let span = decoder.span(&other.range);
        let first = decoder.span(&one.range);
        decoder.report(
            Diagnostic::error(
                codes::EXCLUSIVE_FIELDS,
                &span,
                "`address` and `addresses` in one node",
            )
            .related(&first)
            .hint("put both into addresses"),
        );
    }
    let mut found = Vec::new();
    for name in ["address", "addresses"] {
        if let Some(node) = fields.get(name) {
            found.extend(one_or_more(decoder, node));
        }
    }
    found
}

/// An address, or a list of one for each family.
fn one_or_more(decoder: &mut Decoder<'_>, node: &Node) -> Vec<Spanned<IpAddr>> {
    let found = if matches!(node.value, Value::List(_)) {
        decoder.list(node, (1, 2), |decoder, node| decoder.address(node))
    } else {
        decoder.address(node).into_iter().collect()
    };
    if let [first, second] = found.as_slice()
        && first.value.is_ipv4() == second.value.is_ipv4()
    {
        let message = format!("{} is a second address of one family", second.value);
        decoder.report(
            Diagnostic::error(codes::ADDRESS_FAMILY_TWICE, &second.span, message)
                .related(&first.span),
        );
    }
    found
}

fn priority(decoder: &mut Decoder<'_>, node: &Node) -> Option<Spanned<Priority>> {
    let number = decoder.number(node, 1, 255)?;
    Priority::try_from(number).ok().map(|priority| decoder.spanned(priority, node))
}

fn vrrp_mapping(decoder: &mut Decoder<'_>, node: &Node) -> VrrpSpec {
    let before = decoder.mistakes;
    let mut vrrp = decoder
        .fields(node, "vrrp", &VRRP_FIELDS)
        .map(|fields| vrrp_fields(decoder, &fields))
        .unwrap_or_default();
    vrrp.sound = decoder.mistakes == before;
    vrrp
}

fn vrrp_fields(decoder: &mut Decoder<'_>, fields: &Fields<'_>) -> VrrpSpec {
    let before = decoder.mistakes;
    let version = fields.get("version").and_then(|node| {
        let version = match decoder.number(node, 2, 3)? {
            2 => VrrpVersion::V2,
            _ => VrrpVersion::V3,
        };
        Some(decoder.spanned(version, node))
    });
    let transports = [("unicast", TransportKind::Unicast), ("multicast", TransportKind::Multicast)];
    let transport = fields.get("transport").and_then(|node| decoder.choice(node, &transports));
    let interval = fields.get("advertInterval").and_then(|node| interval(decoder, node));
    let checksums = [("pseudo-header", Checksum::PseudoHeader), ("rfc9568", Checksum::Rfc9568)];
    let checksum = fields.get("checksum").and_then(|node| decoder.choice(node, &checksums));
    let min_ttl = fields.get("minTtl").and_then(|node| byte(decoder, node));
    let sound = decoder.mistakes == before;
    VrrpSpec { version, transport, interval, checksum, min_ttl, sound }
}

fn interval(decoder: &mut Decoder<'_>, node: &Node) -> Option<Spanned<Micros>> {
    let span = decoder.duration(node, INTERVALS.0, INTERVALS.1)?;
    Some(decoder.spanned(span, node))
}

/// 1 to 255.
fn byte(decoder: &mut Decoder<'_>, node: &Node) -> Option<u8> {
    decoder.number(node, 1, 255).and_then(|number| u8::try_from(number).ok())
}

fn instance(decoder: &mut Decoder<'_>, node: &Node) -> Option<InstanceSpec> {
    let before = decoder.mistakes;
    let mut known = vec![
        "name",
        "interface",
        "vrid",
        "vips",
        "preempt",
        "order",
        "priorities",
        "auth",
        "garp",
        "accept",
    ];
    known.extend(VRRP_FIELDS);
    let fields = decoder.fields(node, "an instance", &known)?;
    let name = decoder.required(&fields, "name").and_then(|node| decoder.name(node, "an instance"));
    let interface =
        decoder.required(&fields, "interface").and_then(|node| decoder.name(node, "an interface"));
    let vrid = decoder.required(&fields, "vrid").and_then(|node| {
        let number = decoder.number(node, 1, 255)?;
        Vrid::try_from(number).ok().map(|vrid| decoder.spanned(vrid, node))
    });
    let vips = decoder
        .required(&fields, "vips")
        .map(|node| decoder.list(node, (1, MAX_VIPS), vip))
        .unwrap_or_default();
    let vrrp = vrrp_fields(decoder, &fields);
    let preempt = fields.get("preempt").map(|node| preempt(decoder, node)).unwrap_or_default();
    let order = fields
        .get("order")
        .map(|node| {
            decoder.list(node, (1, MAX_NODES), |decoder, node| decoder.name(node, "a node"))
        })
        .unwrap_or_default();
    let priorities = fields.get("priorities").map(|node| priorities(decoder, node));
    let auth = fields.get("auth").and_then(|node| {
        let fields = decoder.fields(node, "auth", &["secret"])?;
        decoder.required(&fields, "secret").and_then(|node| decoder.name(node, "a secret"))
    });
    let garp = fields.get("garp").map(|node| garp(decoder, node)).unwrap_or_default();
    let accept = fields.get("accept").map(|node| accept(decoder, node)).unwrap_or_default();
    let sound = decoder.mistakes == before;
    Some(InstanceSpec {
        name: name?,
        interface: interface?.value,
        vrid: vrid?,
        vips,
        vrrp,
        preempt,
        order,
        priorities: priorities.unwrap_or_default(),
        auth,
        garp,
        accept,
        sound,
    })
}

/// `192.0.2.50/24` or `{address: 192.0.2.50/24, interface: eth1}`.
fn vip(decoder: &mut Decoder<'_>, node: &Node) -> Option<VipSpec> {
    if !matches!(node.value, Value::Map(_)) {
        return decoder.prefixed(node).map(|address| VipSpec { address, interface: None });
    }
    let fields = decoder.fields(node, "a virtual address", &["address", "interface"])?;
    let address = decoder.required(&fields, "address").and_then(|node| decoder.prefixed(node));
    let interface = fields.get("interface").and_then(|node| decoder.name(node, "an interface"));
    Some(VipSpec { address: address?, interface: interface.map(|name| name.value) })
}

fn preempt(decoder: &mut Decoder<'_>, node: &Node) -> PreemptSpec {
    let Some(fields) = decoder.fields(node, "preempt", &["enabled", "delay"]) else {
        return PreemptSpec::default();
    };
    let enabled = fields.get("enabled").and_then(|node| decoder.boolean(node));
    let delay = fields.get("delay").and_then(|node| {
        let span = decoder.duration(node, Micros::ZERO, MAX_DELAY)?;
        Some(decoder.spanned(span, node))
    });
    PreemptSpec { enabled, delay }
}

fn priorities(
    decoder: &mut Decoder<'_>,
    node: &Node,
) -> Vec<(Spanned<crate::ids::NodeName>, Spanned<Priority>)> {
    let mut found = Vec::new();
    for (key, value) in decoder.entries(node, "priorities by node").unwrap_or_default() {
        let name = decoder.key_name(key, "a node");
        let priority = priority(decoder, value);
        found.extend(name.zip(priority));
    }
    found
}

fn garp(decoder: &mut Decoder<'_>, node: &Node) -> GarpSpec {
    let known = ["repeat", "delay", "refresh", "refreshRepeat"];
    let Some(fields) = decoder.fields(node, "garp", &known) else {
        return GarpSpec::default();
    };
    let mut delay = |name| {
        let node = fields.get(name)?;
        decoder.duration(node, Micros::ZERO, MAX_DELAY)
    };
    let (after, refresh) = (delay("delay"), delay("refresh"));
    GarpSpec {
        repeat: fields.get("repeat").and_then(|node| byte(decoder, node)),
        delay: after,
        refresh,
        refresh_repeat: fields.get("refreshRepeat").and_then(|node| byte(decoder, node)),
    }
}

fn accept(decoder: &mut Decoder<'_>, node: &Node) -> AcceptSpec {
    let known = [
        "peers",
        "otherTransport",
        "intervals",
        "secrets",
        "noAuth",
        "requireAddresses",
        "addresses",
    ];
    let Some(fields) = decoder.fields(node, "accept", &known) else {
        return AcceptSpec::default();
    };
    let flag = |decoder: &mut Decoder<'_>, name| {
        fields.get(name).and_then(|node| decoder.boolean(node)).unwrap_or_default()
    };
    let addresses = |decoder: &mut Decoder<'_>, name| {
        let list = |node| decoder.list(node, (1, MAX_VIPS), |decoder, node| decoder.address(node));
        fields.get(name).map(list).unwrap_or_default()
    };
    AcceptSpec {
        peers: addresses(decoder, "peers"),
        other_transport: flag(decoder, "otherTransport"),
        intervals: fields
            .get("intervals")
            .map(|node| decoder.list(node, (1, 16), interval))
            .unwrap_or_default(),
        secrets: fields
            .get("secrets")
            .map(|node| decoder.list(node, (1, 16), |decoder, node| decoder.name(node, "a secret")))
            .unwrap_or_default(),
        no_auth: fields.get("noAuth").and_then(|node| {
            let value = decoder.boolean(node)?;
            Some(decoder.spanned(value, node))
        }),
        require_addresses: flag(decoder, "requireAddresses"),
        addresses: addresses(decoder, "addresses"),
    }
}
