//! The program: opens what is kept, starts the tasks, serves, and ends in
//! order.

mod metrics;
mod parts;
pub mod store;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use ha_certs::init::load_ca;
use ha_certs::server::{AcceptLimits, ServerTls, accept};
use ha_proto::v1::agent_server::AgentServer;
use ha_proto::v1::enrollment_server::EnrollmentServer;
use ha_proto::v1::fleet_server::FleetServer;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::api::{Applier, FleetService, Parts, Vault};
use crate::auth::{self, AuthCounters, MAX_MESSAGE};
use crate::cli::RunArgs;
use crate::clock::now_us;
use crate::events::{Events, Retention};
use crate::fleet::{FleetHandle, FleetState, FleetTask, Observation};
use crate::pki::{EnrollmentService, OwnCertificate, Pki};
use crate::revisions::Revisions;
use crate::rollout::RolloutTask;
use crate::session::{AgentService, Bucket, RegistryTask, Shared, Values};
use crate::store::{Limits, SecretStore, SharedStore, SledStore, StateDir};
use parts::{DiskVault, EventHistory, PkiGate};

/// Agents come back within this time after the controller started: nodes that
/// have not by then are offline. Microseconds.
const SETTLE_US: u64 = 10_000_000;
/// Streams end within this time after they were told to.
const DRAIN: Duration = Duration::from_secs(5);
/// Largest answer: the status of some thousand clusters.
const MAX_ANSWER: usize = 64 << 20;

/// What is kept on disk.
struct Kept {
    /// Locked for as long as this lives.
    dir: StateDir,
    store: SharedStore,
    events: Arc<Events>,
    vault: Arc<DiskVault>,
}

/// What serves.
struct Services {
    agents: AgentService,
    enrollment: EnrollmentService,
    fleet: FleetService,
}

/// Runs the controller until it is told to stop.
///
/// # Errors
/// What it needs can't be opened, or its address is taken.
pub async fn run(args: &RunArgs) -> Result<()> {
    let mut signals = Signals::new()?;
    let kept = open(&args.state_dir)?;
    let pki_dir = args.pki.clone();
    let ca = tokio::task::spawn_blocking(move || load_ca(&pki_dir)).await?;
    let ca = Arc::new(ca.context("the fleet's CA can't be loaded; `hactl init` makes one")?);
    let pki = Arc::new(Pki::new(ca.clone(), kept.store.clone()));
    let own = OwnCertificate::load(&args.pki, ca).await?;
    let tls = own.tls();
    tokio::spawn(own.keep());
    let (stop, stopping) = watch::channel(false);
    let (services, fleet) = start(&kept, pki, stopping.clone()).await?;
    let counters = Arc::new(AuthCounters::default());

    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("can't listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    if let Some(at) = args.metrics {
        let sources = metrics::Sources {
            fleet,
            store: kept.store.clone(),
            events: kept.events.clone(),
            tls: tls.clone(),
            auth: counters.clone(),
        };
        metrics::serve(at, sources).await?;
    }
    write_address(kept.dir.path(), address)?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "the controller runs");
    let serving = serve(listener, tls, counters, services, stopping);
    let mut serving = tokio::spawn(serving);
    notify(&[sd_notify::NotifyState::Ready]);
    // Cancel-safe: the server is a task of its own.
    let ended = tokio::select! {
        name = signals.wait() => {
            tracing::info!(signal = name, "the controller stops; the nodes go on without it");
            None
        }
        ended = &mut serving => Some(ended),
    };
    notify(&[sd_notify::NotifyState::Stopping]);
    stop.send_replace(true);
    match ended {
        Some(ended) => ended??,
        None => match tokio::time::timeout(DRAIN, serving).await {
            Ok(ended) => ended??,
            Err(_) => tracing::warn!("some streams did not end in time and were cut"),
        },
    }
    kept.store.flush().await.context("the store could not be flushed")?;
    Ok(())
}

