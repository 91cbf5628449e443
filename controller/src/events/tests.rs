use super::*;
use ha_model::event::EventKind;

fn incoming(node: &str, sequence: u64) -> Incoming {
    Incoming {
        node: node.parse().unwrap(),
        position: SpoolPosition { spool_epoch: 9, sequence },
        event: NodeEvent {
            at_us: sequence * 10,
            boot_us: sequence,
            kind: EventKind::AgentStarted { version: "1".repeat(100) },
            traceparent: None,
        },
    }
}

fn open(dir: &Path) -> Events {
    let (events, recovery) = Events::open(dir, Retention::default()).unwrap();
    assert!(recovery.is_clean());
    events
}

async fn all(events: &Events) -> Vec<(u64, String, u64)> {
    let found = events.query(Query::after(0, MAX_EVENTS)).await.unwrap();
    found.iter().map(|e| (e.index, e.node.to_string(), e.position.sequence)).collect()
}

fn acknowledged(acks: &BTreeMap<NodeName, SpoolPosition>, node: &str) -> u64 {
    acks[&node.parse().unwrap()].sequence
}

#[tokio::test]
async fn each_event_is_stored_once_also_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let events = open(dir.path());
    let batch = vec![incoming("a", 1), incoming("b", 1), incoming("a", 2), incoming("a", 2)];
    let acks = events.append(batch.clone(), 5).await.unwrap();
    assert_eq!((acknowledged(&acks, "a"), acknowledged(&acks, "b")), (2, 1));
    let acks = events.append(batch.clone(), 6).await.unwrap();
    assert_eq!(acknowledged(&acks, "a"), 2);
    assert_eq!(events.last(), 3);
    drop(events);
    let events = open(dir.path());
    events.append(batch, 7).await.unwrap();
    events.append(vec![incoming("a", 3)], 8).await.unwrap();
    let expected = [(1, "a", 1), (2, "b", 1), (3, "a", 2), (4, "a", 3)];
    assert_eq!(all(&events).await, expected.map(|(i, n, s)| (i, n.to_owned(), s)));
}

#[tokio::test]
async fn missing_events_are_stored_as_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let events = open(dir.path());
    events.append(vec![incoming("a", 1), incoming("a", 5)], 1).await.unwrap();
    let found = events.query(Query::newest(2)).await.unwrap();
    assert!(matches!(found[0].event.kind, EventKind::Gap { lost: 3, .. }));
    assert_eq!((found[0].position.sequence, found[1].position.sequence), (4, 5));
    assert_eq!(events.append(vec![incoming("a", 4)], 2).await.unwrap().len(), 1);
    assert_eq!(events.last(), 3);
}

#[tokio::test]
async fn queries_select_by_index_time_node_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let small = Retention { segment_bytes: 2000, ..Retention::default() };
    let (events, _) = Events::open(dir.path(), small).unwrap();
    for sequence in 1..=50_u64 {
        let node = if sequence % 2 == 0 { "even" } else { "odd" };
        let mut one = incoming(node, sequence.div_ceil(2));
        one.event.at_us = sequence * 10;
        events.append(vec![one], sequence).await.unwrap();
    }
    // In memory, and from the disk after a restart.
    let check = async |events: &Events| {
        let indices = async |query: Query| -> Vec<u64> {
            events.query(query).await.unwrap().iter().map(|event| event.index).collect()
        };
        assert_eq!(indices(Query::newest(3)).await, [48, 49, 50]);
        assert_eq!(indices(Query::after(0, 3)).await, [1, 2, 3]);
        assert_eq!(indices(Query::after(47, 10)).await, [48, 49, 50]);
        assert_eq!(indices(Query::after(50, 10)).await, [0; 0]);
        let nodes = Some(["even".parse().unwrap()].into());
        let even = Query { nodes, ..Query::newest(2) };
        assert_eq!(indices(even.clone()).await, [48, 50]);
        assert_eq!(indices(Query { end: End::Oldest, ..even }).await, [2, 4]);
        assert_eq!(indices(Query { since_us: 490, ..Query::newest(9) }).await, [49, 50]);
        assert_eq!(indices(Query { after: 48, ..Query::newest(9) }).await, [49, 50]);
        assert_eq!(indices(Query::newest(100)).await.len(), 50);
    };
    check(&events).await;
    drop(events);
    let (events, _) = Events::open(dir.path(), small).unwrap();
    assert!(events.shared.log().segments().count() > 2);
    check(&events).await;
}

#[tokio::test]
async fn a_follower_sees_every_event_once() {
    let dir = tempfile::tempdir().unwrap();
    let events = Arc::new(open(dir.path()));
    events.append(vec![incoming("a", 1), incoming("b", 1)], 1).await.unwrap();
    let nodes = Some(["a".parse().unwrap()].into());
    let mut follow = events.follow(Query { nodes, ..Query::after(0, 2) });
    assert_eq!(follow.next().await.unwrap().len(), 1);
    let following = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 99 {
            seen.extend(follow.next().await.unwrap().iter().map(|e| e.position.sequence));
        }
        seen
    });
    for sequence in 2..=100 {
        events.append(vec![incoming("b", sequence), incoming("a", sequence)], 1).await.unwrap();
    }
    assert_eq!(following.await.unwrap(), (2..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn old_events_go_and_are_not_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention { keep_us: 1000, keep_bytes: 6000, segment_bytes: 2000 };
    let (events, _) = Events::open(dir.path(), retention).unwrap();
    for sequence in 1..=100 {
        events.append(vec![incoming("a", sequence)], 1).await.unwrap();
    }
    assert!(events.shared.log().bytes() < 9000);
    assert!(events.shared.log().first() > 1);
    // The last segment with events of `a` is older by more than is kept.
    for sequence in 1..=40 {
        let stored_at_us = if sequence <= 20 { 5000 } else { 9000 };
        events.append(vec![incoming("b", sequence)], stored_at_us).await.unwrap();
    }
    drop(events);
    let (events, _) = Events::open(dir.path(), retention).unwrap();
    assert!(all(&events).await.iter().all(|(_, node, _)| node == "b"));
    let before = events.last();
    events.append(vec![incoming("a", 100)], 9001).await.unwrap();
    assert_eq!(events.last(), before);
}

#[tokio::test]
async fn damage_costs_only_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let events = open(dir.path());
    for sequence in 1..=10 {
        events.append(vec![incoming("a", sequence)], 1).await.unwrap();
    }
    drop(events);
    let path = dir.path().join("log/00000000000000000001.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (events, recovery) = Events::open(dir.path(), Retention::default()).unwrap();
    assert_eq!(recovery.damage.len(), 1);
    assert_eq!(all(&events).await.len(), 9);
    events.append(vec![incoming("a", 10), incoming("a", 11)], 1).await.unwrap();
    assert_eq!(events.last(), 11);
}
