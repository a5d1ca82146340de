//! The domain table, as scenes that both stores must play alike.

use super::*;

pub(super) async fn rows_are_discovered_only_while_the_open_route_is_open(place: &mut Place) {
    let store = place.open().await;
    let row_a = discovered("a.example");
    let insert = async || store.insert_discovered(&row_a, 10).await.expect("an answer");
    assert_eq!(insert().await, Inserted::NotOpen);

    let open = unblock_open_route(store.as_ref()).await;
    let Inserted::New(version) = insert().await else { panic!("not inserted") };
    assert_eq!(insert().await, Inserted::Exists(version));
    assert_eq!(row(store.as_ref(), "a.example").await, Some(row_a.clone()));

    // Blocked again: the row stays, no new one comes. Nor while it is out of service.
    let blocked = StaticRoute { blocked: true, ..open };
    let blocked = store.update_route(&blocked).await.expect("blocked");
    assert!(matches!(insert().await, Inserted::Exists(_)));
    let other = discovered("b.example");
    assert_eq!(store.insert_discovered(&other, 10).await.expect("an answer"), Inserted::NotOpen);
    let out_of_service = StaticRoute { blocked: false, in_service: false, ..blocked };
    store.update_route(&out_of_service).await.expect("out of service");
    assert_eq!(store.insert_discovered(&other, 10).await.expect("an answer"), Inserted::NotOpen);
}

pub(super) async fn a_blocked_or_pinned_domain_is_not_discovered(place: &mut Place) {
    let store = place.open().await;
    unblock_open_route(store.as_ref()).await;
    for pattern in ["evil.example", "*.bad.example"] {
        store.set_blocked(&pattern.parse().expect("a pattern"), true).await.expect("blocked");
    }
    store.set_pinned(&domain("xmpp.example"), true).await.expect("pinned");
    let expected = [
        ("evil.example", "Blocked"),
        ("bad.example", "Blocked"),
        ("very.bad.example", "Blocked"),
        ("xmpp.example", "Pinned"),
        ("sub.evil.example", "New"),
        ("notbad.example", "New"),
    ];
    for (name, result) in expected {
        let inserted = store.insert_discovered(&discovered(name), 10).await.expect("an answer");
        assert!(format!("{inserted:?}").starts_with(result), "{name}: {inserted:?}");
    }
    // A row that was there before the block is refused as well.
    store
        .set_blocked(&"sub.evil.example".parse().expect("a pattern"), true)
        .await
        .expect("blocked");
    let again = store.insert_discovered(&discovered("sub.evil.example"), 10).await;
    assert_eq!(again.expect("an answer"), Inserted::Blocked);
}

pub(super) async fn a_full_table_takes_no_new_rows_but_knows_the_old(place: &mut Place) {
    let store = place.open().await;
    unblock_open_route(store.as_ref()).await;
    store.put_configured(&domain("a.example"), "", 1).await.expect("configured");
    let insert = async |name| store.insert_discovered(&discovered(name), 2).await.expect("answer");
    assert!(matches!(insert("b.example").await, Inserted::New(_)));
    assert_eq!(insert("c.example").await, Inserted::TableFull);
    assert!(matches!(insert("b.example").await, Inserted::Exists(_)));
    store.remove_row(&domain("a.example")).await.expect("removed");
    assert!(matches!(insert("c.example").await, Inserted::New(_)));
}

pub(super) async fn a_domain_discovered_many_times_at_once_is_one_row(place: &mut Place) {
    let store = place.open().await;
    unblock_open_route(store.as_ref()).await;
    let before = store.snapshot().await.expect("a snapshot").mark.version;
    let row = discovered("a.example");
    let inserts = (0..20).map(|_| store.insert_discovered(&row, 100));
    let results = futures_util::future::join_all(inserts).await;
    let is_new = |result: &&Result<Inserted, _>| matches!(result, Ok(Inserted::New(_)));
    assert_eq!(results.iter().filter(is_new).count(), 1, "{results:?}");
    let (version, changes) = changes(store.as_ref(), before).await;
    assert_eq!(version, before + 1);
    assert_eq!(changes, [Change::Row(domain("a.example"), Origin::Discovered)]);
}

