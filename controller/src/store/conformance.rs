//! What every backend must do: one suite for all.

use std::sync::Arc;
use std::time::Duration;

use super::*;

/// Makes stores of one backend.
pub(crate) trait Factory: Send + Sync {
    /// A new, empty store.
    fn open(&self) -> SharedStore;

    /// The same store after its process ended and began again; `None` for a
    /// backend that forgets.
    fn reopen(&self, store: SharedStore) -> Option<SharedStore> {
        drop(store);
        None
    }
}

/// Runs the whole suite.
pub(crate) async fn run(factory: &dyn Factory) {
    reads_what_was_written(&*factory.open()).await;
    demands_decide_all_or_nothing(&*factory.open()).await;
    limits_are_kept(&*factory.open()).await;
    ranges_are_ordered_and_bounded(&*factory.open()).await;
    watches_see_every_transaction_in_order(&*factory.open()).await;
    a_watch_that_falls_behind_is_told(&*factory.open()).await;
    a_waiting_watch_is_woken(factory.open()).await;
    increments_are_not_lost(factory.open()).await;
    a_store_is_the_same_after_reopening(factory).await;
}

async fn value(store: &dyn Store, key: &str) -> Option<(String, u64)> {
    let entry = store.get(key).await.unwrap()?;
    assert_eq!(entry.key, key);
    Some((String::from_utf8(entry.value.to_vec()).unwrap(), entry.modified))
}

async fn reads_what_was_written(store: &dyn Store) {
    assert_eq!(store.index(), 0);
    assert_eq!(value(store, "a").await, None);
    let first = store.transact(Transaction::new().put("a", "1").put("b", "2")).await.unwrap();
    assert_eq!(first, 1);
    let second = store.transact(Transaction::new().put("a", "3").delete("b")).await.unwrap();
    assert_eq!(second, 2);
    assert_eq!(value(store, "a").await, Some(("3".into(), 2)));
    assert_eq!(value(store, "b").await, None);
    store.transact(Transaction::new().delete("never").put("empty", "")).await.unwrap();
    assert_eq!(value(store, "empty").await, Some((String::new(), 3)));
    assert_eq!(store.index(), 3);
    store.flush().await.unwrap();
}

async fn demands_decide_all_or_nothing(store: &dyn Store) {
    let create = || Transaction::new().if_absent("a").put("a", "1");
    store.transact(create()).await.unwrap();
    let again = store.transact(create().put("b", "x")).await.unwrap_err();
    assert!(matches!(again, StoreError::Conflict { ref key, found: Some(1) } if key == "a"));
    assert_eq!(value(store, "b").await, None);

    let update = |at| Transaction::new().if_modified_at("a", at).put("a", "2").put("c", "x");
    assert!(matches!(store.transact(update(7)).await, Err(StoreError::Conflict { .. })));
    assert_eq!(store.transact(update(1)).await.unwrap(), 2);
    assert!(matches!(store.transact(update(1)).await, Err(StoreError::Conflict { .. })));

    store.transact(Transaction::new().delete("a")).await.unwrap();
    let gone = store.transact(update(2)).await.unwrap_err();
    assert!(matches!(gone, StoreError::Conflict { found: None, .. }));
    store.transact(Transaction::new().if_unchanged("a", None).put("a", "3")).await.unwrap();
    assert_eq!(store.index(), 4, "a refused transaction takes no index");
}

async fn limits_are_kept(store: &dyn Store) {
    let many = |count: usize| {
        (0..count).fold(Transaction::new(), |all, n| all.put(format!("k{n:03}"), "v"))
    };
    store.transact(many(MAX_OPERATIONS)).await.unwrap();
    let refused = [
        many(MAX_OPERATIONS + 1),
        many(MAX_OPERATIONS).if_absent("other"),
        Transaction::new().put("k", vec![0; MAX_VALUE]),
        Transaction::new().put("a", vec![0; MAX_VALUE - 1]).put("b", vec![0; MAX_VALUE / 2]),
        Transaction::new().put("", "v"),
        Transaction::new().put("k".repeat(MAX_KEY + 1), "v"),
        Transaction::new().put("k", "1").delete("k"),
    ];
    for transaction in refused {
        let error = store.transact(transaction).await.unwrap_err();
        assert!(matches!(error, StoreError::Limit(_)), "{error}");
    }
    assert_eq!(store.index(), 1);
    let largest = vec![7; MAX_VALUE - 1];
    store.transact(Transaction::new().put("large", largest.clone())).await.unwrap();
    assert_eq!(store.get("large").await.unwrap().unwrap().value, largest);
}

