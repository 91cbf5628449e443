//! The plan of one node: all that its agent has to do, with no choice left.
//!
//! A plan is a document: canonical JSON (fields in the order of the types here,
//! no blanks, defaults omitted, integers only, durations in microseconds). The
//! same bytes travel in an offer, lie in the node's ledger, are printed by
//! `hactl render` and accepted by `ha-agent run --plan`. Its digest is taken
//! over the bytes as received; nobody serialises a received plan again.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::ids::{ClusterName, InstanceName, InterfaceName, NodeName, Priority, Vrid};
use crate::secret::SecretRef;
use crate::units::Micros;

/// Lowest plan schema that this build understands.
pub const SCHEMA_MIN: u32 = 1;
/// Highest plan schema that this build understands. Schema 2 added
/// [`Accept`], which lets an instance accept what it does not send.
pub const SCHEMA_MAX: u32 = 2;

/// What one node has to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NodePlan {
    /// Version of this document's form; the lowest that expresses the wish.
    pub schema: u32,
    /// The cluster that the node is in.
    pub cluster: ClusterName,
    /// The node that this plan is for.
    pub node: NodeName,
    /// Virtual routers, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstancePlan>,
}

/// One virtual router on this node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InstancePlan {
    /// Name, unique in the plan.
    pub name: InstanceName,
    /// Where adverts are sent and heard, and where addresses go by default.
    pub interface: InterfaceName,
    /// Address family of the adverts and of every address in them.
    pub family: Family,
    /// Virtual router identifier, unique per interface and family.
    pub vrid: Vrid,
    /// Protocol version. IPv6 is always version 3.
    pub version: VrrpVersion,
    /// Base priority of this node.
    pub priority: Priority,
    /// Time between two adverts. Version 2: whole seconds, 1 to 255; version
    /// 3: 10 ms to 40.95 s in steps of 10 ms.
    pub interval_us: Micros,
    /// Virtual addresses, in advert order.
    pub addresses: Vec<VirtualAddress>,
    /// How adverts leave.
    pub transport: Transport,
    /// Whether a higher priority takes over from a lower one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preempt: Preempt,
    /// Checksum of version 3 adverts over IPv4; both are accepted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub checksum: Checksum,
    /// Authentication of version 2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub auth: Auth,
    /// Gratuitous ARP and unsolicited neighbour advertisements.
    #[serde(default, skip_serializing_if = "is_default")]
    pub garp: Garp,
    /// What is accepted beyond what is sent. Schema 2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub accept: Accept,
}

/// Address family.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// Family of `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

/// Protocol version.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum VrrpVersion {
    /// RFC 3768.
    V2,
    /// RFC 9568.
    V3,
}

impl From<VrrpVersion> for u8 {
    fn from(version: VrrpVersion) -> Self {
        match version {
            VrrpVersion::V2 => 2,
            VrrpVersion::V3 => 3,
        }
    }
}

impl TryFrom<u8> for VrrpVersion {
    type Error = String;

    fn try_from(version: u8) -> Result<Self, String> {
        match version {
            2 => Ok(Self::V2),
            3 => Ok(Self::V3),
            other => Err(format!("VRRP version {other} is not known, 2 and 3 are")),
        }
    }
}

/// A virtual address.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualAddress {
    /// Address and prefix length as they are put on the interface.
    pub address: IpNet,
    /// Interface, where it is not the instance's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceName>,
}

/// How adverts travel.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Transport {
    /// To each peer by itself. Peers are never empty, never the node itself.
    Unicast {
        /// Own address, source of the adverts.
        source: IpAddr,
        /// The other nodes, sorted by address.
        peers: Vec<Peer>,
    },
    /// To 224.0.0.18 or ff02::12 (RFC 9568 §5.1.1.2, §5.1.2.2).
    Multicast {
        /// Own address; default: the interface's first of the family (IPv6:
        /// link-local).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<IpAddr>,
    },
}

/// Another node of a unicast instance.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Where adverts go and come from.
    pub address: IpAddr,
    /// Base priority of the peer, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Lowest TTL or hop limit accepted from it. 255 keeps everything off that
    /// crossed a router.
    #[serde(default = "ttl_on_link", skip_serializing_if = "is_ttl_on_link")]
    pub min_ttl: u8,
}

fn ttl_on_link() -> u8 {
    255
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_ttl_on_link(ttl: &u8) -> bool {
    *ttl == ttl_on_link()
}

/// Whether a higher priority takes over (RFC 9568 §6.1 `Preempt_Mode`).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Preempt {
    /// On by default.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
    /// How long a lower master is left in place after it was first heard.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delay_us: Micros,
}

impl Default for Preempt {
    fn default() -> Self {
        Self { enabled: true, delay_us: Micros::ZERO }
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// Checksum of version 3 adverts over IPv4.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// With the pseudo-header, as keepalived and FRR send it.
    #[default]
    PseudoHeader,
    /// Over the VRRP message alone, as RFC 9568 §5.2.8 has it.
    Rfc9568,
}

/// Authentication of version 2 adverts (RFC 2338 §5.3.6).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    /// None.
    #[default]
    None,
    /// Simple text, 1 to 8 bytes, in the clear on the wire.
    Pass {
        /// Where the text lies.
        secret: SecretRef,
    },
}

/// Schedule of gratuitous ARP and unsolicited neighbour advertisements. The
/// defaults are keepalived's: 5 at once, 5 more after 5 s, no refresh.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Garp {
    /// Announcements of each address in one set, 1 to 255.
    pub repeat: u8,
    /// From the first set to the second; zero: no second set.
    pub delay_us: Micros,
    /// Between two refreshes; zero: no refresh.
    pub refresh_us: Micros,
    /// Announcements of each address in one refresh.
    pub refresh_repeat: u8,
}

impl Default for Garp {
    fn default() -> Self {
        Self {
            repeat: 5,
            delay_us: Micros::from_secs(5),
            refresh_us: Micros::ZERO,
            refresh_repeat: 1,
        }
    }
}

/// What an instance accepts beyond what it sends, so that a fleet can change
/// either without two masters. Empty in a settled fleet.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    /// Further unicast peers whose adverts count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// Adverts to the multicast group count although unicast is sent, or
    /// unicast ones although multicast is sent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub other_transport: bool,
    /// Further intervals that version 2 adverts may carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intervals_us: Vec<Micros>,
    /// Further authentications of version 2 adverts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth: Vec<Auth>,
    /// An advert whose address list differs is dropped. Off: it counts and is
    /// reported (RFC 9568 §7.1 makes the check a MAY).
    #[serde(default, skip_serializing_if = "is_default")]
    pub require_addresses: bool,
    /// Further addresses that an advert may list without being reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
