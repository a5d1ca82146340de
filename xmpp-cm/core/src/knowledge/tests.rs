use openfed_proto::condition::Condition;
use openfed_proto::link::Era;
use openfed_proto::route::{Pattern, StaticRoute};

use super::*;

const ROUTER: RouterId = RouterId(1);

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a scene needs some instant to count from")]
fn scene() -> (Knowledge, Instant) {
    (Knowledge::new(Duration::from_secs(600), 2), Instant::now())
}

#[test]
fn a_known_sip_domain_stays_one_although_xmpp_worked() {
    let (mut knowledge, now) = scene();
    let both = domain("both.example");
    knowledge.learn_xmpp(&both, now);
    assert_eq!(knowledge.way(&both, now), Way::Xmpp);
    knowledge.learn_verdict(both.clone(), true, now + Duration::from_secs(60), now);
    assert_eq!(knowledge.way(&both, now), Way::Sip);
    knowledge.learn_verdict(both.clone(), false, now, now);
    assert_eq!(knowledge.way(&both, now), Way::Xmpp);
}

#[test]
fn what_was_invalidated_is_asked_again_but_an_outage_stays_an_outage() {
    let (mut knowledge, now) = scene();
    let (one, two) = (domain("one.example"), domain("two.example"));
    knowledge.learn_xmpp(&one, now);
    knowledge.learn_verdict(two.clone(), true, now + Duration::from_secs(60), now);
    knowledge.forget(Some(&[one.clone(), two.clone()]));
    assert_eq!(knowledge.way(&one, now), Way::Unknown);
    assert_eq!(knowledge.way(&two, now), Way::Unknown);
    let failure = Failure::new(Condition::RemoteServerTimeout, Cause::Unreachable);
    assert_eq!(knowledge.judge(&one, failure.clone(), now).cause, Cause::Outage);
    assert_eq!(knowledge.judge(&two, failure.clone(), now).cause, Cause::Unreachable);
    knowledge.confirm_xmpp(&one, now);
    assert_eq!(knowledge.way(&one, now), Way::Xmpp);
    let later = now + Duration::from_secs(600);
    assert_eq!(knowledge.way(&one, later), Way::Unknown);
    assert_eq!(knowledge.judge(&one, failure, later).cause, Cause::Unreachable);
    knowledge.forget(None);
}

#[test]
fn tables_decide_before_everything_and_the_newest_is_in_force() {
    let (mut knowledge, now) = scene();
    let route = StaticRoute::new(Pattern::domain(".example.sip.*").unwrap(), "192.0.2.1");
    let blocked = StaticRoute {
        blocked: true,
        ..StaticRoute::new(Pattern::domain(".example.evil").unwrap(), "192.0.2.1")
    };
    knowledge.learn_tables(
        ROUTER,
        Tables {
            era: Era::default(),
            version: 2,
            routes: vec![route, blocked],
            blocked: vec![DomainPattern::Subtree(domain("bad.example"))],
            pinned: vec![domain("pinned.example")],
        },
    );
    // An older one of another router comes late.
    knowledge.learn_tables(RouterId(2), Tables { version: 1, ..Tables::default() });
    for (name, way) in [
        ("sip.example", Way::Sip),
        ("a.sip.example", Way::Sip),
        ("evil.example", Way::Blocked),
        ("very.bad.example", Way::Blocked),
        ("pinned.example", Way::Xmpp),
        ("other.example", Way::Unknown),
    ] {
        assert_eq!(knowledge.way(&domain(name), now), way, "{name}");
    }
}

#[test]
fn the_near_caches_are_bounded() {
    let (mut knowledge, now) = scene();
    let lease = now + Duration::from_secs(1);
    for name in ["a.example", "b.example", "c.example"] {
        knowledge.learn_verdict(domain(name), true, lease, now);
        knowledge.learn_xmpp(&domain(name), now);
    }
    assert_eq!((knowledge.sip.len(), knowledge.worked.len()), (2, 2));
    knowledge.learn_verdict(domain("d.example"), true, lease + Duration::from_secs(9), lease);
    assert_eq!(knowledge.way(&domain("d.example"), lease), Way::Sip, "what ran out made room");
}

#[test]
fn tables_of_a_store_that_went_back_take_the_place_of_newer_ones() {
    let (mut knowledge, now) = scene();
    let evil = domain("evil.example");
    let tables = |number, version, blocked: &[&str]| Tables {
        era: Era { store: 7, number },
        version,
        blocked: blocked.iter().map(|name| DomainPattern::Exact(domain(name))).collect(),
        ..Tables::default()
    };
    for router in [ROUTER, RouterId(2)] {
        knowledge.learn_tables(router, tables(1, 100, &[]));
    }
    assert_eq!(knowledge.way(&evil, now), Way::Unknown);
    // One router says that the store went back; the other one has not noticed, and tells of its own.
    knowledge.learn_tables(ROUTER, tables(2, 90, &["evil.example"]));
    assert_eq!(knowledge.way(&evil, now), Way::Blocked);
    knowledge.learn_tables(RouterId(2), tables(1, 101, &[]));
    assert_eq!(knowledge.way(&evil, now), Way::Blocked);
    // With the router that said so gone, what the other one holds is in force; with both, nothing
    // changes until one is back, whatever it holds.
    knowledge.lose_router(ROUTER);
    assert_eq!(knowledge.way(&evil, now), Way::Unknown);
    knowledge.lose_router(RouterId(2));
    knowledge.learn_tables(RouterId(3), tables(1, 3, &["evil.example"]));
    assert_eq!(knowledge.way(&evil, now), Way::Blocked);
}
