//! The store goes back in time, or another one takes its place.

use super::place::RedisServer;
use super::*;

/// A reader who is at the end of a store with `b.example`, which `a.example` was added to since.
async fn reader(store: &dyn Store) -> Snapshot {
    store.put_configured(&domain("a.example"), "", 1).await.expect("configured");
    let known = store.snapshot().await.expect("a snapshot");
    assert_eq!((known.mark.era.number, known.raised), (1, false));
    known
}

/// From a store whose connections may have been cut.
async fn snapshot_after(store: &dyn Store, known: &Mark) -> Snapshot {
    loop {
        match store.snapshot_after(known).await {
            Ok(snapshot) => return snapshot,
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
    }
}

/// What `known` learns of its store: a gap; then a snapshot of a higher era, once.
async fn assert_went_back(store: &dyn Store, known: &Snapshot, rows: &[&str]) -> Snapshot {
    let started = Instant::now();
    let news = loop {
        match store.changes_after(&known.mark, Duration::from_secs(5)).await {
            Ok(news) => break news,
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
    };
    assert_eq!(news, News::Gap);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let now = snapshot_after(store, &known.mark).await;
    assert!(now.raised && now.mark.era.number == known.mark.era.number + 1, "{now:?}");
    let mut names: Vec<_> = now.rows.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, rows);
    // A second reader that knew as much finds that it was said already.
    let second = store.snapshot_after(&known.mark).await.expect("a snapshot");
    assert_eq!((second.mark, second.raised), (now.mark.clone(), false));
    // And whoever was with the store as it is now takes a snapshot of the new era, too.
    let before = Mark { version: now.mark.version - 1, ..Mark::default() };
    assert_eq!(store.changes_after(&before, Duration::ZERO).await.expect("news"), News::Gap);
    now
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_emptied_is_another_one_within_100_ms() {
    let server = RedisServer::start();
    let store = server.store();
    let known = reader(&store).await;
    // The first question opens the connection.
    changes(&store, known.mark.version).await;
    let waiting = store.changes_after(&known.mark, Duration::from_secs(20));
    let flushing = async {
        server.run("FLUSHALL").await;
        Instant::now()
    };
    let (news, flushed) = tokio::join!(waiting, flushing);
    assert_eq!(news.expect("news"), News::Gap);
    assert!(flushed.elapsed() < Duration::from_millis(200), "{:?}", flushed.elapsed());
    let now = assert_went_back(&store, &known, &[]).await;
    assert_ne!(now.mark.era.store, known.mark.era.store);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_dump_is_an_older_state_of_the_same_store() {
    let mut server = RedisServer::start();
    let store = server.store();
    store.put_configured(&domain("b.example"), "", 1).await.expect("configured");
    server.run("SAVE").await;
    let known = reader(&store).await;
    server.restart();
    let now = assert_went_back(&store, &known, &["b.example"]).await;
    assert_eq!(now.mark.era.store, known.mark.era.store);
    // And once more.
    server.restart();
    let again = assert_went_back(&store, &now, &["b.example"]).await;
    assert_eq!(again.mark.era.number, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_other_changes_are_no_continuation() {
    let mut server = RedisServer::start();
    let store = server.store();
    store.put_configured(&domain("b.example"), "", 1).await.expect("configured");
    server.run("SAVE").await;
    let known = reader(&store).await;
    // Somebody who knows nothing of it writes on from the dump, further than it had been.
    server.restart();
    let other = server.store();
    for name in ["x.example", "y.example"] {
        while other.put_configured(&domain(name), "", 1).await.is_err() {}
    }
    assert_went_back(&store, &known, &["b.example", "x.example", "y.example"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_replica_that_lagged_is_an_older_state_of_the_same_store() {
    let (primary, replica) = (RedisServer::start(), RedisServer::start());
    let store = primary.store();
    store.put_configured(&domain("b.example"), "", 1).await.expect("configured");
    let version = store.snapshot().await.expect("a snapshot").mark.version;
    replica.run(&format!("REPLICAOF 127.0.0.1 {}", primary.port())).await;
    replica.wait_for("openfed:version", &version.to_string()).await;
    // It has no more of it, and takes the place of the primary.
    replica.run("REPLICAOF NO ONE").await;
    let known = reader(&store).await;
    primary.run(&format!("REPLICAOF 127.0.0.1 {}", replica.port())).await;
    primary.wait_for("openfed:version", &version.to_string()).await;
    primary.run("REPLICAOF NO ONE").await;
    assert_went_back(&store, &known, &["b.example"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_nothing_is_the_same_store() {
    let mut server = RedisServer::start();
    let store = server.store();
    let known = reader(&store).await;
    server.run("SAVE").await;
    server.restart();
    assert_eq!(snapshot_after(&store, &known.mark).await, known);
    let (version, _) = changes(&store, known.mark.version - 1).await;
    assert_eq!(version, known.mark.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_is_given_what_the_store_went_back_to() {
    let server = RedisServer::start();
    let store: Arc<dyn Store> = Arc::new(server.store());
    let known = reader(store.as_ref()).await;
    let mut events = follow(store);
    let Some(StoreEvent::Snapshot(first)) = events.recv().await else { panic!("no snapshot") };
    assert_eq!(first, known);
    server.run("FLUSHALL").await;
    let Some(StoreEvent::Snapshot(now)) = events.recv().await else { panic!("no snapshot") };
    assert!(now.raised && now.mark.era.number == 2 && now.rows.is_empty(), "{now:?}");
}

/// Logs of a program that stamps no changes.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_an_older_program_are_followed() {
    let server = RedisServer::start();
    let store = server.store();
    let known = reader(&store).await;
    let next = known.mark.version + 1;
    server.run(&format!("SET openfed:version {next}")).await;
    let entry = format!("XADD openfed:changes 0-{next} kind gone subject a.example detail ");
    server.run(&entry).await;
    let news = store.changes_after(&known.mark, Duration::ZERO).await.expect("news");
    let mark = Mark { version: next, stamp: String::new(), ..known.mark };
    let changes = vec![Change::RowRemoved(domain("a.example"))];
    assert_eq!(news, News::Changes { mark: mark.clone(), changes });
    store.put_configured(&domain("c.example"), "", 1).await.expect("configured");
    let news = store.changes_after(&mark, Duration::ZERO).await.expect("news");
    assert!(matches!(news, News::Changes { mark, .. } if !mark.stamp.is_empty()));
}
