//! The session against a controller that says what the test wants.

use std::time::Duration;

use ha_certs::client::AddressError;
use ha_model::event::EventKind;
use ha_model::ids::Digest;
use ha_model::status::VrrpState;
use ha_proto::v1;
use ha_proto::v1::agent_server::{Agent, AgentServer};
use ha_proto::v1::from_agent::Message as Said;
use ha_proto::v1::from_controller::Message as Say;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

use super::*;
use crate::testing::{NODE, TestNode, document, offer};

/// Longest wait for anything; only a failure takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// One stream, as the controller has it.
struct Talk {
    heard: Streaming<v1::FromAgent>,
    say: mpsc::Sender<Result<v1::FromController, Status>>,
}

impl Talk {
    async fn say(&self, message: Say) {
        self.say.send(Ok(v1::FromController { message: Some(message) })).await.unwrap();
    }

    /// The next message; `None` at the end of the stream.
    async fn hear(&mut self) -> Option<Said> {
        let heard = tokio::time::timeout(PATIENCE, self.heard.message()).await.expect("in time");
        heard.ok().flatten().map(|message| message.message.unwrap())
    }

    /// The first message of the wanted kind.
    async fn hear_until<T>(&mut self, mut wanted: impl FnMut(Said) -> Option<T>) -> T {
        loop {
            let said = self.hear().await.expect("the stream goes on");
            if let Some(found) = wanted(said) {
                return found;
            }
        }
    }

    async fn hello(&mut self) -> v1::Hello {
        let said = self.hear().await.unwrap();
        let Said::Hello(hello) = said else { panic!("no hello: {said:?}") };
        hello
    }

    /// Hears the hello and takes the agent in.
    async fn welcome(&mut self, acknowledged_sequence: u64) -> v1::Hello {
        let hello = self.hello().await;
        self.say(Say::Welcome(v1::Welcome {
            epoch: 7,
            acknowledged_sequence,
            summary_interval_us: 3_600_000_000,
            reconnect_min_us: 1_000,
            reconnect_max_us: 2_000,
        }))
        .await;
        hello
    }

    async fn offer(&self, offer: crate::node::Offer) {
        self.say(Say::Offer(v1::PlanOffer {
            plan: Some(offer.plan.into()),
            revision: None,
            document: offer.document,
            traceparent: offer.traceparent.unwrap_or_default(),
        }))
        .await;
    }

    /// The plan status of `generation` once it is at `phase`.
    async fn phase(&mut self, generation: u64, phase: v1::PlanPhase) -> v1::PlanStatus {
        let wanted = |status: &v1::PlanStatus| {
            status.plan.as_ref().unwrap().generation == generation
                && status.phase == i32::from(phase)
        };
        self.hear_until(|said| {
            if let Said::PlanStatus(status) = said { Some(status).filter(wanted) } else { None }
        })
        .await
    }

    async fn rejected(&mut self, generation: u64) -> String {
        let status = self.phase(generation, v1::PlanPhase::Rejected).await;
        status.errors[0].code.clone()
    }

    async fn events(&mut self) -> v1::EventBatch {
        self.hear_until(|said| if let Said::Events(batch) = said { Some(batch) } else { None })
            .await
    }

    async fn ack(&self, spool_epoch: u64, sequence: u64) {
        self.say(Say::EventAck(v1::EventAck { spool_epoch, sequence })).await;
    }
}

struct Scripted(mpsc::Sender<Talk>);

#[tonic::async_trait]
impl Agent for Scripted {
    type SessionStream = ReceiverStream<Result<v1::FromController, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::FromAgent>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (say, out) = mpsc::channel(16);
        self.0.send(Talk { heard: request.into_inner(), say }).await.unwrap();
        Ok(Response::new(ReceiverStream::new(out)))
    }
}

struct PlainDial(String);

impl Dial for PlainDial {
    async fn dial(&self) -> Result<Channel, AddressError> {
        Ok(Endpoint::from_shared(format!("http://{}", self.0)).unwrap().connect_lazy())
    }
}

