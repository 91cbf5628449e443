//! Which session each node has.
//!
//! A second stream with the identity of a node is a copy of its certificate,
//! or the node itself, whose old stream died unseen. The old stream is asked:
//! if it answers in time the newcomer is refused, else it is replaced.

use std::collections::BTreeMap;
use std::time::Duration;

use ha_model::ids::NodeName;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::fleet::{FleetHandle, Observation, SessionId};

/// Time of the old stream to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Sessions that open or end at once; they wait when this is full.
const QUEUE: usize = 256;

/// Orders to one session: a challenge and a replacement at most.
const CONTROL: usize = 2;

/// What the registry tells a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Control {
    /// Show that you live.
    Challenge,
    /// Another stream took your place.
    Replace,
}

/// What became of a stream that wants to be the node's session.
pub(super) enum Opening {
    /// It is.
    Admitted {
        /// Its number.
        session: SessionId,
        /// What it is told.
        control: mpsc::Receiver<Control>,
    },
    /// The old one answers.
    Duplicate,
}

/// The controller is stopping.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the registry of sessions is gone: the controller is stopping")]
pub(super) struct RegistryGone;

enum Command {
    Open { node: NodeName, process_id: u64, reply: oneshot::Sender<Opening> },
    Answered { node: NodeName, session: SessionId },
    Closed { node: NodeName, session: SessionId },
}

struct Newcomer {
    process_id: u64,
    reply: oneshot::Sender<Opening>,
    until: Instant,
}

struct Live {
    session: SessionId,
    process_id: u64,
    control: mpsc::Sender<Control>,
    newcomer: Option<Newcomer>,
}

/// Owner of the table of sessions.
pub struct RegistryTask {
    commands: mpsc::Receiver<Command>,
    fleet: FleetHandle,
    live: BTreeMap<NodeName, Live>,
    next: u64,
}

/// How sessions reach the table.
#[derive(Clone, Debug)]
pub struct RegistryHandle {
    commands: mpsc::Sender<Command>,
}

impl RegistryTask {
    /// An empty table.
    #[must_use]
    pub fn new(fleet: FleetHandle) -> (Self, RegistryHandle) {
        let (sender, commands) = mpsc::channel(QUEUE);
        let task = Self { commands, fleet, live: BTreeMap::new(), next: 1 };
        (task, RegistryHandle { commands: sender })
    }

    /// Runs until every handle is gone.
    pub async fn run(mut self) {
        loop {
            let contests = self.live.values().filter_map(|live| live.newcomer.as_ref());
            let due = contests.map(|newcomer| newcomer.until).min();
            let sleep = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe: a command is taken or stays; the sleep is computed
            // anew.
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return,
                },
                () = sleep => self.overdue(Instant::now()),
            }
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Open { node, process_id, reply } => self.open(node, process_id, reply).await,
            Command::Answered { node, session } => self.answered(node, session).await,
            Command::Closed { node, session } => self.closed(&node, session),
        }
    }

    async fn open(&mut self, node: NodeName, process_id: u64, reply: oneshot::Sender<Opening>) {
        let Some(live) = self.live.get_mut(&node) else {
            return self.admit(node, process_id, reply);
        };
        if live.newcomer.is_some() {
            // A third one, while the second waits.
            let _ = reply.send(Opening::Duplicate);
            let _ = self.fleet.observe(Observation::Duplicate { node }).await;
            return;
        }
        // The same process knows that its old stream is dead; a stream that
        // takes no orders is.
        let same = live.process_id == process_id;
        if same || live.control.try_send(Control::Challenge).is_err() {
            self.replace(node, process_id, reply);
        } else {
            let until = Instant::now() + ANSWER;
            live.newcomer = Some(Newcomer { process_id, reply, until });
        }
    }

    fn admit(&mut self, node: NodeName, process_id: u64, reply: oneshot::Sender<Opening>) {
        let session = SessionId(self.next);
        let (control, orders) = mpsc::channel(CONTROL);
        if reply.send(Opening::Admitted { session, control: orders }).is_err() {
            // It gave up waiting.
            return;
        }
        self.next += 1;
        self.live.insert(node, Live { session, process_id, control, newcomer: None });
    }

    fn replace(&mut self, node: NodeName, process_id: u64, reply: oneshot::Sender<Opening>) {
        if let Some(old) = self.live.remove(&node) {
            // Full or closed: then its channel ends now, which says the same.
            let _ = old.control.try_send(Control::Replace);
        }
        self.admit(node, process_id, reply);
    }

    async fn answered(&mut self, node: NodeName, session: SessionId) {
        let live = self.live.get_mut(&node).filter(|live| live.session == session);
        let Some(newcomer) = live.and_then(|live| live.newcomer.take()) else { return };
        tracing::warn!(%node, "a second agent with the certificate of this node was refused");
        let _ = newcomer.reply.send(Opening::Duplicate);
        let _ = self.fleet.observe(Observation::Duplicate { node }).await;
    }

    fn closed(&mut self, node: &NodeName, session: SessionId) {
        if self.live.get(node).is_none_or(|live| live.session != session) {
            return;
        }
        if let Some((node, live)) = self.live.remove_entry(node)
            && let Some(newcomer) = live.newcomer
        {
            self.admit(node, newcomer.process_id, newcomer.reply);
        }
    }

    fn overdue(&mut self, now: Instant) {
        let late = |live: &Live| live.newcomer.as_ref().is_some_and(|one| one.until <= now);
        let nodes: Vec<NodeName> =
            self.live.iter().filter(|(_, live)| late(live)).map(|(node, _)| node.clone()).collect();
        for node in nodes {
            let newcomer = self.live.get_mut(&node).and_then(|live| live.newcomer.take());
            if let Some(newcomer) = newcomer {
                tracing::info!(%node, "the old session does not answer and is replaced");
                self.replace(node, newcomer.process_id, newcomer.reply);
            }
        }
    }
}

impl RegistryHandle {
    pub(super) async fn open(
        &self,
        node: NodeName,
        process_id: u64,
    ) -> Result<Opening, RegistryGone> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Open { node, process_id, reply }).await?;
        answer.await.map_err(|_| RegistryGone)
    }

    pub(super) async fn answered(
        &self,
        node: NodeName,
        session: SessionId,
    ) -> Result<(), RegistryGone> {
        self.send(Command::Answered { node, session }).await
    }

    pub(super) async fn closed(
        &self,
        node: NodeName,
        session: SessionId,
    ) -> Result<(), RegistryGone> {
        self.send(Command::Closed { node, session }).await
    }

    async fn send(&self, command: Command) -> Result<(), RegistryGone> {
        self.commands.send(command).await.map_err(|_| RegistryGone)
    }
}
