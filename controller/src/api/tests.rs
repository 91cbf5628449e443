use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ha_model::ids::NodeName;
use ha_model::status::PlanPhase;
use ha_proto::v1;
use ha_proto::v1::apply_progress::Event;
use ha_proto::v1::rollout_done::Outcome as Done;
use tokio::sync::mpsc;

use super::*;
use crate::clock::now_us;
use crate::fleet::Connection;
use crate::revisions::Revisions;
use crate::rollout::{ClusterPhase, Outcome, RolloutId};
use crate::store::{Entry, MemoryStore, Pending, Snapshot, Store, StoreError, Transaction, Watch};
use crate::testing::{Agent, Disk, LONG, World, caller, cluster, hello, values, wish};

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

async fn complete(world: &World) {
    world.until_rollout(|view| view.rollout.outcome == Some(Outcome::Complete)).await;
}

/// What a follower of a rollout is told, up to its end.
async fn followed(world: &World, id: RolloutId) -> Vec<Event> {
    let (outbox, mut inbox) = mpsc::channel(8);
    let views = world.rollouts.follow();
    tokio::spawn(async move { follow::rollout(id, views, &outbox).await });
    let mut events = vec![];
    while let Some(message) = tokio::time::timeout(LONG, inbox.recv()).await.expect("in time") {
        events.push(message.unwrap().event.unwrap());
    }
    events
}

fn done(events: &[Event]) -> &v1::RolloutDone {
    match events.last() {
        Some(Event::Done(done)) => done,
        other => panic!("it did not end: {other:?}"),
    }
}

#[test]
fn every_code_is_explained() {
    let codes =
        [code::ROLLOUT_NOT_STORED, code::AGENT_TOO_OLD, code::NOT_HEALTHY, code::NODE_AHEAD];
    for code in codes {
        assert!(ha_model::explain::explain(code).is_some(), "{code}");
    }
}

#[tokio::test]
async fn an_apply_reaches_every_node_in_order() {
    let world = World::start(&Disk::new()).await;
    let mut agents = vec![];
    for node in ["a", "b", "c"] {
        agents.push(Agent::join(&world, node).await);
    }
    let [a, b, c] = agents.as_mut_slice() else { panic!("three") };
    let applied = world.apply(&cluster("fra", &["a", "b", "c"], 1000)).await.unwrap();
    assert_eq!((applied.revision.number, applied.changed), (1, true));
    let id = applied.begun.rollout.unwrap();
    let offer = c.offer().await;
    c.answer(&offer, PlanPhase::Applied).await;
    world
        .until(|fleet| {
            let heard = fleet.nodes[&name("c")].heard.as_ref();
            heard.is_some_and(|heard| heard.status.running.is_some())
        })
        .await;
    assert!(a.hears_nothing() && b.hears_nothing(), "one at a time");
    c.answer(&offer, PlanPhase::Healthy).await;
    assert_eq!(b.obey().await.node, name("b"));
    assert!(b.hears_nothing());
    assert_eq!(a.obey().await.node, name("a"));
    complete(&world).await;
    let events = followed(&world, id).await;
    assert_eq!(done(&events).outcome(), Done::Complete);
    let again = world.apply(&cluster("fra", &["a", "b", "c"], 1000)).await.unwrap();
    assert_eq!((again.changed, again.begun.rollout), (false, None), "nothing is left to do");
    assert_eq!(again.revision, applied.revision);
}

