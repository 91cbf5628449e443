//! Status is level: the full present state of a node, sent anew after every
//! reconnect, so that a lost edge can never leave something stale.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::ids::{InstanceName, InterfaceName, NodeName, PlanId, RevisionId};
use crate::plan::Family;

/// State of a virtual router (RFC 9568 §6.4, and fault as keepalived has it).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VrrpState {
    /// Not started, or stopped.
    Init,
    /// Another router forwards.
    Backup,
    /// This router forwards.
    Master,
    /// It can't take part, for the reasons given beside it.
    Fault,
}

/// Why an instance is in fault.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultReason {
    /// The interface does not exist.
    InterfaceMissing(InterfaceName),
    /// The interface is not up and running.
    InterfaceDown(InterfaceName),
    /// The interface has no source address of the family.
    NoSourceAddress(InterfaceName),
    /// A secret that the plan names has no value on this node.
    SecretMissing(crate::ids::SecretName),
}

/// A master that was heard.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MasterSeen {
    /// Source of its adverts.
    pub address: IpAddr,
    /// Priority in its last advert.
    pub priority: u8,
    /// Wall clock of its last advert, microseconds since 1970.
    pub heard_at_us: u64,
}

/// One virtual router on one node, now.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InstanceStatus {
    /// Which.
    pub name: InstanceName,
    /// Where.
    pub interface: InterfaceName,
    /// Family of its adverts.
    pub family: Family,
    /// Virtual router id.
    pub vrid: u8,
    /// State.
    pub state: VrrpState,
    /// Wall clock of the last transition, microseconds since 1970.
    pub since_us: u64,
    /// Priority that adverts carry.
    pub effective_priority: u8,
    /// Why it is in fault; empty otherwise.
    pub faults: Vec<FaultReason>,
    /// Other masters heard within the last master-down interval. For a backup
    /// this is its master; for a master, a second one.
    pub masters_seen: Vec<MasterSeen>,
    /// Virtual addresses that are on an interface now.
    pub addresses_held: Vec<IpNet>,
    /// Virtual addresses that should be there, but were taken away too often
    /// or could not be added.
    pub addresses_failed: Vec<IpNet>,
    /// Counters since the agent started.
    pub counters: InstanceCounters,
}

/// Counters of one instance. Names as in keepalived's statistics where it has
/// the same one. Every dropped advert is in exactly one of the `*_err`,
/// `*_type*`, `*_mismatch` and `auth_*` fields.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct InstanceCounters {
    /// Adverts that counted.
    pub advert_rcvd: u64,
    /// Adverts sent (one for each tick, however many peers).
    pub advert_sent: u64,
    /// Transitions to master.
    pub become_master: u64,
    /// Transitions from master.
    pub release_master: u64,
    /// Shorter or longer than its count of addresses says.
    pub packet_len_err: u64,
    /// Version 2 advert with an interval that is not ours.
    pub advert_interval_err: u64,
    /// TTL or hop limit below what the source must have.
    pub ip_ttl_err: u64,
    /// Another VRRP version.
    pub vers_err: u64,
    /// Wrong checksum.
    pub chk_err: u64,
    /// Type is not 1 (ADVERTISEMENT).
    pub invalid_type_rcvd: u64,
    /// Multicast where unicast was due, or the reverse.
    pub transport_err: u64,
    /// Unicast source that is no peer.
    pub unknown_peer_err: u64,
    /// Address list differs and that is not accepted.
    pub addr_list_err: u64,
    /// Address list differs, accepted all the same.
    pub addr_list_diff: u64,
    /// Version 2 authentication type that does not exist.
    pub invalid_authtype: u64,
    /// Version 2 authentication type that is not ours.
    pub authtype_mismatch: u64,
    /// Version 2 authentication data that is not ours.
    pub auth_failure: u64,
    /// Priority 0 heard.
    pub pri_zero_rcvd: u64,
    /// Priority 0 sent.
    pub pri_zero_sent: u64,
    /// Own advert looped back to us.
    pub own_advert_rcvd: u64,
    /// Gratuitous ARP and unsolicited NA sent.
    pub garp_sent: u64,
    /// Addresses put back that somebody else had removed.
    pub address_put_back: u64,
    /// Adverts that the kernel did not take.
    pub send_err: u64,
    /// Wake-ups later than half an advert interval.
    pub late_wakeup: u64,
}

/// How far a plan got on a node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PlanPhase {
    /// The bytes are here.
    Received,
    /// Parsed, checked against this node, written to the ledger.
    Prepared,
    /// The machines run it.
    Applied,
    /// The kernel shows it, and every instance is master or hears one.
    Healthy,
    /// Not taken; the plan before it keeps running.
    Rejected,
    /// Taken back.
    RolledBack,
}

/// Why a plan, or a part of one, was not taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FieldError {
    /// Stable code, such as `E2103`.
    pub code: String,
    /// Path in the plan, such as `instances[web].interface`; empty: the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// What became of the newest plan that was offered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PlanStatus {
    /// Which plan.
    pub plan: PlanId,
    /// For people: the revision that it came with.
    pub revision: Option<RevisionId>,
    /// How far it got.
    pub phase: PlanPhase,
    /// Why it was rejected.
    pub errors: Vec<FieldError>,
}

/// A node, now.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NodeStatus {
    /// Which.
    pub node: NodeName,
    /// Version of its agent.
    pub agent_version: String,
    /// Identity of the node's boot.
    pub boot_id: String,
    /// Plan that runs, where there is one from a controller.
    pub running: Option<PlanId>,
    /// The newest plan offered and what became of it.
    pub offered: Option<PlanStatus>,
    /// Its virtual routers, sorted by name.
    pub instances: Vec<InstanceStatus>,
    /// Wall clock when this was true, microseconds since 1970.
    pub at_us: u64,
}
