//! The contract of a store, as scenes that both stores must play alike.

use std::time::Instant;

use openfed_proto::finding::{Finding, Ground};
use openfed_proto::packet::Direction;
use openfed_proto::route::{Credentials, Pattern, Transport};

use super::*;
use accounts::*;
use place::Place;
use rows::*;

mod accounts;
mod embedded;
mod era;
mod place;
mod redis;
mod rows;
mod sealed;
mod sentinel;

/// Plays the scenes below on both stores.
macro_rules! on_both {
    ($($scene:ident),+ $(,)?) => {
        mod on_redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scene() {
                super::$scene(&mut super::Place::redis()).await;
            })+
        }
        mod on_embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scene() {
                super::$scene(&mut super::Place::embedded()).await;
            })+
        }
    };
}

on_both!(
    a_new_store_has_the_open_route_blocked_and_nothing_else,
    rows_are_discovered_only_while_the_open_route_is_open,
    a_blocked_or_pinned_domain_is_not_discovered,
    a_full_table_takes_no_new_rows_but_knows_the_old,
    a_domain_discovered_many_times_at_once_is_one_row,
    a_discovered_row_becomes_configured_without_losing_its_counts,
    a_removed_row_can_be_discovered_again,
    uses_are_added_up,
    routes_are_created_changed_and_deleted,
    a_route_that_changed_in_the_meantime_is_not_overwritten,
    the_open_route_cannot_be_added_removed_or_given_another_pattern,
    credentials_of_a_route_are_kept_and_not_shown,
    blocking_and_pinning_twice_changes_nothing,
    changes_come_in_order_and_once,
    a_reader_from_the_future_must_take_a_snapshot,
    waiting_ends_when_something_changes,
    an_import_adds_and_configures_and_leaves_the_rest,
    a_reader_follows_an_import_or_learns_that_it_cannot,
    all_is_still_there_after_a_restart,
    a_follower_gets_a_snapshot_and_then_the_changes,
    accounts_come_with_snapshots_and_changes,
    a_record_that_changed_in_the_meantime_is_not_overwritten,
    sessions_are_kept_and_not_told,
    the_audit_is_read_in_pages_newest_first,
    restored_rows_are_as_they_were,
    questions_about_rows_without_a_proof_are_taken_once,
    a_confirmed_row_is_not_asked_about_and_stays,
);

#[test]
fn rows_are_read_across_versions() {
    a_row_of_an_older_program_is_read_and_one_of_ours_by_it();
}

pub(super) fn domain(name: &str) -> Domain {
    Domain::parse(name).expect("a domain")
}

pub(super) fn discovered(name: &str) -> DomainRow {
    DomainRow {
        domain: domain(name),
        description: String::new(),
        origin: Origin::Discovered,
        first_seen: 1_790_000_000,
        last_seen: 1_790_000_000,
        direction: Some(Direction::Outbound),
        route: Some(".*".to_owned()),
        hits: 1,
        last_failure: None,
        ground: Some(Ground::new(Finding::Silent, 1_790_000_600)),
    }
}

/// What an operator does to open the federation.
pub(super) async fn unblock_open_route(store: &dyn Store) -> StaticRoute {
    let snapshot = store.snapshot().await.expect("a snapshot");
    let route = StaticRoute {
        next_hop: "sbc.example".to_owned(),
        port: 5060,
        transport: Transport::Udp,
        blocked: false,
        ..snapshot.routes[0].clone()
    };
    store.update_route(&route).await.expect("unblocked")
}

async fn row(store: &dyn Store, name: &str) -> Option<DomainRow> {
    store.rows(&[domain(name)]).await.expect("rows").pop()
}

/// A place of which nothing is known but the version.
fn at(version: u64) -> Mark {
    Mark { version, ..Mark::default() }
}

async fn changes(store: &dyn Store, known: u64) -> (u64, Vec<Change>) {
    match store.changes_after(&at(known), Duration::ZERO).await.expect("changes") {
        News::Changes { mark, changes } => (mark.version, changes),
        News::Gap => panic!("a gap after {known}"),
    }
}