#[tokio::test]
async fn a_rejection_stops_and_the_others_keep_what_they_run() {
    let world = World::start(&Disk::new()).await;
    let mut a = Agent::join(&world, "a").await;
    let mut b = Agent::join(&world, "b").await;
    let applied = world.apply(&cluster("fra", &["a", "b"], 1000)).await.unwrap();
    let offer = b.offer().await;
    b.answer(&offer, PlanPhase::Rejected).await;
    let events = followed(&world, applied.begun.rollout.unwrap()).await;
    let done = done(&events);
    assert_eq!(done.outcome(), Done::Rejected);
    assert_eq!(done.rejected[0].node, "b");
    assert_eq!(done.rejected[0].errors[0].code, "E2101");
    assert!(a.hears_nothing());
    let findings = world.cluster("fra").findings;
    assert!(
        findings.iter().any(|finding| finding.what.contains("b rejected plan 1: E2101")),
        "{findings:?}"
    );
    // Nor after a reconnect, where only the summary tells of the rejection.
    b.hang_up();
    let had = b.offered.clone();
    let mut b = Agent::rejoin(&world, "b", None, had).await;
    world.until(|fleet| fleet.connection(&name("b"), now_us()) == Connection::Online).await;
    // Another cluster goes on; what was rejected is not offered again, and its
    // peers stay where they are.
    let mut x = Agent::join(&world, "x").await;
    let mut y = Agent::join(&world, "y").await;
    let applied = world.apply(&cluster("ams", &["x", "y"], 1000)).await.unwrap();
    let clusters: Vec<&str> = applied.begun.nodes.keys().map(|name| name.as_str()).collect();
    assert_eq!(clusters, ["ams"]);
    y.obey().await;
    x.obey().await;
    complete(&world).await;
    assert!(a.hears_nothing() && b.hears_nothing());
    let again = world.apply(&cluster("fra", &["a", "b"], 1000)).await.unwrap();
    assert_eq!(again.begun.rollout, None, "asking again would be in vain");
    let fixed = world.apply(&cluster("fra", &["a", "b"], 2000)).await.unwrap();
    assert!(fixed.changed);
    b.obey().await;
    a.obey().await;
    complete(&world).await;
}

#[tokio::test]
async fn an_offline_node_is_named_and_converges_on_return() {
    let world = World::start(&Disk::new()).await;
    let mut a = Agent::join(&world, "a").await;
    let applied = world.apply(&cluster("fra", &["a", "b"], 1000)).await.unwrap();
    a.obey().await;
    let events = followed(&world, applied.begun.rollout.unwrap()).await;
    assert_eq!(done(&events).outcome(), Done::Offline);
    assert_eq!(done(&events).offline, ["b"]);
    let mut b = Agent::join(&world, "b").await;
    b.obey().await;
    complete(&world).await;
}

#[tokio::test]
async fn a_killed_controller_goes_on_in_the_middle_of_a_rollout() {
    let disk = Disk::new();
    let world = World::start(&disk).await;
    let _a = Agent::join(&world, "a").await;
    let mut b = Agent::join(&world, "b").await;
    world.apply(&cluster("fra", &["a", "b"], 1000)).await.unwrap();
    let offer = b.offer().await;
    world.kill();
    let world = World::start(&disk).await;
    let mut a = Agent::join(&world, "a").await;
    let mut b = Agent::join(&world, "b").await;
    let again = b.offer().await;
    assert_eq!(again.plan, offer.plan, "the same plan, not a newer one");
    assert!(a.hears_nothing(), "b has not said how it went");
    b.answer(&again, PlanPhase::Healthy).await;
    a.obey().await;
    complete(&world).await;
    // A node that lost its disk gets what it had, with no rollout at hand.
    world.kill();
    let world = World::start(&disk).await;
    let mut b = Agent::join(&world, "b").await;
    assert_eq!(b.offer().await.plan, offer.plan);
    assert_eq!(world.cluster("fra").nodes.len(), 2);
}

#[tokio::test]
async fn a_revision_whose_rollout_never_began_begins_after_a_restart() {
    let disk = Disk::new();
    let world = World::start(&disk).await;
    world.apply(&cluster("fra", &["a"], 1000)).await.unwrap();
    world.kill();
    // As left by a kill between the two writes.
    let revisions = Revisions::open(disk.store.clone()).await.unwrap();
    let head = revisions.get(1).await.unwrap().unwrap();
    let plan = r#"{"schema":1,"cluster":"fra","node":"a"}"#;
    let new = crate::revisions::NewRevision {
        base: Some(head.id),
        author: "ops".into(),
        message: String::new(),
        at_us: 1,
        objects: revisions.texts(&head).await.unwrap(),
        plans: [(name("a"), plan.into())].into(),
    };
    revisions.commit(new).await.unwrap();
    let world = World::start(&disk).await;
    let mut a = Agent::join(&world, "a").await;
    let offer = a.offer().await;
    assert_eq!(offer.plan.unwrap().generation, 2);
    assert_eq!(offer.document, plan.as_bytes());
}

