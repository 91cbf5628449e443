//! One session, from hello to its end.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use ha_model::ids::NodeName;
use ha_model::secret::{SecretRef, Secrets};
use ha_model::status::{NodeStatus, PlanStatus};
use ha_proto::v1;
use ha_proto::v1::from_agent::Message as FromAgent;
use ha_proto::v1::from_controller::Message as ToAgent;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Status;

use super::admission::ComeBack;
use super::offers::{Offer, Offers};
use super::registry::{Control, Opening};
use super::{Caller, Pending, Shared, batch, code, nonce};
use crate::clock::now_us;
use crate::error_chain;
use crate::fleet::{AgentFacts, Observation, SUMMARY_INTERVAL_US, SessionEnd, SessionId};
use crate::rollout::Release;

/// For the hello: it is the first thing that an agent sends.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// An agent that takes no message for so long is lost.
const STALL_LIMIT: Duration = Duration::from_secs(10);
/// Span of the next reconnect, microseconds: short, since a node is unknown
/// until it is back, and the admission bucket spreads a storm.
const RECONNECT_US: (u64, u64) = (200_000, 2_000_000);

/// Messages on their way out.
pub(crate) type Outbox = mpsc::Sender<Result<v1::FromController, Status>>;

/// Why a session ended.
#[derive(Debug)]
enum End {
    /// The agent said goodbye.
    Bye(String),
    /// The stream ended with no goodbye.
    Lost(Option<Status>),
    /// The agent takes no messages.
    Stalled,
    /// Another stream took its place.
    Replaced,
    /// It is told why.
    Refused { code: &'static str, reason: String },
    /// It is asked to come back.
    Busy(ComeBack),
    /// The controller stops.
    Stopping,
}

/// Runs one session.
pub(crate) async fn run<S>(shared: Arc<Shared>, caller: Caller, mut inbox: S, outbox: Outbox)
where
    S: Stream<Item = Result<v1::FromAgent, Status>> + Unpin + Send,
{
    let node = caller.node.clone();
    let opened = open(&shared, caller, &mut inbox, &outbox).await;
    let (end, session) = match opened {
        Ok(session) => {
            let id = session.id;
            (session.run(inbox).await, Some(id))
        }
        Err(end) => (end, None),
    };
    farewell(&outbox, &end).await;
    tell(&node, &end, session.is_some());
    if let Some(session) = session {
        let how = match end {
            End::Bye(_) => SessionEnd::Bye,
            End::Replaced => SessionEnd::Replaced,
            End::Lost(_) | End::Stalled | End::Refused { .. } | End::Busy(_) | End::Stopping => {
                SessionEnd::Lost
            }
        };
        // Both are gone only when the controller stops.
        let ended = Observation::Ended { node: node.clone(), session, how };
        let _ = shared.fleet.observe(ended).await;
        let _ = shared.registry.closed(node, session).await;
    }
}

/// The last word, if there is one. The agent may be gone; that is no matter.
async fn farewell(outbox: &Outbox, end: &End) {
    let last = match end {
        End::Bye(_) | End::Lost(_) | End::Stalled => return,
        End::Replaced => bye("another stream of this node took its place"),
        End::Stopping => bye("the controller stops"),
        End::Refused { code, reason } => {
            ToAgent::Refused(v1::Refused { code: (*code).to_owned(), reason: reason.clone() })
        }
        End::Busy(ComeBack { min_us, max_us }) => {
            ToAgent::RetryAfter(v1::RetryAfter { min_us: *min_us, max_us: *max_us })
        }
    };
    let _ = tokio::time::timeout(STALL_LIMIT, outbox.send(message(last))).await;
}

fn bye(reason: &str) -> ToAgent {
    ToAgent::Bye(v1::Bye { reason: reason.to_owned() })
}

fn tell(node: &NodeName, end: &End, opened: bool) {
    match end {
        End::Bye(reason) => tracing::info!(%node, reason, "the agent said goodbye"),
        End::Lost(status) => {
            let error = status.as_ref().map(Status::message);
            tracing::info!(%node, error, opened, "session lost");
        }
        End::Stalled => tracing::warn!(%node, "the agent takes no messages; session ended"),
        End::Replaced => tracing::info!(%node, "session replaced by a newer stream"),
        End::Refused { code, reason } => tracing::warn!(%node, code, reason, "session refused"),
        End::Busy(_) => tracing::debug!(%node, "session put off"),
        End::Stopping => tracing::debug!(%node, "session ended: the controller stops"),
    }
}

fn message(message: ToAgent) -> Result<v1::FromController, Status> {
    Ok(v1::FromController { message: Some(message) })
}

fn protocol(reason: impl Into<String>) -> End {
    End::Refused { code: code::PROTOCOL, reason: reason.into() }
}

/// The next message; an end of the stream with no goodbye is a loss.
async fn receive<S>(inbox: &mut S) -> Result<FromAgent, End>
where
    S: Stream<Item = Result<v1::FromAgent, Status>> + Unpin,
{
    match inbox.next().await {
        None => Err(End::Lost(None)),
        Some(Err(status)) => Err(End::Lost(Some(status))),
        Some(Ok(v1::FromAgent { message: Some(message) })) => Ok(message),
        Some(Ok(v1::FromAgent { message: None })) => {
            Err(protocol("a message of a kind that this controller does not know"))
        }
    }
}

async fn send(outbox: &Outbox, what: ToAgent) -> Result<(), End> {
    match tokio::time::timeout(STALL_LIMIT, outbox.send(message(what))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Lost(None)),
        Err(_) => Err(End::Stalled),
    }
}