async fn a_new_store_has_the_open_route_blocked_and_nothing_else(place: &mut Place) {
    let store = place.open().await;
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.routes, [StaticRoute::predefined()]);
    assert!(snapshot.routes[0].blocked && !snapshot.routes[0].is_open());
    assert_eq!((&snapshot.rows, &snapshot.blocked, &snapshot.pinned), (&vec![], &vec![], &vec![]));
    // Looking at it does not change it.
    assert_eq!(store.snapshot().await.expect("a snapshot"), snapshot);
}

fn example_route() -> StaticRoute {
    let pattern = Pattern::domain(".example.partner.*").expect("a pattern");
    StaticRoute { description: "Partner".to_owned(), ..StaticRoute::new(pattern, "192.0.2.1") }
}

async fn routes_are_created_changed_and_deleted(place: &mut Place) {
    let store = place.open().await;
    let before = store.snapshot().await.expect("a snapshot").mark.version;
    let first = store.create_route(&example_route()).await.expect("created");
    let second = store.create_route(&example_route()).await.expect("created");
    assert_eq!((first.id, second.id, first.version), (1, 2, 1));

    let changed = StaticRoute { weight: 9, ..first.clone() };
    let changed = store.update_route(&changed).await.expect("changed");
    assert_eq!(changed.version, 2);
    store.delete_route(second.id, second.version).await.expect("deleted");

    let routes = store.snapshot().await.expect("a snapshot").routes;
    assert_eq!(routes, [StaticRoute::predefined(), changed]);
    let (version, news) = changes(store.as_ref(), before).await;
    assert_eq!((version, news), (before + 4, vec![Change::Routes(routes)]));
    // An id is never used again.
    assert_eq!(store.create_route(&example_route()).await.expect("created").id, 3);
}

async fn a_route_that_changed_in_the_meantime_is_not_overwritten(place: &mut Place) {
    let store = place.open().await;
    let route = store.create_route(&example_route()).await.expect("created");
    store.update_route(&StaticRoute { port: 1, ..route.clone() }).await.expect("the first editor");
    let second = store.update_route(&StaticRoute { port: 2, ..route.clone() }).await;
    assert!(matches!(second, Err(StoreError::Conflict(2))), "{second:?}");
    let deleted = store.delete_route(route.id, 1).await;
    assert!(matches!(deleted, Err(StoreError::Conflict(2))), "{deleted:?}");
    let missing = store.delete_route(77, 1).await;
    assert!(matches!(missing, Err(StoreError::NoSuchRoute(77))), "{missing:?}");
    let missing = store.update_route(&StaticRoute { id: 78, version: 3, ..route }).await;
    assert!(matches!(missing, Err(StoreError::NoSuchRoute(78))), "{missing:?}");
}

async fn the_open_route_cannot_be_added_removed_or_given_another_pattern(place: &mut Place) {
    let store = place.open().await;
    let open = store.snapshot().await.expect("a snapshot").routes.remove(0);
    let other = store.create_route(&example_route()).await.expect("created");
    let attempts = [
        store.create_route(&open).await.map(drop),
        store.delete_route(0, open.version).await,
        store
            .update_route(&StaticRoute { pattern: other.pattern.clone(), ..open.clone() })
            .await
            .map(drop),
        store.update_route(&StaticRoute { pattern: Pattern::Open, ..other }).await.map(drop),
    ];
    for attempt in attempts {
        assert!(matches!(attempt, Err(StoreError::OpenRoute)), "{attempt:?}");
    }
}

async fn credentials_of_a_route_are_kept_and_not_shown(place: &mut Place) {
    let store = place.open().await;
    let user = Pattern::user("4930*").expect("a pattern");
    let credentials = Credentials { username: "u".to_owned(), password: "hunter2".to_owned() };
    let route = StaticRoute { credentials: Some(credentials), ..StaticRoute::new(user, "h") };
    let route = store.create_route(&route).await.expect("created");
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.routes[1], route);
    assert!(!format!("{snapshot:?} {store:?}").contains("hunter2"));
}