struct Test {
    talks: mpsc::Receiver<Talk>,
    node: TestNode,
    stop: watch::Sender<bool>,
    view: watch::Receiver<SessionView>,
    session: JoinHandle<()>,
    server: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Test {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = TestNode::start(dir.path());
        // So that the hello names it.
        node.spool.level().wait_for(|level| level.epoch != 0).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, talks) = mpsc::channel(4);
        let server = tokio::spawn(async move {
            Server::builder()
                .add_service(AgentServer::new(Scripted(sender)))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        let (stop, stopped) = watch::channel(false);
        let (view, session) = SessionTask::new(SessionConfig {
            dial: PlainDial(address.clone()),
            controller: address,
            node_name: NODE.parse().unwrap(),
            node: node.node.clone(),
            spool: node.spool.clone(),
            stop: stopped,
        })
        .unwrap();
        let session = tokio::spawn(session.run());
        Self { talks, node, stop, view, session, server, _dir: dir }
    }

    async fn talk(&mut self) -> Talk {
        tokio::time::timeout(PATIENCE, self.talks.recv()).await.expect("in time").unwrap()
    }

    fn happen(&self, number: u64) {
        let kind = EventKind::AgentStarted { version: number.to_string() };
        self.node.reporter.report(kind, None);
    }

    /// Stops the agent; the controller has to go on listening meanwhile.
    async fn end(self) {
        self.stop.send_replace(true);
        drop(self.talks);
        tokio::time::timeout(PATIENCE, self.session).await.expect("in time").unwrap();
        self.node.stop().await;
        self.server.abort();
    }
}

/// Numbers that the events carry, in the order of the batch.
fn carried(batch: &v1::EventBatch) -> Vec<u64> {
    batch
        .events
        .iter()
        .map(|event| {
            let json = &event.event.as_ref().unwrap().kind_json;
            json.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
        })
        .collect()
}

#[tokio::test]
async fn an_offer_is_applied_and_answered_with_its_trace() {
    let mut test = Test::start().await;
    let mut talk = test.talk().await;
    let hello = talk.welcome(0).await;
    assert_eq!((hello.node.as_str(), hello.schema_min), (NODE, 1));
    assert_ne!((hello.spool_epoch, hello.process_id), (0, 0));
    talk.hear_until(|said| matches!(said, Said::Summary(_)).then_some(())).await;
    talk.offer(offer(1, document(100))).await;
    talk.phase(1, v1::PlanPhase::Applied).await;
    test.node.duty.show(VrrpState::Master);
    talk.phase(1, v1::PlanPhase::Healthy).await;
    let running = talk
        .hear_until(|said| {
            if let Said::Summary(summary) = said { summary.status.unwrap().running } else { None }
        })
        .await;
    assert_eq!(running.sha256, Digest::of(&document(100)).0);
    test.end().await;
}

#[tokio::test]
async fn bad_offers_are_rejected_with_the_reason_and_the_old_plan_runs_on() {
    let mut test = Test::start().await;
    let mut talk = test.talk().await;
    talk.welcome(0).await;
    talk.offer(offer(5, document(100))).await;
    talk.phase(5, v1::PlanPhase::Applied).await;

    let mut torn = offer(6, document(90));
    torn.document.pop();
    talk.offer(torn).await;
    assert_eq!(talk.rejected(6).await, "E2001");

    let unknown = String::from_utf8(document(90)).unwrap().replace("\"vrid\"", "\"x\":1,\"vrid\"");
    talk.offer(offer(7, unknown.into_bytes())).await;
    assert_eq!(talk.rejected(7).await, "E2002");

    talk.offer(offer(4, document(80))).await;
    assert_eq!(talk.rejected(4).await, "E2003");

    talk.offer(offer(5, document(80))).await;
    assert_eq!(talk.rejected(5).await, "E2004");

    assert_eq!(test.node.duty.priorities(), [100]);
    test.end().await;
}

#[tokio::test]
async fn a_reconnect_brings_the_level_and_what_was_not_acknowledged_in_order() {
    let mut test = Test::start().await;
    (1..=3).for_each(|number| test.happen(number));
    let mut talk = test.talk().await;
    let hello = talk.welcome(0).await;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let batch = talk.events().await;
        heard.extend(carried(&batch));
        talk.ack(hello.spool_epoch, batch.events.last().unwrap().sequence).await;
    }
    assert_eq!(heard, [1, 2, 3]);
    // These are sent and stored nowhere: the stream breaks first.
    (4..=6).for_each(|number| test.happen(number));
    let batch = talk.events().await;
    assert_eq!(carried(&batch)[0], 4);
    drop(talk);