async fn open<S>(
    shared: &Arc<Shared>,
    caller: Caller,
    inbox: &mut S,
    outbox: &Outbox,
) -> Result<Session, End>
where
    S: Stream<Item = Result<v1::FromAgent, Status>> + Unpin,
{
    let hello = match tokio::time::timeout(HELLO_LIMIT, receive(inbox)).await {
        Ok(Ok(FromAgent::Hello(hello))) => hello,
        Ok(Ok(FromAgent::Bye(bye))) => return Err(End::Bye(bye.reason)),
        Ok(Ok(_)) => return Err(protocol("the first message is not a hello")),
        Ok(Err(end)) => return Err(end),
        Err(_) => return Err(protocol("no hello in time")),
    };
    let node = caller.node.clone();
    if hello.node != node.as_str() {
        let _ = shared.fleet.observe(Observation::Misnamed { node: node.clone() }).await;
        let reason = format!("the certificate is that of {node}, the agent says {}", hello.node);
        return Err(End::Refused { code: code::OTHER_NAME, reason });
    }
    let admitted = shared.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now_us());
    admitted.map_err(End::Busy)?;
    shared
        .gate
        .admit(node.clone(), caller.serial)
        .await
        .map_err(|error| End::Refused { code: code::CERTIFICATE, reason: error_chain(&*error) })?;
    let acknowledged = stored(shared, &node, hello.spool_epoch).await;
    let released = shared.rollouts.released(node.clone()).await.map_err(|_| End::Stopping)?;
    let opening = shared.registry.open(node.clone(), hello.process_id).await;
    let (id, control) = match opening.map_err(|_| End::Stopping)? {
        Opening::Admitted { session, control } => (session, control),
        Opening::Duplicate => {
            let reason = format!("another agent has a session as {node} and answers");
            return Err(End::Refused { code: code::SECOND_STREAM, reason });
        }
    };
    let held = hello.secrets_held.iter().filter_map(secret_ref);
    let mut offers = Offers::new(held.collect::<Vec<_>>());
    offers.released(released.borrow().clone());
    Ok(Session {
        shared: shared.clone(),
        node,
        id,
        not_after_us: caller.not_after_us,
        outbox: outbox.clone(),
        control,
        released,
        offers,
        storing: None,
        nonce: None,
        hello,
        acknowledged,
    })
}

/// How far the events of the spool are stored. If that can't be read the agent
/// sends all that it has, and what is there already is not stored again.
async fn stored(shared: &Shared, node: &NodeName, spool_epoch: u64) -> u64 {
    match shared.history.stored(node.clone(), spool_epoch).await {
        Ok(sequence) => sequence,
        Err(error) => {
            tracing::warn!(%node, error = error_chain(&*error), "last event not known");
            0
        }
    }
}

fn secret_ref(held: &v1::SecretVersion) -> Option<SecretRef> {
    Some(SecretRef { name: held.name.parse().ok()?, version: held.version })
}

/// A batch that is being stored: its spool and, in the end, how far that is.
type Storing = Pending<'static, v1::EventAck>;

