//! Where rollouts survive a restart.
//!
//! | key | value |
//! |---|---|
//! | `rollout/current` | number of the newest rollout |
//! | `rollout/N/header` | what belongs to no cluster of it |
//! | `rollout/N/cluster/NAME` | how far it is in that cluster |
//! | `release/NODE` | the plan that the node may have |
//!
//! The plans themselves are kept with the revisions.
//!
//! A cluster's step and the release that goes with it are written in one
//! transaction, before anything is sent. Clusters do not depend on each other,
//! so a rollout of many is written in several.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ha_model::document::PlanError;
use ha_model::ids::{ClusterName, NameError, NodeName, PlanId, RevisionId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::release::{Document, Release};
use super::{ClusterRollout, Header, Outcome, Rollout, RolloutId};
use crate::revisions::{RevisionError, Revisions};
use crate::store::{self, SharedStore, StoreError, Transaction};

const CURRENT: &str = "rollout/current";
/// Rollouts that stay to be looked at.
const HISTORY: u64 = 20;
/// Operations in one transaction: well within the limits of a store.
const OPERATIONS: usize = 64;

/// Why a rollout was not kept or found.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The store.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// A record is not what this build writes.
    #[error("record {key} can't be read")]
    Record {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A key holds what is no name.
    #[error("key {key} holds no good name")]
    Name {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: NameError,
    },
    /// A plan is not there.
    #[error("the plan of {node} can't be read")]
    Missing {
        /// Whose.
        node: NodeName,
        /// Why.
        #[source]
        source: Box<RevisionError>,
    },
    /// A plan is not one.
    #[error("the plan of {node} can't be read")]
    Plan {
        /// Whose.
        node: NodeName,
        /// Why.
        #[source]
        source: PlanError,
    },
}

#[derive(Deserialize, Serialize)]
struct HeaderRecord {
    header: Header,
    stopped: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

#[derive(Deserialize, Serialize)]
struct ReleaseRecord {
    plan: PlanId,
    revision: RevisionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

/// The rollouts in a store.
#[derive(Clone)]
pub(super) struct Keep {
    store: SharedStore,
    revisions: Revisions,
}

/// Everything that a controller needs to go on.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) rollout: Option<Rollout>,
    pub(super) releases: BTreeMap<NodeName, Arc<Release>>,
    /// Plans of the nodes of the rollout.
    pub(super) documents: BTreeMap<NodeName, Arc<Document>>,
}

fn header_key(id: RolloutId) -> String {
    format!("rollout/{:020}/header", id.0)
}

fn cluster_prefix(id: RolloutId) -> String {
    format!("rollout/{:020}/cluster/", id.0)
}

fn cluster_key(id: RolloutId, name: &ClusterName) -> String {
    format!("{}{name}", cluster_prefix(id))
}

fn release_key(node: &NodeName) -> String {
    format!("release/{node}")
}

fn encode<T: Serialize>(record: &T) -> Bytes {
    serde_json::to_vec(record).expect("records hold only what JSON can say").into()
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, KeepError> {
    serde_json::from_slice(bytes).map_err(|source| KeepError::Record { key: key.into(), source })
}

fn name<T>(key: &str, text: &str) -> Result<T, KeepError>
where
    T: std::str::FromStr<Err = NameError>,
{
    text.parse().map_err(|source| KeepError::Name { key: key.to_owned(), source })
}

impl Keep {
    pub(super) fn new(store: SharedStore, revisions: Revisions) -> Self {
        Self { store, revisions }
    }

    /// Number of the newest rollout; 0: there was none.
    async fn current(&self) -> Result<u64, KeepError> {
        match self.store.get(CURRENT).await.map_err(KeepError::Store)? {
            Some(entry) => decode(CURRENT, &entry.value),
            None => Ok(0),
        }
    }

    /// What was kept.
    pub(super) async fn load(&self) -> Result<Kept, KeepError> {
        let mut kept = Kept { rollout: self.rollout(None).await?, ..Kept::default() };
        let steps = kept.rollout.iter().flat_map(|rollout| rollout.clusters.values());
        for step in steps.flat_map(|cluster| &cluster.steps) {
            let document = self.document(&step.node, &step.plan).await?;
            kept.documents.insert(step.node.clone(), document);
        }
        let releases = store::range_prefix(&*self.store, "release/").await;
        for entry in releases.map_err(KeepError::Store)?.entries {
            let node: NodeName = name(&entry.key, &entry.key["release/".len()..])?;
            let ReleaseRecord { plan, revision, traceparent } = decode(&entry.key, &entry.value)?;
            let document = self.document(&node, &plan).await?;
            let release = Release { plan, revision, traceparent, document };
            kept.releases.insert(node, Arc::new(release));
        }
        Ok(kept)
    }

    /// A rollout; `None`: the newest.
    pub(super) async fn rollout(
        &self,
        id: Option<RolloutId>,
    ) -> Result<Option<Rollout>, KeepError> {
        let id = match id {
            Some(id) => id,
            None => RolloutId(self.current().await?),
        };
        let key = header_key(id);
        let Some(entry) = self.store.get(&key).await.map_err(KeepError::Store)? else {
            return Ok(None);
        };
        let HeaderRecord { header, stopped, outcome } = decode(&key, &entry.value)?;
        let prefix = cluster_prefix(id);
        let records = store::range_prefix(&*self.store, &prefix).await;
        let mut clusters = BTreeMap::new();
        for entry in records.map_err(KeepError::Store)?.entries {
            let cluster: ClusterRollout = decode(&entry.key, &entry.value)?;
            clusters.insert(name(&entry.key, &entry.key[prefix.len()..])?, cluster);
        }
        Ok(Some(Rollout { header, clusters, stopped, outcome }))
    }

    async fn document(&self, node: &NodeName, plan: &PlanId) -> Result<Arc<Document>, KeepError> {
        let missing = |error| KeepError::Missing { node: node.clone(), source: Box::new(error) };
        let bytes = self.revisions.document(plan.digest).await.map_err(missing)?;
        let (document, _) = Document::parse(bytes)
            .map_err(|source| KeepError::Plan { node: node.clone(), source })?;
        Ok(Arc::new(document))
    }

    /// The number that the next rollout gets.
    pub(super) async fn next_id(&self) -> Result<RolloutId, KeepError> {
        Ok(RolloutId(self.current().await? + 1))
    }

    /// Keeps a rollout that begins. Until the last write it is not the current
    /// one, and is written over by the next that gets its number.
    pub(super) async fn begin(&self, rollout: &Rollout) -> Result<(), KeepError> {
        let id = rollout.header.id;
        let names: BTreeSet<String> =
            rollout.clusters.keys().map(|name| cluster_key(id, name)).collect();
        // A cluster that a begin cut short has left under this number.
        let found = store::range_prefix(&*self.store, &cluster_prefix(id)).await;
        let mut stale = keys(found.map_err(KeepError::Store)?);
        stale.retain(|key| !names.contains(key));
        self.delete(stale).await?;
        let clusters: Vec<_> = rollout.clusters.iter().collect();
        for some in clusters.chunks(CLUSTERS) {
            self.clusters(id, some, &[]).await?;
        }
        let last = Transaction::new()
            .put(header_key(id), header_record(rollout))
            .put(CURRENT, encode(&id.0));
        self.store.transact(last).await.map_err(KeepError::Store)?;
        Ok(())
    }

    /// Keeps what belongs to no cluster.
    pub(super) async fn header(&self, rollout: &Rollout) -> Result<(), KeepError> {
        let transaction =
            Transaction::new().put(header_key(rollout.header.id), header_record(rollout));
        self.store.transact(transaction).await.map_err(KeepError::Store)?;
        Ok(())
    }

    /// Keeps clusters and what was released in them, together. The caller gives
    /// no more than fit into one transaction: [`CLUSTERS`] of them.
    pub(super) async fn clusters(
        &self,
        id: RolloutId,
        clusters: &[(&ClusterName, &ClusterRollout)],
        releases: &[(&NodeName, &Release)],
    ) -> Result<(), KeepError> {
        let mut transaction = Transaction::new();
        for (name, cluster) in clusters {
            transaction = transaction.put(cluster_key(id, name), encode(cluster));
        }
        for (node, release) in releases {
            transaction = transaction.put(release_key(node), release_record(release));
        }
        self.store.transact(transaction).await.map_err(KeepError::Store)?;
        Ok(())
    }

    /// Keeps a release that belongs to no rollout.
    pub(super) async fn release(
        &self,
        node: &NodeName,
        release: &Release,
    ) -> Result<(), KeepError> {
        let transaction = Transaction::new().put(release_key(node), release_record(release));
        self.store.transact(transaction).await.map_err(KeepError::Store)?;
        Ok(())
    }

    /// Drops rollouts that are too old to be looked at.
    pub(super) async fn prune(&self, newest: RolloutId) -> Result<(), KeepError> {
        let end = format!("rollout/{:020}/", newest.0.saturating_sub(HISTORY));
        let rollouts = self.store.range("rollout/0", &end, usize::MAX).await;
        self.delete(keys(rollouts.map_err(KeepError::Store)?)).await
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), KeepError> {
        for some in keys.chunks(OPERATIONS) {
            let transaction =
                some.iter().fold(Transaction::new(), |all, key| all.delete(key.as_str()));
            self.store.transact(transaction).await.map_err(KeepError::Store)?;
        }
        Ok(())
    }
}

/// Clusters in one transaction: a cluster of 20 nodes takes 5 kB, so these fit
/// many times over, with a release each.
pub(super) const CLUSTERS: usize = 40;

fn header_record(rollout: &Rollout) -> Bytes {
    encode(&HeaderRecord {
        header: rollout.header.clone(),
        stopped: rollout.stopped,
        outcome: rollout.outcome,
    })
}

fn release_record(release: &Release) -> Bytes {
    encode(&ReleaseRecord {
        plan: release.plan,
        revision: release.revision,
        traceparent: release.traceparent.clone(),
    })
}

fn keys(snapshot: store::Snapshot) -> Vec<String> {
    snapshot.entries.into_iter().map(|entry| entry.key).collect()
}
