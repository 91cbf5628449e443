//! The parts of a running agent, from the first to the last.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use ha_certs::Credentials;
use ha_certs::client::ClientTls;
use ha_certs::identity::Identity;
use ha_model::document::PlanDocument;
use ha_model::event::{EventKind, NodeEvent};
use ha_model::ids::NodeName;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::cli::RunArgs;
use crate::duty::{self, DutyHandle, StopMode};
use crate::enroll;
use crate::ledger::{Ledger, Loaded};
use crate::local::{LocalConfig, LocalTask};
use crate::metrics;
use crate::node::source::{OfflineSource, SourceError};
use crate::node::{NodeConfig, NodeHandle, NodeTask, OfflinePlan};
use crate::session::{RenewTask, SessionConfig, SessionTask, SessionView, TlsDial};
use crate::spool::{Reporter, SpoolHandle, SpoolTask};

/// For the last words to the controller. Before a restart every moment counts:
/// the next process goes on as master only within three adverts.
const FAREWELL: Duration = Duration::from_secs(3);
const FAREWELL_BEFORE_RESTART: Duration = Duration::from_millis(300);

/// The plan of this machine, read again on request.
pub(super) struct Offline {
    source: Option<OfflineSource>,
    node: NodeHandle,
}

impl Offline {
    /// Reads the files, and runs what they say if they can be run; else all
    /// stays as it is.
    pub(super) async fn reload(&mut self) {
        let (source, read) = read(self.source.take()).await;
        self.source = source;
        match read {
            Some(Ok((_, plan))) => self.take(plan).await,
            Some(Err(error)) => refused(&error),
            None => {}
        }
    }

    async fn take(&self, plan: OfflinePlan) {
        match self.node.offline(plan).await {
            Ok(Ok(())) => {}
            Ok(Err(errors)) => {
                for error in errors {
                    tracing::error!(
                        code = error.code,
                        path = error.path,
                        hint = error.hint,
                        "the plan of this machine is not taken, the one before runs on: {}",
                        error.message
                    );
                }
            }
            Err(gone) => tracing::error!(error = crate::error_chain(&gone), "no plan is taken"),
        }
    }
}

fn refused(error: &SourceError) {
    let error = crate::error_chain(error);
    tracing::error!("the plan of this machine is not taken, the one before runs on: {error}");
}

type Read = Result<(NodeName, OfflinePlan), SourceError>;

/// Reads where it holds nobody up.
async fn read(source: Option<OfflineSource>) -> (Option<OfflineSource>, Option<Read>) {
    let Some(mut source) = source else { return (None, None) };
    crate::blocking(move || {
        let read = source.read();
        (Some(source), Some(read))
    })
    .await
}

/// Who this node is, and how it gets its plans.
struct Origin {
    node: NodeName,
    offline: Option<(OfflineSource, Option<OfflinePlan>)>,
    credentials: Option<Credentials>,
}

