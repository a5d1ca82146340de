//! What only Redis can do to us: be away, hang, forget, be shared.

use super::place::RedisServer;
use super::*;

/// Enough for a call that must not take longer than 250 ms, on a busy machine.
const PROMPT: Duration = Duration::from_millis(400);

async fn assert_prompt_failure(store: &dyn Store) {
    let started = Instant::now();
    let results = [
        store.insert_discovered(&discovered("a.example"), 10).await.map(drop),
        store.rows(&[domain("a.example")]).await.map(drop),
    ];
    assert!(started.elapsed() < 2 * PROMPT, "{:?}", started.elapsed());
    for result in results {
        assert!(result.as_ref().is_err_and(StoreError::is_temporary), "{result:?}");
    }
}

async fn next(events: &mut tokio::sync::mpsc::Receiver<StoreEvent>) -> StoreEvent {
    let event = tokio::time::timeout(Duration::from_secs(20), events.recv());
    event.await.expect("an event in time").expect("an event")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_at_start_fails_promptly_and_comes_up_by_itself() {
    let mut server = RedisServer::absent();
    let store: Arc<dyn Store> = Arc::new(server.store());
    assert_prompt_failure(store.as_ref()).await;
    let mut events = follow(store.clone());
    assert!(matches!(next(&mut events).await, StoreEvent::Down(_)));

    server.restart();
    assert!(matches!(next(&mut events).await, StoreEvent::Up));
    assert!(matches!(next(&mut events).await, StoreEvent::Snapshot(_)));
    unblock_open_route(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_store_blocks_no_call_over_250_ms_and_catches_up_by_version() {
    let server = RedisServer::start();
    let store: Arc<dyn Store> = Arc::new(server.store());
    let mut events = follow(store.clone());
    assert!(matches!(next(&mut events).await, StoreEvent::Snapshot(_)));

    server.signal("-STOP");
    for _ in 0..3 {
        assert_prompt_failure(store.as_ref()).await;
    }
    assert!(matches!(next(&mut events).await, StoreEvent::Down(_)));

    server.signal("-CONT");
    assert!(matches!(next(&mut events).await, StoreEvent::Up));
    store.put_configured(&domain("b.example"), "", 1).await.expect("works again");
    let StoreEvent::Changes { changes, .. } = next(&mut events).await else { panic!("no changes") };
    assert_eq!(changes, [Change::Row(domain("b.example"), Origin::Configured)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarted_empty_is_read_anew() {
    let mut server = RedisServer::start();
    let store: Arc<dyn Store> = Arc::new(server.store());
    let mut events = follow(store.clone());
    assert!(matches!(next(&mut events).await, StoreEvent::Snapshot(_)));
    store.put_configured(&domain("a.example"), "", 1).await.expect("configured");
    assert!(matches!(next(&mut events).await, StoreEvent::Changes { .. }));

    server.restart();
    let snapshot = loop {
        match next(&mut events).await {
            StoreEvent::Snapshot(snapshot) => break snapshot,
            StoreEvent::Up | StoreEvent::Down(_) => {}
            StoreEvent::Changes { .. } => panic!("changes of what is lost"),
        }
    };
    assert!(snapshot.rows.is_empty() && snapshot.routes.len() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_back_is_followed_at_once_and_takes_the_first_change() {
    let mut server = RedisServer::start();
    let store: Arc<dyn Store> = Arc::new(server.store());
    unblock_open_route(store.as_ref()).await;
    let mut events = follow(store.clone());
    assert!(matches!(next(&mut events).await, StoreEvent::Snapshot(_)));
    for name in ["a.example", "b.example", "c.example"] {
        server.run("SAVE").await;
        server.kill();
        assert!(matches!(next(&mut events).await, StoreEvent::Down(_)));
        server.restart();
        let back = Instant::now();
        assert!(matches!(next(&mut events).await, StoreEvent::Up));
        assert!(back.elapsed() < PROMPT / 2, "{:?}", back.elapsed());
        let inserted = store.insert_discovered(&discovered(name), 10).await;
        assert!(matches!(inserted, Ok(Inserted::New(_))), "{inserted:?}");
        assert!(matches!(next(&mut events).await, StoreEvent::Changes { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_that_reuses_versions_is_not_believed() {
    // Given a reader at version 3
    let mut server = RedisServer::start();
    let reader = server.store();
    reader.put_configured(&domain("a.example"), "", 1).await.expect("configured");
    let known = reader.snapshot().await.expect("a snapshot").mark;
    // When the server loses its data, and others have written as many changes since
    server.restart();
    let other = server.store();
    other.snapshot().await.expect("prepared");
    for name in ["x.example", "y.example"] {
        other.put_configured(&domain(name), "", 1).await.expect("configured");
    }
    // Then the reader does not take version 4 for the one after its own 3
    let news = loop {
        match reader.changes_after(&known, Duration::ZERO).await {
            Ok(news) => break news,
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
    };
    assert_eq!(news, News::Gap);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_log_is_a_gap() {
    let server = RedisServer::start();
    let store = server.store();
    let start = store.snapshot().await.expect("a snapshot").mark.version;
    for name in ["a.example", "b.example"] {
        store.put_configured(&domain(name), "", 1).await.expect("configured");
    }
    server.run("XTRIM openfed:changes MAXLEN 1").await;
    let after =
        async |known| store.changes_after(&at(known), Duration::ZERO).await.expect("an answer");
    assert_eq!(after(start).await, News::Gap);
    assert!(matches!(after(start + 1).await, News::Changes { .. }));
    server.run("XTRIM openfed:changes MAXLEN 0").await;
    assert_eq!(after(start + 1).await, News::Gap);
    server.run("FLUSHALL").await;
    assert_eq!(after(start + 2).await, News::Gap);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_routers_see_each_others_changes_at_once() {
    let server = RedisServer::start();
    let (one, two) = (server.store(), server.store());
    unblock_open_route(&one).await;
    let known = two.snapshot().await.expect("a snapshot").mark.version;
    // The first question opens the connection that the second waits on.
    changes(&two, known).await;
    let waiting = async {
        let news = two.changes_after(&at(known), Duration::from_secs(20)).await.expect("news");
        (news, Instant::now())
    };
    let changing = async {
        one.insert_discovered(&discovered("a.example"), 10).await.expect("inserted");
        Instant::now()
    };
    let ((news, seen), done) = tokio::join!(waiting, changing);
    assert!(matches!(news, News::Changes { .. }));
    let late = seen.saturating_duration_since(done);
    assert!(late < Duration::from_millis(100), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_adds_the_open_route_blocked_and_leaves_configured_rows_alone() {
    // Given rows from before there was an open route
    let server = RedisServer::start();
    let store = server.store();
    store.put_configured(&domain("a.example"), "old friend", 1).await.expect("configured");
    server.run("DEL openfed:routes openfed:schema openfed:settings").await;
    // When this program starts
    let store = server.store();
    let snapshot = store.snapshot().await.expect("a snapshot");
    // Then
    assert_eq!(snapshot.routes, [StaticRoute::predefined()]);
    assert_eq!(snapshot.rows, [(domain("a.example"), Origin::Configured)]);
    let row = row(&store, "a.example").await.expect("the row");
    assert_eq!(row.description, "old friend");
    // And the count of rows is right again: a cap of 1 is reached.
    unblock_open_route(&store).await;
    let full = store.insert_discovered(&discovered("b.example"), 1).await.expect("an answer");
    assert_eq!(full, Inserted::TableFull);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_layout_is_refused() {
    let server = RedisServer::start();
    server.run("SET openfed:schema 3").await;
    let store = server.store();
    let refused = store.snapshot().await.expect_err("refused");
    assert!(matches!(refused, StoreError::NewerLayout { found: 3 }), "{refused}");
    let refused = store.put_configured(&domain("a.example"), "", 1).await;
    assert!(matches!(refused, Err(StoreError::NewerLayout { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_layout_1_is_migrated() {
    let server = RedisServer::start();
    let store = server.store();
    store.put_configured(&domain("a.example"), "old friend", 1).await.expect("configured");
    server.run("SET openfed:schema 1").await;
    let store = server.store();
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.rows, [(domain("a.example"), Origin::Configured)]);
    // From now on a program of layout 1 refuses it.
    let client = ::redis::Client::open(server.url()).expect("a usable URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
    let mut get = ::redis::cmd("GET");
    let layout: u64 =
        get.arg("openfed:schema").query_async(&mut connection).await.expect("a number");
    assert_eq!(layout, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_does_not_hide_the_rest() {
    let server = RedisServer::start();
    let store = server.store();
    store.put_configured(&domain("a.example"), "", 1).await.expect("configured");
    server.run("HSET openfed:d:7 not_a_domain! x").await;
    server.run("HSET openfed:blocked not_a_domain! x").await;
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.rows, [(domain("a.example"), Origin::Configured)]);
}

#[test]
fn a_discovered_row_fits_the_compact_form_of_redis() {
    let row = DomainRow {
        hits: 9_999_999,
        last_failure: Some("remote-server-not-found".to_owned()),
        ground: None,
        ..discovered("a.example")
    };
    assert!(record::encode_row(&row).len() <= 64, "{}", record::encode_row(&row).len());
    let ground = Ground { finding: Finding::Silent, asked: 99, due: 1_790_000_600 };
    let row = DomainRow { last_failure: None, ground: Some(ground), ..row };
    assert!(record::encode_row(&row).len() <= 64, "{}", record::encode_row(&row).len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_memory_or_disk_refuses_changes_and_takes_them_again() {
    let server = RedisServer::start();
    let store = server.store();
    let trouble = store.trouble();
    store.put_configured(&domain("a.example"), "", 1).await.expect("configured");
    for (spoil, mend) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
    ] {
        server.run(spoil).await;
        let refused = store.put_configured(&domain("b.example"), "", 1).await;
        assert!(matches!(refused, Err(StoreError::Unwritable(_))), "{spoil}: {refused:?}");
        assert!(trouble.borrow().is_some(), "{spoil}");
        assert_eq!(row(&store, "b.example").await, None, "{spoil}");
        let tried = store.try_writing().await;
        assert!(matches!(tried, Err(StoreError::Unwritable(_))), "{spoil}: {tried:?}");
        server.run(mend).await;
        store.try_writing().await.expect("it takes them again");
        assert_eq!(*trouble.borrow(), None, "{mend}");
    }
}