pub(super) async fn a_discovered_row_becomes_configured_without_losing_its_counts(
    place: &mut Place,
) {
    let store = place.open().await;
    unblock_open_route(store.as_ref()).await;
    let old = discovered("a.example");
    store.insert_discovered(&old, 10).await.expect("inserted");
    let version = store.put_configured(&old.domain, "the\u{1f} lab", 5).await.expect("configured");
    let expected =
        DomainRow { origin: Origin::Configured, description: "the lab".to_owned(), ..old.clone() };
    assert_eq!(row(store.as_ref(), "a.example").await, Some(expected));
    let news = changes(store.as_ref(), version - 1).await;
    assert_eq!(news, (version, vec![Change::Row(old.domain, Origin::Configured)]));
}

fn with(name: &str, finding: Finding, due: u64) -> DomainRow {
    DomainRow { ground: Some(Ground::new(finding, due)), ..discovered(name) }
}

pub(super) async fn questions_about_rows_without_a_proof_are_taken_once(place: &mut Place) {
    const DUE: u64 = 1_790_000_600;
    let store = place.open().await;
    unblock_open_route(store.as_ref()).await;
    let rows = [
        with("later.example", Finding::DnsFault, DUE + 10),
        with("now.example", Finding::Refused, DUE),
        with("proven.example", Finding::Absent, DUE),
        DomainRow { ground: None, ..discovered("old.example") },
    ];
    for row in &rows {
        store.insert_discovered(row, 10).await.expect("inserted");
    }
    let due = async |now, limit| {
        let due = store.questions_due(now, limit).await.expect("an answer");
        due.into_iter().map(|(domain, ground)| (domain.to_string(), ground)).collect::<Vec<_>>()
    };
    let now = ("now.example".to_owned(), Ground::new(Finding::Refused, DUE));
    assert_eq!(due(DUE - 1, 10).await, []);
    assert_eq!(due(DUE, 10).await, std::slice::from_ref(&now));
    let both = due(u64::MAX / 4, 10).await;
    assert_eq!(
        both.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
        ["now.example", "later.example"]
    );
    assert_eq!(due(u64::MAX / 4, 1).await, [now]);

    // Of two who try, one gets it, and it is due again when that one said.
    let domain_now = domain("now.example");
    let claims = [(); 2].map(|()| store.claim_question(&domain_now, DUE, DUE + 1_200));
    let claims = futures_util::future::join_all(claims).await;
    let taken = claims.into_iter().filter(|claim| *claim.as_ref().expect("an answer")).count();
    assert_eq!(taken, 1);
    let uses = DomainUse { domain: domain_now.clone(), hits: 3, last_seen: 7, last_failure: None };
    store.touch(&[uses]).await.expect("counted");
    let ground = Ground { finding: Finding::Refused, asked: 1, due: DUE + 1_200 };
    assert_eq!(row(store.as_ref(), "now.example").await.expect("a row").ground, Some(ground));
    assert_eq!(due(DUE + 10, 10).await.len(), 1);
    assert_eq!(due(DUE + 1_200, 10).await.len(), 2);

    // What is proven by now is not asked again; what XMPP answers for is gone.
    let settle = async |name, settled| {
        let settled = store.settle_question(&domain(name), settled).await.expect("an answer");
        settled.map(|row| row.domain.to_string())
    };
    let (version, _) = changes(store.as_ref(), 0).await;
    assert_eq!(settle("now.example", Settled::Absent).await.as_deref(), Some("now.example"));
    assert_eq!(settle("now.example", Settled::Reached).await, None);
    let proven = row(store.as_ref(), "now.example").await.expect("a row").ground;
    assert_eq!(proven, Some(Ground::new(Finding::Absent, 0)));
    assert_eq!(settle("later.example", Settled::Reached).await.as_deref(), Some("later.example"));
    assert_eq!(row(store.as_ref(), "later.example").await, None);
    let gone = Change::RowRemoved(domain("later.example"));
    assert_eq!(changes(store.as_ref(), version).await, (version + 1, vec![gone]));
    for name in ["proven.example", "old.example", "nobody.example"] {
        assert_eq!(settle(name, Settled::Reached).await, None, "{name}");
    }
    assert_eq!(due(u64::MAX / 4, 10).await, []);
    // There is room for one more than before.
    let row = with("more.example", Finding::Silent, DUE);
    let fits = store.insert_discovered(&row, 4).await.expect("an answer");
    assert!(matches!(fits, Inserted::New(_)), "{fits:?}");
}

