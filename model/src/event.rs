//! Events are history: edges in the order they happened on one node, kept on
//! its disk until the controller has stored them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::ids::{InstanceName, InterfaceName, NodeName, PlanId};
use crate::status::{FaultReason, FieldError, VrrpState};

/// Why an instance changed its state.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The instance was started.
    Startup,
    /// It owns the addresses (priority 255).
    Owner,
    /// No advert within the master-down interval.
    MasterDown,
    /// The master said priority 0.
    MasterReleased,
    /// An advert with a higher priority, or an equal one from a higher address.
    HigherPriority {
        /// Source of the advert.
        address: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Something that the instance needs is missing.
    Fault(Vec<FaultReason>),
    /// All that was missing is there again.
    FaultCleared,
    /// The plan no longer holds the instance, or changed its identity.
    PlanChanged,
    /// The agent was told to stop.
    Stop,
    /// A peer took over while this process was not running in time.
    LateWakeup,
    /// The agent restarted and went on as master.
    Resumed,
}

/// What happened.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The agent began.
    AgentStarted {
        /// Version of the agent.
        version: String,
    },
    /// The agent ends on request.
    AgentStopping,
    /// An instance changed its state.
    Transition {
        /// Which.
        instance: InstanceName,
        /// From.
        from: VrrpState,
        /// To.
        to: VrrpState,
        /// Why.
        cause: Cause,
        /// Effective priority at that moment.
        priority: u8,
    },
    /// A second master was heard, or one that an instance as master beats.
    TwoMasters {
        /// Which instance.
        instance: InstanceName,
        /// The other one.
        address: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Only one master is left.
    TwoMastersEnded {
        /// Which instance.
        instance: InstanceName,
    },
    /// Somebody else removed a virtual address; it was put back.
    AddressPutBack {
        /// Which.
        address: IpNet,
        /// Where.
        interface: InterfaceName,
    },
    /// A virtual address was removed too often, or could not be added.
    AddressFailed {
        /// Which.
        address: IpNet,
        /// Where.
        interface: InterfaceName,
        /// What the kernel said, or that the limit is reached.
        reason: String,
    },
    /// A plan runs.
    PlanApplied {
        /// Which.
        plan: PlanId,
    },
    /// A plan was not taken.
    PlanRejected {
        /// Which.
        plan: PlanId,
        /// Why.
        errors: Vec<FieldError>,
    },
    /// A file of the agent was unreadable and was set aside.
    FileSetAside {
        /// Which, without its directory.
        file: String,
        /// What was wrong with it.
        reason: String,
    },
    /// Events are missing here.
    Gap {
        /// How many, as far as known.
        lost: u64,
        /// Why.
        reason: String,
    },
}

/// One event of one node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NodeEvent {
    /// Wall clock, microseconds since 1970.
    pub at_us: u64,
    /// `CLOCK_BOOTTIME` in microseconds: orders events of one boot.
    pub boot_us: u64,
    /// What.
    pub kind: EventKind,
    /// W3C `traceparent` of what caused it, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Place of an event in a node's history: at least once on the wire, exactly
/// once in the store.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct SpoolPosition {
    /// Life of the node's spool; a new one after it was lost.
    pub spool_epoch: u64,
    /// Rises by one with every event of one spool epoch, from 1.
    pub sequence: u64,
}

/// An event as the controller keeps it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FleetEvent {
    /// Order in the controller's history, from 1.
    pub index: u64,
    /// Wall clock of the controller when it was stored, microseconds.
    pub stored_at_us: u64,
    /// The node that reported it.
    pub node: NodeName,
    /// Its place in that node's history.
    pub position: SpoolPosition,
    /// The event.
    pub event: NodeEvent,
}
