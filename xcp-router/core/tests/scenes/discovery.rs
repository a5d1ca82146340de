//! Unknown domains: the documented hop, and everything that shares it.

use openfed_proto::condition::Condition;
use openfed_proto::link::{FromCm, Instruction};
use openfed_proto::packet::{Cause, Direction, Protocol};
use openfed_proto::route::Origin;
use xcp_router_core::{Decision, Event, TableChange};

use crate::scene::*;

#[test]
fn the_documented_hop_from_sip() {
    let mut scene = Scene::open();
    // Given an unknown domain that speaks SIP only, when a SIP user of ours writes to it,
    let packet = scene.sip_out("foreign.example");
    scene.submit(SIP, packet);
    // then XMPP is tried first,
    let (link, attempt, decision) = scene.attempt();
    assert_eq!((link, attempt.instruction, attempt.number), (XMPP, Instruction::Reach, 1));
    assert_eq!(decision, Decision::Discover);
    assert_eq!(attempt.packet.remaining.as_secs(), 8, "the budget of XMPP");
    scene.end(XMPP, &attempt, not_found());
    // then SIP, at the very sip-cm,
    let (link, attempt, decision) = scene.attempt();
    assert_eq!((link, attempt.instruction, attempt.number), (SIP, Instruction::Discover, 2));
    assert_eq!(decision, Decision::Fallback);
    scene.end_by(SIP, &attempt, delivered(Protocol::Sip), Some(".*"));
    // then there is a row, all nodes know, and the sender gets the answer,
    let row = scene.insert();
    assert_eq!(row.origin, Origin::Discovered);
    assert_eq!(row.direction, Some(Direction::Outbound));
    assert_eq!(row.route.as_deref(), Some(".*"));
    scene.announced("foreign.example");
    let finished = scene.finished();
    assert!(is_delivered(&finished));
    assert_eq!((finished.link, finished.decision), (Some(SIP), Decision::Fallback));
    // with the five hops of the way.
    let way: Vec<(&str, &str)> =
        finished.outcome.hops.iter().map(|hop| (hop.role.as_str(), hop.verdict.as_str())).collect();
    assert_eq!(
        way,
        [
            ("sip-cm", "submitted"),
            ("xcp-router", "discover"),
            ("xmpp-cm", "remote-server-not-found"),
            ("xcp-router", "fallback"),
            ("sip-cm", "delivered"),
        ]
    );
    assert!(scene.events.iter().any(|event| matches!(event, Event::Discovered { .. })));
}

#[test]
fn the_documented_hop_from_xmpp_and_then_no_xmpp_attempt() {
    let mut scene = Scene::open();
    let packet = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Reach, XMPP, not_found());
    scene.play(Instruction::Discover, SIP, delivered(Protocol::Sip));
    scene.insert();
    scene.announced("foreign.example");
    assert!(is_delivered(&scene.finished()));
    // The second packet goes straight, and its use is counted.
    let packet = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    assert_eq!(scene.finished().decision, Decision::Cached);
    scene.pass(std::time::Duration::from_secs(2));
    assert_eq!(scene.uses["foreign.example"], 1);
}

#[test]
fn inbound_from_an_unknown_domain_is_probed_accepted_and_delivered() {
    let mut scene = Scene::open();
    let packet = scene.sip_in("foreign.example");
    let discovery = scene.submit(SIP, packet);
    scene.play(Instruction::Probe, XMPP, not_found());
    let accept = scene.expect(Instruction::Accept, SIP);
    // The sip-cm lets it go on as a packet of its own.
    let again = scene.sip_in("foreign.example");
    scene.frame(
        SIP,
        FromCm::Submit { packet: again, accepted_in: Some(discovery), again: false, kept: false },
    );
    scene.play(Instruction::Home, XMPP, delivered(Protocol::Xmpp));
    let inner = scene.finished();
    assert!(is_delivered(&inner));
    scene.end(SIP, &accept, inner.outcome.ending);
    let row = scene.insert();
    assert_eq!((row.direction, row.route), (Some(Direction::Inbound), None));
    scene.announced("foreign.example");
    let outer = scene.finished();
    assert!(is_delivered(&outer));
    assert_eq!(outer.outcome.id, discovery);
}