pub(super) async fn a_confirmed_row_is_not_asked_about_and_stays(place: &mut Place) {
    const DUE: u64 = 1_790_000_600;
    let store = place.open().await;
    unblock_open_route(store.as_ref()).await;
    let names = ["put.example", "imported.example", "removed.example", "restored.example"];
    for name in names {
        store.insert_discovered(&discovered(name), 10).await.expect("inserted");
    }
    store.put_configured(&domain("put.example"), "", 5).await.expect("configured");
    store.import(&[(domain("imported.example"), String::new())], 5).await.expect("imported");
    store.remove_row(&domain("removed.example")).await.expect("removed");
    let backup = discovered("restored.example");
    let configured = DomainRow { origin: Origin::Configured, ..backup.clone() };
    store.put_rows(&[configured]).await.expect("restored");
    assert_eq!(store.questions_due(DUE, 10).await.expect("an answer"), []);
    for name in names {
        let claimed = store.claim_question(&domain(name), DUE, DUE + 1).await.expect("an answer");
        assert!(!claimed, "{name}");
        let settled = store.settle_question(&domain(name), Settled::Reached).await;
        assert_eq!(settled.expect("an answer"), None, "{name}");
    }
    let kept = row(store.as_ref(), "put.example").await.expect("it stays");
    assert_eq!((kept.origin, kept.ground), (Origin::Configured, discovered("x.example").ground));
    // It is asked about again once it is there again without a proof.
    store.insert_discovered(&discovered("removed.example"), 10).await.expect("inserted");
    store.put_rows(std::slice::from_ref(&backup)).await.expect("restored");
    let due = store.questions_due(DUE, 10).await.expect("an answer");
    let names: Vec<_> = due.iter().map(|(domain, _)| domain.as_str()).collect();
    assert_eq!(names, ["removed.example", "restored.example"]);
}

/// Programs of a layout without grounds write and read the same rows.
pub(super) fn a_row_of_an_older_program_is_read_and_one_of_ours_by_it() {
    let new = DomainRow { description: "a peer".to_owned(), ..discovered("a.example") };
    let text = record::encode_row(&new);
    let (old, ground) = text.rsplit_once('\u{1f}').expect("a ground behind all that was before");
    assert!(old.ends_with("\u{1f}a peer"), "{old:?}");
    assert_eq!(ground, "s0@1790000600");
    let read = record::decode_row(&new.domain, old).expect("an older row");
    assert_eq!(read, DomainRow { ground: None, ..new.clone() });
    for (unknown, expected) in [("z", None), ("s", Some((Finding::Silent, 0))), ("sx@1", None)] {
        let read = record::decode_row(&new.domain, &format!("{old}\u{1f}{unknown}"));
        let ground = read.expect("a row").ground.map(|ground| (ground.finding, ground.due));
        assert_eq!(ground, expected, "{unknown}");
    }
    for finding in Finding::ALL {
        let row = DomainRow { ground: Some(Ground::new(finding, 7)), ..new.clone() };
        assert_eq!(record::decode_row(&row.domain, &record::encode_row(&row)), Some(row));
    }
}