struct Session {
    shared: Arc<Shared>,
    node: NodeName,
    id: SessionId,
    not_after_us: u64,
    outbox: Outbox,
    control: mpsc::Receiver<Control>,
    released: watch::Receiver<Option<Arc<Release>>>,
    offers: Offers,
    storing: Option<Storing>,
    /// Of the challenge that waits for its answer.
    nonce: Option<u64>,
    hello: v1::Hello,
    /// Last event that was stored when the session began.
    acknowledged: u64,
}

impl Session {
    async fn run<S>(mut self, inbox: S) -> End
    where
        S: Stream<Item = Result<v1::FromAgent, Status>> + Unpin + Send,
    {
        match self.welcome().await {
            Ok(()) => self.serve(inbox).await,
            Err(end) => end,
        }
    }

    async fn welcome(&mut self) -> Result<(), End> {
        let hello = std::mem::take(&mut self.hello);
        let facts = AgentFacts {
            version: hello.agent_version,
            boot_id: hello.boot_id,
            schema_min: hello.schema_min,
            schema_max: hello.schema_max,
        };
        let certificate_expires_at_us = self.not_after_us;
        self.observe(Observation::Enrolled { node: self.node.clone(), certificate_expires_at_us })
            .await?;
        let node = self.node.clone();
        tracing::info!(%node, version = facts.version, "agent connected");
        self.observe(Observation::Connected { node, session: self.id, facts }).await?;
        let welcome = ToAgent::Welcome(v1::Welcome {
            epoch: self.shared.epoch.0,
            acknowledged_sequence: self.acknowledged,
            summary_interval_us: SUMMARY_INTERVAL_US,
            reconnect_min_us: RECONNECT_US.0,
            reconnect_max_us: RECONNECT_US.1,
        });
        send(&self.outbox, welcome).await
    }

    async fn observe(&mut self, observation: Observation) -> Result<(), End> {
        self.shared.fleet.observe(observation).await.map_err(|_| End::Stopping)
    }

    async fn serve<S>(mut self, mut inbox: S) -> End
    where
        S: Stream<Item = Result<v1::FromAgent, Status>> + Unpin + Send,
    {
        let mut stop = self.shared.stop.clone();
        let left = Duration::from_micros(self.not_after_us.saturating_sub(now_us()));
        // A year at most: the timer knows no end of days.
        let expiry = Instant::now() + left.min(Duration::from_secs(365 * 24 * 3600));
        loop {
            let turn = async {
                // Cancel-safe: an inbox keeps a message that was read in part,
                // the levels are read anew, an order is taken or stays, and the
                // batch that is being stored lives on in `self`.
                tokio::select! {
                    received = receive(&mut inbox) => self.received(received?).await,
                    changed = self.released.changed() => {
                        changed.map_err(|_| End::Stopping)?;
                        self.offers.released(self.released.borrow_and_update().clone());
                        Ok(())
                    }
                    order = self.control.recv() => self.ordered(order).await,
                    ack = finish(&mut self.storing) => {
                        self.storing = None;
                        send(&self.outbox, ToAgent::EventAck(ack)).await
                    }
                    () = tokio::time::sleep_until(expiry) => Err(End::Refused {
                        code: code::CERTIFICATE,
                        reason: "the certificate has expired; renew it".to_owned(),
                    }),
                    () = stopped(&mut stop) => Err(End::Stopping),
                }
            };
            if let Err(end) = turn.await {
                return end;
            }
            if let Err(end) = self.offer().await {
                return end;
            }
        }
    }

    async fn ordered(&mut self, order: Option<Control>) -> Result<(), End> {
        match order {
            Some(Control::Challenge) => {
                let nonce = nonce();
                self.nonce = Some(nonce);
                send(&self.outbox, ToAgent::Challenge(v1::Challenge { nonce })).await
            }
            Some(Control::Replace) | None => Err(End::Replaced),
        }
    }

    async fn received(&mut self, message: FromAgent) -> Result<(), End> {
        match message {
            FromAgent::Hello(_) => Err(protocol("a second hello")),
            FromAgent::Summary(summary) => self.summary(summary).await,
            FromAgent::PlanStatus(status) => self.plan_status(status).await,
            FromAgent::Events(batch) => {
                self.events(batch);
                Ok(())
            }
            FromAgent::ChallengeAnswer(answer) => {
                if self.nonce == Some(answer.nonce) {
                    self.nonce = None;
                    let answered = self.shared.registry.answered(self.node.clone(), self.id).await;
                    answered.map_err(|_| End::Stopping)?;
                }
                Ok(())
            }
            FromAgent::Bye(bye) => Err(End::Bye(bye.reason)),
        }
    }

