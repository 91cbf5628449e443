//! What the store knows of tokens and certificates.
//!
//! * `pki/token/HASH`: a token that can be used;
//! * `pki/node/NAME`: the last certificate of a node.

use std::sync::Arc;

use bytes::Bytes;
use ha_certs::ca::Issued;
use ha_certs::certificate::Serial;
use ha_model::ids::NodeName;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::store::{Entry, Store, StoreError, Transaction, prefix_end};

pub(super) const TOKENS: &str = "pki/token/";
const NODES: &str = "pki/node/";
/// Expired tokens that one new token clears away: two for one keeps their
/// number small, and the transaction stays short.
const CLEARED_AT_ONCE: usize = 32;

pub(super) fn node_key(node: &NodeName) -> String {
    format!("{NODES}{node}")
}

/// A record and the transaction that wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Found<T> {
    pub(super) record: T,
    pub(super) modified: u64,
}

/// A token that can be used.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct TokenRecord {
    pub(super) node: NodeName,
    pub(super) expires_at_us: u64,
}

/// The certificates of a node that are good for a session or a renewal.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NodeRecord {
    /// The last one that was issued.
    #[serde(with = "hex")]
    pub last: Serial,
    /// Its end, microseconds since 1970.
    pub not_after_us: u64,
    /// The one that it was issued for, as long as nobody has shown the last
    /// one: its answer may have been lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<HexSerial>,
}

/// [`Serial`] in a place where serde needs a type.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct HexSerial(#[serde(with = "hex")] Serial);

mod hex {
    use super::{Deserialize, Deserializer, Serial, Serializer};

    pub(super) fn serialize<S: Serializer>(serial: &Serial, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(serial)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Serial, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl NodeRecord {
    pub(super) fn first(issued: &Issued) -> Self {
        Self { last: issued.serial, not_after_us: issued.not_after_us, previous: None }
    }

    /// Whether the holder of `serial` is the one whom the last certificate is
    /// for.
    pub(super) fn accepts(&self, serial: Serial) -> bool {
        serial == self.last || self.previous == Some(HexSerial(serial))
    }

    /// After `issued` was given to the holder of `serial`.
    pub(super) fn renewed(&self, serial: Serial, issued: &Issued) -> Self {
        Self {
            last: issued.serial,
            not_after_us: issued.not_after_us,
            previous: Some(HexSerial(serial)),
        }
    }

    /// After the holder of `serial` showed it; `None`: as before.
    pub(super) fn seen(&self, serial: Serial) -> Option<Self> {
        let news = serial == self.last && self.previous.is_some();
        news.then(|| Self { previous: None, ..self.clone() })
    }
}

pub(super) trait Record: Serialize + DeserializeOwned {
    fn to_bytes(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("strings and numbers have a JSON form"))
    }

    fn read(entry: &Entry) -> Result<Self, StoreError> {
        serde_json::from_slice(&entry.value).map_err(|error| StoreError::Failed {
            step: "read a record of certificates",
            source: Arc::new(error),
        })
    }
}

impl Record for TokenRecord {}
impl Record for NodeRecord {}

async fn find<T: Record>(store: &dyn Store, key: &str) -> Result<Option<Found<T>>, StoreError> {
    let Some(entry) = store.get(key).await? else { return Ok(None) };
    Ok(Some(Found { record: T::read(&entry)?, modified: entry.modified }))
}

pub(super) async fn token(
    store: &dyn Store,
    key: &str,
) -> Result<Option<Found<TokenRecord>>, StoreError> {
    find(store, key).await
}

pub(super) async fn node(
    store: &dyn Store,
    node: &NodeName,
) -> Result<Option<Found<NodeRecord>>, StoreError> {
    find(store, &node_key(node)).await
}

pub(super) async fn nodes(store: &dyn Store) -> Result<Vec<(NodeName, NodeRecord)>, StoreError> {
    let all = store.range(NODES, &prefix_end(NODES), usize::MAX).await?;
    let mut nodes = Vec::with_capacity(all.entries.len());
    for entry in &all.entries {
        // A key that names no node was not written by this code.
        if let Ok(name) = entry.key[NODES.len()..].parse() {
            nodes.push((name, NodeRecord::read(entry)?));
        }
    }
    Ok(nodes)
}

/// Removes tokens that expired. One that is used at the same moment is left
/// alone.
pub(super) async fn clear_expired(store: &dyn Store, now_us: u64) -> Result<(), StoreError> {
    let all = store.range(TOKENS, &prefix_end(TOKENS), usize::MAX).await?;
    let mut transaction = Transaction::new();
    let mut cleared = 0;
    for entry in &all.entries {
        let expired = TokenRecord::read(entry)?.expires_at_us < now_us;
        if expired && cleared < CLEARED_AT_ONCE {
            let key = entry.key.as_str();
            transaction = transaction.if_modified_at(key, entry.modified).delete(key);
            cleared += 1;
        }
    }
    if cleared == 0 {
        return Ok(());
    }
    match store.transact(transaction).await {
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
