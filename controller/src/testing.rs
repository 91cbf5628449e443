//! A controller without a network: everything but TLS and HTTP/2, with agents
//! that a test plays.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_certs::certificate::Serial;
use ha_model::event::{EventKind, NodeEvent, SpoolPosition};
use ha_model::ids::NodeName;
use ha_model::manifest::{ManifestFile, Mode};
use ha_model::plan::NodePlan;
use ha_model::secret::Secrets;
use ha_model::status::{NodeStatus, PlanPhase, PlanStatus};
use ha_proto::v1;
use ha_proto::v1::from_agent::Message as Said;
use ha_proto::v1::from_controller::Message as Told;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::api::{Applied, Applier, MemoryVault, NewWish, Refusal, Vault};
use crate::clock::now_us;
use crate::fleet::{ClusterView, FleetHandle, FleetState, FleetTask};
use crate::revisions::Revisions;
use crate::rollout::{RolloutHandle, RolloutTask, RolloutView};
use crate::session::{
    Bucket, Caller, Gate, History, PartError, Pending, RegistryTask, Shared, Values, run_stream,
};
use crate::store::{MemoryStore, SharedStore};

/// Longest wait for anything: far beyond what a loaded machine needs.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A history in memory, deduplicated by number.
#[derive(Default)]
pub(crate) struct FakeHistory {
    pub(crate) events: Mutex<BTreeMap<(NodeName, SpoolPosition), NodeEvent>>,
    pub(crate) failing: Mutex<bool>,
}

impl FakeHistory {
    fn last(&self, node: &NodeName, spool_epoch: u64) -> u64 {
        let events = self.events.lock().unwrap();
        let of = events.keys().filter(|(by, at)| by == node && at.spool_epoch == spool_epoch);
        of.map(|(_, at)| at.sequence).max().unwrap_or(0)
    }
}

impl History for FakeHistory {
    fn stored(&self, node: NodeName, spool_epoch: u64) -> Pending<'_, Result<u64, PartError>> {
        Box::pin(async move { Ok(self.last(&node, spool_epoch)) })
    }

    fn append(
        &self,
        node: NodeName,
        events: Vec<(SpoolPosition, NodeEvent)>,
    ) -> Pending<'_, Result<u64, PartError>> {
        Box::pin(async move {
            if *self.failing.lock().unwrap() {
                return Err("the disk is full".into());
            }
            let epoch = events[0].0.spool_epoch;
            let keyed = events.into_iter().map(|(at, event)| ((node.clone(), at), event));
            self.events.lock().unwrap().extend(keyed);
            Ok(self.last(&node, epoch))
        })
    }
}

struct OpenGate;

impl Gate for OpenGate {
    fn admit(&self, _: NodeName, serial: Serial) -> Pending<'_, Result<(), PartError>> {
        Box::pin(async move {
            if serial.0[0] == 0 { Ok(()) } else { Err("not the last certificate".into()) }
        })
    }
}

/// What outlives a controller.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) store: SharedStore,
    pub(crate) vault: Arc<MemoryVault>,
    pub(crate) history: Arc<FakeHistory>,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self::with(Arc::new(MemoryStore::new()))
    }

    pub(crate) fn with(store: SharedStore) -> Self {
        Self { store, vault: Arc::default(), history: Arc::default() }
    }
}

/// A running controller.
pub(crate) struct World {
    pub(crate) applier: Arc<Applier>,
    pub(crate) fleet: FleetHandle,
    pub(crate) rollouts: RolloutHandle,
    pub(crate) shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    pub(crate) async fn start(disk: &Disk) -> Self {
        let state = FleetState { settled_at_us: now_us() + 1_000_000, ..FleetState::default() };
        let (fleet_task, fleet) = FleetTask::new(state);
        let revisions = Revisions::open(disk.store.clone()).await.unwrap();
        let epoch = revisions.epoch();
        let loaded = RolloutTask::load(disk.store.clone(), revisions.clone(), fleet.clone()).await;
        let (rollout_task, rollouts) = loaded.unwrap();
        let mut tasks = vec![tokio::spawn(fleet_task.run()), tokio::spawn(rollout_task.run())];
        let vault: Arc<dyn Vault> = disk.vault.clone();
        let applier = Applier::load(revisions, vault, fleet.clone(), rollouts.clone()).await;
        let (registry_task, registry) = RegistryTask::new(fleet.clone());
        tasks.push(tokio::spawn(registry_task.run()));
        let (stop, stopping) = watch::channel(false);
        let values: Arc<dyn Values> = disk.vault.clone();
        let shared = Arc::new(Shared {
            epoch,
            fleet: fleet.clone(),
            rollouts: rollouts.clone(),
            registry,
            history: disk.history.clone(),
            values,
            gate: Arc::new(OpenGate),
            bucket: Mutex::new(Bucket::new(now_us())),
            stop: stopping,
        });
        Self { applier: Arc::new(applier.unwrap()), fleet, rollouts, shared, stop, tasks }
    }

