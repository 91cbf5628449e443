//! From manifests to a stored revision and a rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_model::compile::compile;
use ha_model::diagnostic::Diagnostic;
use ha_model::document::PlanError;
use ha_model::fleet::Fleet;
use ha_model::ids::{NodeName, RevisionId};
use ha_model::manifest::{self, Checked, KnownSecrets, ManifestFile, ManifestSet, Mode};
use ha_model::plan::{NodePlan, SCHEMA_MIN};
use ha_model::secret::{SecretRef, Secrets};
use tokio::sync::Mutex;

use super::Vault;
use super::assemble::{Planned, assemble};
use crate::clock::now_us;
use crate::error_chain;
use crate::fleet::{FleetHandle, FleetState, Head, Observation};
use crate::revisions::{Committed, NewRevision, PlanRecord, RevisionError, Revisions};
use crate::rollout::{Begin, BeginError, Begun, Document, RolloutHandle};
use crate::session::PartError;

/// Between two tries to begin a rollout whose revision is stored.
const BEGIN_RETRY: Duration = Duration::from_secs(5);

/// Owner of the wish.
pub struct Applier {
    revisions: Revisions,
    vault: Arc<dyn Vault>,
    fleet: FleetHandle,
    rollouts: RolloutHandle,
    /// One apply at a time; the store's compare-and-swap would refuse the
    /// second anyway, after all its work.
    head: Mutex<Present>,
}

/// The head, as objects.
#[derive(Clone, Default)]
pub(super) struct Present {
    pub(super) id: Option<RevisionId>,
    pub(super) set: ManifestSet,
    pub(super) fleet: Arc<Fleet>,
}

/// What an apply did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The head now.
    pub revision: RevisionId,
    /// Whether it is a new one.
    pub changed: bool,
    /// Its rollout, and the nodes that get a plan.
    pub begun: Begun,
}