#[tokio::test]
async fn a_node_that_leaves_is_told_to_let_go() {
    let world = World::start(&Disk::new()).await;
    let mut agents = vec![];
    for node in ["a", "b", "c"] {
        agents.push(Agent::join(&world, node).await);
    }
    let [a, b, c] = agents.as_mut_slice() else { panic!("three") };
    world.apply(&cluster("fra", &["a", "b", "c"], 1000)).await.unwrap();
    for agent in [&mut *c, &mut *b, &mut *a] {
        agent.obey().await;
    }
    complete(&world).await;
    world.apply(&cluster("fra", &["a", "b"], 1000)).await.unwrap();
    assert_eq!(c.obey().await.instances, [], "first, as it is not wanted as master");
    b.obey().await;
    a.obey().await;
    complete(&world).await;
    let view = world.cluster("fra");
    assert_eq!(view.nodes.len(), 2, "it is no longer shown");
}

#[tokio::test]
async fn an_agent_that_is_too_old_is_an_error_by_name_and_nothing_is_stored() {
    let disk = Disk::new();
    let world = World::start(&disk).await;
    let old = v1::Hello { schema_max: 1, ..hello("a") };
    let mut a = Agent::open(&world, caller("a"), old).await;
    a.hear().await;
    world.until(|fleet| fleet.nodes[&name("a")].facts.is_some()).await;
    let text = cluster("fra", &["a", "b"], 1000)
        .replace("vrid: 51", "accept: {otherTransport: true}, vrid: 51");
    let refusal = world.apply(&text).await.unwrap_err();
    let errors = convert::refusal(refusal).unwrap();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].code, code::AGENT_TOO_OLD);
    assert!(errors[0].message.contains("node a"), "{}", errors[0].message);
    let revisions = Revisions::open(disk.store.clone()).await.unwrap();
    assert_eq!(revisions.head().await.unwrap(), None);
}

#[tokio::test]
async fn three_mistakes_are_three_errors_and_nothing_is_stored() {
    let disk = Disk::new();
    let world = World::start(&disk).await;
    let text = cluster("fra", &["a", "b"], 1000)
        .replace("vrid: 51", "vird: 51")
        .replace("version: 3", "version: 7")
        .replace(".50/24", ".500/24");
    let errors = convert::refusal(world.apply(&text).await.unwrap_err()).unwrap();
    assert!(errors.len() >= 3, "{errors:?}");
    assert!(errors.iter().all(|error| error.line > 0 && error.rendered.contains('^')));
    assert_eq!(disk.store.index(), 1, "the epoch and nothing else");
}

#[tokio::test]
async fn a_base_that_moved_is_refused_with_its_code() {
    let world = World::start(&Disk::new()).await;
    let first = world.apply(&cluster("fra", &["a"], 1000)).await.unwrap().revision;
    world.apply(&cluster("fra", &["a"], 2000)).await.unwrap();
    let mut late = wish(&cluster("fra", &["a"], 3000));
    late.base = Some(first);
    let refusal = world.applier.apply(late).await.unwrap_err();
    let status = convert::refusal(refusal).unwrap_err();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    assert!(status.message().starts_with("E3001: "), "{}", status.message());
}

/// A store that can be told to be full.
struct Fillable {
    inner: MemoryStore,
    full: Arc<AtomicBool>,
}

impl Store for Fillable {
    fn get(&self, key: &str) -> Pending<'_, Option<Entry>> {
        self.inner.get(key)
    }

    fn range(&self, from: &str, to: &str, limit: usize) -> Pending<'_, Snapshot> {
        self.inner.range(from, to, limit)
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, u64> {
        if self.full.load(Ordering::SeqCst) {
            let reason = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Box::pin(async { Err(StoreError::Full(Arc::new(reason))) });
        }
        self.inner.transact(transaction)
    }

    fn watch(&self, from: u64, prefix: &str) -> Result<Watch, StoreError> {
        self.inner.watch(from, prefix)
    }

    fn index(&self) -> u64 {
        self.inner.index()
    }

    fn flush(&self) -> Pending<'_, ()> {
        self.inner.flush()
    }
}