    /// As if it were killed: nothing is told to anybody.
    pub(crate) fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(crate) async fn apply(&self, text: &str) -> Result<Applied, Refusal> {
        self.applier.apply(wish(text)).await
    }

    pub(crate) fn cluster(&self, name: &str) -> ClusterView {
        let judgement = self.fleet.snapshot().judge(now_us(), |one| one.as_str() == name);
        judgement.clusters.into_iter().next().expect("the cluster is in the wish")
    }

    /// Waits until the fleet looks as `test` wants it.
    pub(crate) async fn until(&self, test: impl Fn(&FleetState) -> bool) {
        let mut changes = self.fleet.follow();
        let wait = changes.wait_for(|state| test(state));
        tokio::time::timeout(LONG, wait).await.expect("in time").unwrap();
    }

    /// Waits until the rollout looks as `test` wants it.
    pub(crate) async fn until_rollout(&self, test: impl Fn(&RolloutView) -> bool) {
        let mut changes = self.rollouts.follow();
        let wait = changes.wait_for(|view| view.as_ref().is_some_and(|view| test(view)));
        tokio::time::timeout(LONG, wait).await.expect("in time").unwrap();
    }
}

pub(crate) fn wish(text: &str) -> NewWish {
    NewWish {
        files: vec![ManifestFile { name: "fleet.yaml".into(), text: text.into() }],
        mode: Mode::Merge,
        base: None,
        author: "ops".into(),
        message: "why".into(),
        traceparent: None,
    }
}

/// A cluster `NAME` of nodes, preferred master first.
pub(crate) fn cluster(name: &str, nodes: &[&str], interval_ms: u64) -> String {
    // Clusters do not share addresses.
    let network = format!("10.0.{}", name.bytes().fold(0_u8, u8::wrapping_add));
    let listed: String = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| format!("    - {{name: {node}, address: {network}.{}}}\n", index + 1))
        .collect();
    let transport = if nodes.len() > 1 { "unicast" } else { "multicast" };
    format!(
        "---\napiVersion: ha/v1\nkind: Cluster\nmetadata: {{name: {name}}}\nspec:\n  nodes:\n\
         {listed}  vrrp: {{version: 3, transport: {transport}, advertInterval: {interval_ms}ms}}\n  \
         instances:\n    - {{name: web, interface: eth0, vrid: 51, vips: [{network}.50/24]}}\n"
    )
}

/// An agent that the test plays.
pub(crate) struct Agent {
    pub(crate) node: NodeName,
    said: Option<mpsc::Sender<Result<v1::FromAgent, Status>>>,
    told: mpsc::Receiver<Result<v1::FromController, Status>>,
    pub(crate) running: Option<v1::PlanId>,
    pub(crate) offered: Option<PlanStatus>,
}

pub(crate) fn hello(node: &str) -> v1::Hello {
    v1::Hello {
        node: node.into(),
        boot_id: "boot".into(),
        agent_version: "test".into(),
        schema_min: 1,
        schema_max: 2,
        spool_epoch: 9,
        first_sequence: 1,
        next_sequence: 1,
        clock_us: now_us(),
        process_id: 1,
        ..v1::Hello::default()
    }
}

pub(crate) fn caller(node: &str) -> Caller {
    let not_after_us = now_us() + 3_600_000_000;
    Caller { node: node.parse().unwrap(), serial: Serial([0; 16]), not_after_us }
}

