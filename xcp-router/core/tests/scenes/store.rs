//! The store is slow, full, down or back; rows are limited.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::link::{Era, FromRouter, Instruction};
use openfed_proto::packet::{Cause, Ending, Packet, PacketId, Protocol, Role, Source};
use openfed_proto::route::{DomainPattern, Origin};
use xcp_router_core::{Event, InsertResult, StoreFact, TableChange};

use crate::scene::*;

fn reasons(scene: &Scene) -> Vec<&'static str> {
    let no_row = |event: &Event| match event {
        Event::NoRow { reason, .. } => Some(*reason),
        _ => None,
    };
    scene.events.iter().filter_map(no_row).collect()
}

/// A successful discovery up to the insert.
fn discovered_by_sip(scene: &mut Scene, name: &str) -> PacketId {
    let packet = scene.sip_out(name);
    let id = scene.submit(SIP, packet);
    scene.play(Instruction::Reach, XMPP, not_found());
    scene.play(Instruction::Discover, SIP, delivered(Protocol::Sip));
    id
}

#[test]
fn while_the_store_is_down_known_domains_go_on_and_unknown_ones_are_put_off() {
    let mut scene = Scene::open();
    scene.change(vec![TableChange::Row(domain("known.example"), Origin::Discovered)]);
    scene.store(StoreFact::Down);
    scene.forget_frames();
    let packet = scene.xmpp_out("known.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    scene.finished();
    for (link, packet) in
        [(XMPP, scene.xmpp_out("new.example")), (SIP, scene.sip_in("new.example"))]
    {
        scene.submit(link, packet);
        let finished = scene.finished();
        assert_eq!(why(&finished), (Condition::ResourceConstraint, Cause::Busy));
        let Ending::Failed(failure) = &finished.outcome.ending else { panic!() };
        assert!(failure.retry_after.is_some());
    }
    scene.store(StoreFact::Up);
    scene.discover("new.example");
}

#[test]
fn before_the_first_snapshot_nothing_unknown_is_decided() {
    let mut scene = Scene::bare(|_| {});
    let sip = scene.link(Role::SipCm, "sip-1");
    scene.link(Role::XmppCm, "xmpp-1");
    assert!(!scene.router.is_ready());
    let packet = scene.sip_out("foreign.example");
    scene.submit(sip, packet);
    assert_eq!(why(&scene.finished()), (Condition::ResourceConstraint, Cause::Busy));
    scene.snapshot(vec![open_route()], &[]);
    assert!(scene.router.is_ready());
    scene.forget_frames();
}

#[test]
fn a_store_that_fails_or_refuses_the_row_spoils_no_delivery() {
    for result in
        [InsertResult::Unavailable, InsertResult::Refused("the open route is not open any more")]
    {
        let mut scene = Scene::open();
        discovered_by_sip(&mut scene, "foreign.example");
        scene.insert_fails(result);
        assert!(is_delivered(&scene.finished()));
        assert_eq!(reasons(&scene).len(), 1);
    }
}

#[test]
fn a_hanging_store_holds_an_answer_for_less_than_half_a_second() {
    let mut scene = Scene::open();
    let id = discovered_by_sip(&mut scene, "foreign.example");
    assert!(matches!(scene.act(), Act::Insert { .. }));
    scene.pass(Duration::from_millis(450));
    assert!(is_delivered(&scene.finished()));
    let late = InsertResult::Present { version: 9 };
    scene.router.handle_inserted(id, late, scene.now);
    scene.collect();
    scene.quiet();
}

#[test]
fn old_changes_are_ignored_and_a_snapshot_replaces_all() {
    let mut scene = Scene::open();
    scene.discover("foreign.example");
    let stale = vec![TableChange::RowRemoved(domain("foreign.example"))];
    scene.store(StoreFact::Changes { version: 1, changes: stale });
    scene.quiet();
    assert_eq!(scene.router.rows(), 1);
    scene.snapshot(vec![open_route()], &[("a.example", Origin::Configured)]);
    scene.forget_frames();
    assert_eq!(scene.router.rows(), 1);
    let packet = scene.xmpp_out("a.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    scene.finished();
}

#[test]
fn a_flood_of_made_up_domains_stays_capped() {
    let mut scene = Scene::open();
    let mut inserts = 0;
    for number in 0..200 {
        let packet = scene.sip_in(&format!("flood{number}.example"));
        scene.submit(SIP, packet);
        scene.play(Instruction::Probe, XMPP, not_found());
        scene.play(Instruction::Accept, SIP, delivered(Protocol::Xmpp));
        if matches!(scene.acts().front(), Some(Act::Insert { .. })) {
            scene.insert();
            scene.announced(&format!("flood{number}.example"));
            inserts += 1;
        }
        assert!(is_delivered(&scene.finished()), "no row is no reason to fail");
    }
    assert_eq!(inserts, 50, "a second's worth for one node");
}

#[test]
fn one_source_gets_five_rows_a_second() {
    let mut scene = Scene::open();
    for number in 0..8 {
        let packet = scene.sip_in(&format!("evil{number}.example"));
        scene.submit(SIP, Packet { source: Source(1), ..packet });
        scene.play(Instruction::Probe, XMPP, not_found());
        scene.play(Instruction::Accept, SIP, delivered(Protocol::Xmpp));
        if number < 5 {
            scene.insert();
            scene.announced(&format!("evil{number}.example"));
        }
        scene.finished();
    }
    assert_eq!(reasons(&scene), ["too many new domains"; 3]);
    let packet = scene.sip_in("neighbour.example");
    scene.submit(SIP, Packet { source: Source(2), ..packet });
    scene.play(Instruction::Probe, XMPP, not_found());
    scene.play(Instruction::Accept, SIP, delivered(Protocol::Xmpp));
    scene.insert();
    scene.announced("neighbour.example");
    scene.finished();
    scene.pass(Duration::from_secs(1));
    discovered_by_sip(&mut scene, "good.example");
    scene.insert();
    scene.announced("good.example");
    scene.finished();
}

#[test]
fn a_full_table_takes_no_rows_and_raises_an_alarm() {
    let mut scene = Scene::with(|config| config.table_cap = 1);
    scene.discover("first.example");
    discovered_by_sip(&mut scene, "second.example");
    assert!(is_delivered(&scene.finished()));
    assert!(scene.health.contains_key("domain table"));
    scene.change(vec![TableChange::RowRemoved(domain("first.example"))]);
    scene.forget_frames();
    discovered_by_sip(&mut scene, "third.example");
    scene.insert();
    scene.announced("third.example");
    scene.finished();
    assert!(scene.health.is_empty());
}

#[test]
fn no_row_for_relatives_of_our_own_domains_nor_for_numbers() {
    for name in ["sub.corp.example", "example", "127.1"] {
        let mut scene = Scene::open();
        discovered_by_sip(&mut scene, name);
        assert!(is_delivered(&scene.finished()), "{name}");
        assert_eq!(reasons(&scene), ["not a domain of its own"]);
    }
}

#[test]
fn no_row_for_an_inbound_request_that_reached_no_user() {
    let mut scene = Scene::open();
    let packet = scene.sip_in("foreign.example");
    scene.submit(SIP, opaque(packet, "OPTIONS"));
    scene.play(Instruction::Probe, XMPP, not_found());
    scene.play(Instruction::Accept, SIP, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
    assert_eq!(reasons(&scene), ["no local user was reached"]);
}

#[test]
fn no_row_for_what_another_route_than_the_open_one_carried() {
    let mut scene = Scene::open();
    let packet = scene.sip_out("foreign.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Reach, XMPP, not_found());
    let attempt = scene.expect(Instruction::Discover, SIP);
    scene.end_by(SIP, &attempt, delivered(Protocol::Sip), Some("4930*"));
    assert!(is_delivered(&scene.finished()));
    assert_eq!(reasons(&scene), ["not by the open route"]);
}

#[test]
fn uses_that_a_node_counts_by_itself_are_passed_on() {
    use openfed_proto::link::{DomainUse, FromCm};
    let mut scene = Scene::open();
    let used =
        DomainUse { domain: domain("known.example"), hits: 7, last_seen: 1, last_failure: None };
    scene.frame(SIP, FromCm::Usage(vec![used.clone()]));
    scene.frame(SIP, FromCm::Usage(vec![used]));
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.uses["known.example"], 14);
}

#[test]
fn many_new_rows_at_once_are_not_announced_one_by_one() {
    let mut scene = Scene::open();
    let rows: Vec<_> = (0..65).map(|number| domain(&format!("n{number}.example"))).collect();
    let row = |row| TableChange::Row(row, Origin::Configured);
    scene.change(rows.iter().cloned().map(row).collect());
    for link in [SIP, XMPP] {
        assert_eq!(scene.frame_to(link), FromRouter::Invalidate(Some(rows.clone())));
    }
    let packet = scene.xmpp_out("n7.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
}

#[test]
fn a_new_snapshot_takes_the_place_of_all_rows_and_the_old_ones_are_dropped_elsewhere() {
    let mut scene = Scene::open();
    let rows = [("a.example", Origin::Discovered), ("b.example", Origin::Configured)];
    scene.snapshot(vec![open_route()], &rows);
    assert_eq!((scene.router.rows(), scene.discarded), (2, 0), "none to drop");
    scene.snapshot(vec![open_route()], &rows[..1]);
    assert_eq!((scene.router.rows(), scene.discarded), (1, 2));
    scene.forget_frames();
}

#[test]
fn a_store_that_went_back_is_obeyed_by_all_and_told_once() {
    let mut scene = Scene::open();
    let evil = vec![DomainPattern::Exact(domain("evil.example"))];
    scene.change(vec![TableChange::Blocked(evil.clone())]);
    scene.change(vec![TableChange::Row(domain("foreign.example"), Origin::Discovered)]);
    scene.forget_frames();
    scene.snapshot_of(2, 1, Vec::new());
    for link in [SIP, XMPP] {
        assert_eq!(scene.frame_to(link), FromRouter::Invalidate(None));
    }
    for link in [SIP, XMPP] {
        let FromRouter::Tables(tables) = scene.frame_to(link) else { panic!("no tables") };
        assert_eq!((tables.era, tables.version), (Era { store: 1, number: 2 }, 1));
        assert!(tables.blocked.is_empty());
    }
    let told = [Event::StoreWentBack { from: 3, to: 1 }];
    let went_back = |event: &&Event| matches!(event, Event::StoreWentBack { .. });
    assert!(scene.events.iter().filter(went_back).eq(&told));
    assert_eq!(scene.router.rows(), 0);
    // What follows, and a snapshot because the log was too short, are no news of that kind.
    scene.change(vec![TableChange::Blocked(evil.clone())]);
    scene.snapshot_of(2, 9, evil.clone());
    assert!(scene.events.iter().filter(went_back).eq(&told));
    // It went back, and has got further since than it had been.
    scene.snapshot_of(3, 20, evil);
    let [first] = told;
    let told = [first, Event::StoreWentBack { from: 9, to: 20 }];
    assert!(scene.events.iter().filter(went_back).eq(&told));
    scene.forget_frames();
}

/// The answer to an insert comes when the store is older than the row.
#[test]
fn a_row_that_went_with_the_store_is_not_kept() {
    let mut scene = Scene::open();
    let id = discovered_by_sip(&mut scene, "foreign.example");
    assert!(matches!(scene.act(), Act::Insert { .. }));
    scene.snapshot_of(2, 1, Vec::new());
    scene.forget_frames();
    scene.router.handle_inserted(id, InsertResult::Present { version: 2 }, scene.now);
    scene.collect();
    assert!(is_delivered(&scene.finished()));
    assert_eq!(scene.router.rows(), 0);
}
