//! Events.

use serde::Serialize;
use serde_json::Value;

/// One event of one node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Place in the controller's history; none on an agent's socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// When the controller stored it; none on an agent's socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_at_us: Option<u64>,
    /// The node; empty on an agent's socket.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Life of the node's spool.
    pub spool_epoch: u64,
    /// Order within it.
    pub sequence: u64,
    /// Wall clock of the node.
    pub at_us: u64,
    /// The node's time since boot.
    pub boot_us: u64,
    /// What happened, as the node wrote it: newer agents may send kinds of
    /// events that this hactl does not know.
    pub what: Value,
    /// Trace of what caused it, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}
