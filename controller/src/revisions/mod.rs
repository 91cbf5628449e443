//! The history of the fleet's wish, and the plan of every node.
//!
//! A revision is a set of named manifest texts. Texts and plan documents are
//! stored under their digest, in as many transactions as they need; then one
//! transaction swaps the head, and only that makes them visible. What a failed
//! commit leaves behind is never referred to and does no harm.

mod objects;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ha_model::ids::{Digest, Epoch, Generation, NodeName, PlanId, RevisionId};
use serde::{Deserialize, Serialize};

use crate::store::{SharedStore, StoreError, Transaction};
use objects::Objects;

const EPOCH: &str = "meta/epoch";
const HEAD: &str = "head/revision";
const PLANS: &str = "head/plans";

/// A revision, without its texts.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Revision {
    /// Its identity.
    pub id: RevisionId,
    /// Number of the revision before it; `None` for the first.
    pub parent: Option<u64>,
    /// Who asked for it, as the certificate says.
    pub author: String,
    /// What the author said about it; may be empty.
    pub message: String,
    /// Wall clock of the controller, microseconds since 1970.
    pub at_us: u64,
    /// Parts of the list of its objects, by digest.
    tree: Vec<Digest>,
}

/// What shall become the head.
#[derive(Clone, Debug)]
pub struct NewRevision {
    /// The head that this was made from; `None` if there was no revision.
    pub base: Option<RevisionId>,
    /// See [`Revision::author`].
    pub author: String,
    /// See [`Revision::message`].
    pub message: String,
    /// See [`Revision::at_us`].
    pub at_us: u64,
    /// All objects: name (such as `Cluster/web`) to canonical text, each under
    /// 1 MiB. No value of a secret may be in them.
    pub objects: BTreeMap<String, String>,
    /// The plan document of every node, each under 1 MiB.
    pub plans: BTreeMap<NodeName, Bytes>,
}

/// What a commit did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Committed {
    /// The head now.
    pub revision: RevisionId,
    /// Whether it is a new one; false if the objects were those of the head.
    pub changed: bool,
    /// Nodes whose plan has another generation than before.
    pub changed_nodes: BTreeSet<NodeName>,
}

/// The plan of one node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PlanRecord {
    /// Order among the plans of this node. Never goes back, not even when the
    /// node is removed and comes again.
    pub generation: Generation,
    /// Digest of the document; `None`: the node is no longer in the fleet.
    pub digest: Option<Digest>,
    /// The revision that brought this plan.
    pub revision: RevisionId,
}

impl PlanRecord {
    /// Identity of the plan, if the node has one.
    #[must_use]
    pub fn plan(&self, epoch: Epoch) -> Option<PlanId> {
        self.digest.map(|digest| PlanId { epoch, generation: self.generation, digest })
    }
}

/// Why a revision was not read or stored.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// Somebody else was faster; nothing was changed.
    #[error("the base is {}, but the head is {} by now", number(base.as_ref()), number(head.as_ref()))]
    BaseMoved {
        /// What the caller started from.
        base: Option<RevisionId>,
        /// What is the head now.
        head: Option<RevisionId>,
    },
    /// The store failed or is full.
    #[error("the store did not take it")]
    Store(#[from] StoreError),
    /// An object is too large to be stored.
    #[error("{name} has {bytes} bytes, fewer than {limit} are allowed")]
    TooLarge {
        /// Which object, or which node's plan.
        name: String,
        /// Bytes in it.
        bytes: usize,
        /// Where the limit is.
        limit: usize,
    },
    /// Something in the store is missing or is not what it should be.
    #[error("{key} in the store is missing or damaged")]
    Damaged {
        /// Its key.
        key: String,
    },
    /// The system gave no random number for the epoch.
    #[error("the system gave no random numbers")]
    Random(#[source] getrandom::Error),
}

impl RevisionError {
    /// Stable code for people; `hactl explain CODE` tells more.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BaseMoved { .. } => "E3001",
            Self::Store(_) | Self::Random(_) => "E3002",
            Self::TooLarge { .. } => "E3003",
            Self::Damaged { .. } => "E3004",
        }
    }
}

fn number(id: Option<&RevisionId>) -> String {
    id.map_or_else(|| "no revision".to_owned(), |id| format!("revision {}", id.number))
}