pub(super) async fn a_removed_row_can_be_discovered_again(place: &mut Place) {
    let store = place.open().await;
    unblock_open_route(store.as_ref()).await;
    store.insert_discovered(&discovered("a.example"), 10).await.expect("inserted");
    let version = store.remove_row(&domain("a.example")).await.expect("an answer").expect("a row");
    assert_eq!(store.remove_row(&domain("a.example")).await.expect("an answer"), None);
    assert_eq!(row(store.as_ref(), "a.example").await, None);
    let news = changes(store.as_ref(), version - 1).await;
    assert_eq!(news, (version, vec![Change::RowRemoved(domain("a.example"))]));
    let again = store.insert_discovered(&discovered("a.example"), 10).await.expect("an answer");
    assert_eq!(again, Inserted::New(version + 1));
}

pub(super) async fn uses_are_added_up(place: &mut Place) {
    let store = place.open().await;
    unblock_open_route(store.as_ref()).await;
    store.insert_discovered(&discovered("a.example"), 10).await.expect("inserted");
    let before = store.snapshot().await.expect("a snapshot").mark.version;
    let used = |name, hits, last_seen, failure: Option<&str>| DomainUse {
        domain: domain(name),
        hits,
        last_seen,
        last_failure: failure.map(str::to_owned),
    };
    let uses = [
        used("a.example", 7, 1_790_000_050, Some("remote-server-timeout")),
        used("unknown.example", 1, 1, None),
    ];
    store.touch(&uses).await.expect("touched");
    let touched = row(store.as_ref(), "a.example").await.expect("the row");
    assert_eq!((touched.hits, touched.last_seen), (8, 1_790_000_050));
    assert_eq!(touched.last_failure.as_deref(), Some("remote-server-timeout"));

    // Later news of an earlier use, and the last word is a success.
    store.touch(&[used("a.example", 1, 1_790_000_001, None)]).await.expect("touched");
    let touched = row(store.as_ref(), "a.example").await.expect("the row");
    assert_eq!((touched.hits, touched.last_seen, touched.last_failure), (9, 1_790_000_050, None));
    assert_eq!(row(store.as_ref(), "unknown.example").await, None);
    // Counting is not a change.
    assert_eq!(changes(store.as_ref(), before).await, (before, vec![]));
}

pub(super) async fn an_import_adds_and_configures_and_leaves_the_rest(place: &mut Place) {
    let store = place.open().await;
    unblock_open_route(store.as_ref()).await;
    store.insert_discovered(&discovered("seen.example"), 10).await.expect("inserted");
    store.insert_discovered(&discovered("plain.example"), 10).await.expect("inserted");
    store.put_configured(&domain("mine.example"), "as it was", 5).await.expect("configured");
    let (version, _) = changes(store.as_ref(), 0).await;

    let row_of = |name, text: &str| (domain(name), text.to_owned());
    let rows = [
        row_of("new.example", "fresh"),
        row_of("seen.example", "a peer"),
        row_of("plain.example", ""),
        row_of("mine.example", "another"),
        row_of("new.example", "twice"),
    ];
    let imported = store.import(&rows, 7).await.expect("imported");
    assert_eq!(imported, Imported { added: 1, configured: 2, unchanged: 2 });

    let new = row(store.as_ref(), "new.example").await.expect("a row");
    assert_eq!((new.origin, new.description.as_str()), (Origin::Configured, "fresh"));
    assert_eq!((new.first_seen, new.last_seen, new.hits), (7, 0, 0));
    let seen = row(store.as_ref(), "seen.example").await.expect("a row");
    let counted = DomainRow {
        origin: Origin::Configured,
        description: "a peer".to_owned(),
        ..discovered("seen.example")
    };
    assert_eq!(seen, counted, "what was counted stays");
    let mine = row(store.as_ref(), "mine.example").await.expect("a row");
    assert_eq!((mine.description.as_str(), mine.first_seen), ("as it was", 5));
    // One version for all of it, and only for what changed.
    let told = ["new.example", "seen.example", "plain.example"];
    let told = told.map(|name| Change::Row(domain(name), Origin::Configured));
    assert_eq!(changes(store.as_ref(), version).await, (version + 1, told.to_vec()));

    assert_eq!(store.import(&rows, 8).await.expect("imported").unchanged, 5);
    assert_eq!(changes(store.as_ref(), version + 1).await, (version + 1, vec![]));
    // The cap counts imported rows, too.
    let full = store.insert_discovered(&discovered("more.example"), 4).await.expect("an answer");
    assert_eq!(full, Inserted::TableFull);
}

