//! The one owner of the rollout at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ha_model::ids::{ClusterName, NodeName, RevisionId};
use tokio::sync::{mpsc, oneshot, watch};

use super::keep::{CLUSTERS, Keep, KeepError, Kept};
use super::release::{Document, Release};
use super::{
    ClusterPhase, ClusterRollout, Header, Levels, PlannedNode, Rollout, RolloutId, Step, StepState,
    Turn,
};
use crate::clock::now_us;
use crate::fleet::{Connection, FleetHandle, Observation, RolloutGlance};
use crate::revisions::Revisions;
use crate::store::SharedStore;

/// Sessions that open at once each ask once; they wait when this is full.
const QUEUE: usize = 256;

/// Between two tries when the store takes no writes.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What the whole fleet should run. A rollout is made of the nodes that do not.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The revision that it brings.
    pub revision: RevisionId,
    /// W3C trace context of the apply behind it.
    pub traceparent: Option<String>,
    /// Every node with its plan, preferred master first.
    pub wanted: BTreeMap<ClusterName, Vec<WantedNode>>,
    /// Whether the apply changed the wish. If it did, a cluster that a rollout
    /// before stopped, and that it does not touch, stays as it is; if it did
    /// not, somebody asks for another try.
    pub changed: bool,
    /// Whether this is only to go on with what an end of the controller cut
    /// short: then nothing begins that has begun already.
    pub resume: bool,
}

/// What a node should run.
#[derive(Clone, Debug)]
pub struct WantedNode {
    /// Which node, which plan, how long it may take.
    pub planned: PlannedNode,
    /// The plan itself.
    pub document: Arc<Document>,
    /// The node has left the fleet: its plan is an empty one. Once it has had
    /// its turn and was offline, later rollouts name it no more.
    pub retired: bool,
}

/// What became of a [`Begin`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Begun {
    /// The rollout; `None`: every node has its plan or has rejected it.
    pub rollout: Option<RolloutId>,
    /// The nodes that it brings a plan, by cluster.
    pub nodes: BTreeMap<ClusterName, Vec<NodeName>>,
}

/// What a rollout looks like now.
#[derive(Clone, Debug)]
pub struct RolloutView {
    /// The rollout.
    pub rollout: Rollout,
    /// How far each cluster is.
    pub phases: BTreeMap<ClusterName, ClusterPhase>,
    /// Nodes without a session that have not got their plan.
    pub offline: BTreeSet<NodeName>,
}

/// The rollouts have ended: the controller is going down.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the rollouts are gone: the controller is stopping")]
pub struct RolloutGone;

type Released = watch::Receiver<Option<Arc<Release>>>;

enum Command {
    Begin(Box<Begin>, oneshot::Sender<Result<Begun, Arc<KeepError>>>),
    Follow(NodeName, oneshot::Sender<Released>),
}

/// What is open when a rollout begins.
#[derive(Default)]
struct Open {
    planned: BTreeMap<ClusterName, Vec<PlannedNode>>,
    documents: BTreeMap<NodeName, Arc<Document>>,
    carried: BTreeSet<ClusterName>,
    at_once: Vec<WantedNode>,
    /// Something is no part of the rollout at hand.
    news: bool,
}

/// Why a node is part of a new rollout.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Need {
    /// It is not.
    Nothing,
    /// The rollout at hand has not come to it, or is waiting for it.
    Open,
    /// No rollout has it under way.
    New,
}

/// Takes turns, stores them, then acts on them.
pub struct RolloutTask {
    keep: Keep,
    fleet: FleetHandle,
    commands: mpsc::Receiver<Command>,
    rollout: Option<Rollout>,
    documents: BTreeMap<NodeName, Arc<Document>>,
    releases: BTreeMap<NodeName, Arc<Release>>,
    followers: BTreeMap<NodeName, watch::Sender<Option<Arc<Release>>>>,
    view: watch::Sender<Option<Arc<RolloutView>>>,
    glance: Option<RolloutGlance>,
    store_failing: bool,
}