/// The revisions and plans in a store. Cheap to clone.
#[derive(Clone)]
pub struct Revisions {
    store: SharedStore,
    objects: Objects,
    epoch: Epoch,
}

/// A head and the transaction that wrote it.
struct Head<T> {
    value: T,
    modified: Option<u64>,
}

/// The chunks of the table of plans.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct PlansHead {
    table: Vec<Digest>,
}

impl Revisions {
    /// Opens the history in `store`. A store without an epoch gets one, drawn
    /// at random.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(store: SharedStore) -> Result<Self, RevisionError> {
        let epoch = match read::<Epoch>(&store, EPOCH).await?.value {
            Some(epoch) => epoch,
            None => {
                let epoch = Epoch(getrandom::u64().map_err(RevisionError::Random)?);
                let first = Transaction::new().if_absent(EPOCH).put(EPOCH, json(&epoch));
                store.transact(first).await?;
                epoch
            }
        };
        Ok(Self { objects: Objects::new(store.clone()), store, epoch })
    }

    /// Life of this store.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The newest revision; `None` before the first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn head(&self) -> Result<Option<RevisionId>, RevisionError> {
        Ok(read(&self.store, HEAD).await?.value)
    }

    /// The revision with this number, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, number: u64) -> Result<Option<Revision>, RevisionError> {
        Ok(read(&self.store, &revision_key(number)).await?.value)
    }

    /// The newest `limit` revisions, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, limit: usize) -> Result<Vec<Revision>, RevisionError> {
        let Some(head) = self.head().await? else { return Ok(Vec::new()) };
        let first = (head.number + 1).saturating_sub(limit as u64);
        let (from, to) = (revision_key(first), revision_key(head.number + 1));
        let snapshot = self.store.range(&from, &to, limit).await?;
        snapshot.entries.iter().rev().map(|entry| parse(&entry.key, &entry.value)).collect()
    }

    /// The texts of a revision by their names.
    ///
    /// # Errors
    /// When the store fails or one is missing.
    pub async fn texts(
        &self,
        revision: &Revision,
    ) -> Result<BTreeMap<String, String>, RevisionError> {
        let tree: Vec<(String, Digest)> = self.objects.list(&revision.tree).await?;
        let mut texts = BTreeMap::new();
        for (name, digest) in tree {
            let text = self.objects.get(digest).await?;
            let text = String::from_utf8(text.to_vec())
                .map_err(|_| RevisionError::Damaged { key: name.clone() })?;
            texts.insert(name, text);
        }
        Ok(texts)
    }

    /// The plan of every node that is or was in the fleet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn plans(&self) -> Result<BTreeMap<NodeName, PlanRecord>, RevisionError> {
        let head = read::<PlansHead>(&self.store, PLANS).await?.value.unwrap_or_default();
        Ok(self.objects.list(&head.table).await?.into_iter().collect())
    }

    /// A plan document, verbatim.
    ///
    /// # Errors
    /// When the store fails or has no such document.
    pub async fn document(&self, digest: Digest) -> Result<Bytes, RevisionError> {
        self.objects.get(digest).await
    }

    /// Makes `new` the head, with the plans that belong to it. A plan whose
    /// document is the one that the node has keeps its generation.
    ///
    /// # Errors
    /// [`RevisionError::BaseMoved`] if the head is not `new.base`. On every
    /// error the head and the plans are as before, unless the store says that
    /// it can't tell ([`StoreError::Unindexed`]).
    pub async fn commit(&self, new: NewRevision) -> Result<Committed, RevisionError> {
        let head = read::<RevisionId>(&self.store, HEAD).await?;
        let plans = read::<PlansHead>(&self.store, PLANS).await?;
        if head.value != new.base {
            return Err(RevisionError::BaseMoved { base: new.base, head: head.value });
        }
        let mut commit = Transaction::new()
            .if_unchanged(HEAD, head.modified)
            .if_unchanged(PLANS, plans.modified);
        let tree: Vec<(String, Digest)> = new
            .objects
            .iter()
            .map(|(name, text)| (name.clone(), Digest::of(text.as_bytes())))
            .collect();
        let digest = tree_digest(&tree);
        let (revision, changed) = match head.value {
            Some(head) if head.digest == digest => (head, false),
            head => {
                let number = head.map_or(1, |head| head.number + 1);
                (RevisionId { epoch: self.epoch, number, digest }, true)
            }
        };
        if changed {
            let record = self.store_revision(&new, &tree, revision).await?;
            commit = commit.put(revision_key(revision.number), record).put(HEAD, json(&revision));
        }
        let old = plans.value.unwrap_or_default();
        let (table, changed_nodes) = self.store_plans(&new.plans, &old, revision).await?;
        if table != old.table {
            commit = commit.put(PLANS, json(&PlansHead { table }));
        }
        if !commit.changes().is_empty() {
            self.swap(commit, new.base).await?;
        }
        Ok(Committed { revision, changed, changed_nodes })
    }

    async fn swap(
        &self,
        commit: Transaction,
        base: Option<RevisionId>,
    ) -> Result<(), RevisionError> {
        match self.store.transact(commit).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict { .. }) => {
                Err(RevisionError::BaseMoved { base, head: self.head().await? })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Stores the texts and their list; returns the record that refers to them.
    async fn store_revision(
        &self,
        new: &NewRevision,
        tree: &[(String, Digest)],
        id: RevisionId,
    ) -> Result<Bytes, RevisionError> {
        let text = |(name, text): (&String, &String)| {
            (name.clone(), Bytes::copy_from_slice(text.as_bytes()))
        };
        let texts = new.objects.iter().map(text).collect();
        self.objects.put_all(texts).await?;
        let revision = Revision {
            id,
            parent: new.base.map(|base| base.number),
            author: new.author.clone(),
            message: new.message.clone(),
            at_us: new.at_us,
            tree: self.objects.put_list(tree).await?,
        };
        Ok(json(&revision))
    }

    /// Stores the documents and the table; returns the chunks of the table and
    /// the nodes whose plan changed.
    async fn store_plans(
        &self,
        plans: &BTreeMap<NodeName, Bytes>,
        old: &PlansHead,
        revision: RevisionId,
    ) -> Result<(Vec<Digest>, BTreeSet<NodeName>), RevisionError> {
        let old: BTreeMap<NodeName, PlanRecord> =
            self.objects.list(&old.table).await?.into_iter().collect();
        let mut table = old.clone();
        let nodes: BTreeSet<&NodeName> = plans.keys().chain(old.keys()).collect();
        for node in nodes {
            let digest = plans.get(node).map(|document| Digest::of(document));
            let before = old.get(node);
            if before.is_none_or(|before| before.digest != digest) {
                let generation = Generation(before.map_or(1, |before| before.generation.0 + 1));
                table.insert(node.clone(), PlanRecord { generation, digest, revision });
            }
        }
        let changed: BTreeSet<NodeName> = table
            .iter()
            .filter(|(node, record)| old.get(*node) != Some(record))
            .map(|(node, _)| node.clone())
            .collect();
        let documents: Vec<(String, Bytes)> = plans
            .iter()
            .filter(|(node, _)| changed.contains(*node))
            .map(|(node, document)| (format!("the plan of {node}"), document.clone()))
            .collect();
        self.objects.put_all(documents).await?;
        let table: Vec<(NodeName, PlanRecord)> = table.into_iter().collect();
        Ok((self.objects.put_list(&table).await?, changed))
    }
}

fn revision_key(number: u64) -> String {
    format!("revision/{number:020}")
}

/// Digest of a wish: of the names and digests of its objects, in order.
fn tree_digest(tree: &[(String, Digest)]) -> Digest {
    let mut bytes = Vec::new();
    for (name, digest) in tree {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&digest.0);
    }
    Digest::of(&bytes)
}

async fn read<T: for<'a> Deserialize<'a>>(
    store: &SharedStore,
    key: &str,
) -> Result<Head<Option<T>>, RevisionError> {
    match store.get(key).await? {
        None => Ok(Head { value: None, modified: None }),
        Some(entry) => {
            Ok(Head { value: Some(parse(key, &entry.value)?), modified: Some(entry.modified) })
        }
    }
}

fn parse<T: for<'a> Deserialize<'a>>(key: &str, bytes: &[u8]) -> Result<T, RevisionError> {
    serde_json::from_slice(bytes).map_err(|_| RevisionError::Damaged { key: key.to_owned() })
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("these types have string keys only and always serialise")
        .into()
}