impl Agent {
    /// Opens a stream and says hello.
    pub(crate) async fn open(world: &World, caller: Caller, hello: v1::Hello) -> Self {
        let (said, inbox) = mpsc::channel(16);
        let (outbox, told) = mpsc::channel(16);
        let node = caller.node.clone();
        let stream = ReceiverStream::new(inbox);
        tokio::spawn(run_stream(world.shared.clone(), caller, stream, outbox));
        let agent = Self { node, said: Some(said), told, running: None, offered: None };
        agent.say(Said::Hello(hello)).await;
        agent
    }

    /// A good agent, welcomed, that has told its first summary.
    pub(crate) async fn join(world: &World, node: &str) -> Self {
        Self::rejoin(world, node, None, None).await
    }

    /// The same, with what it had before.
    pub(crate) async fn rejoin(
        world: &World,
        node: &str,
        running: Option<v1::PlanId>,
        offered: Option<PlanStatus>,
    ) -> Self {
        let mut agent = Self::open(world, caller(node), hello(node)).await;
        let Told::Welcome(_) = agent.hear().await else { panic!("no welcome") };
        (agent.running, agent.offered) = (running, offered);
        agent.summary().await;
        agent
    }

    pub(crate) async fn say(&self, message: Said) {
        let said = self.said.as_ref().expect("the stream is open");
        said.send(Ok(v1::FromAgent { message: Some(message) })).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Told {
        self.heard().await.expect("the stream goes on")
    }

    /// The next message, or the end of the stream.
    pub(crate) async fn heard(&mut self) -> Option<Told> {
        let told = tokio::time::timeout(LONG, self.told.recv()).await.expect("in time")?;
        told.unwrap().message
    }

    /// Nothing is waiting to be heard.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        self.told.try_recv().is_err()
    }

    pub(crate) async fn offer(&mut self) -> v1::PlanOffer {
        let told = self.hear().await;
        let Told::Offer(offer) = told else { panic!("no offer: {told:?}") };
        offer
    }

    /// Ends the stream with no goodbye.
    pub(crate) fn hang_up(&mut self) {
        self.said = None;
    }

    pub(crate) async fn summary(&self) {
        let status = NodeStatus {
            node: self.node.clone(),
            agent_version: "test".into(),
            boot_id: "boot".into(),
            running: self.running.clone().map(|id| id.try_into().unwrap()),
            offered: self.offered.clone(),
            instances: vec![],
            at_us: now_us(),
        };
        self.say(Said::Summary(v1::Summary { status: Some(status.into()) })).await;
    }

    /// Answers an offer.
    pub(crate) async fn answer(&mut self, offer: &v1::PlanOffer, phase: PlanPhase) {
        let plan = offer.plan.clone().unwrap();
        let errors = match phase {
            PlanPhase::Rejected => vec![ha_model::status::FieldError {
                code: "E2101".into(),
                path: "instances[web].interface".into(),
                message: "eth0 does not exist".into(),
                hint: String::new(),
            }],
            PlanPhase::Received
            | PlanPhase::Prepared
            | PlanPhase::Applied
            | PlanPhase::Healthy
            | PlanPhase::RolledBack => {
                self.running = Some(plan.clone());
                vec![]
            }
        };
        let status = PlanStatus { plan: plan.try_into().unwrap(), revision: None, phase, errors };
        self.offered = Some(status.clone());
        self.say(Said::PlanStatus(status.into())).await;
        self.summary().await;
    }

    /// Takes the next offer and is healthy on it.
    pub(crate) async fn obey(&mut self) -> NodePlan {
        let offer = self.offer().await;
        self.answer(&offer, PlanPhase::Healthy).await;
        serde_json::from_slice(&offer.document).unwrap()
    }

    pub(crate) async fn events(&self, sequences: &[u64]) {
        let events = sequences
            .iter()
            .map(|sequence| v1::SpooledEvent { sequence: *sequence, event: Some(event().into()) })
            .collect();
        self.say(Said::Events(v1::EventBatch { spool_epoch: 9, events })).await;
    }
}

fn event() -> NodeEvent {
    NodeEvent { at_us: 1, boot_us: 1, kind: EventKind::AgentStopping, traceparent: None }
}

/// The values that are kept.
pub(crate) async fn values(disk: &Disk) -> Secrets {
    disk.vault.all().await.unwrap()
}