/// How others reach the rollouts.
#[derive(Clone)]
pub struct RolloutHandle {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<Option<Arc<RolloutView>>>,
    keep: Keep,
}

impl RolloutTask {
    /// Goes on with what `store` holds.
    ///
    /// # Errors
    /// What it holds can't be read.
    pub async fn load(
        store: SharedStore,
        revisions: Revisions,
        fleet: FleetHandle,
    ) -> Result<(Self, RolloutHandle), KeepError> {
        let keep = Keep::new(store, revisions);
        let Kept { mut rollout, releases, documents } = keep.load().await?;
        if let Some(rollout) = &mut rollout {
            rollout.resume(now_us());
        }
        let (sender, commands) = mpsc::channel(QUEUE);
        let (view, receiver) = watch::channel(None);
        let handle = RolloutHandle { commands: sender, view: receiver, keep: keep.clone() };
        let followers = BTreeMap::new();
        let task = Self {
            keep,
            fleet,
            commands,
            rollout,
            documents,
            releases,
            followers,
            view,
            glance: None,
            store_failing: false,
        };
        Ok((task, handle))
    }

    /// Runs until every handle is gone.
    pub async fn run(mut self) {
        let mut fleet = self.fleet.follow();
        loop {
            let wake = self.turn().await;
            let sleep = async {
                match wake {
                    Some(span) => tokio::time::sleep(span).await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe: a command is taken or stays in the queue, a change
            // is a level, and the sleep is computed anew in every turn.
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return,
                },
                changed = fleet.changed() => if changed.is_err() { return },
                () = sleep => {}
            }
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Begin(begin, reply) => {
                let begun = self.begin(*begin).await.map_err(Arc::new);
                // The caller may have gone; that stops nothing.
                let _ = reply.send(begun);
            }
            Command::Follow(node, reply) => {
                let release = self.releases.get(&node).cloned();
                let follower =
                    self.followers.entry(node).or_insert_with(|| watch::channel(release).0);
                let _ = reply.send(follower.subscribe());
            }
        }
    }

    async fn begin(&mut self, begin: Begin) -> Result<Begun, KeepError> {
        let Begin { revision, traceparent, wanted, changed, resume } = begin;
        let Open { planned, documents, carried, at_once, news } = self.open(wanted, changed);
        self.release_at_once(revision, traceparent.clone(), at_once).await?;
        let nodes = names(&planned);
        let going = self.rollout.as_ref().filter(|rollout| !rollout.stopped);
        match going {
            _ if planned.is_empty() => Ok(Begun::default()),
            // All that is open is under way already.
            Some(going) if !news => Ok(Begun { rollout: Some(going.header.id), nodes }),
            _ if resume && !news => Ok(Begun::default()),
            _ => {
                let id = self.keep.next_id().await?;
                let header = Header { id, revision, traceparent, begun_at_us: now_us() };
                let previous = self.rollout.as_ref();
                self.replace(Rollout::begin(header, planned, &carried, previous)).await?;
                self.documents = documents;
                Ok(Begun { rollout: Some(id), nodes })
            }
        }
    }

    /// What of `wanted` is to be part of a new rollout.
    fn open(&self, wanted: BTreeMap<ClusterName, Vec<WantedNode>>, changed: bool) -> Open {
        let mut open = Open::default();
        let fleet = self.fleet.snapshot();
        for (cluster, nodes) in wanted {
            if self.is_carried(&cluster, &nodes, changed) {
                open.carried.insert(cluster);
                continue;
            }
            let mut planned = vec![];
            for node in nodes {
                let need = self.need(&cluster, &node);
                if need == Need::Nothing {
                    continue;
                }
                let online = fleet.connection(&node.planned.node, now_us()) == Connection::Online;
                if node.retired && need == Need::Open && !online {
                    open.at_once.push(node);
                    continue;
                }
                open.news |= need == Need::New;
                open.documents.insert(node.planned.node.clone(), node.document);
                planned.push(node.planned);
            }
            if !planned.is_empty() {
                open.planned.insert(cluster, planned);
            }
        }
        open
    }