/// Opens what is kept, and says what had to be repaired.
fn open(state_dir: &Path) -> Result<Kept> {
    let dir = StateDir::open(state_dir)?;
    let (store, report) = SledStore::open(&dir.store(), Limits::default())
        .with_context(|| format!("the store in {} can't be opened", state_dir.display()))?;
    tracing::debug!(?report, "store opened");
    let (events, recovery) = Events::open(&dir.events(), Retention::default())?;
    tracing::debug!(?recovery, "history of events opened");
    let vault = DiskVault::new(SecretStore::open(&dir.secrets())?);
    Ok(Kept { dir, store: Arc::new(store), events: Arc::new(events), vault: Arc::new(vault) })
}

/// Starts the tasks, and goes on with what was under way.
async fn start(
    kept: &Kept,
    pki: Arc<Pki>,
    stop: watch::Receiver<bool>,
) -> Result<(Services, FleetHandle)> {
    let state = FleetState { settled_at_us: now_us() + SETTLE_US, ..FleetState::default() };
    let (task, fleet) = FleetTask::new(state);
    tokio::spawn(task.run());
    for (node, record) in pki.nodes().await? {
        let certificate_expires_at_us = record.not_after_us;
        fleet.observe(Observation::Enrolled { node, certificate_expires_at_us }).await?;
    }
    let revisions = Revisions::open(kept.store.clone()).await?;
    let (task, rollouts) =
        RolloutTask::load(kept.store.clone(), revisions.clone(), fleet.clone()).await?;
    tokio::spawn(task.run());
    let epoch = revisions.epoch();
    let vault: Arc<dyn Vault> = kept.vault.clone();
    let values: Arc<dyn Values> = kept.vault.clone();
    let applier = Arc::new(Applier::load(revisions, vault, fleet.clone(), rollouts.clone()).await?);
    let (task, registry) = RegistryTask::new(fleet.clone());
    tokio::spawn(task.run());
    let shared = Shared {
        epoch,
        fleet: fleet.clone(),
        rollouts: rollouts.clone(),
        registry,
        history: Arc::new(EventHistory::new(kept.events.clone())),
        values,
        gate: Arc::new(PkiGate::new(pki.clone())),
        bucket: Mutex::new(Bucket::new(now_us())),
        stop: stop.clone(),
    };
    let events = kept.events.clone();
    let parts = Parts { applier, fleet: fleet.clone(), rollouts, events, pki: pki.clone(), stop };
    let services = Services {
        agents: AgentService::new(Arc::new(shared)),
        enrollment: EnrollmentService::new(pki),
        fleet: FleetService::new(parts),
    };
    Ok((services, fleet))
}

async fn serve(
    listener: TcpListener,
    tls: Arc<ServerTls>,
    counters: Arc<AuthCounters>,
    services: Services,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<AgentServer<AgentService>>().await;
    health.set_serving::<FleetServer<FleetService>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(ha_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("the descriptors of the API are broken")?;
    let agents = AgentServer::new(services.agents)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_ANSWER);
    let enrollment =
        EnrollmentServer::new(services.enrollment).max_decoding_message_size(MAX_MESSAGE);
    let fleet = FleetServer::new(services.fleet)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_ANSWER);
    auth::server(counters)
        .add_service(health_service)
        .add_service(reflection)
        .add_service(agents)
        .add_service(enrollment)
        .add_service(fleet)
        .serve_with_incoming_shutdown(accept(listener, tls, AcceptLimits::default()), async move {
            // A sender that is gone says the same.
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await
        .context("the server failed")
}

/// For scripts and tests: the address, whole or not at all.
fn write_address(state_dir: &Path, address: SocketAddr) -> Result<()> {
    let path = state_dir.join("listen.addr");
    ha_durable::atomic::replace(&path, address.to_string().as_bytes(), 0o644)?;
    Ok(())
}

fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// What ends the program.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) -> &'static str {
        // Cancel-safe: a signal is taken or is still there.
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
