//! The operator changes something while traffic runs.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::link::{FromCm, FromRouter, Instruction};
use openfed_proto::packet::{Cause, Direction, Protocol, Role};
use openfed_proto::route::{Origin, StaticRoute};
use xcp_router_core::{Decision, TableChange};

use crate::scene::*;

#[test]
fn a_removed_row_is_forgotten_everywhere_and_rediscovered_while_open() {
    let mut scene = Scene::open();
    scene.discover("foreign.example");
    scene.change(vec![TableChange::RowRemoved(domain("foreign.example"))]);
    for link in [SIP, XMPP] {
        let expected = FromRouter::Invalidate(Some(vec![domain("foreign.example")]));
        assert_eq!(scene.frame_to(link), expected);
    }
    // Within 5 s the word of XMPP still holds; afterwards all is asked again.
    scene.pass(std::time::Duration::from_secs(6));
    scene.discover("foreign.example");
}

#[test]
fn a_connection_manager_may_ask_whether_a_domain_is_known() {
    let mut scene = Scene::open();
    scene.discover("foreign.example");
    scene.forget_frames();
    for (name, sip) in [("foreign.example", true), ("other.example", false)] {
        scene.frame(SIP, FromCm::Ask(domain(name)));
        let answer = scene.frame_to(SIP);
        assert!(
            matches!(&answer, FromRouter::Verdict { domain: d, sip: s, .. } if *d == domain(name) && *s == sip),
            "{answer:?}"
        );
    }
    scene.quiet();
}

#[test]
fn before_the_table_is_loaded_nobody_is_denied() {
    let mut scene = Scene::bare(|_| {});
    let link = scene.link(Role::SipCm, "early");
    scene.frame(link, FromCm::Ask(domain("foreign.example")));
    let lease = Duration::ZERO;
    let expected = FromRouter::Verdict { domain: domain("foreign.example"), sip: true, lease };
    assert_eq!(scene.frame_to(link), expected);
}

/// A row of a time before the domain above it became ours would let others speak for us.
#[test]
fn a_domain_below_ours_is_known_by_the_operators_word_alone() {
    let below = "sip.corp.example";
    let mut scene = Scene::open();
    for (origin, sip) in [(Origin::Discovered, false), (Origin::Configured, true)] {
        scene.change(vec![TableChange::Row(domain(below), origin)]);
        scene.forget_frames();
        scene.frame(SIP, FromCm::Ask(domain(below)));
        let answer = scene.frame_to(SIP);
        assert!(
            matches!(&answer, FromRouter::Verdict { sip: told, .. } if *told == sip),
            "{answer:?}"
        );
    }
    let mut early = Scene::bare(|_| {});
    let link = early.link(Role::SipCm, "early");
    early.frame(link, FromCm::Ask(domain(below)));
    early.quiet();
}

#[test]
fn a_removed_row_is_refused_while_blocked() {
    let mut scene = Scene::open();
    scene.discover("foreign.example");
    scene.change(vec![TableChange::Routes(vec![StaticRoute::predefined()])]);
    scene.change(vec![TableChange::RowRemoved(domain("foreign.example"))]);
    scene.forget_frames();
    let packet = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, packet);
    assert_eq!(why(&scene.finished()).0, Condition::RemoteServerNotFound, "outbound: not found");
    let packet = scene.sip_in("foreign.example");
    scene.submit(SIP, packet);
    assert_eq!(why(&scene.finished()), (Condition::NotAllowed, Cause::Policy), "inbound: 403");
    scene.pass(std::time::Duration::from_secs(6));
    let packet = scene.sip_in("foreign.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Probe, XMPP, not_found());
    assert_eq!(why(&scene.finished()), (Condition::NotAllowed, Cause::Policy));
}

#[test]
fn blocking_the_open_route_ends_a_discovery_in_flight_as_not_allowed() {
    for direction in [Direction::Outbound, Direction::Inbound] {
        let mut scene = Scene::open();
        let (packet, instruction, first) = match direction {
            Direction::Inbound => {
                (scene.sip_in("new.example"), Instruction::Accept, Instruction::Probe)
            }
            _ => (scene.sip_out("new.example"), Instruction::Discover, Instruction::Reach),
        };
        scene.submit(SIP, packet);
        scene.play(first, XMPP, not_found());
        let attempt = scene.expect(instruction, SIP);
        scene.change(vec![TableChange::Routes(vec![StaticRoute::predefined()])]);
        scene.forget_frames();
        assert_eq!(why(&scene.finished()), (Condition::NotAllowed, Cause::Policy));
        // The late ending makes no row.
        scene.end(SIP, &attempt, delivered(Protocol::Sip));
        assert_eq!(scene.router.rows(), 0);
    }
}

#[test]
fn blocking_during_the_xmpp_attempt_lets_xmpp_answer() {
    let mut scene = Scene::open();
    let first = scene.xmpp_out("new.example");
    let second = scene.sip_in("new.example");
    scene.submit(XMPP, first);
    scene.submit(SIP, second);
    let attempt = scene.expect(Instruction::Reach, XMPP);
    scene.change(vec![TableChange::Routes(vec![StaticRoute::predefined()])]);
    scene.forget_frames();
    scene.end(XMPP, &attempt, not_found());
    assert_eq!(why(&scene.finished()), (Condition::RemoteServerNotFound, Cause::NotFound));
    assert_eq!(why(&scene.finished()), (Condition::NotAllowed, Cause::Policy));
}

