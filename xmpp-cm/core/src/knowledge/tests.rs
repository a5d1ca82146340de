use openfed_proto::condition::Condition;
use openfed_proto::route::{Pattern, StaticRoute};

use super::*;

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
fn tables_decide_before_everything_and_never_go_back() {
    let (mut knowledge, now) = scene();
    let route = StaticRoute::new(Pattern::domain(".example.sip.*").unwrap(), "192.0.2.1");
    let blocked = StaticRoute {
        blocked: true,
        ..StaticRoute::new(Pattern::domain(".example.evil").unwrap(), "192.0.2.1")
    };
    knowledge.learn_tables(Tables {
        version: 2,
        routes: vec![route, blocked],
        blocked: vec![DomainPattern::Subtree(domain("bad.example"))],
        pinned: vec![domain("pinned.example")],
    });
    knowledge.learn_tables(Tables { version: 1, ..Tables::default() });
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