    async fn summary(&mut self, summary: v1::Summary) -> Result<(), End> {
        let status = summary.status.ok_or_else(|| protocol("a summary without a status"))?;
        let status = NodeStatus::try_from(status)
            .map_err(|error| protocol(format!("a summary: {}", error_chain(&error))))?;
        if status.node != self.node {
            let _ = self.observe(Observation::Misnamed { node: self.node.clone() }).await;
            let reason = format!("a summary of {} from {}", status.node, self.node);
            return Err(End::Refused { code: code::OTHER_NAME, reason });
        }
        self.offers.summary(&status);
        self.observe(Observation::Summary { session: self.id, status: Arc::new(status) }).await
    }

    async fn plan_status(&mut self, mut status: v1::PlanStatus) -> Result<(), End> {
        let traceparent = std::mem::take(&mut status.traceparent);
        let status = PlanStatus::try_from(status)
            .map_err(|error| protocol(format!("a plan status: {}", error_chain(&error))))?;
        self.trace(&status, &traceparent);
        self.offers.status(&status);
        let node = self.node.clone();
        self.observe(Observation::Plan { node, session: self.id, status }).await
    }

    /// A span in the trace of the apply, linked to what the agent did.
    fn trace(&self, status: &PlanStatus, traceparent: &str) {
        let release = self.offers.release().filter(|release| release.plan == status.plan);
        let Some(parent) = release.and_then(|release| release.traceparent.as_deref()) else {
            return;
        };
        let span = tracing::info_span!("plan.status", node = %self.node, phase = ?status.phase);
        ha_telemetry::trace::set_parent(&span, parent);
        ha_telemetry::trace::add_link(&span, traceparent);
        span.in_scope(|| {
            tracing::debug!(plan = status.plan.generation.0, phase = ?status.phase, "plan status");
        });
    }

    /// Takes a batch in, unless one is being stored: agents send the next one
    /// after the acknowledgement, and will send this one again.
    fn events(&mut self, events: v1::EventBatch) {
        if self.storing.is_some() {
            tracing::debug!(node = %self.node, "a batch before the last was acknowledged: dropped");
            return;
        }
        self.storing = Some(Box::pin(batch::store(self.shared.clone(), self.node.clone(), events)));
    }

    /// Offers what is due.
    async fn offer(&mut self) -> Result<(), End> {
        let Some(Offer { release, lacking }) = self.offers.next() else { return Ok(()) };
        if !lacking.is_empty() {
            let values = match self.shared.values.values(lacking).await {
                Ok(values) => values,
                Err(error) => {
                    // The agent rejects the plan by the name of the secret.
                    tracing::warn!(node = %self.node, error = error_chain(&*error), "no secrets");
                    Secrets::new()
                }
            };
            if !values.is_empty() {
                self.offers.gave(values.keys().cloned());
                send(&self.outbox, ToAgent::Secrets(secret_values(&values))).await?;
            }
        }
        self.offers.offered(release.plan);
        tracing::debug!(node = %self.node, plan = release.plan.generation.0, "plan offered");
        let offer = v1::PlanOffer {
            plan: Some(release.plan.into()),
            revision: Some(release.revision.into()),
            document: release.document.bytes.to_vec(),
            traceparent: release.traceparent.clone().unwrap_or_default(),
        };
        send(&self.outbox, ToAgent::Offer(offer)).await
    }
}

fn secret_values(values: &Secrets) -> v1::SecretValues {
    let values = values
        .iter()
        .map(|(secret, value)| v1::SecretValue {
            name: secret.name.to_string(),
            version: secret.version,
            value: value.expose().to_vec(),
        })
        .collect();
    v1::SecretValues { values }
}

/// Waits until the controller stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone says the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits for the batch that is being stored, for ever if there is none.
async fn finish(storing: &mut Option<Storing>) -> v1::EventAck {
    match storing {
        Some(storing) => storing.as_mut().await,
        None => std::future::pending().await,
    }
}
