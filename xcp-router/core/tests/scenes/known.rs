//! Domains that are known, pinned, blocked or our own; no discovery.

use openfed_proto::condition::Condition;
use openfed_proto::link::{FromRouter, Instruction};
use openfed_proto::packet::{Cause, Direction, Packet, Protocol};
use openfed_proto::route::{DomainPattern, Origin, StaticRoute};
use xcp_router_core::{Decision, TableChange};

use crate::scene::*;

fn known(origin: Origin) -> Scene {
    let mut scene = Scene::open();
    scene.change(vec![TableChange::Row(domain("known.example"), origin)]);
    scene.forget_frames();
    scene
}

#[test]
fn a_known_domain_goes_straight_in_both_directions_even_while_the_open_route_is_blocked() {
    for (origin, decision) in
        [(Origin::Configured, Decision::Configured), (Origin::Discovered, Decision::Cached)]
    {
        for blocked in [false, true] {
            let mut scene = known(origin);
            let open_route = StaticRoute { blocked, ..open_route() };
            scene.change(vec![TableChange::Routes(vec![open_route])]);
            scene.forget_frames();
            let packet = scene.xmpp_out("known.example");
            scene.submit(XMPP, packet);
            scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
            assert_eq!(scene.finished().decision, decision);
            let packet = scene.sip_in("known.example");
            scene.submit(SIP, packet);
            scene.forget_frames();
            scene.play(Instruction::Home, XMPP, delivered(Protocol::Xmpp));
            assert_eq!(scene.finished().decision, decision);
        }
    }
}

#[test]
fn a_sip_cm_that_asks_gets_the_verdict_before_the_packet_but_not_every_time() {
    let mut scene = Scene::open();
    scene.snapshot(vec![open_route()], &[("known.example", Origin::Discovered)]);
    scene.forget_frames();
    let packet = scene.sip_out("known.example");
    scene.submit(SIP, packet);
    let FromRouter::Verdict { domain, sip: true, lease } = scene.frame_to(SIP) else {
        panic!("no verdict")
    };
    assert_eq!((domain.as_str(), lease.as_secs()), ("known.example", 300));
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    scene.finished();
    let packet = scene.sip_out("known.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    scene.finished();
}

#[test]
fn an_xmpp_only_stanza_for_a_sip_domain_is_unmappable_and_the_xmpp_cm_learns_it() {
    let mut scene = Scene::open();
    scene.snapshot(vec![open_route()], &[("known.example", Origin::Discovered)]);
    scene.forget_frames();
    let packet = scene.xmpp_out("known.example");
    scene.submit(XMPP, opaque(packet, "iq"));
    assert!(matches!(scene.frame_to(XMPP), FromRouter::Verdict { sip: true, .. }));
    let finished = scene.finished();
    assert_eq!(why(&finished), (Condition::ServiceUnavailable, Cause::Unmappable));
}

#[test]
fn a_specific_static_route_makes_a_domain_configured() {
    let mut scene = Scene::open();
    let routes = vec![open_route(), route(".com.partner.*")];
    scene.change(vec![TableChange::Routes(routes)]);
    scene.forget_frames();
    let packet = scene.xmpp_out("im.partner.com");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    assert_eq!(scene.finished().decision, Decision::Configured);
    let packet = scene.xmpp_out("notpartner.com");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Reach, XMPP, delivered(Protocol::Xmpp));
    assert_eq!(scene.finished().decision, Decision::Discover);
}

#[test]
fn a_blocked_route_refuses_what_it_matches() {
    let mut scene = Scene::open();
    let blocked = StaticRoute { blocked: true, ..route(".com.partner.*") };
    let better = StaticRoute { id: 2, ..route(".com.partner.im") };
    scene.change(vec![TableChange::Routes(vec![open_route(), blocked, better])]);
    scene.forget_frames();
    for packet in [scene.xmpp_out("x.partner.com"), scene.sip_in("partner.com")] {
        let link = if packet.direction == Direction::Inbound { SIP } else { XMPP };
        scene.submit(link, packet);
        let finished = scene.finished();
        assert_eq!(finished.decision, Decision::Blocked);
        assert_eq!(why(&finished), (Condition::PolicyViolation, Cause::Policy));
    }
    let packet = scene.xmpp_out("im.partner.com");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    scene.finished();
}

#[test]
fn a_blocked_domain_is_denied_in_both_directions_cached_or_not() {
    for pattern in ["known.example", "*.example"] {
        let mut scene = known(Origin::Configured);
        let blocked = vec![pattern.parse::<DomainPattern>().unwrap()];
        scene.change(vec![TableChange::Blocked(blocked)]);
        let told = scene.frame_to(SIP);
        assert!(matches!(told, FromRouter::Tables(tables) if tables.blocked.len() == 1));
        scene.forget_frames();
        for packet in [scene.xmpp_out("known.example"), scene.sip_in("known.example")] {
            scene.submit(SIP, packet);
            let finished = scene.finished();
            assert_eq!(finished.decision, Decision::Blocked);
            assert_eq!(why(&finished), (Condition::PolicyViolation, Cause::Policy));
        }
    }
}

#[test]
fn a_pinned_domain_is_xmpp_only_whatever_else_is_known() {
    let mut scene = known(Origin::Discovered);
    scene.change(vec![TableChange::Pinned(vec![domain("known.example")])]);
    scene.forget_frames();
    let packet = scene.sip_out("known.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Reach, XMPP, not_found());
    assert_eq!(why(&scene.finished()), (Condition::RemoteServerNotFound, Cause::NotFound));
    let packet = scene.sip_in("known.example");
    scene.submit(SIP, packet);
    assert_eq!(why(&scene.finished()), (Condition::NotAllowed, Cause::Policy));
    let packet = scene.sip_out("known.example");
    scene.submit(SIP, opaque(packet, "INVITE"));
    assert_eq!(why(&scene.finished()).1, Cause::Unmappable);
}

#[test]
fn between_two_local_domains_it_goes_home() {
    let mut scene = Scene::closed();
    let packet = scene.sip_out("corp.example");
    scene.submit(SIP, Packet { direction: Direction::Internal, ..packet });
    scene.play(Instruction::Home, XMPP, delivered(Protocol::Xmpp));
    assert_eq!(scene.finished().decision, Decision::Local);
}

#[test]
fn a_packet_without_hops_left_is_looping() {
    let mut scene = Scene::open();
    let packet = scene.sip_out("foreign.example");
    scene.submit(SIP, Packet { hops_left: 0, ..packet });
    assert_eq!(why(&scene.finished()), (Condition::PolicyViolation, Cause::Policy));
    let packet = scene.sip_out("foreign.example");
    scene.submit(SIP, Packet { hops_left: 3, ..packet });
    let attempt = scene.play(Instruction::Reach, XMPP, delivered(Protocol::Xmpp));
    assert_eq!(attempt.packet.hops_left, 2);
    scene.finished();
}

#[test]
fn an_inbound_request_of_a_known_domain_that_is_no_message_goes_on_at_the_sip_cm() {
    let mut scene = known(Origin::Configured);
    let packet = scene.sip_in("known.example");
    scene.submit(SIP, opaque(packet, "OPTIONS"));
    scene.forget_frames();
    scene.play(Instruction::Accept, SIP, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
}