#[test]
fn inbound_to_a_user_who_does_not_exist_is_404_and_leaves_no_row() {
    let mut scene = Scene::open();
    let packet = scene.sip_in("foreign.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Probe, XMPP, not_found());
    scene.play(Instruction::Accept, SIP, failed(Condition::ItemNotFound, Cause::Remote));
    assert_eq!(why(&scene.finished()), (Condition::ItemNotFound, Cause::Remote));
    assert_eq!(scene.router.rows(), 0);
}

#[test]
fn a_home_server_that_keeps_silent_is_told_as_such_to_an_unknown_domain() {
    let mut scene = Scene::open();
    let packet = scene.sip_in("foreign.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Probe, XMPP, not_found());
    scene.play(Instruction::Accept, SIP, unreachable());
    assert_eq!(why(&scene.finished()), (Condition::RemoteServerTimeout, Cause::Unreachable));
    assert_eq!(scene.router.rows(), 0);
}

#[test]
fn fifty_parallel_packets_make_one_discovery_and_keep_their_order() {
    let mut scene = Scene::open();
    let ids: Vec<_> = (0..50)
        .map(|_| {
            let packet = scene.sip_out("foreign.example");
            scene.submit(SIP, packet)
        })
        .collect();
    scene.play(Instruction::Reach, XMPP, not_found());
    scene.play(Instruction::Discover, SIP, delivered(Protocol::Sip));
    scene.insert();
    scene.announced("foreign.example");
    assert_eq!(scene.finished().outcome.id, ids[0]);
    // All others follow as known, in order, without any XMPP attempt.
    let attempts: Vec<_> = ids[1..]
        .iter()
        .map(|id| {
            let attempt = scene.expect(Instruction::Send, SIP);
            assert_eq!(attempt.packet.id, *id);
            attempt
        })
        .collect();
    scene.quiet();
    for attempt in attempts {
        scene.end(SIP, &attempt, delivered(Protocol::Sip));
        assert!(is_delivered(&scene.finished()));
    }
}

#[test]
fn a_domain_that_speaks_xmpp_gets_xmpp_and_no_row() {
    let mut scene = Scene::open();
    let first = scene.sip_out("foreign.example");
    let second = scene.xmpp_out("foreign.example");
    scene.submit(SIP, first);
    scene.submit(XMPP, second);
    scene.play(Instruction::Reach, XMPP, delivered(Protocol::Xmpp));
    assert!(is_delivered(&scene.finished()));
    // What waited, and what comes later, goes over XMPP without a discovery.
    scene.play(Instruction::Reach, XMPP, delivered(Protocol::Xmpp));
    assert!(is_delivered(&scene.finished()));
    let third = scene.sip_out("foreign.example");
    scene.submit(SIP, third);
    scene.play(Instruction::Reach, XMPP, failed(Condition::ItemNotFound, Cause::Remote));
    assert_eq!(why(&scene.finished()), (Condition::ItemNotFound, Cause::Remote));
    assert_eq!(scene.router.rows(), 0);
}

#[test]
fn the_remote_servers_word_is_final() {
    let mut scene = Scene::open();
    for condition in [Condition::RemoteServerNotFound, Condition::ServiceUnavailable] {
        let packet = scene.xmpp_out("foreign.example");
        scene.submit(XMPP, packet);
        scene.play(Instruction::Reach, XMPP, failed(condition.clone(), Cause::Remote));
        assert_eq!(why(&scene.finished()), (condition, Cause::Remote));
    }
}

#[test]
fn an_inbound_domain_that_speaks_both_is_accepted_without_row() {
    let mut scene = Scene::open();
    let packet = scene.sip_in("both.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Probe, XMPP, delivered(Protocol::Xmpp));
    scene.play(Instruction::Home, XMPP, delivered(Protocol::Xmpp));
    assert!(is_delivered(&scene.finished()));
    // For ten minutes it is not asked again.
    let packet = scene.sip_in("both.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Home, XMPP, delivered(Protocol::Xmpp));
    assert!(is_delivered(&scene.finished()));
    // What only SIP understands goes on at the sip-cm; still no row.
    let packet = scene.sip_in("both.example");
    scene.submit(SIP, opaque(packet, "OPTIONS"));
    scene.play(Instruction::Accept, SIP, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
    assert_eq!(scene.router.rows(), 0);
}

#[test]
fn an_inbound_domain_that_speaks_both_is_refused_if_the_operator_says_so() {
    let mut scene = Scene::with(|config| config.accept_dual = false);
    for probed in [true, false] {
        let packet = scene.sip_in("both.example");
        scene.submit(SIP, packet);
        if probed {
            scene.play(Instruction::Probe, XMPP, delivered(Protocol::Xmpp));
        }
        assert_eq!(why(&scene.finished()), (Condition::NotAllowed, Cause::Policy));
    }
}

#[test]
fn a_domain_that_speaks_neither_gets_what_xmpp_said_and_is_left_alone_for_5_s() {
    let mut scene = Scene::open();
    let packet = scene.xmpp_out("dead.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Reach, XMPP, not_found());
    scene.play(Instruction::Discover, SIP, unreachable());
    assert_eq!(why(&scene.finished()), (Condition::RemoteServerNotFound, Cause::NotFound));
    let packet = scene.xmpp_out("dead.example");
    scene.submit(XMPP, packet);
    assert_eq!(why(&scene.finished()), (Condition::RemoteServerNotFound, Cause::NotFound));
    scene.pass(std::time::Duration::from_secs(6));
    let packet = scene.xmpp_out("dead.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Reach, XMPP, delivered(Protocol::Xmpp));
    assert!(is_delivered(&scene.finished()));
}

#[test]
fn a_failed_next_hop_does_not_keep_the_domain_from_writing_to_us() {
    let mut scene = Scene::open();
    let packet = scene.xmpp_out("dead.example");
    scene.submit(XMPP, packet);
    scene.play(Instruction::Reach, XMPP, not_found());
    scene.play(Instruction::Discover, SIP, unreachable());
    scene.finished();
    let packet = scene.sip_in("dead.example");
    scene.submit(SIP, packet);
    scene.play(Instruction::Accept, SIP, failed(Condition::ItemNotFound, Cause::Remote));
    scene.finished();
}

#[test]
fn sip_failures_of_one_user_are_mapped_and_the_next_packet_goes_straight_to_sip() {
    for (status, condition) in
        [(404, Condition::ItemNotFound), (480, Condition::RecipientUnavailable)]
    {
        let mut scene = Scene::open();
        let first = scene.xmpp_out("foreign.example");
        let second = scene.xmpp_out("foreign.example");
        scene.submit(XMPP, first);
        scene.submit(XMPP, second);
        scene.play(Instruction::Reach, XMPP, not_found());
        let remote = failed(Condition::from_sip_status(status), Cause::Remote);
        scene.play(Instruction::Discover, SIP, remote);
        assert_eq!(why(&scene.finished()), (condition, Cause::Remote));
        // The verdict of XMPP holds for the one that waited.
        scene.play(Instruction::Discover, SIP, delivered(Protocol::Sip));
        scene.insert();
        scene.announced("foreign.example");
        assert!(is_delivered(&scene.finished()));
    }
}

#[test]
fn a_sip_request_that_means_nothing_to_xmpp_is_probed_then_sent() {
    let mut scene = Scene::open();
    let packet = scene.sip_out("foreign.example");
    scene.submit(SIP, opaque(packet, "INVITE"));
    scene.play(Instruction::Probe, XMPP, not_found());
    scene.play(Instruction::Discover, SIP, delivered(Protocol::Sip));
    scene.insert();
    scene.announced("foreign.example");
    assert!(is_delivered(&scene.finished()));
    // To a domain that speaks XMPP it cannot go.
    let packet = scene.sip_out("xmpp.example");
    scene.submit(SIP, opaque(packet, "INVITE"));
    scene.play(Instruction::Probe, XMPP, delivered(Protocol::Xmpp));
    assert_eq!(why(&scene.finished()).1, Cause::Unmappable);
}

#[test]
fn the_xmpp_attempt_has_a_budget_and_a_silent_node_proves_nothing() {
    let mut scene = Scene::open();
    let packet = scene.xmpp_out("slow.example");
    scene.submit(XMPP, packet);
    scene.expect(Instruction::Reach, XMPP);
    scene.pass(std::time::Duration::from_millis(8_400));
    scene.quiet();
    scene.pass(std::time::Duration::from_millis(200));
    assert_eq!(why(&scene.finished()), (Condition::RemoteServerTimeout, Cause::Busy));
}

#[test]
fn what_waits_goes_on_when_another_router_has_found_out_and_is_not_overtaken() {
    let mut scene = Scene::open();
    // Given a discovery that takes its time, and a packet that waits for it,
    let leader = scene.sip_out("foreign.example");
    scene.submit(SIP, leader);
    let reach = scene.expect(Instruction::Reach, XMPP);
    let waiting = scene.xmpp_out("foreign.example");
    let waiting = scene.submit(XMPP, waiting);
    scene.quiet();
    // when another router has discovered the domain,
    scene.change(vec![TableChange::Row(domain("foreign.example"), Origin::Discovered)]);
    scene.announced("foreign.example");
    // then it goes on at once, before what comes after.
    let first = scene.expect(Instruction::Send, SIP);
    assert_eq!(first.packet.id, waiting);
    let later = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, later);
    let second = scene.expect(Instruction::Send, SIP);
    for attempt in [&first, &second] {
        scene.end(SIP, attempt, delivered(Protocol::Sip));
        assert!(is_delivered(&scene.finished()));
    }
    scene.end(XMPP, &reach, not_found());
    scene.play(Instruction::Send, SIP, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
}

#[test]
fn what_comes_after_the_one_that_finds_out_stays_behind_it_when_another_router_knows_first() {
    let mut scene = Scene::open();
    let leader = scene.xmpp_out("foreign.example");
    scene.submit(XMPP, leader);
    let reach = scene.expect(Instruction::Reach, XMPP);
    scene.change(vec![TableChange::Row(domain("foreign.example"), Origin::Discovered)]);
    scene.announced("foreign.example");
    // Of the same conversation: it waits, although the domain is known.
    let later = scene.xmpp_out("foreign.example");
    let later = scene.submit(XMPP, later);
    scene.quiet();
    scene.end(XMPP, &reach, not_found());
    let first = scene.expect(Instruction::Send, SIP);
    assert_eq!(first.packet.id, reach.packet.id);
    scene.end(SIP, &first, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
    let second = scene.expect(Instruction::Send, SIP);
    assert_eq!(second.packet.id, later);
    scene.end(SIP, &second, delivered(Protocol::Sip));
    assert!(is_delivered(&scene.finished()));
}

#[test]
fn a_packet_that_waits_ends_when_its_time_is_over() {
    let mut scene = Scene::open();
    let first = scene.xmpp_out("slow.example");
    let mut second = scene.xmpp_out("slow.example");
    second.remaining = std::time::Duration::from_secs(3);
    scene.submit(XMPP, first);
    let second = scene.submit(XMPP, second);
    let attempt = scene.expect(Instruction::Reach, XMPP);
    scene.pass(std::time::Duration::from_secs(4));
    let finished = scene.finished();
    assert_eq!(finished.outcome.id, second);
    assert_eq!(why(&finished), (Condition::RemoteServerTimeout, Cause::Unreachable));
    scene.end(XMPP, &attempt, delivered(Protocol::Xmpp));
    assert!(is_delivered(&scene.finished()));
}

#[test]
fn the_queue_of_a_discovery_is_bounded_and_refuses_aloud() {
    let mut scene = Scene::with(|config| config.waiting_per_domain = 2);
    for _ in 0..4 {
        let packet = scene.xmpp_out("slow.example");
        scene.submit(XMPP, packet);
    }
    let attempt = scene.expect(Instruction::Reach, XMPP);
    assert_eq!(why(&scene.finished()), (Condition::ResourceConstraint, Cause::Busy));
    scene.end(XMPP, &attempt, delivered(Protocol::Xmpp));
    scene.finished();
    let waited = [(); 2].map(|()| scene.expect(Instruction::Reach, XMPP));
    for attempt in waited {
        scene.end(XMPP, &attempt, delivered(Protocol::Xmpp));
        scene.finished();
    }
}

#[test]
fn an_accepted_request_without_its_discovery_is_refused_once_that_has_ended() {
    let mut scene = Scene::open();
    let packet = scene.sip_in("foreign.example");
    let discovery = scene.submit(SIP, packet);
    scene.play(Instruction::Probe, XMPP, not_found());
    scene.play(Instruction::Accept, SIP, failed(Condition::ItemNotFound, Cause::Remote));
    scene.finished();
    let late = scene.sip_in("foreign.example");
    scene.frame(
        SIP,
        FromCm::Submit { packet: late, accepted_in: Some(discovery), again: false, kept: false },
    );
    assert_eq!(why(&scene.finished()), (Condition::NotAllowed, Cause::Policy));
    // One that another router let in, whose link was lost, goes on.
    let orphan = scene.sip_in("foreign.example");
    let elsewhere = openfed_proto::packet::PacketId([9; 16]);
    scene.frame(
        SIP,
        FromCm::Submit { packet: orphan, accepted_in: Some(elsewhere), again: false, kept: false },
    );
    scene.play(Instruction::Home, XMPP, delivered(Protocol::Xmpp));
    assert!(is_delivered(&scene.finished()));
}