async fn ranges_are_ordered_and_bounded(store: &dyn Store) {
    for key in ["b/2", "a/1", "b/1", "c", "b", "b0"] {
        store.transact(Transaction::new().put(key, key)).await.unwrap();
    }
    let keys = |snapshot: Snapshot| -> Vec<String> {
        assert_eq!(snapshot.index, 6);
        snapshot.entries.into_iter().map(|entry| entry.key).collect()
    };
    assert_eq!(keys(range_prefix(store, "b/").await.unwrap()), ["b/1", "b/2"]);
    assert_eq!(keys(range_prefix(store, "").await.unwrap()).len(), 6);
    assert_eq!(keys(store.range("b", "b/2", 10).await.unwrap()), ["b", "b/1"]);
    assert_eq!(keys(store.range("b", "", 2).await.unwrap()), ["b", "b/1"]);
    assert_eq!(keys(store.range("b", "a", 2).await.unwrap()), [""; 0]);
    assert_eq!(keys(store.range("b", "b", 2).await.unwrap()), [""; 0]);
}

async fn watches_see_every_transaction_in_order(store: &dyn Store) {
    store.transact(Transaction::new().put("n/a", "1")).await.unwrap();
    store.transact(Transaction::new().put("other", "1")).await.unwrap();
    let mut watch = store.watch(1, "n/").unwrap();
    store.transact(Transaction::new().delete("n/a").put("x", "1")).await.unwrap();
    let put = Change::Put { key: "n/a".into(), value: "1".into() };
    assert_eq!(watch.next().await.unwrap(), Update { index: 1, changes: vec![put] });
    let delete = Change::Delete { key: "n/a".into() };
    assert_eq!(watch.next().await.unwrap(), Update { index: 3, changes: vec![delete] });
    let mut later = store.watch(4, "").unwrap();
    store.transact(Transaction::new().put("n/b", "2")).await.unwrap();
    assert_eq!(later.next().await.unwrap().index, 4);
    assert_eq!(watch.next().await.unwrap().index, 4);
}

async fn a_watch_that_falls_behind_is_told(store: &dyn Store) {
    let mut watch = store.watch(1, "").unwrap();
    // The window is bounded by bytes, too: 40 of these are more than it keeps.
    for _ in 0..40 {
        let large = vec![0; MAX_VALUE - 1];
        store.transact(Transaction::new().put("k", large)).await.unwrap();
    }
    let Err(StoreError::Compacted { oldest }) = watch.next().await else {
        panic!("the first transactions should be gone")
    };
    assert!(matches!(store.watch(oldest - 1, ""), Err(StoreError::Compacted { .. })));
    let mut watch = store.watch(oldest, "").unwrap();
    assert_eq!(watch.next().await.unwrap().index, oldest);
}

async fn a_waiting_watch_is_woken(store: SharedStore) {
    let mut watch = store.watch(1, "k").unwrap();
    let waiting = tokio::spawn(async move { watch.next().await });
    tokio::task::yield_now().await;
    store.transact(Transaction::new().put("other", "1")).await.unwrap();
    store.transact(Transaction::new().put("k", "1")).await.unwrap();
    let update = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert_eq!(update.unwrap().unwrap().unwrap().index, 2);
}

async fn increments_are_not_lost(store: SharedStore) {
    const TASKS: u64 = 8;
    const EACH: u64 = 25;
    let increment = |store: SharedStore| async move {
        for _ in 0..EACH {
            loop {
                let found = store.get("n").await.unwrap();
                let modified = found.as_ref().map(|entry| entry.modified);
                let n: u64 = found.map_or(0, |entry| {
                    String::from_utf8(entry.value.to_vec()).unwrap().parse().unwrap()
                });
                let next =
                    Transaction::new().if_unchanged("n", modified).put("n", (n + 1).to_string());
                match store.transact(next).await {
                    Ok(_) => break,
                    Err(StoreError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(increment(Arc::clone(&store)))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(value(&*store, "n").await, Some(((TASKS * EACH).to_string(), TASKS * EACH)));
}

async fn a_store_is_the_same_after_reopening(factory: &dyn Factory) {
    let store = factory.open();
    for n in 0..50 {
        let key = format!("k{}", n % 7);
        let change = if n % 11 == 3 {
            Transaction::new().delete(key)
        } else {
            Transaction::new().put(key, n.to_string())
        };
        store.transact(change).await.unwrap();
    }
    let before = range_prefix(&*store, "").await.unwrap();
    let Some(store) = factory.reopen(store) else { return };
    assert_eq!(range_prefix(&*store, "").await.unwrap(), before);
    assert_eq!(store.index(), 50);
    assert!(matches!(store.watch(50, ""), Err(StoreError::Compacted { oldest: 51 })));
    let mut watch = store.watch(51, "").unwrap();
    assert_eq!(store.transact(Transaction::new().put("k", "v")).await.unwrap(), 51);
    assert_eq!(watch.next().await.unwrap().index, 51);
}

#[test]
fn a_prefix_ends_where_no_key_has_it_any_more() {
    assert_eq!(prefix_end("a/"), "a0");
    assert_eq!(prefix_end(""), "");
    assert_eq!(prefix_end("a\u{10ffff}"), "b");
    assert_eq!(prefix_end("\u{d7ff}"), "\u{e000}");
}
