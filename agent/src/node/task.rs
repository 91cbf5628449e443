use std::sync::Arc;

use ha_model::event::EventKind;
use ha_model::explain::codes;
use ha_model::ids::{Digest, NodeName, PlanId};
use ha_model::plan::NodePlan;
use ha_model::secret::{SecretRef, Secrets};
use ha_model::status::{FieldError, NodeStatus, PlanPhase, PlanStatus};
use tokio::sync::{mpsc, watch};
use tracing::Instrument as _;

use super::acceptance::{self, Decision};
use super::duty::Duty;
use super::health::is_healthy;
use super::message::{Command, NodeView, Offer, OfflinePlan};
use super::{NodeHandle, OfflineResult, Request};
use crate::duty::DutyGone;
use crate::ledger::{self, Entry, Ledger, Loaded, Running};
use crate::spool::Reporter;

/// Requests that wait. The controller has at most one offer unanswered, with
/// its secrets before it; the rest is room for a person's SIGHUP.
const REQUESTS: usize = 4;

/// Who this node is.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Name of the node; a plan for another one is rejected.
    pub node: NodeName,
    /// Version of this agent.
    pub agent_version: String,
    /// Identity of this boot.
    pub boot_id: String,
}

/// Owner of the ledger and of the decision what runs.
#[derive(Debug)]
pub struct NodeTask<D> {
    config: NodeConfig,
    duty: D,
    ledger: Ledger,
    reporter: Reporter,
    requests: mpsc::Receiver<Request>,
    view: watch::Sender<Arc<NodeView>>,
    /// What the ledger holds.
    entry: Entry,
    /// The running plan, read.
    plan: Option<Arc<NodePlan>>,
    /// Values on the disk.
    secrets: Arc<Secrets>,
    /// Values for the next offer, not on the disk yet.
    staged: Secrets,
    /// Offers that were decided about.
    offers: u64,
    /// Trace context of the span that dealt with the last offer.
    traceparent: Option<String>,
}

impl<D: Duty> NodeTask<D> {
    /// A node that starts from what its ledger held. Nothing runs before
    /// [`NodeTask::run`].
    #[must_use]
    pub fn new(
        config: NodeConfig,
        duty: D,
        ledger: Ledger,
        loaded: Loaded,
        reporter: Reporter,
    ) -> (NodeHandle, Self) {
        for file in &loaded.set_aside {
            report_set_aside(&reporter, file);
        }
        let (sender, requests) = mpsc::channel(REQUESTS);
        let (view, _) = watch::channel(Arc::new(empty_view(&config)));
        let mut task = Self {
            config,
            duty,
            ledger,
            reporter,
            requests,
            view,
            entry: loaded.entry,
            plan: None,
            secrets: Arc::new(loaded.secrets),
            staged: Secrets::new(),
            offers: 0,
            traceparent: None,
        };
        task.read_entry();
        task.publish();
        (NodeHandle { requests: sender, view: task.view.subscribe() }, task)
    }