impl Origin {
    async fn find(args: &RunArgs, loaded: &Loaded) -> Result<Self> {
        if let Some(files) = args.offline.files() {
            let source = OfflineSource::new(files, loaded.secrets.clone());
            return Self::of_files(source, loaded).await;
        }
        let files = enroll::credential_files(&args.state_dir);
        let credentials = crate::blocking(move || files.load())
            .await
            .context("this node has no certificate: ha-agent enroll");
        match (credentials, node_of(loaded)) {
            (Ok(credentials), _) => {
                let node = node_of_certificate(&credentials)?;
                Ok(Self { node, offline: None, credentials: Some(credentials) })
            }
            // A node never needs the controller to fail over.
            (Err(error), Some(node)) => {
                tracing::error!("no session, the last plan runs: {error:#}");
                Ok(Self { node, offline: None, credentials: None })
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn of_files(source: OfflineSource, loaded: &Loaded) -> Result<Self> {
        let (source, read) = read(Some(source)).await;
        let source = source.context("the plan of this machine was not read")?;
        match (read, node_of(loaded)) {
            (Some(Ok((node, plan))), _) => {
                Ok(Self { node, offline: Some((source, Some(plan))), credentials: None })
            }
            (Some(Err(error)), Some(node)) => {
                refused(&error);
                Ok(Self { node, offline: Some((source, None)), credentials: None })
            }
            (Some(Err(error)), None) => Err(error.into()),
            (None, _) => Err(anyhow!("the plan of this machine was not read")),
        }
    }
}

/// The node that the ledger's plan is for.
fn node_of(loaded: &Loaded) -> Option<NodeName> {
    let running = loaded.entry.running.as_ref()?;
    PlanDocument::parse(running.document.as_bytes()).ok().map(|document| document.plan.node)
}

fn node_of_certificate(credentials: &Credentials) -> Result<NodeName> {
    match &credentials.facts().id.identity {
        Identity::Node(name) => {
            name.as_str().parse().context("the certificate's name is none of a node")
        }
        other @ (Identity::Controller(_) | Identity::User { .. }) => {
            Err(anyhow!("the certificate is that of {other}, not of a node"))
        }
    }
}

/// A running agent.
pub(super) struct Agent {
    pub(super) duty: DutyHandle,
    pub(super) reporter: Reporter,
    pub(super) offline: Option<Offline>,
    stop: watch::Sender<bool>,
    relay: JoinHandle<()>,
    spool: SpoolHandle,
    /// What ends by itself once `stop` is true.
    session: Option<JoinHandle<()>>,
}

impl Agent {
    /// Starts the parts, each before those that need it.
    pub(super) async fn start(args: &RunArgs) -> Result<Self> {
        let ledger = Ledger::new(&args.state_dir);
        let opened = ledger.clone();
        let loaded = crate::blocking(move || opened.load()).await;
        let origin = Origin::find(args, &loaded).await?;

        let (reporter, spool, task) = SpoolTask::new(&args.state_dir.join("spool"));
        tokio::spawn(task.run());
        let version = env!("CARGO_PKG_VERSION").to_owned();
        reporter.report(EventKind::AgentStarted { version: version.clone() }, None);
        let (duty, events) = duty::start(&args.run_dir)?;
        let relay = tokio::spawn(relay(events, reporter.clone()));
        if let Some(address) = args.metrics {
            let server = metrics::Server::bind(address, duty.status()).await?;
            tokio::spawn(server.run());
        }

        let boot_id = ha_sys::boot_id().context("cannot read the boot id")?;
        let config = NodeConfig { node: origin.node.clone(), agent_version: version, boot_id };
        let (node, task) = NodeTask::new(config, duty.clone(), ledger, loaded, reporter.clone());
        tokio::spawn(async move {
            if let Err(error) = task.run().await {
                tracing::error!(error = crate::error_chain(&error), "no plan is taken any more");
            }
        });
        let (stop, stopped) = watch::channel(false);
        let (session_view, session) = start_session(args, &origin, &node, &spool, &stopped)?;
        let local = LocalConfig {
            node: node.clone(),
            spool: spool.clone(),
            session: session_view,
            stop: stopped,
        };
        start_local(args, local).await?;
        let offline = start_offline(origin.offline, &node).await;
        Ok(Self { duty, reporter, offline, stop, relay, spool, session })
    }

    /// Stops VRRP first, then tells the controller, then closes the spool.
    pub(super) async fn stop(self, mode: StopMode) {
        let Self { duty, reporter: _, offline: _, stop, relay, spool, session } = self;
        duty.stop(mode).await;
        ended(relay.await, "events");
        stop.send_replace(true);
        let farewell = match mode {
            StopMode::Final => FAREWELL,
            StopMode::ForRestart => FAREWELL_BEFORE_RESTART,
        };
        if let Some(session) = session
            && let Ok(end) = tokio::time::timeout(farewell, session).await
        {
            ended(end, "session");
        }
        if tokio::time::timeout(FAREWELL, spool.flush()).await.is_err() {
            tracing::warn!("the last events may not be on the disk");
        }
    }
}

fn ended(result: Result<(), tokio::task::JoinError>, task: &str) {
    if let Err(error) = result {
        tracing::error!(task, error = crate::error_chain(&error), "a task failed");
    }
}

/// Carries events from duty to the log and the spool.
async fn relay(mut events: mpsc::Receiver<NodeEvent>, to: Reporter) {
    while let Some(event) = events.recv().await {
        tracing::info!(event = ?event.kind, "event");
        to.pass_on(event).await;
    }
}

async fn start_offline(
    offline: Option<(OfflineSource, Option<OfflinePlan>)>,
    node: &NodeHandle,
) -> Option<Offline> {
    let (source, plan) = offline?;
    let offline = Offline { source: Some(source), node: node.clone() };
    if let Some(plan) = plan {
        offline.take(plan).await;
    }
    Some(offline)
}

async fn start_local(args: &RunArgs, config: LocalConfig) -> Result<()> {
    let local = LocalTask::bind(&args.local_socket, config)
        .await
        .context("cannot serve the local socket (--local-socket)")?;
    tokio::spawn(async move {
        if let Err(error) = local.run().await {
            tracing::error!(error = crate::error_chain(&error), "the local socket is gone");
        }
    });
    Ok(())
}

type Session = (Option<watch::Receiver<SessionView>>, Option<JoinHandle<()>>);

fn start_session(
    args: &RunArgs,
    origin: &Origin,
    node: &NodeHandle,
    spool: &SpoolHandle,
    stop: &watch::Receiver<bool>,
) -> Result<Session> {
    let (Some(controller), Some(credentials)) = (&args.controller, &origin.credentials) else {
        return Ok((None, None));
    };
    let tls = ClientTls::new(credentials).context("cannot set up TLS to the controller")?;
    let (view, session) = SessionTask::new(SessionConfig {
        dial: TlsDial { tls: tls.clone(), controller: controller.clone() },
        controller: controller.clone(),
        node_name: origin.node.clone(),
        node: node.clone(),
        spool: spool.clone(),
        stop: stop.clone(),
    })
    .context("no random number for the session")?;
    let renew = RenewTask {
        files: enroll::credential_files(&args.state_dir),
        tls,
        credentials: credentials.clone(),
        controller: controller.clone(),
        stop: stop.clone(),
    };
    tokio::spawn(renew.run());
    Ok((Some(view), Some(tokio::spawn(session.run()))))
}