/// Why an apply, or a look at what it would do, was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Mistakes in the manifests.
    #[error("the manifests have mistakes")]
    Invalid(Vec<Diagnostic>),
    /// Agents that can't run their new plan.
    #[error("agents are too old for the wish")]
    TooOld(Vec<TooOld>),
    /// The revision could not be stored.
    #[error("the revision was not stored")]
    Revision(#[source] RevisionError),
    /// The secrets could not be stored or read.
    #[error("the secrets were not stored")]
    Vault(#[source] PartError),
    /// The revision is stored, but its rollout is not yet.
    #[error("revision {number} is stored; its rollout begins when the store takes writes again")]
    Begin {
        /// Of the revision.
        number: u64,
        /// Why not yet.
        #[source]
        source: BeginError,
    },
    /// A stored plan can't be read.
    #[error("a stored plan can't be read")]
    Plan(#[source] PlanError),
    /// The controller is stopping, or a part of it panicked.
    #[error("the controller is stopping")]
    Gone,
}

/// An agent that does not know the schema of its plan.
#[derive(Clone, Debug)]
pub struct TooOld {
    /// Which node.
    pub node: NodeName,
    /// The schema that its plan needs.
    pub needed: u32,
    /// The highest that its agent knows.
    pub known: u32,
}

/// Why the wish could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The revisions.
    #[error("the head revision can't be read")]
    Revision(#[from] RevisionError),
    /// The stored objects.
    #[error("the objects of the head revision can't be read: {0}")]
    Objects(String),
    /// The secrets.
    #[error("the secrets can't be read")]
    Vault(#[source] PartError),
    /// A plan.
    #[error("a stored plan can't be read")]
    Plan(#[source] PlanError),
    /// The rollout at hand could not go on.
    #[error("the rollout can't go on")]
    Begin(#[source] BeginError),
}

/// Manifests, checked and compiled.
pub(super) struct Candidate {
    pub(super) checked: Checked,
    pub(super) plans: BTreeMap<NodeName, NodePlan>,
}

impl Applier {
    /// Goes on with the head in the store.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn load(
        revisions: Revisions,
        vault: Arc<dyn Vault>,
        fleet: FleetHandle,
        rollouts: RolloutHandle,
    ) -> Result<Self, LoadError> {
        let secrets = vault.all().await.map_err(LoadError::Vault)?;
        let mut present = Present::default();
        let mut head = None;
        if let Some(id) = revisions.head().await?
            && let Some(revision) = revisions.get(id.number).await?
        {
            present.id = Some(id);
            present.set = objects(revisions.texts(&revision).await?)?;
            present.fleet = Arc::new(stored_fleet(&present.set, &secrets));
            head = Some(Head {
                id,
                at_us: revision.at_us,
                author: revision.author,
                message: revision.message,
            });
        }
        let applier = Self { revisions, vault, fleet, rollouts, head: Mutex::new(present.clone()) };
        applier.go_on(head, &present).await?;
        Ok(applier)
    }

    /// Publishes the stored wish, and begins its rollout if a controller that
    /// was killed has not.
    async fn go_on(&self, head: Option<Head>, present: &Present) -> Result<(), LoadError> {
        let mut planned = vec![];
        for (node, record) in self.revisions.plans().await? {
            let Some(id) = record.plan(self.revisions.epoch()) else { continue };
            let bytes = self.revisions.document(id.digest).await?;
            let (_, plan) = Document::parse(bytes.clone()).map_err(LoadError::Plan)?;
            debug_assert_eq!(plan.node, node, "plans are stored under the name of their node");
            planned.push(Planned { plan, id, bytes });
        }
        let (wish, wanted) = assemble(head, &present.fleet, planned);
        // Gone only when the controller stops.
        let _ = self.fleet.observe(Observation::Wished(Arc::new(wish))).await;
        let Some(revision) = present.id else { return Ok(()) };
        let begin = Begin { revision, traceparent: None, wanted, changed: true, resume: true };
        self.rollouts.begin(begin).await.map_err(LoadError::Begin)?;
        Ok(())
    }

    /// The wish as it is.
    pub(super) async fn present(&self) -> Present {
        self.head.lock().await.clone()
    }

    /// The revisions.
    pub(super) fn revisions(&self) -> &Revisions {
        &self.revisions
    }

    /// The values of secrets.
    pub(super) async fn secrets(&self) -> Result<Secrets, Refusal> {
        self.vault.all().await.map_err(Refusal::Vault)
    }

    /// Checks and compiles `files` against the present wish; stores nothing.
    ///
    /// # Errors
    /// Mistakes in the manifests, or values of secrets that can't be read.
    pub(super) async fn check(
        &self,
        present: &Present,
        files: Vec<ManifestFile>,
        mode: Mode,
    ) -> Result<Candidate, Refusal> {
        let values = self.secrets().await?;
        let known = KnownSecrets { values, ..KnownSecrets::default() };
        let base = present.set.clone();
        // Some hundred clusters take some milliseconds: not on a thread that
        // sessions wait for.
        let work = tokio::task::spawn_blocking(move || {
            let checked = manifest::check(&base, &files, mode, &known).map_err(Refusal::Invalid)?;
            let plans = compile(&checked.fleet);
            Ok(Candidate { checked, plans })
        });
        work.await.map_err(|_| Refusal::Gone)?
    }

    /// Checks, stores, and begins the rollout. All or nothing, but for the
    /// last: a revision whose rollout could not begin begins it later.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn apply(self: &Arc<Self>, wish: NewWish) -> Result<Applied, Refusal> {
        let mut head = self.head.lock().await;
        if let Some(base) = wish.base
            && head.id != Some(base)
        {
            let moved = RevisionError::BaseMoved { base: Some(base), head: head.id };
            return Err(Refusal::Revision(moved));
        }
        let Candidate { checked, plans } = self.check(&head, wish.files, wish.mode).await?;
        for warning in &checked.warnings {
            tracing::debug!(%warning, "remark on an applied manifest");
        }
        let too_old = too_old(&plans, &self.fleet.snapshot());
        if !too_old.is_empty() {
            return Err(Refusal::TooOld(too_old));
        }
        let plans = self.with_retired(plans).await?;
        let documents: BTreeMap<NodeName, Bytes> =
            plans.iter().map(|(node, plan)| (node.clone(), plan.to_document().into())).collect();
        let at_us = now_us();
        let new = NewRevision {
            base: head.id,
            author: wish.author.clone(),
            message: wish.message.clone(),
            at_us,
            objects: checked
                .set
                .iter()
                .map(|object| (object.key().to_string(), object.text().to_owned()))
                .collect(),
            plans: documents.clone(),
        };
        let committed = self.commit(new, checked.secrets).await?;
        let Committed { revision, changed, .. } = committed;
        tracing::info!(revision = revision.number, changed, author = wish.author, "applied");
        *head = Present { id: Some(revision), set: checked.set, fleet: Arc::new(checked.fleet) };
        let present = head.clone();
        let shown = if changed {
            Some(Head { id: revision, at_us, author: wish.author, message: wish.message })
        } else {
            self.fleet.snapshot().wish.head.clone()
        };
        let records = self.revisions.plans().await.map_err(Refusal::Revision)?;
        let planned = self.planned(plans, documents, &records);
        let (wish_now, wanted) = assemble(shown, &present.fleet, planned);
        let _ = self.fleet.observe(Observation::Wished(Arc::new(wish_now))).await;
        let traceparent = wish.traceparent;
        let begin = Begin { revision, traceparent, wanted, changed, resume: false };
        let begun = match self.rollouts.begin(begin.clone()).await {
            Ok(begun) => begun,
            Err(source) => {
                tokio::spawn(begin_later(self.clone(), begin));
                return Err(Refusal::Begin { number: revision.number, source });
            }
        };
        Ok(Applied { revision, changed, begun })
    }

    /// Stores the values of new secrets, then the revision. If that fails the
    /// new values are erased again.
    async fn commit(&self, new: NewRevision, secrets: Secrets) -> Result<Committed, Refusal> {
        let before: BTreeSet<SecretRef> = self.secrets().await?.into_keys().collect();
        let news = !secrets.is_empty();
        if news {
            self.vault.put(secrets).await.map_err(Refusal::Vault)?;
        }
        let committed = self.revisions.commit(new).await;
        if committed.is_err()
            && news
            && let Err(error) = self.vault.erase_all_but(before).await
        {
            tracing::warn!(error = error_chain(&*error), "unused values of secrets not erased");
        }
        committed.map_err(Refusal::Revision)
    }

    /// `plans`, and an empty one for every node that has left: it has to let
    /// go of what it runs.
    async fn with_retired(
        &self,
        mut plans: BTreeMap<NodeName, NodePlan>,
    ) -> Result<BTreeMap<NodeName, NodePlan>, Refusal> {
        for (node, record) in self.revisions.plans().await.map_err(Refusal::Revision)? {
            let Some(digest) = record.digest.filter(|_| !plans.contains_key(&node)) else {
                continue;
            };
            let bytes = self.revisions.document(digest).await.map_err(Refusal::Revision)?;
            let (_, old) = Document::parse(bytes).map_err(Refusal::Plan)?;
            let empty = NodePlan {
                schema: SCHEMA_MIN,
                cluster: old.cluster,
                node: node.clone(),
                instances: vec![],
            };
            plans.insert(node, empty);
        }
        Ok(plans)
    }

    fn planned(
        &self,
        plans: BTreeMap<NodeName, NodePlan>,
        mut documents: BTreeMap<NodeName, Bytes>,
        records: &BTreeMap<NodeName, PlanRecord>,
    ) -> Vec<Planned> {
        let epoch = self.revisions.epoch();
        let planned = plans.into_iter().filter_map(|(node, plan)| {
            let id = records.get(&node)?.plan(epoch)?;
            Some(Planned { plan, id, bytes: documents.remove(&node)? })
        });
        planned.collect()
    }
}

/// What is to be applied, and by whom.
#[derive(Debug)]
pub struct NewWish {
    /// The manifests.
    pub files: Vec<ManifestFile>,
    /// What happens to what they do not name.
    pub mode: Mode,
    /// The head that the author has seen, if that matters.
    pub base: Option<RevisionId>,
    /// Who asks, as the certificate says.
    pub author: String,
    /// What they say about it.
    pub message: String,
    /// W3C trace context of the call.
    pub traceparent: Option<String>,
}

async fn begin_later(applier: Arc<Applier>, begin: Begin) {
    loop {
        tokio::time::sleep(BEGIN_RETRY).await;
        // A newer apply begins all that is open.
        let newest = applier.head.lock().await.id == Some(begin.revision);
        if !newest || applier.rollouts.begin(begin.clone()).await.is_ok() {
            return;
        }
    }
}

fn objects(texts: BTreeMap<String, String>) -> Result<ManifestSet, LoadError> {
    let mut keyed = vec![];
    for (key, text) in texts {
        let bad = |error: manifest::ObjectKeyError| LoadError::Objects(format!("{key} {error}"));
        keyed.push((key.parse().map_err(bad)?, text));
    }
    ManifestSet::from_texts(keyed).map_err(|mistakes| {
        LoadError::Objects(mistakes.first().map_or_else(String::new, ToString::to_string))
    })
}

/// The stored fleet. A build with stricter rules than the one that stored it
/// must start all the same: plans are stored, and what is missing here is only
/// for show.
fn stored_fleet(set: &ManifestSet, secrets: &Secrets) -> Fleet {
    match set.fleet(secrets) {
        Ok((fleet, _)) => fleet,
        Err(mistakes) => {
            let first = mistakes.first().map(ToString::to_string);
            tracing::error!(first, "this build finds mistakes in the stored manifests");
            Fleet::default()
        }
    }
}

/// Nodes whose agent said that it does not know the schema of its plan.
pub(super) fn too_old(plans: &BTreeMap<NodeName, NodePlan>, fleet: &FleetState) -> Vec<TooOld> {
    plans
        .iter()
        .filter_map(|(node, plan)| {
            let known = fleet.nodes.get(node)?.facts.as_ref()?.schema_max;
            let needed = plan.schema;
            (needed > known).then(|| TooOld { node: node.clone(), needed, known })
        })
        .collect()
}
