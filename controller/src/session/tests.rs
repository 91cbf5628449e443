use ha_certs::certificate::Serial;
use ha_model::ids::NodeName;
use ha_model::status::PlanPhase;
use ha_proto::v1;
use ha_proto::v1::from_agent::Message as Said;
use ha_proto::v1::from_controller::Message as Told;

use super::*;
use crate::clock::now_us;
use crate::fleet::{Connection, SessionEnd};
use crate::rollout::Outcome;
use crate::testing::{Agent, Disk, World, caller, cluster, hello};

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

async fn refused(agent: &mut Agent) -> String {
    let Told::Refused(refused) = agent.hear().await else { panic!("it is let in") };
    assert!(agent.heard().await.is_none(), "the stream ends after it");
    refused.code
}

#[test]
fn every_code_is_explained() {
    for code in [code::SECOND_STREAM, code::OTHER_NAME, code::CERTIFICATE, code::PROTOCOL] {
        assert!(ha_model::explain::explain(code).is_some(), "{code}");
    }
}

#[tokio::test]
async fn the_first_hello_is_welcomed_and_the_node_is_online() {
    let world = World::start(&Disk::new()).await;
    let mut agent = Agent::open(&world, caller("a"), hello("a")).await;
    let Told::Welcome(welcome) = agent.hear().await else { panic!("no welcome") };
    assert_eq!(welcome.epoch, world.shared.epoch.0);
    assert_eq!(welcome.acknowledged_sequence, 0);
    assert!(welcome.summary_interval_us > 0);
    agent.summary().await;
    world.until(|fleet| fleet.connection(&name("a"), now_us()) == Connection::Online).await;
    agent.say(Said::Bye(v1::Bye { reason: "stop".into() })).await;
    world.until(|fleet| fleet.nodes[&name("a")].ended == Some(SessionEnd::Bye)).await;
}

#[tokio::test]
async fn an_end_with_no_goodbye_is_a_loss() {
    let world = World::start(&Disk::new()).await;
    let mut agent = Agent::join(&world, "a").await;
    agent.hang_up();
    world.until(|fleet| fleet.nodes[&name("a")].ended == Some(SessionEnd::Lost)).await;
    assert_eq!(world.fleet.snapshot().connection(&name("a"), now_us()), Connection::Unknown);
}