pub(super) async fn a_reader_follows_an_import_or_learns_that_it_cannot(place: &mut Place) {
    const ROWS: usize = 10_000;
    let store = place.open().await;
    let (start, _) = changes(store.as_ref(), 0).await;
    let rows: Vec<_> =
        (0..ROWS).map(|number| (domain(&format!("n{number}.example")), String::new())).collect();
    let imported = store.import(&rows, 7).await.expect("imported");
    assert_eq!(imported.added, ROWS as u64);

    // In pieces, none of which holds the reader up for long.
    let (mut version, mut seen) = (start, 0);
    while seen < ROWS {
        let (next, some) = changes(store.as_ref(), version).await;
        assert!((1..=8_000).contains(&some.len()), "{} at once", some.len());
        (version, seen) = (next, seen + some.len());
    }
    assert_eq!(changes(store.as_ref(), version).await, (version, vec![]));
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!((snapshot.mark.version, snapshot.rows.len()), (version, ROWS));

    // Rows that come and go for long push the first ones out of the log, which stays small.
    for _ in 0..=IMPORTS {
        store.remove_row(&rows[0].0).await.expect("removed");
        store.import(&rows[..1], 7).await.expect("imported");
    }
    let news = store.changes_after(&at(start), Duration::ZERO).await.expect("news");
    assert_eq!(news, News::Gap);
    let (latest, _) = changes(store.as_ref(), version + 2 * IMPORTS).await;
    assert_eq!(latest, version + 2 * (IMPORTS + 1));
}

pub(super) async fn restored_rows_are_as_they_were(place: &mut Place) {
    let store = place.open().await;
    unblock_open_route(store.as_ref()).await;
    store.put_configured(&domain("a.example"), "of before", 1).await.expect("configured");
    let (start, _) = changes(store.as_ref(), 0).await;
    let mut rows = vec![
        DomainRow {
            origin: Origin::Configured,
            description: "a peer".to_owned(),
            hits: 77,
            last_failure: Some("remote-server-timeout".to_owned()),
            ..discovered("a.example")
        },
        discovered("b.example"),
    ];
    rows.extend((0..600).map(|number| discovered(&format!("n{number}.example"))));
    store.put_rows(&rows).await.expect("written");
    let domains: Vec<_> = rows.iter().map(|row| row.domain.clone()).collect();
    assert_eq!(store.rows(&domains).await.expect("rows"), rows);
    let (_, told) = changes(store.as_ref(), start).await;
    let expected = rows.iter().map(|row| Change::Row(row.domain.clone(), row.origin));
    assert_eq!(told, expected.collect::<Vec<_>>());
    // The cap counts them, each once.
    store.put_rows(&rows[..2]).await.expect("written");
    let new = discovered("new.example");
    let full = store.insert_discovered(&new, rows.len() as u64).await.expect("an answer");
    assert_eq!(full, Inserted::TableFull);
    let fits = store.insert_discovered(&new, rows.len() as u64 + 1).await.expect("an answer");
    assert!(matches!(fits, Inserted::New(_)), "{fits:?}");
}