#[tokio::test]
async fn a_full_disk_fails_the_apply_and_leaves_nothing_behind() {
    let full = Arc::new(AtomicBool::new(false));
    let store = Fillable { inner: MemoryStore::new(), full: full.clone() };
    let disk = Disk::with(Arc::new(store));
    let world = World::start(&disk).await;
    let a = Agent::join(&world, "a").await;
    world.apply(&cluster("fra", &["a"], 1000)).await.unwrap();
    full.store(true, Ordering::SeqCst);
    let secret =
        "---\napiVersion: ha/v1\nkind: Secret\nmetadata: {name: pass}\nspec: {value: hunter2}\n";
    let text = format!("{secret}{}", cluster("fra", &["a"], 2000));
    let status = convert::refusal(world.apply(&text).await.unwrap_err()).unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    assert!(status.message().starts_with("E3002: "), "{}", status.message());
    assert!(values(&disk).await.is_empty(), "the value of a secret stays");
    // Status works all the same.
    a.summary().await;
    world.until(|fleet| fleet.connection(&name("a"), now_us()) == Connection::Online).await;
    let (status, _) = status::response(&world.fleet.snapshot(), &BTreeSet::new(), now_us());
    assert_eq!(status.head.unwrap().number, 1);
    full.store(false, Ordering::SeqCst);
    assert_eq!(world.apply(&text).await.unwrap().revision.number, 2);
}

#[tokio::test]
async fn a_rollout_waits_while_the_store_is_full_and_offers_nothing() {
    let full = Arc::new(AtomicBool::new(false));
    let store = Fillable { inner: MemoryStore::new(), full: full.clone() };
    let world = World::start(&Disk::with(Arc::new(store))).await;
    let mut b = Agent::join(&world, "b").await;
    let mut a = Agent::join(&world, "a").await;
    world.apply(&cluster("fra", &["a", "b"], 1000)).await.unwrap();
    let offer = b.offer().await;
    full.store(true, Ordering::SeqCst);
    b.answer(&offer, PlanPhase::Healthy).await;
    world.until(|fleet| fleet.store_failing.is_some()).await;
    assert!(a.hears_nothing(), "what is not stored is not done");
    full.store(false, Ordering::SeqCst);
    a.obey().await;
    complete(&world).await;
    world.until(|fleet| fleet.store_failing.is_none()).await;
}

#[tokio::test]
async fn a_newer_apply_takes_the_place_of_a_rollout() {
    let world = World::start(&Disk::new()).await;
    let mut b = Agent::join(&world, "b").await;
    let mut a = Agent::join(&world, "a").await;
    let first = world.apply(&cluster("fra", &["a", "b"], 1000)).await.unwrap();
    let old = b.offer().await;
    let second = world.apply(&cluster("fra", &["a", "b"], 2000)).await.unwrap();
    let events = followed(&world, first.begun.rollout.unwrap()).await;
    assert_eq!(done(&events).outcome(), Done::Superseded);
    // One offer at a time: the newer waits for the answer to the older.
    assert!(b.hears_nothing());
    b.answer(&old, PlanPhase::Applied).await;
    let new = b.offer().await;
    assert!(new.plan.as_ref().unwrap().generation > old.plan.unwrap().generation);
    b.answer(&new, PlanPhase::Healthy).await;
    a.obey().await;
    complete(&world).await;
    let kept = world.rollouts.stored(first.begun.rollout).await.unwrap().unwrap();
    assert_eq!(kept.outcome, Some(Outcome::Superseded));
    assert_ne!(first.begun.rollout, second.begun.rollout);
}