    let mut talk = test.talk().await;
    let again = talk.welcome(3).await;
    assert_eq!(again.spool_epoch, hello.spool_epoch);
    assert_eq!(again.process_id, hello.process_id);
    let summary = talk.hear().await.unwrap();
    assert!(matches!(summary, Said::Summary(_)), "the level comes first: {summary:?}");
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let batch = talk.events().await;
        assert_eq!(batch.events[0].sequence, 4 + heard.len() as u64);
        heard.extend(carried(&batch));
        talk.ack(hello.spool_epoch, batch.events.last().unwrap().sequence).await;
    }
    assert_eq!(heard, [4, 5, 6], "each once, in order");
    test.happen(7);
    assert_eq!(carried(&talk.events().await), [7]);
    test.end().await;
}

#[tokio::test]
async fn a_challenge_is_answered() {
    let mut test = Test::start().await;
    let mut talk = test.talk().await;
    talk.welcome(0).await;
    talk.say(Say::Challenge(v1::Challenge { nonce: 77 })).await;
    let answer = talk
        .hear_until(|said| {
            if let Said::ChallengeAnswer(answer) = said { Some(answer.nonce) } else { None }
        })
        .await;
    assert_eq!(answer, 77);
    test.end().await;
}

#[tokio::test]
async fn retry_after_refused_and_silence_all_lead_to_another_hello() {
    let mut test = Test::start().await;
    let mut talk = test.talk().await;
    talk.hello().await;
    talk.say(Say::RetryAfter(v1::RetryAfter { min_us: 1_000, max_us: 2_000 })).await;
    let mut talk = test.talk().await;
    talk.hello().await;
    let reason = "another stream answered".to_owned();
    talk.say(Say::Refused(v1::Refused { code: "E4001".into(), reason })).await;
    let mut view = test.view.clone();
    view.wait_for(|view| view.last_error.contains("E4001")).await.unwrap();
    let mut talk = test.talk().await;
    talk.hello().await;
    drop(talk);
    let mut talk = test.talk().await;
    talk.welcome(0).await;
    view.wait_for(|view| view.connected && view.last_error.is_empty()).await.unwrap();
    talk.say(Say::Bye(v1::Bye { reason: "restart".into() })).await;
    view.wait_for(|view| !view.connected && view.last_error.contains("restart")).await.unwrap();
    test.talk().await.welcome(0).await;
    test.end().await;
}

#[tokio::test]
async fn a_stop_ends_with_the_last_events_and_a_bye() {
    let mut test = Test::start().await;
    let mut talk = test.talk().await;
    let hello = talk.welcome(0).await;
    talk.hear_until(|said| matches!(said, Said::Summary(_)).then_some(())).await;
    test.happen(1);
    test.node.spool.level().wait_for(|level| level.next == 2).await.unwrap();
    test.stop.send_replace(true);
    let batch = talk.events().await;
    talk.ack(hello.spool_epoch, batch.events[0].sequence).await;
    let said = talk.hear().await.unwrap();
    assert!(matches!(said, Said::Bye(_)), "{said:?}");
    assert!(talk.hear().await.is_none());
    drop(talk);
    test.end().await;
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_stream_with_a_bye() {
    let mut test = Test::start().await;
    let mut talk = test.talk().await;
    let hello = talk.welcome(0).await;
    talk.ack(hello.spool_epoch, 99).await;
    let reason = talk
        .hear_until(|said| if let Said::Bye(bye) = said { Some(bye.reason) } else { None })
        .await;
    assert!(reason.contains("99"), "{reason}");
    drop(talk);

    let mut talk = test.talk().await;
    talk.welcome(0).await;
    talk.say(Say::Offer(v1::PlanOffer::default())).await;
    talk.hear_until(|said| matches!(said, Said::Bye(_)).then_some(())).await;
    drop(talk);
    test.talk().await.welcome(0).await;
    test.end().await;
}

#[tokio::test]
async fn a_spool_that_went_back_in_time_begins_a_new_epoch() {
    let mut test = Test::start().await;
    test.happen(1);
    test.node.spool.level().wait_for(|level| level.next == 2).await.unwrap();
    let mut talk = test.talk().await;
    let first = talk.welcome(50).await;
    assert!(talk.hear().await.is_none());
    drop(talk);
    let mut talk = test.talk().await;
    let second = talk.welcome(0).await;
    assert_ne!(second.spool_epoch, first.spool_epoch);
    let json = &talk.events().await.events[0].event.as_ref().unwrap().kind_json.clone();
    assert!(json.contains("50"), "{json}");
    test.end().await;
}
