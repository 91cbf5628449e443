//! One stream to a controller, from hello to its end.

use std::sync::Arc;
use std::time::Duration;

use ha_model::ids::NodeName;
use ha_model::plan::{SCHEMA_MAX, SCHEMA_MIN};
use ha_model::secret::{SecretRef, SecretValue};
use ha_proto::convert::ConvertError;
use ha_proto::v1;
use ha_proto::v1::agent_client::AgentClient;
use ha_proto::v1::from_agent::Message as ToController;
use ha_proto::v1::from_controller::Message as FromController;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::machine::{Break, Known, Machine, Outgoing, Terms};
use crate::node::{GivenSecret, NodeGone, NodeHandle, NodeView, Offer};
use crate::spool::{READ_LIMIT, SpoolGone, SpoolHandle, SpoolLevel};

/// Messages that wait for the transport. What to send is decided when there is
/// room, so more would only be older.
const OUTBOX: usize = 2;

/// A plan and its envelope; plans are 1 to 30 kB.
const MESSAGE_LIMIT: usize = 16 << 20;

/// For the answer to a hello. The controller may let many wait in turn.
const WELCOME_LIMIT: Duration = Duration::from_secs(30);

/// For the last words after a request to stop.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// How a stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// We were told to stop, and said so.
    #[error("stopped")]
    Stopped,
    /// The controller said why.
    #[error("the controller ends the session: {0}")]
    Bye(String),
    /// The controller is busy.
    #[error("the controller asks to come back later")]
    RetryAfter { min: Duration, max: Duration },
    /// The controller does not want this node, or not this stream.
    #[error("the controller refuses the session: {code}: {reason}")]
    Refused { code: String, reason: String },
    /// Without a word: a dead peer looks like this.
    #[error("the stream ended without a word")]
    Silent,
    #[error("no answer to the hello within {} s", WELCOME_LIMIT.as_secs())]
    NoWelcome,
    #[error(transparent)]
    Address(ha_certs::client::AddressError),
    #[error("the stream failed")]
    Transport(#[source] Box<tonic::Status>),
    #[error("the controller sent what this agent can't read")]
    Unreadable(#[source] ConvertError),
    #[error("the controller sent {0} where it may not")]
    Unexpected(&'static str),
    #[error(transparent)]
    Break(#[from] Break),
    #[error(transparent)]
    NodeGone(#[from] NodeGone),
    #[error(transparent)]
    SpoolGone(#[from] SpoolGone),
}

impl From<tonic::Status> for End {
    fn from(status: tonic::Status) -> Self {
        Self::Transport(Box::new(status))
    }
}

/// What a stream needs of the rest of the agent.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    pub(super) node_name: NodeName,
    pub(super) node: NodeHandle,
    pub(super) spool: SpoolHandle,
    /// Tells two processes with the same certificate apart.
    pub(super) process_id: u64,
    /// True once the agent stops.
    pub(super) stop: watch::Receiver<bool>,
}

/// The welcome, as far as it is for the next stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Welcomed {
    pub(super) reconnect: (Duration, Duration),
}

/// Runs one stream. `welcomed` is called once the controller takes us in.
pub(super) async fn run(channel: Channel, rest: Rest, welcomed: impl FnOnce(Welcomed)) -> End {
    match open(channel, &rest, welcomed).await {
        Ok(stream) => stream.serve().await,
        Err(end) => end,
    }
}

async fn open(
    channel: Channel,
    rest: &Rest,
    welcomed: impl FnOnce(Welcomed),
) -> Result<Stream, End> {
    let mut stop = rest.stop.clone();
    let view = rest.node.view();
    let level = rest.spool.level();
    let hello_level = *level.borrow();
    let (outbox, messages) = mpsc::channel(OUTBOX);
    let hello = hello(rest, &view.borrow(), hello_level);
    outbox.try_send(message(ToController::Hello(hello))).map_err(|_| End::Silent)?;
    let greet = async {
        let mut client = AgentClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
        let mut inbox = client.session(ReceiverStream::new(messages)).await?.into_inner();
        let first = inbox.message().await?.ok_or(End::Silent)?;
        Ok::<_, End>((inbox, first))
    };
    // Cancel-safe: whatever is dropped here is a stream that nobody uses yet.
    let (inbox, first) = tokio::select! {
        greeted = tokio::time::timeout(WELCOME_LIMIT, greet) => {
            greeted.unwrap_or(Err(End::NoWelcome))?
        }
        _ = stop.wait_for(|stop| *stop) => return Err(End::Stopped),
    };
    let welcome = match first.message {
        Some(FromController::Welcome(welcome)) => welcome,
        Some(FromController::Refused(refused)) => return Err(refused_end(refused)),
        Some(FromController::RetryAfter(retry)) => return Err(retry_end(retry)),
        Some(FromController::Bye(bye)) => return Err(End::Bye(bye.reason)),
        Some(
            FromController::Offer(_)
            | FromController::Secrets(_)
            | FromController::EventAck(_)
            | FromController::Challenge(_),
        ) => return Err(End::Unexpected("something before its welcome")),
        None => return Err(End::Unexpected("a message of an unknown kind")),
    };
    welcomed(Welcomed {
        reconnect: (micros(welcome.reconnect_min_us), micros(welcome.reconnect_max_us)),
    });
    let terms = Terms {
        summary_interval: micros(welcome.summary_interval_us).max(Duration::from_millis(100)),
        acknowledged: welcome.acknowledged_sequence,
    };
    let machine = match Machine::new(terms, hello_level) {
        Ok(machine) => machine,
        Err(error) => {
            rest.spool.renew(welcome.acknowledged_sequence).await?;
            return Err(error.into());
        }
    };
    let began = Instant::now();
    Ok(Stream { rest: rest.clone(), machine, outbox, inbox, view, level, began, stop_by: None })
}

struct Stream {
    rest: Rest,
    machine: Machine,
    outbox: mpsc::Sender<v1::FromAgent>,
    inbox: Streaming<v1::FromController>,
    view: watch::Receiver<Arc<NodeView>>,
    level: watch::Receiver<SpoolLevel>,
    began: Instant,
    /// Set once the agent stops: until then the controller may hear the rest.
    stop_by: Option<Instant>,
}

impl Stream {
    async fn serve(mut self) -> End {
        let end = loop {
            match self.turn().await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        match end {
            // The other side ended it.
            End::Bye(_) | End::Silent | End::Transport(_) => {}
            End::Stopped
            | End::RetryAfter { .. }
            | End::Refused { .. }
            | End::NoWelcome
            | End::Address(_)
            | End::Unreadable(_)
            | End::Unexpected(_)
            | End::Break(_)
            | End::NodeGone(_)
            | End::SpoolGone(_) => self.farewell(end.to_string()).await,
        }
        end
    }

    /// Waits for one thing to do, and does it.
    async fn turn(&mut self) -> Result<(), End> {
        let view = self.view.borrow_and_update().clone();
        let spool = *self.level.borrow_and_update();
        let known = Known { view: &view, spool };
        let outgoing = self.machine.next(self.began.elapsed(), known)?;
        if self.stop_by.is_some() && outgoing.is_none() && self.machine.is_settled(known) {
            return Err(End::Stopped);
        }
        let deadline = self.machine.deadline(&view).map(|after| self.began + after);
        // Cancel-safe: a permit that is dropped gives its place back; an inbox
        // keeps a message that was read in part; levels are read anew.
        tokio::select! {
            room = has_room(&self.outbox), if outgoing.is_some() => {
                room?;
                if let Some(outgoing) = outgoing {
                    self.send(&outgoing, known).await?;
                }
            }
            incoming = self.inbox.message() => {
                let incoming = incoming?.ok_or(End::Silent)?;
                self.take(incoming).await?;
            }
            changed = self.view.changed() => changed.map_err(|_| NodeGone)?,
            changed = self.level.changed() => changed.map_err(|_| SpoolGone)?,
            () = until(deadline), if outgoing.is_none() => {}
            () = stopped(&mut self.rest.stop), if self.stop_by.is_none() => {
                // What happened while the agent stopped is worth a moment.
                self.stop_by = Some(Instant::now() + FAREWELL_LIMIT);
            }
            () = until(self.stop_by) => return Err(End::Stopped),
        }
        Ok(())
    }

    async fn send(&mut self, outgoing: &Outgoing, known: Known<'_>) -> Result<(), End> {
        let mut last = None;
        let content = match outgoing {
            Outgoing::ChallengeAnswer(nonce) => {
                ToController::ChallengeAnswer(v1::ChallengeAnswer { nonce: *nonce })
            }
            Outgoing::Summary => {
                let status = Some(known.view.status.clone().into());
                ToController::Summary(v1::Summary { status })
            }
            Outgoing::PlanStatus => match &known.view.status.offered {
                Some(offered) => ToController::PlanStatus(v1::PlanStatus {
                    traceparent: known.view.traceparent.clone().unwrap_or_default(),
                    ..offered.clone().into()
                }),
                None => return Ok(()),
            },
            Outgoing::Events(from) => {
                let events = self.rest.spool.read(*from, READ_LIMIT).await?;
                last = events.last().map(|event| event.sequence);
                if last.is_none() {
                    // Nothing there although the level says so: a new spool.
                    return Err(Break::SpoolChanged.into());
                }
                let events = events.into_iter().map(|event| v1::SpooledEvent {
                    sequence: event.sequence,
                    event: Some(event.event.into()),
                });
                ToController::Events(v1::EventBatch {
                    spool_epoch: known.spool.epoch,
                    events: events.collect(),
                })
            }
        };
        self.outbox.send(message(content)).await.map_err(|_| End::Silent)?;
        self.machine.sent(outgoing, last, self.began.elapsed(), known);
        Ok(())
    }

    async fn take(&mut self, incoming: v1::FromController) -> Result<(), End> {
        match incoming.message {
            Some(FromController::Offer(offer)) => {
                let offer = read_offer(offer).map_err(End::Unreadable)?;
                self.rest.node.offer(offer).await?;
            }
            Some(FromController::Secrets(secrets)) => {
                let given = read_secrets(secrets)?;
                self.rest.node.secrets(given).await?;
            }
            Some(FromController::EventAck(ack)) => {
                if let Some(sequence) = self.machine.ack(ack.spool_epoch, ack.sequence)? {
                    self.rest.spool.ack(ack.spool_epoch, sequence).await?;
                }
            }
            Some(FromController::Challenge(challenge)) => self.machine.challenge(challenge.nonce),
            Some(FromController::RetryAfter(retry)) => return Err(retry_end(retry)),
            Some(FromController::Refused(refused)) => return Err(refused_end(refused)),
            Some(FromController::Bye(bye)) => return Err(End::Bye(bye.reason)),
            Some(FromController::Welcome(_)) => return Err(End::Unexpected("a second welcome")),
            None => return Err(End::Unexpected("a message of an unknown kind")),
        }
        Ok(())
    }

    /// Says bye and waits, for a moment, until it is on its way.
    async fn farewell(self, reason: String) {
        let bye = message(ToController::Bye(v1::Bye { reason }));
        let Self { outbox, mut inbox, .. } = self;
        let leave = async {
            if outbox.send(bye).await.is_ok() {
                drop(outbox);
                // Our half is closed; the other closes its own then.
                while let Ok(Some(_)) = inbox.message().await {}
            }
        };
        if tokio::time::timeout(FAREWELL_LIMIT, leave).await.is_err() {
            tracing::debug!("the controller did not end the stream after our bye");
        }
    }
}

/// Waits for room; it stays, as nobody else sends.
async fn has_room(outbox: &mpsc::Sender<v1::FromAgent>) -> Result<(), End> {
    outbox.reserve().await.map(drop).map_err(|_| End::Silent)
}

/// Waits until the agent stops; that its owner is gone means the same.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn hello(rest: &Rest, view: &NodeView, spool: SpoolLevel) -> v1::Hello {
    v1::Hello {
        node: rest.node_name.to_string(),
        boot_id: view.status.boot_id.clone(),
        agent_version: view.status.agent_version.clone(),
        schema_min: SCHEMA_MIN,
        schema_max: SCHEMA_MAX,
        features: Vec::new(),
        running: view.status.running.map(Into::into),
        spool_epoch: spool.epoch,
        first_sequence: spool.first,
        next_sequence: spool.next,
        clock_us: ha_sys::wall_micros(),
        process_id: rest.process_id,
        secrets_held: view
            .secrets_held
            .iter()
            .map(|secret| v1::SecretVersion {
                name: secret.name.to_string(),
                version: secret.version,
            })
            .collect(),
    }
}

fn message(message: ToController) -> v1::FromAgent {
    v1::FromAgent { message: Some(message) }
}

fn read_offer(offer: v1::PlanOffer) -> Result<Offer, ConvertError> {
    Ok(Offer {
        plan: offer.plan.ok_or(ConvertError::Missing("PlanOffer.plan"))?.try_into()?,
        revision: offer.revision.map(TryInto::try_into).transpose()?,
        document: offer.document,
        traceparent: (!offer.traceparent.is_empty()).then_some(offer.traceparent),
    })
}

fn read_secrets(secrets: v1::SecretValues) -> Result<Vec<GivenSecret>, End> {
    let read = |secret: v1::SecretValue| {
        let name = secret.name.parse().map_err(|_| End::Unexpected("a secret without a name"))?;
        let version = secret.version;
        let value = SecretValue::new(secret.value);
        Ok(GivenSecret { secret: SecretRef { name, version }, value })
    };
    secrets.values.into_iter().map(read).collect()
}

fn retry_end(retry: v1::RetryAfter) -> End {
    End::RetryAfter { min: micros(retry.min_us), max: micros(retry.max_us) }
}

fn refused_end(refused: v1::Refused) -> End {
    End::Refused { code: refused.code, reason: refused.reason }
}

/// A span from the wire, at most a day: it must not overflow a moment.
fn micros(span: u64) -> Duration {
    Duration::from_micros(span).min(Duration::from_secs(86_400))
}