#[tokio::test]
async fn a_node_that_runs_a_newer_plan_is_not_taken_back() {
    let world = World::start(&Disk::new()).await;
    let newer = v1::PlanId { epoch: 1, generation: 99, sha256: vec![7; 32] };
    let mut a = Agent::rejoin(&world, "a", Some(newer), None).await;
    let applied = world.apply(&cluster("fra", &["a"], 1000)).await.unwrap();
    let events = followed(&world, applied.begun.rollout.unwrap()).await;
    assert_eq!(done(&events).rejected[0].errors[0].code, code::NODE_AHEAD);
    assert!(a.hears_nothing());
    let findings = world.cluster("fra").findings;
    assert!(findings.iter().any(|one| one.what.contains("a runs plan 99")), "{findings:?}");
}

#[tokio::test]
async fn progress_tells_each_change_once() {
    let world = World::start(&Disk::new()).await;
    let mut a = Agent::join(&world, "a").await;
    let applied = world.apply(&cluster("fra", &["a"], 1000)).await.unwrap();
    let id = applied.begun.rollout.unwrap();
    let offer = a.offer().await;
    a.answer(&offer, PlanPhase::Applied).await;
    world
        .until_rollout(|view| {
            let step = &view.rollout.clusters.values().next().unwrap().steps[0];
            step.phase == Some(PlanPhase::Applied)
        })
        .await;
    let following = tokio::spawn(async move { followed(&world, id).await });
    tokio::task::yield_now().await;
    a.answer(&offer, PlanPhase::Healthy).await;
    let events = following.await.unwrap();
    let phases: Vec<v1::PlanPhase> = events
        .iter()
        .filter_map(|event| match event {
            Event::Node(node) => Some(node.phase()),
            Event::Invalid(_) | Event::Stored(_) | Event::Cluster(_) | Event::Done(_) => None,
        })
        .collect();
    assert!(phases.ends_with(&[v1::PlanPhase::Healthy]), "{phases:?}");
    let mut unique = phases.clone();
    unique.dedup();
    assert_eq!(phases, unique);
    assert_eq!(done(&events).outcome(), Done::Complete);
}

#[tokio::test]
async fn what_a_plan_would_change_is_told_and_nothing_is_stored() {
    let disk = Disk::new();
    let world = World::start(&disk).await;
    world.apply(&cluster("fra", &["a", "b"], 1000)).await.unwrap();
    let before = disk.store.index();
    let present = world.applier.present().await;
    let new = wish(&cluster("fra", &["a", "c"], 2000));
    let candidate = world.applier.check(&present, new.files, new.mode).await.unwrap();
    let fleet = world.fleet.snapshot();
    let changes = listing::changes(&world.applier, candidate, &fleet, now_us()).await.unwrap();
    let nodes: Vec<&str> = changes.iter().map(|change| change.node.as_str()).collect();
    assert_eq!(nodes, ["a", "b", "c"]);
    assert!(changes.iter().all(|change| change.offline && !change.fields.is_empty()));
    assert_eq!(disk.store.index(), before);
}

#[tokio::test]
async fn an_old_revision_is_rendered_as_it_was() {
    let world = World::start(&Disk::new()).await;
    world.apply(&cluster("fra", &["a"], 1000)).await.unwrap();
    world.apply(&cluster("fra", &["a"], 2000)).await.unwrap();
    let interval = async |revision| {
        let response = listing::plan(&world.applier, &name("a"), revision).await.unwrap();
        let plan: ha_model::plan::NodePlan = serde_json::from_slice(&response.document).unwrap();
        plan.instances[0].interval_us.0
    };
    assert_eq!((interval(0).await, interval(1).await), (2_000_000, 1_000_000));
    let missing = listing::plan(&world.applier, &name("zz"), 0).await.unwrap_err();
    assert_eq!(missing.code(), tonic::Code::NotFound);
}

#[test]
fn the_clusters_of_a_stopped_rollout_are_told_so() {
    // Every phase of ours has one of theirs; a new one does not compile.
    for phase in [
        ClusterPhase::Waiting,
        ClusterPhase::Rolling,
        ClusterPhase::Done,
        ClusterPhase::DoneOffline,
        ClusterPhase::Stopped,
    ] {
        assert_ne!(progress::cluster_phase(Some(phase)), v1::ClusterPhase::Unspecified);
    }
}