    fn step(&self, cluster: &ClusterName, wanted: &PlannedNode) -> Option<&Step> {
        let cluster = self.rollout.as_ref()?.clusters.get(cluster)?;
        cluster.steps.iter().find(|step| step.node == wanted.node && step.plan == wanted.plan)
    }

    fn is_released(&self, wanted: &PlannedNode) -> bool {
        self.releases.get(&wanted.node).is_some_and(|release| release.plan == wanted.plan)
    }

    /// Whether a cluster stays stopped: nothing in it changed since, and it is
    /// not somebody who asks for another try, or that would be in vain.
    fn is_carried(&self, name: &ClusterName, nodes: &[WantedNode], changed: bool) -> bool {
        let before = self.rollout.as_ref().and_then(|rollout| rollout.clusters.get(name));
        let Some(before) = before.filter(|before| before.stopped) else { return false };
        let touched = nodes.iter().any(|node| {
            self.step(name, &node.planned).is_none() && !self.is_released(&node.planned)
        });
        let rejected = |step: &Step| matches!(step.state, StepState::Rejected { .. });
        !touched && (changed || before.steps.iter().any(rejected))
    }

    /// Whether a node is to be part of a new rollout. What it rejected is not
    /// offered again unless it changes.
    fn need(&self, cluster: &ClusterName, wanted: &WantedNode) -> Need {
        let planned = &wanted.planned;
        match self.step(cluster, planned).map(|step| &step.state) {
            Some(StepState::Healthy | StepState::Rejected { .. }) => Need::Nothing,
            Some(StepState::TimedOut { .. } | StepState::Ahead { .. }) => Need::New,
            Some(StepState::Waiting | StepState::Offered { .. }) => Need::Open,
            // It never ran anything of ours.
            None if wanted.retired && !self.releases.contains_key(&planned.node) => Need::Nothing,
            None if self.is_released(planned) => Need::Nothing,
            None => Need::New,
        }
    }

    /// Nodes that have left, had their turn and were away: nobody waits for
    /// them any more, and they may let go whenever they come back.
    async fn release_at_once(
        &mut self,
        revision: RevisionId,
        traceparent: Option<String>,
        nodes: Vec<WantedNode>,
    ) -> Result<(), KeepError> {
        for WantedNode { planned, document, .. } in nodes {
            let (plan, traceparent) = (planned.plan, traceparent.clone());
            let release = Release { plan, revision, traceparent, document };
            self.keep.release(&planned.node, &release).await?;
            self.release(planned.node, release);
        }
        Ok(())
    }

    /// Lets a session see what was kept.
    fn release(&mut self, node: NodeName, release: Release) {
        tracing::info!(%node, plan = release.plan.generation.0, "plan released");
        let release = Arc::new(release);
        if let Some(follower) = self.followers.get(&node) {
            follower.send_replace(Some(release.clone()));
        }
        self.releases.insert(node, release);
    }

    /// Makes `rollout` the one at hand.
    async fn replace(&mut self, rollout: Rollout) -> Result<(), KeepError> {
        let Header { id, revision, .. } = rollout.header;
        self.keep.begin(&rollout).await?;
        if let Some(mut old) = self.rollout.replace(rollout) {
            old.supersede();
            // The new one is kept, which ends the old one whatever its record
            // says; the record is for people.
            if let Err(error) = self.keep.header(&old).await {
                tracing::debug!(error = chain(&error), "the end of {} not kept", old.header.id);
            }
        }
        if let Err(error) = self.keep.prune(id).await {
            tracing::debug!(error = chain(&error), "old rollouts not removed");
        }
        tracing::info!(rollout = %id, revision = revision.number, "rollout begins");
        Ok(())
    }

