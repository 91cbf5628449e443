//! The one owner of the rollout at hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ha_model::ids::{ClusterName, NodeName, RevisionId};
use tokio::sync::{mpsc, watch};

use super::handle::Command;
use super::keep::{CLUSTERS, Keep, KeepError, Kept};
use super::open::{Open, Settled};
use super::{
    Begin, Begun, ClusterRollout, Document, Header, Levels, Release, Rollout, RolloutHandle,
    RolloutView, Turn, WantedNode,
};
use crate::clock::now_us;
use crate::fleet::{Connection, FleetHandle, Observation, RolloutGlance};
use crate::revisions::Revisions;
use crate::store::SharedStore;

/// Sessions that open at once each ask once; they wait when this is full.
const QUEUE: usize = 256;

/// Between two tries when the store takes no writes.
const STORE_RETRY: Duration = Duration::from_secs(1);

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
        let fleet = self.fleet.snapshot();
        let now = now_us();
        let online = |node: &NodeName| fleet.connection(node, now) == Connection::Online;
        let (rollout, releases) = (self.rollout.as_ref(), &self.releases);
        let open = Settled { rollout, releases, online: &online }.open(wanted, changed);
        let nodes = open.names();
        let Open { planned, documents, carried, at_once, news } = open;
        self.release_at_once(revision, traceparent.clone(), at_once).await?;
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
        let current = self.rollout.as_ref()?;
        if current.unfinished().next().is_none() && self.is_published(current) {
            return None;
        }
        let mut next = current.clone();
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

    /// Whether others have seen how `rollout` ended.
    fn is_published(&self, rollout: &Rollout) -> bool {
        let (id, outcome) = (rollout.header.id, rollout.outcome);
        outcome.is_some()
            && self.glance.is_some_and(|seen| (seen.id, seen.outcome) == (id, outcome))
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

/// An error with all its causes.
fn chain(error: &KeepError) -> String {
    crate::error_chain(error)
}
