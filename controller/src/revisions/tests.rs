use std::sync::Arc;

use super::*;
use crate::store::MemoryStore;

async fn open() -> Revisions {
    Revisions::open(Arc::new(MemoryStore::new())).await.unwrap()
}

fn new(base: Option<RevisionId>, objects: &[(&str, &str)], plans: &[(&str, &str)]) -> NewRevision {
    NewRevision {
        base,
        author: "alice".into(),
        message: "why".into(),
        at_us: 7,
        objects: objects.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect(),
        plans: plans
            .iter()
            .map(|(node, text)| (node.parse().unwrap(), Bytes::copy_from_slice(text.as_bytes())))
            .collect(),
    }
}

fn nodes(names: &[&str]) -> BTreeSet<NodeName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

async fn generation(revisions: &Revisions, node: &str) -> u64 {
    revisions.plans().await.unwrap()[&node.parse().unwrap()].generation.0
}

#[tokio::test]
async fn a_revision_is_read_as_it_was_stored() {
    let revisions = open().await;
    assert_eq!(revisions.head().await.unwrap(), None);
    assert_eq!(revisions.list(10).await.unwrap(), []);
    let objects = [("Cluster/a", "text a"), ("Cluster/b", "text b")];
    let done = revisions.commit(new(None, &objects, &[("n1", "plan 1")])).await.unwrap();
    assert_eq!((done.changed, &done.changed_nodes), (true, &nodes(&["n1"])));
    assert_eq!(done.revision.number, 1);
    assert_eq!(revisions.head().await.unwrap(), Some(done.revision));
    let revision = revisions.get(1).await.unwrap().unwrap();
    assert_eq!((revision.id, revision.author.as_str()), (done.revision, "alice"));
    let texts = revisions.texts(&revision).await.unwrap();
    assert_eq!(texts["Cluster/b"], "text b");
    assert_eq!(texts.len(), 2);
    let record = &revisions.plans().await.unwrap()[&"n1".parse().unwrap()];
    let plan = record.plan(revisions.epoch()).unwrap();
    assert_eq!(revisions.document(plan.digest).await.unwrap(), "plan 1");
    assert_eq!(record.revision, done.revision);
}

#[tokio::test]
async fn the_same_wish_is_no_new_revision_and_an_unchanged_plan_keeps_its_generation() {
    let revisions = open().await;
    let plans = [("n1", "p1"), ("n2", "p2")];
    let first = revisions.commit(new(None, &[("a", "1")], &plans)).await.unwrap().revision;
    let again = revisions.commit(new(Some(first), &[("a", "1")], &plans)).await.unwrap();
    assert_eq!(again, Committed { revision: first, changed: false, changed_nodes: nodes(&[]) });
    let plans = [("n1", "p1"), ("n2", "other")];
    let second = revisions.commit(new(Some(first), &[("a", "2")], &plans)).await.unwrap();
    assert_eq!((second.changed, second.changed_nodes), (true, nodes(&["n2"])));
    assert_eq!(generation(&revisions, "n1").await, 1);
    assert_eq!(generation(&revisions, "n2").await, 2);
    // A newer compiler makes other plans of the same wish.
    let plans = [("n1", "new form"), ("n2", "other")];
    let third = revisions.commit(new(Some(second.revision), &[("a", "2")], &plans)).await.unwrap();
    assert_eq!((third.changed, third.changed_nodes), (false, nodes(&["n1"])));
}

#[tokio::test]
async fn a_node_that_left_comes_back_with_a_higher_generation() {
    let revisions = open().await;
    let mut head = None;
    for plans in [&[("n1", "p")][..], &[], &[], &[("n1", "p")]] {
        let text = format!("{plans:?} {head:?}");
        head = Some(revisions.commit(new(head, &[("a", &text)], plans)).await.unwrap().revision);
    }
    assert_eq!(generation(&revisions, "n1").await, 3);
}

#[tokio::test]
async fn a_base_that_moved_is_refused() {
    let revisions = open().await;
    let first = revisions.commit(new(None, &[("a", "1")], &[])).await.unwrap().revision;
    let error = revisions.commit(new(None, &[("a", "2")], &[])).await.unwrap_err();
    assert_eq!(error.code(), "E3001");
    assert_eq!(error.to_string(), "the base is no revision, but the head is revision 1 by now");
    assert_eq!(revisions.head().await.unwrap(), Some(first));
}

#[tokio::test]
async fn of_two_at_once_one_wins_and_the_other_is_told() {
    let revisions = open().await;
    let one = revisions.commit(new(None, &[("a", "1")], &[("n", "1")]));
    let two = revisions.commit(new(None, &[("a", "2")], &[("n", "2")]));
    let (one, two) = futures_util::join!(one, two);
    let lost = match (&one, &two) {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(lost.code(), "E3001");
    assert_eq!(revisions.list(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_large_fleet_is_stored_in_many_transactions() {
    let revisions = open().await;
    let text = "x".repeat(20_000);
    let names: Vec<String> = (0..2500).map(|n| format!("n{n}")).collect();
    let texts: Vec<String> = (0..2500).map(|n| format!("{n} {text}")).collect();
    let objects: Vec<(&str, &str)> =
        names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    let done = revisions.commit(new(None, &objects[..200], &objects)).await.unwrap();
    assert_eq!(done.changed_nodes.len(), 2500);
    let plans = revisions.plans().await.unwrap();
    assert_eq!(plans.len(), 2500);
    let digest = plans[&"n2499".parse().unwrap()].digest.unwrap();
    assert_eq!(revisions.document(digest).await.unwrap(), texts[2499]);
}

#[tokio::test]
async fn an_object_of_a_mebibyte_is_refused_by_name() {
    let revisions = open().await;
    let text = "x".repeat(1024 * 1024);
    let error = revisions.commit(new(None, &[("Cluster/big", &text)], &[])).await.unwrap_err();
    assert!(matches!(error, RevisionError::TooLarge { ref name, .. } if name == "Cluster/big"));
    assert_eq!(revisions.head().await.unwrap(), None);
}

#[tokio::test]
async fn a_commit_can_go_to_another_thread() {
    let revisions = open().await;
    let task = tokio::spawn(async move { revisions.commit(new(None, &[("a", "1")], &[])).await });
    assert!(task.await.unwrap().unwrap().changed);
}

#[tokio::test]
async fn the_epoch_stays_and_the_newest_come_first() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let revisions = Revisions::open(Arc::clone(&store)).await.unwrap();
    let mut head = None;
    for n in 0..5 {
        let text = n.to_string();
        head = Some(revisions.commit(new(head, &[("a", &text)], &[])).await.unwrap().revision);
    }
    let again = Revisions::open(store).await.unwrap();
    assert_eq!(again.epoch(), revisions.epoch());
    let numbers: Vec<u64> = again.list(3).await.unwrap().iter().map(|r| r.id.number).collect();
    assert_eq!(numbers, [5, 4, 3]);
}