    /// One turn. Returns when the next is due although nothing is heard.
    async fn turn(&mut self) -> Option<Duration> {
        let now = now_us();
        let fleet = self.fleet.snapshot();
        let mut next = self.rollout.clone()?;
        let levels = fleet.levels(next.unfinished(), now);
        let turn = next.advance(&levels, now);
        let mut due = next.next_deadline_us();
        if fleet.settled_at_us > now {
            due = Some(due.map_or(fleet.settled_at_us, |due| due.min(fleet.settled_at_us)));
        }
        let stored = self.store(next, &turn).await;
        self.publish(&levels).await;
        self.tell_store(stored.as_ref().err()).await;
        match stored {
            Err(_) => Some(STORE_RETRY),
            Ok(()) => due.map(|due| Duration::from_micros(due.saturating_sub(now))),
        }
    }

    /// Keeps what the turn decided, and lets out what was kept.
    async fn store(&mut self, mut next: Rollout, turn: &Turn) -> Result<(), KeepError> {
        if turn.header {
            self.keep.header(&next).await?;
            if let Some(current) = &mut self.rollout {
                current.stopped = next.stopped;
                current.outcome = next.outcome;
            }
        }
        let id = next.header.id;
        for some in turn.clusters.chunks(CLUSTERS) {
            let clusters: Vec<_> =
                some.iter().filter_map(|name| next.clusters.get_key_value(name)).collect();
            let offered = self.offered(&next.header, &clusters, turn);
            let releases: Vec<_> = offered.iter().map(|(node, release)| (node, release)).collect();
            self.keep.clusters(id, &clusters, &releases).await?;
            for name in some {
                let cluster = next.clusters.remove(name);
                if let (Some(current), Some(cluster)) = (&mut self.rollout, cluster) {
                    current.clusters.insert(name.clone(), cluster);
                }
            }
            for (node, release) in offered {
                self.release(node, release);
            }
        }
        // Phases are not kept: they are for show.
        if let Some(current) = &mut self.rollout {
            current.clusters.append(&mut next.clusters);
        }
        Ok(())
    }

    /// What the turn hands out in `clusters`.
    fn offered(
        &self,
        header: &Header,
        clusters: &[(&ClusterName, &ClusterRollout)],
        turn: &Turn,
    ) -> Vec<(NodeName, Release)> {
        let of = |node: &NodeName| {
            clusters.iter().any(|(_, one)| one.steps.iter().any(|step| step.node == *node))
        };
        let offers = turn.offers.iter().filter(|offer| of(&offer.node));
        let released = offers.filter_map(|offer| {
            let release = Release {
                plan: offer.plan,
                revision: header.revision,
                traceparent: header.traceparent.clone(),
                document: self.documents.get(&offer.node)?.clone(),
            };
            Some((offer.node.clone(), release))
        });
        released.collect()
    }

    async fn publish(&mut self, levels: &Levels) {
        let Some(rollout) = &self.rollout else { return };
        let view = RolloutView::of(rollout, levels);
        let glance = view.glance();
        self.view.send_if_modified(|old| {
            let changed = old.as_ref().is_none_or(|old| old.differs(&view));
            if changed {
                *old = Some(Arc::new(view));
            }
            changed
        });
        if self.glance != Some(glance) {
            if self.glance.is_some_and(|old| old.id == glance.id && old.outcome != glance.outcome) {
                tracing::info!(rollout = %glance.id, outcome = ?glance.outcome, "rollout ended");
            }
            self.glance = Some(glance);
            // Gone only when the controller stops.
            let _ = self.fleet.observe(Observation::Rollout(glance)).await;
        }
    }

    async fn tell_store(&mut self, error: Option<&KeepError>) {
        if let Some(error) = error {
            let error = chain(error);
            if !self.store_failing {
                tracing::error!(error, "the rollout waits: the store takes no writes");
            }
            let _ = self.fleet.observe(Observation::StoreFailing(Some(error))).await;
        } else if self.store_failing {
            tracing::info!("the store takes writes again");
            let _ = self.fleet.observe(Observation::StoreFailing(None)).await;
        }
        self.store_failing = error.is_some();
    }
}