#[test]
fn blocking_the_domain_ends_its_discovery_and_all_that_wait() {
    let mut scene = Scene::open();
    for _ in 0..3 {
        let packet = scene.xmpp_out("new.example");
        scene.submit(XMPP, packet);
    }
    scene.expect(Instruction::Reach, XMPP);
    scene.change(vec![TableChange::Blocked(vec!["new.example".parse().unwrap()])]);
    scene.forget_frames();
    for _ in 0..3 {
        let finished = scene.finished();
        assert_eq!(finished.decision, Decision::Blocked);
        assert_eq!(why(&finished), (Condition::PolicyViolation, Cause::Policy));
    }
}

#[test]
fn a_discovered_domain_that_is_configured_keeps_its_traffic() {
    let mut scene = Scene::open();
    scene.discover("foreign.example");
    scene.change(vec![TableChange::Row(domain("foreign.example"), Origin::Configured)]);
    scene.quiet();
    let packet = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    assert_eq!(scene.finished().decision, Decision::Configured);
}

#[test]
fn a_row_of_another_router_is_told_to_our_nodes_and_serves_what_waits() {
    let mut scene = Scene::open();
    for _ in 0..2 {
        let packet = scene.xmpp_out("foreign.example");
        scene.submit(XMPP, packet);
    }
    let attempt = scene.expect(Instruction::Reach, XMPP);
    scene.change(vec![TableChange::Row(domain("foreign.example"), Origin::Discovered)]);
    scene.announced("foreign.example");
    scene.end(XMPP, &attempt, not_found());
    for _ in 0..2 {
        scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
        scene.finished();
    }
}

#[test]
fn repairing_the_next_hop_ends_the_five_seconds() {
    let mut scene = Scene::open();
    let packet = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Reach, XMPP, not_found());
    scene.play(Instruction::Discover, SIP, unreachable());
    scene.finished();
    scene.change(vec![TableChange::Routes(vec![open_route()])]);
    scene.forget_frames();
    let packet = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Discover, SIP, delivered(Protocol::Sip));
    scene.insert();
    scene.announced("foreign.example");
    scene.finished();
}

#[test]
fn tables_reach_every_node_with_their_version_and_a_new_one_at_once() {
    let mut scene = Scene::open();
    scene.change(vec![TableChange::Pinned(vec![domain("x.example")])]);
    let mut versions = Vec::new();
    for link in [SIP, XMPP] {
        let FromRouter::Tables(tables) = scene.frame_to(link) else { panic!("no tables") };
        versions.push(tables.version);
    }
    let late = scene.link(openfed_proto::packet::Role::SipCm, "sip-2");
    let FromRouter::Tables(tables) = scene.frame_to(late) else { panic!("no tables") };
    versions.push(tables.version);
    assert_eq!(versions, [2, 2, 2]);
    assert_eq!(scene.frame_to(late), FromRouter::Invalidate(None));
}

#[test]
fn explain_tells_what_would_happen_by_the_same_decision() {
    let mut scene = Scene::open();
    let tell = |scene: &Scene, name: &str, direction| {
        let explanation = scene.router.explain(&domain(name), direction, scene.now);
        let rules: Vec<&str> = explanation.steps.iter().map(|step| step.rule).collect();
        let last = explanation.steps.last().map(|step| step.answer.clone()).unwrap_or_default();
        (explanation.decision, rules.join(" "), last)
    };
    let (decision, rules, last) = tell(&scene, "new.example", Direction::Outbound);
    assert_eq!(decision, Decision::Discover);
    assert!(rules.contains("xmpp-available") && rules.contains("open-route"), "{rules}");
    assert!(last.starts_with("Try SIP by the open route"), "{last}");
    scene.discover("foreign.example");
    let (decision, _, last) = tell(&scene, "foreign.example", Direction::Inbound);
    assert_eq!((decision, last.as_str()), (Decision::Cached, "Deliver it to the home server."));
    assert_eq!(tell(&scene, "corp.example", Direction::Outbound).0, Decision::Local);
    scene.change(vec![TableChange::Routes(vec![StaticRoute::predefined()])]);
    scene.forget_frames();
    let (_, _, last) = tell(&scene, "new.example", Direction::Inbound);
    assert_eq!(last, "Answer not-allowed.");
    let rules = |name: &str| tell(&scene, name, Direction::Inbound).1;
    assert!(rules("anonymous.invalid").starts_with("special-use "));
    assert!(rules("voiceipg").starts_with("special-use "));
    assert!(rules("straße.example").starts_with("prepared-name "));
    assert!(!rules("new.example").contains("special-use"));
    assert!(rules("sip.corp.example").starts_with("subdomain "));
    assert!(!rules("notcorp.example").contains("subdomain"));
}