    /// Runs the plan of the ledger, then whatever comes, until every handle is
    /// gone.
    ///
    /// # Errors
    /// [`DutyGone`]: there is nobody left to run a plan.
    pub async fn run(mut self) -> Result<(), DutyGone> {
        if let Some(plan) = self.plan.clone() {
            self.duty.run_plan(plan, self.secrets.clone()).await?;
            self.applied();
        }
        let mut duty = self.duty.status();
        // When duty has stopped, its last status is still worth telling.
        let mut duty_runs = true;
        loop {
            // Cancel-safe: both only take something out when they complete.
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => self.handle(request).await?,
                    None => return Ok(()),
                },
                changed = duty.changed(), if duty_runs => {
                    duty_runs = changed.is_ok();
                    duty.mark_unchanged();
                    self.publish();
                }
            }
        }
    }

    async fn handle(&mut self, request: Request) -> Result<(), DutyGone> {
        match request.command {
            Command::Secrets(given) => self.staged.extend(ledger::into_secrets(given)),
            Command::Offer(offer) => {
                let span = tracing::info_span!(
                    "agent.apply",
                    node = %self.config.node,
                    generation = offer.plan.generation.0,
                    revision = offer.revision.map(|revision| revision.number),
                );
                if let Some(parent) = &offer.traceparent {
                    ha_telemetry::trace::set_parent(&span, parent);
                }
                self.take_offer(offer).instrument(span).await?;
            }
            Command::Offline(plan) => {
                let result = self.take_offline(plan).await?;
                if let Some(outcome) = request.outcome {
                    // Whoever asked may be gone: the outcome is logged as well.
                    let _ = outcome.send(result);
                }
            }
        }
        Ok(())
    }

    async fn take_offer(&mut self, offer: Offer) -> Result<(), DutyGone> {
        self.offers += 1;
        self.traceparent = ha_telemetry::trace::current_traceparent();
        let decision = acceptance::decide(&self.config.node, self.running(), &offer, |secret| {
            self.secrets.contains_key(secret) || self.staged.contains_key(secret)
        });
        let status = PlanStatus {
            plan: offer.plan,
            revision: offer.revision,
            phase: PlanPhase::Received,
            errors: Vec::new(),
        };
        match decision {
            Decision::Repeat => self.repeat(status).await?,
            Decision::Reject(errors) => self.reject(status, errors).await,
            Decision::Take(plan) => {
                self.entry.offered = Some(status.clone());
                self.publish();
                let running = Running {
                    plan: Some(offer.plan),
                    revision: offer.revision,
                    source: super::Source::Controller,
                    document: text(offer.document),
                };
                match self.prepare(running, Some(status.clone()), &plan).await {
                    Ok(()) => self.apply(*plan).await?,
                    Err(errors) => self.reject(status, errors).await,
                }
            }
        }
        Ok(())
    }

    /// The running plan was offered again: it is reported again. It only
    /// starts anew if the offer brought a secret that was missing here.
    async fn repeat(&mut self, status: PlanStatus) -> Result<(), DutyGone> {
        if let (Some(plan), Some(running)) = (self.plan.clone(), self.entry.running.clone()) {
            let needed = plan.secrets();
            let brought = |secret: &SecretRef| {
                !self.secrets.contains_key(secret) && self.staged.contains_key(secret)
            };
            if needed.iter().any(brought) {
                return match self.prepare(running, Some(status.clone()), &plan).await {
                    Ok(()) => self.apply(NodePlan::clone(&plan)).await,
                    Err(errors) => {
                        self.reject(status, errors).await;
                        Ok(())
                    }
                };
            }
        }
        let known = self.entry.offered.as_ref().is_some_and(|offered| {
            offered.plan == status.plan && offered.phase != PlanPhase::Rejected
        });
        self.entry.offered = Some(PlanStatus { phase: PlanPhase::Applied, ..status });
        self.publish();
        if !known {
            self.remember().await;
        }
        Ok(())
    }

    async fn take_offline(&mut self, offline: OfflinePlan) -> Result<OfflineResult, DutyGone> {
        let staged = ledger::into_secrets(offline.secrets);
        let held =
            |secret: &SecretRef| staged.contains_key(secret) || self.secrets.contains_key(secret);
        let plan = match acceptance::check_document(&self.config.node, &offline.document, held) {
            Ok(plan) => plan,
            Err(errors) => return Ok(Err(errors)),
        };
        self.staged = staged;
        let running = Running {
            plan: None,
            revision: None,
            source: offline.source,
            document: text(offline.document),
        };
        match self.prepare(running, None, &plan).await {
            Ok(()) => self.apply(plan).await.map(Ok),
            Err(errors) => Ok(Err(errors)),
        }
    }

    /// Makes the plan durable: the secrets first, so that a ledger never names
    /// one that is not there.
    async fn prepare(
        &mut self,
        running: Running,
        offered: Option<PlanStatus>,
        plan: &NodePlan,
    ) -> Result<(), Vec<FieldError>> {
        let needed = plan.secrets();
        let mut secrets = Secrets::clone(&self.secrets);
        let staged = self.staged.iter().filter(|(secret, _)| needed.contains(secret));
        secrets.extend(staged.map(|(secret, value)| (secret.clone(), value.clone())));
        let offered = offered.map(|status| PlanStatus { phase: PlanPhase::Prepared, ..status });
        let entry = Entry { running: Some(running), offered };

        let secrets = Arc::new(secrets);
        let new_secrets = (secrets != self.secrets).then(|| secrets.clone());
        let (ledger, written) = (self.ledger.clone(), entry.clone());
        crate::blocking(move || {
            if let Some(secrets) = new_secrets {
                ledger.save_secrets(&secrets)?;
            }
            ledger.save(&written)
        })
        .await
        .map_err(|error| vec![disk_error(&error)])?;
        self.entry = entry;
        self.secrets = secrets;
        self.publish();
        Ok(())
    }

    async fn apply(&mut self, plan: NodePlan) -> Result<(), DutyGone> {
        let plan = Arc::new(plan);
        self.plan = Some(plan.clone());
        self.duty.run_plan(plan.clone(), self.secrets.clone()).await?;
        self.applied();
        match self.running() {
            Some(id) => {
                tracing::info!(generation = id.generation.0, digest = %id.digest, "plan runs");
                self.report(EventKind::PlanApplied { plan: *id });
            }
            None => tracing::info!("plan of this machine runs"),
        }
        self.forget_secrets(&plan.secrets()).await;
        Ok(())
    }

    /// A value that no plan needs any more should not lie on the disk.
    async fn forget_secrets(&mut self, needed: &[SecretRef]) {
        self.staged.clear();
        if self.secrets.keys().all(|secret| needed.contains(secret)) {
            return;
        }
        let mut secrets = Secrets::clone(&self.secrets);
        secrets.retain(|secret, _| needed.contains(secret));
        let secrets = Arc::new(secrets);
        let (ledger, written) = (self.ledger.clone(), secrets.clone());
        match crate::blocking(move || ledger.save_secrets(&written)).await {
            Ok(()) => self.secrets = secrets,
            Err(error) => tracing::warn!(
                error = crate::error_chain(&error),
                "secrets that are no longer needed stay on the disk for now"
            ),
        }
        self.publish();
    }

    async fn reject(&mut self, status: PlanStatus, errors: Vec<FieldError>) {
        for error in &errors {
            tracing::warn!(
                generation = status.plan.generation.0,
                code = error.code,
                path = error.path,
                hint = error.hint,
                "plan rejected, the one before keeps running: {}",
                error.message
            );
        }
        self.report(EventKind::PlanRejected { plan: status.plan, errors: errors.clone() });
        self.entry.offered = Some(PlanStatus { phase: PlanPhase::Rejected, errors, ..status });
        self.publish();
        self.remember().await;
    }

    /// Writes what became of the last offer; what runs has not changed.
    async fn remember(&self) {
        let (ledger, written) = (self.ledger.clone(), self.entry.clone());
        if let Err(error) = crate::blocking(move || ledger.save(&written)).await {
            tracing::warn!(
                error = crate::error_chain(&error),
                "what became of the offer is not on the disk: a restart forgets it"
            );
        }
    }

    /// The machines run the plan: whatever was said of it before, it is
    /// applied now.
    fn applied(&mut self) {
        let running = self.running().copied();
        if let Some(offered) = &mut self.entry.offered
            && Some(offered.plan) == running
        {
            offered.phase = PlanPhase::Applied;
            offered.errors.clear();
        }
        self.publish();
    }

    fn publish(&mut self) {
        let duty = self.duty.status().borrow().clone();
        let running = self.running().copied();
        if let (Some(offered), Some(plan)) = (&mut self.entry.offered, &self.plan)
            && Some(offered.plan) == running
            && offered.phase == PlanPhase::Applied
            && is_healthy(plan, &duty)
        {
            offered.phase = PlanPhase::Healthy;
            tracing::info!(generation = offered.plan.generation.0, "plan is healthy");
        }
        let view = NodeView {
            status: NodeStatus {
                node: self.config.node.clone(),
                agent_version: self.config.agent_version.clone(),
                boot_id: self.config.boot_id.clone(),
                running,
                offered: self.entry.offered.clone(),
                instances: duty.instances.clone(),
                at_us: duty.at_us,
            },
            offers: self.offers,
            traceparent: self.traceparent.clone(),
            secrets_held: self.secrets.keys().cloned().collect(),
            source: self.entry.running.as_ref().map(|running| running.source).unwrap_or_default(),
            document: self.entry.running.as_ref().map(|running| running.document.clone().into()),
        };
        self.view.send_replace(Arc::new(view));
    }

    fn running(&self) -> Option<&PlanId> {
        self.entry.running.as_ref()?.plan.as_ref()
    }

    fn report(&self, kind: EventKind) {
        self.reporter.report(kind, self.traceparent.clone());
    }

    /// Reads the plan of the ledger. A secret that is gone is no reason not to
    /// run the rest of it: the instance that needs it says so itself.
    fn read_entry(&mut self) {
        let Some(running) = &self.entry.running else { return };
        let document = running.document.as_bytes();
        let changed = running.plan.is_some_and(|plan| plan.digest != Digest::of(document));
        let read = acceptance::check_document(&self.config.node, document, |_| true);
        let reason = match read {
            Ok(plan) if !changed => {
                self.plan = Some(Arc::new(plan));
                return;
            }
            Ok(_) => "the plan does not match its digest".to_owned(),
            Err(errors) => errors
                .iter()
                .map(|e| format!("{}: {}", e.code, e.message))
                .collect::<Vec<_>>()
                .join("; "),
        };
        self.entry = Entry::default();
        report_set_aside(&self.reporter, &self.ledger.set_ledger_aside(reason));
    }
}

fn report_set_aside(reporter: &Reporter, file: &ledger::SetAside) {
    tracing::error!(file = file.file, reason = file.reason, "unreadable file set aside");
    let (file, reason) = (file.file.clone(), file.reason.clone());
    reporter.report(EventKind::FileSetAside { file, reason }, None);
}

fn empty_view(config: &NodeConfig) -> NodeView {
    NodeView {
        status: NodeStatus {
            node: config.node.clone(),
            agent_version: config.agent_version.clone(),
            boot_id: config.boot_id.clone(),
            running: None,
            offered: None,
            instances: Vec::new(),
            at_us: 0,
        },
        offers: 0,
        traceparent: None,
        secrets_held: Vec::new(),
        source: super::Source::default(),
        document: None,
    }
}

/// The text of a document that was read as JSON, and so is UTF-8.
fn text(document: Vec<u8>) -> String {
    String::from_utf8(document).expect("JSON that was read is UTF-8")
}

fn disk_error(error: &ha_durable::FileError) -> FieldError {
    let message = format!("the plan can't be stored: {}", crate::error_chain(error));
    acceptance::error(codes::PLAN_DISK, "", message)
}