impl RolloutView {
    fn of(rollout: &Rollout, levels: &Levels) -> Self {
        let own = || rollout.clusters.iter().filter(|(_, cluster)| !cluster.carried);
        let phases =
            own().map(|(name, cluster)| (name.clone(), rollout.phase(cluster, levels))).collect();
        let offline = own()
            .flat_map(|(_, cluster)| &cluster.steps)
            .filter(|step| step.state == StepState::Waiting)
            .filter(|step| super::machine::is_offline(levels, &step.node))
            .map(|step| step.node.clone())
            .collect();
        Self { rollout: rollout.clone(), phases, offline }
    }

    /// As it was when it was stored: for one that is over.
    #[must_use]
    pub fn ended(rollout: &Rollout) -> Self {
        Self::of(rollout, &Levels::new())
    }

    fn differs(&self, other: &Self) -> bool {
        let phases = |view: &Self| -> Vec<_> {
            let clusters = view.rollout.clusters.values();
            clusters.flat_map(|cluster| &cluster.steps).map(|step| step.phase).collect()
        };
        self.phases != other.phases
            || self.offline != other.offline
            || self.rollout != other.rollout
            || phases(self) != phases(other)
    }

    fn glance(&self) -> RolloutGlance {
        let done = self.phases.values().filter(|phase| match phase {
            ClusterPhase::Done | ClusterPhase::DoneOffline => true,
            ClusterPhase::Waiting | ClusterPhase::Rolling | ClusterPhase::Stopped => false,
        });
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        RolloutGlance {
            id: self.rollout.header.id,
            clusters_total: count(self.phases.len()),
            clusters_done: count(done.count()),
            active: self.rollout.outcome.is_none(),
            outcome: self.rollout.outcome,
        }
    }
}

fn names(
    planned: &BTreeMap<ClusterName, Vec<PlannedNode>>,
) -> BTreeMap<ClusterName, Vec<NodeName>> {
    planned
        .iter()
        .map(|(cluster, nodes)| {
            (cluster.clone(), nodes.iter().map(|one| one.node.clone()).collect())
        })
        .collect()
}

/// Why a rollout did not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// It could not be kept.
    #[error("the rollout could not be stored")]
    Keep(#[source] Arc<KeepError>),
    /// The controller is stopping.
    #[error(transparent)]
    Gone(RolloutGone),
}

impl RolloutHandle {
    /// Begins a rollout of what is not settled, which takes the place of the
    /// one at hand.
    ///
    /// # Errors
    /// See [`BeginError`]; then the one at hand goes on.
    pub async fn begin(&self, begin: Begin) -> Result<Begun, BeginError> {
        let (reply, answer) = oneshot::channel();
        let gone = |()| BeginError::Gone(RolloutGone);
        let command = Command::Begin(Box::new(begin), reply);
        self.commands.send(command).await.map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?.map_err(BeginError::Keep)
    }

    /// Follows what `node` may run.
    ///
    /// # Errors
    /// The controller is stopping.
    pub async fn released(&self, node: NodeName) -> Result<Released, RolloutGone> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Follow(node, reply);
        self.commands.send(command).await.map_err(|_| RolloutGone)?;
        answer.await.map_err(|_| RolloutGone)
    }

    /// Follows the rollout at hand.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Option<Arc<RolloutView>>> {
        self.view.clone()
    }

    /// A rollout as it was last stored; `None` as `id`: the newest.
    ///
    /// # Errors
    /// The store, or what it holds.
    pub async fn stored(&self, id: Option<RolloutId>) -> Result<Option<Rollout>, KeepError> {
        self.keep.rollout(id).await
    }
}

/// An error with all its causes.
fn chain(error: &KeepError) -> String {
    crate::error_chain(error)
}