async fn blocking_and_pinning_twice_changes_nothing(place: &mut Place) {
    let store = place.open().await;
    let start = store.snapshot().await.expect("a snapshot").mark.version;
    let pattern: DomainPattern = "*.bad.example".parse().expect("a pattern");
    for (blocked, version) in [(true, 1), (true, 1), (false, 2), (false, 2)] {
        store.set_blocked(&pattern, blocked).await.expect("an answer");
        let (now, news) = changes(store.as_ref(), start).await;
        assert_eq!(now - start, version);
        let expected = if blocked { vec![pattern.clone()] } else { vec![] };
        assert_eq!(news, [Change::Blocked(expected)]);
    }
    store.set_pinned(&domain("x.example"), true).await.expect("pinned");
    store.set_pinned(&domain("x.example"), true).await.expect("pinned");
    let (now, news) = changes(store.as_ref(), start + 2).await;
    assert_eq!((now, news), (start + 3, vec![Change::Pinned(vec![domain("x.example")])]));
}

async fn changes_come_in_order_and_once(place: &mut Place) {
    let store = place.open().await;
    let start = store.snapshot().await.expect("a snapshot").mark.version;
    store.put_configured(&domain("a.example"), "", 1).await.expect("a");
    store.put_configured(&domain("b.example"), "", 1).await.expect("b");
    store.remove_row(&domain("a.example")).await.expect("removed");
    let (version, news) = changes(store.as_ref(), start).await;
    let expected = [
        Change::Row(domain("a.example"), Origin::Configured),
        Change::Row(domain("b.example"), Origin::Configured),
        Change::RowRemoved(domain("a.example")),
    ];
    assert_eq!(news, expected);
    assert_eq!(changes(store.as_ref(), version - 1).await, (version, expected[2..].to_vec()));
    assert_eq!(changes(store.as_ref(), version).await, (version, vec![]));
}

async fn a_reader_from_the_future_must_take_a_snapshot(place: &mut Place) {
    let store = place.open().await;
    let version = store.snapshot().await.expect("a snapshot").mark.version;
    let news = store.changes_after(&at(version + 5), Duration::ZERO).await.expect("an answer");
    assert_eq!(news, News::Gap);
}

async fn waiting_ends_when_something_changes(place: &mut Place) {
    let store = place.open().await;
    let version = store.snapshot().await.expect("a snapshot").mark.version;
    let started = Instant::now();
    let patience = Duration::from_secs(20);
    let new = domain("a.example");
    let known = at(version);
    let (news, changed) =
        tokio::join!(store.changes_after(&known, patience), store.put_configured(&new, "", 1));
    changed.expect("changed");
    let News::Changes { changes, .. } = news.expect("news") else { panic!("a gap") };
    assert_eq!(changes.len(), 1);
    assert!(started.elapsed() < patience / 2);
    // And when nothing does, it ends in time.
    let nothing =
        store.changes_after(&at(version + 1), Duration::from_millis(20)).await.expect("news");
    assert_eq!(nothing, News::Changes { mark: at(version + 1), changes: vec![] });
}

async fn all_is_still_there_after_a_restart(place: &mut Place) {
    let store = place.open().await;
    unblock_open_route(store.as_ref()).await;
    store.insert_discovered(&discovered("a.example"), 10).await.expect("inserted");
    store.set_blocked(&"b.example".parse().expect("a pattern"), true).await.expect("blocked");
    let before = store.snapshot().await.expect("a snapshot");
    drop(store);
    let store = place.open().await;
    assert_eq!(store.snapshot().await.expect("a snapshot"), before);
    let (version, _) = changes(store.as_ref(), before.mark.version - 1).await;
    assert_eq!(version, before.mark.version, "catches up by version");
}

async fn a_follower_gets_a_snapshot_and_then_the_changes(place: &mut Place) {
    let store = place.open().await;
    let mut events = follow(store.clone());
    let Some(StoreEvent::Snapshot(snapshot)) = events.recv().await else { panic!("no snapshot") };
    for name in ["a.example", "b.example"] {
        store.put_configured(&domain(name), "", 1).await.expect("configured");
    }
    let mut seen = Vec::new();
    let mut last = snapshot.mark.version;
    while seen.len() < 2 {
        let Some(StoreEvent::Changes { version, changes }) = events.recv().await else {
            panic!("not changes")
        };
        assert!(version > last);
        last = version;
        seen.extend(changes);
    }
    assert_eq!(seen[1], Change::Row(domain("b.example"), Origin::Configured));
    assert_eq!(last, snapshot.mark.version + 2);
}