#[tokio::test]
async fn another_name_than_the_certificates_is_refused_and_counted() {
    let world = World::start(&Disk::new()).await;
    let mut agent = Agent::open(&world, caller("a"), hello("b")).await;
    assert_eq!(refused(&mut agent).await, code::OTHER_NAME);
    world.until(|fleet| fleet.nodes.get(&name("a")).is_some_and(|node| node.misnamed == 1)).await;
    assert!(!world.fleet.snapshot().nodes.contains_key(&name("b")));
    let mut agent = Agent::join(&world, "a").await;
    agent.node = name("b");
    agent.summary().await;
    assert_eq!(refused(&mut agent).await, code::OTHER_NAME);
    world.until(|fleet| fleet.nodes[&name("a")].misnamed == 2).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_good_opens_nothing() {
    let world = World::start(&Disk::new()).await;
    let stolen = Caller { serial: Serial([1; 16]), ..caller("a") };
    let mut agent = Agent::open(&world, stolen, hello("a")).await;
    assert_eq!(refused(&mut agent).await, code::CERTIFICATE);
    let expiring = Caller { not_after_us: now_us(), ..caller("a") };
    let mut agent = Agent::open(&world, expiring, hello("a")).await;
    let Told::Welcome(_) = agent.hear().await else { panic!("no welcome") };
    assert_eq!(refused(&mut agent).await, code::CERTIFICATE, "it ends with its certificate");
}

#[tokio::test]
async fn what_breaks_the_protocol_is_told_so() {
    let world = World::start(&Disk::new()).await;
    let mut agent = Agent::join(&world, "a").await;
    agent.say(Said::Hello(hello("a"))).await;
    assert_eq!(refused(&mut agent).await, code::PROTOCOL);
    let mut agent = Agent::join(&world, "a").await;
    agent.say(Said::Summary(v1::Summary { status: None })).await;
    assert_eq!(refused(&mut agent).await, code::PROTOCOL);
}

#[tokio::test]
async fn a_second_stream_is_refused_while_the_first_answers() {
    let world = World::start(&Disk::new()).await;
    let mut first = Agent::join(&world, "a").await;
    let copy = v1::Hello { process_id: 2, ..hello("a") };
    let mut second = Agent::open(&world, caller("a"), copy).await;
    let Told::Challenge(challenge) = first.hear().await else { panic!("no challenge") };
    let nonce = challenge.nonce;
    first.say(Said::ChallengeAnswer(v1::ChallengeAnswer { nonce: nonce ^ 1 })).await;
    first.say(Said::ChallengeAnswer(v1::ChallengeAnswer { nonce })).await;
    assert_eq!(refused(&mut second).await, code::SECOND_STREAM);
    world.until(|fleet| fleet.nodes[&name("a")].duplicates == 1).await;
    first.summary().await;
    world.until(|fleet| fleet.connection(&name("a"), now_us()) == Connection::Online).await;
}

#[tokio::test]
async fn a_first_stream_that_does_not_answer_is_replaced() {
    let world = World::start(&Disk::new()).await;
    let mut first = Agent::join(&world, "a").await;
    let copy = v1::Hello { process_id: 2, ..hello("a") };
    let mut second = Agent::open(&world, caller("a"), copy).await;
    let Told::Challenge(_) = first.hear().await else { panic!("no challenge") };
    let Told::Welcome(_) = second.hear().await else { panic!("the newcomer has to wait") };
    let Told::Bye(_) = first.hear().await else { panic!("the old one is told") };
    second.summary().await;
    world.until(|fleet| fleet.connection(&name("a"), now_us()) == Connection::Online).await;
    assert_eq!(world.fleet.snapshot().nodes[&name("a")].duplicates, 0);
}

#[tokio::test]
async fn the_same_process_replaces_its_own_dead_stream_at_once() {
    let world = World::start(&Disk::new()).await;
    let mut first = Agent::join(&world, "a").await;
    let mut again = Agent::open(&world, caller("a"), hello("a")).await;
    let Told::Welcome(_) = again.hear().await else { panic!("no welcome") };
    let told = first.hear().await;
    assert!(matches!(told, Told::Bye(_) | Told::Challenge(_)), "{told:?}");
}

#[tokio::test]
async fn events_are_acknowledged_after_they_are_stored_and_stored_once() {
    let disk = Disk::new();
    let world = World::start(&disk).await;
    *disk.history.failing.lock().unwrap() = true;
    let mut agent = Agent::join(&world, "a").await;
    agent.events(&[1, 2]).await;
    agent.summary().await;
    world.until(|fleet| fleet.nodes[&name("a")].heard.is_some()).await;
    assert!(agent.hears_nothing(), "acknowledged what is not stored");
    *disk.history.failing.lock().unwrap() = false;
    let Told::EventAck(ack) = agent.hear().await else { panic!("no acknowledgement") };
    assert_eq!((ack.spool_epoch, ack.sequence), (9, 2));
    agent.events(&[2, 3]).await;
    let Told::EventAck(ack) = agent.hear().await else { panic!("no acknowledgement") };
    assert_eq!(ack.sequence, 3);
    assert_eq!(disk.history.events.lock().unwrap().len(), 3);
    agent.hang_up();
    let mut agent = Agent::open(&world, caller("a"), hello("a")).await;
    let Told::Welcome(welcome) = agent.hear().await else { panic!("no welcome") };
    assert_eq!(welcome.acknowledged_sequence, 3);
}

#[tokio::test]
async fn values_of_secrets_go_before_the_offer_and_only_where_they_lack() {
    let world = World::start(&Disk::new()).await;
    let mut b = Agent::join(&world, "b").await;
    let mut a = Agent::join(&world, "a").await;
    let v2 =
        "---\napiVersion: ha/v1\nkind: Secret\nmetadata: {name: pass}\nspec: {value: hunter2}\n";
    let secret = "auth: {secret: pass}, version: 2, ";
    let text = cluster("fra", &["a", "b"], 1000).replace("vrid: 51", &format!("{secret}vrid: 51"));
    world.apply(&format!("{v2}{text}")).await.unwrap();
    let Told::Secrets(secrets) = b.hear().await else { panic!("no secrets") };
    assert_eq!(secrets.values[0].value, b"hunter2");
    let offer = b.offer().await;
    assert!(!String::from_utf8_lossy(&offer.document).contains("hunter2"));
    b.answer(&offer, PlanPhase::Healthy).await;
    let Told::Secrets(_) = a.hear().await else { panic!("no secrets") };
    a.obey().await;
    world.until_rollout(|view| view.rollout.outcome == Some(Outcome::Complete)).await;
    let again = text.replace("1000ms", "2000ms");
    world.apply(&again).await.unwrap();
    assert!(!b.offer().await.document.is_empty(), "it holds the value by now");
}

#[tokio::test]
async fn the_controller_says_goodbye_when_it_stops() {
    let world = World::start(&Disk::new()).await;
    let mut agent = Agent::join(&world, "a").await;
    world.stop();
    let Told::Bye(_) = agent.hear().await else { panic!("no goodbye") };
    assert!(agent.heard().await.is_none());
}

#[tokio::test]
async fn a_storm_is_put_off_and_spread() {
    let world = World::start(&Disk::new()).await;
    {
        let mut bucket = world.shared.bucket.lock().unwrap();
        while bucket.take(now_us() + 10_000_000).is_ok() {}
    }
    let mut agent = Agent::open(&world, caller("a"), hello("a")).await;
    let Told::RetryAfter(retry) = agent.hear().await else { panic!("it is let in") };
    assert!(retry.min_us >= 1_000_000 && retry.max_us > retry.min_us);
}
