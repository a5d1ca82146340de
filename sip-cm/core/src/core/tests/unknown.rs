//! The documented hop: a request for a domain that nobody knows yet.

use super::*;
use crate::headers::HeaderId;

const ALICE: &str = "alice@corp.example";
const BOB: &str = "bob@partner.example";

fn discovered() -> Ending {
    Ending::Delivered { by: Protocol::Sip, status: 200 }
}

#[test]
fn a_message_is_submitted_discovered_forwarded_as_it_came_and_answered_after_the_outcome() {
    let mut world = World::open();
    world.arrives(PEER, &message(ALICE, BOB));
    let (router, packet, accepted_in) = world.submitted();
    assert_eq!((router, accepted_in), (R1, None));
    assert_eq!(packet.direction, Direction::Outbound);
    assert_eq!(packet.foreign(), &domain("partner.example"));
    assert_eq!(packet.remaining, secs(30));
    assert_eq!(packet.hops.len(), 1);
    assert_eq!((packet.hops[0].node.as_str(), packet.hops[0].role), ("here-sip-cm", Role::SipCm));
    let Body::Message(text) = &packet.body else { panic!("a message has meaning") };
    assert_eq!(text.bodies[0].text, "hello");
    assert!(packet.original.bytes.starts_with(b"MESSAGE sip:bob@partner.example SIP/2.0\r\n"));
    world.silent();

    world.pass(secs(1));
    world.attempt(&packet, 2, Instruction::Discover);
    let onward = world.requested("MESSAGE", HOP);
    assert_eq!(onward.call_id().expect("Call-ID"), "call1");
    world.arrives(HOP, &response(&onward, 200, "X-Back: yes\r\n"));
    let ended = world.ended();
    assert_eq!((ended.outcome.id, ended.number), (packet.id, 2));
    assert_eq!(ended.outcome.ending, discovered());
    assert_eq!(ended.route.as_deref(), Some(".*"));
    assert_eq!(ended.outcome.hops.len(), 2);
    // The sender must not be told before every node knows the domain.
    world.silent();
    world.outcome(packet.id, discovered());
    assert!(world.answered(200).header_named("X-Back").is_some());
    // A second outcome is nobody's.
    world.outcome(packet.id, discovered());
    world.ends();
}

#[test]
fn a_native_answer_goes_back_even_if_the_outcome_gets_lost() {
    let mut world = World::open();
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    world.attempt(&packet, 2, Instruction::Discover);
    let onward = world.requested("MESSAGE", HOP);
    world.replies(HOP, &onward, 200);
    world.ended();
    world.pass(secs(1));
    world.answered(200);
    world.ends();
}

#[test]
fn a_failure_of_the_remote_goes_back_in_its_own_words() {
    let mut world = World::open();
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    world.attempt(&packet, 2, Instruction::Discover);
    let onward = world.requested("MESSAGE", HOP);
    world.arrives(HOP, &response(&onward, 480, "Retry-After: 60\r\n"));
    let ended = world.ended();
    let Ending::Failed(failure) = &ended.outcome.ending else { panic!("it failed") };
    assert_eq!(
        (&failure.condition, failure.cause),
        (&Condition::RecipientUnavailable, Cause::Remote)
    );
    assert_eq!(failure.retry_after, Some(secs(60)));
    world.outcome(packet.id, ended.outcome.ending);
    let answer = world.answered(480);
    assert!(String::from_utf8_lossy(&answer.to_bytes()).starts_with("SIP/2.0 480 Any Words"));
    world.ends();
}

#[test]
fn a_hop_that_cannot_be_reached_leaves_the_word_to_the_router() {
    let mut world = World::open();
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    world.attempt(&packet, 2, Instruction::Discover);
    let send = world.sent.pop_front().expect("a request");
    world.core.handle_send_failed(send.token, world.now);
    world.collect();
    let ended = world.ended();
    assert_eq!(ended.outcome.ending, failed(Condition::RemoteServerTimeout, Cause::Unreachable));
    world.silent();
    // The XMPP attempt's finding stands (rules §3 step 13).
    world.outcome(packet.id, failed(Condition::RemoteServerNotFound, Cause::NotFound));
    world.answered(404);
    world.ends();
}

#[test]
fn a_method_without_meaning_travels_opaque_and_an_invite_rings_through() {
    let mut world = World::open();
    let text = request("INVITE", ALICE, BOB, "", "");
    world.arrives(PEER, &text);
    world.answered(100);
    let (_, packet, _) = world.submitted();
    assert_eq!(packet.body, Body::Opaque { kind: "INVITE".into() });
    assert_eq!(packet.remaining, secs(200));
    world.attempt(&packet, 1, Instruction::Discover);
    let invite = world.requested("INVITE", HOP);
    world.replies(HOP, &invite, 180);
    world.answered(180);
    world.pass(secs(60));
    world.replies(HOP, &invite, 200);
    // A 2xx to an INVITE waits for nothing.
    world.answered(200);
    assert_eq!(world.ended().outcome.ending, discovered());
    world.outcome(packet.id, discovered());
    world.replies(HOP, &invite, 200);
    world.answered(200);
    world.ends();
}

#[test]
fn a_cancel_before_any_attempt_ends_the_invite_at_once() {
    let mut world = World::open();
    let text = request("INVITE", ALICE, BOB, "", "");
    world.arrives(PEER, &text);
    world.answered(100);
    let (_, packet, _) = world.submitted();
    world.arrives(PEER, &text.replace("INVITE", "CANCEL"));
    world.answered(200);
    world.answered(487);
    world.arrives(PEER, &text.replace("INVITE", "ACK"));
    // The attempt that comes late finds nobody.
    world.attempt(&packet, 2, Instruction::Discover);
    assert_eq!(
        world.ended().outcome.ending,
        failed(Condition::RemoteServerTimeout, Cause::Leaving)
    );
    world.ends();
}

#[test]
fn a_cancelled_invite_under_discovery_is_cancelled_downstream_and_ends_once() {
    let mut world = World::open();
    let text = request("INVITE", ALICE, BOB, "", "");
    world.arrives(PEER, &text);
    world.answered(100);
    let (_, packet, _) = world.submitted();
    world.attempt(&packet, 2, Instruction::Discover);
    let invite = world.requested("INVITE", HOP);
    world.replies(HOP, &invite, 180);
    world.answered(180);
    world.arrives(PEER, &text.replace("INVITE", "CANCEL"));
    world.answered(200);
    let cancel = world.requested("CANCEL", HOP);
    world.replies(HOP, &cancel, 200);
    world.replies(HOP, &invite, 487);
    world.requested("ACK", HOP);
    let ended = world.ended();
    world.outcome(packet.id, ended.outcome.ending);
    world.answered(487);
    world.arrives(PEER, &text.replace("INVITE", "ACK"));
    world.ends();
}

#[test]
fn success_is_only_a_2xx_to_a_method_that_corresponds() {
    let mut world = World::open();
    world.arrives(PEER, &request("PUBLISH", ALICE, BOB, "", ""));
    let (_, packet, _) = world.submitted();
    world.attempt(&packet, 1, Instruction::Discover);
    let onward = world.requested("PUBLISH", HOP);
    world.replies(HOP, &onward, 200);
    let ended = world.ended();
    assert!(matches!(&ended.outcome.ending, Ending::Failed(f) if f.cause == Cause::Remote));
    world.outcome(packet.id, ended.outcome.ending);
    world.answered(200);
    world.ends();
}

#[test]
fn a_repeated_attempt_is_told_the_same_end_and_sent_once() {
    let mut world = World::open();
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    world.attempt(&packet, 2, Instruction::Discover);
    world.attempt(&packet, 3, Instruction::Discover);
    let onward = world.requested("MESSAGE", HOP);
    world.silent();
    world.replies(HOP, &onward, 200);
    assert_eq!(world.ended().number, 3, "the latest question of a router is answered");
    world.attempt(&packet, 4, Instruction::Discover);
    let again = world.ended();
    assert_eq!((again.number, again.outcome.ending), (4, discovered()));
    assert!(matches!(world.frames.pop_front(), Some((_, FromCm::Credit(2)))));
    world.outcome(packet.id, discovered());
    world.answered(200);
    world.ends();
}

#[test]
fn a_closed_open_route_refuses_the_attempt() {
    let mut world = World::open();
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    let closed = StaticRoute { blocked: true, ..open_route(HOP, Transport::Udp) };
    world.tables(vec![closed]);
    world.attempt(&packet, 2, Instruction::Discover);
    let ended = world.ended();
    assert_eq!(ended.outcome.ending, failed(Condition::PolicyViolation, Cause::Policy));
    world.outcome(packet.id, failed(Condition::RemoteServerNotFound, Cause::NotFound));
    world.answered(404);
    // A known domain still goes by it.
    world.knows("partner.example");
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
    world.requested("MESSAGE", HOP);
}

#[test]
fn service_off_is_503_even_if_a_router_had_to_be_asked() {
    let mut world = World::open();
    let off = StaticRoute { in_service: false, ..open_route(HOP, Transport::Udp) };
    world.tables(vec![off]);
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    // The near cache had lost it; the router knows the domain.
    world.knows("partner.example");
    world.attempt(&packet, 1, Instruction::Send);
    let ended = world.ended();
    let Ending::Failed(failure) = &ended.outcome.ending else { panic!("nothing carries it") };
    assert_eq!(failure.condition, Condition::ServiceUnavailable);
    world.outcome(packet.id, ended.outcome.ending);
    world.answered(503);
    // What comes from XMPP is told by its condition.
    world.attempt(&packet_from_xmpp(1, BOB, "hello"), 1, Instruction::Send);
    let Ending::Failed(failure) = world.ended().outcome.ending else { panic!("nor this") };
    assert_eq!(failure.condition, Condition::ServiceUnavailable);
    world.frames.clear();
    world.ends();
}

#[test]
fn nobody_waits_in_silence_even_if_the_router_says_nothing() {
    let mut world = World::open();
    world.arrives(PEER, &message(ALICE, BOB));
    world.submitted();
    world.pass(secs(4));
    world.answered(100);
    world.pass(secs(27));
    world.answered(504);
    world.ends();
}

#[test]
fn without_a_router_the_failure_is_temporary_and_comes_at_once() {
    let mut world = World::open();
    world.core.handle_link_down(R1, world.now);
    world.collect();
    world.arrives(PEER, &message(ALICE, BOB));
    assert_eq!(world.answered(500).retry_after(), Some(5));
    world.ends();
}

#[test]
fn a_full_window_refuses_aloud_until_credit_comes() {
    let mut world = World::alone();
    world.link(R1, "r1", 1);
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
    assert_eq!(world.answered(500).retry_after(), Some(5));
    world.frame(R1, FromRouter::Credit(1));
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer3"));
    let (_, third, _) = world.submitted();
    for id in [packet.id, third.id] {
        world.outcome(id, delivered());
        world.answered(200);
    }
    world.ends();
}

#[test]
fn every_outcome_has_its_status() {
    let table = [
        (Condition::ItemNotFound, 404),
        (Condition::PolicyViolation, 403),
        (Condition::RemoteServerNotFound, 404),
        (Condition::ServiceUnavailable, 403),
        (Condition::ResourceConstraint, 500),
        (Condition::Gone(Some("carol@corp.example".into())), 301),
        (Condition::Redirect(Some("xmpp:carol@corp.example".into())), 302),
    ];
    for (condition, status) in table {
        let mut world = World::open();
        world.arrives(PEER, &message(ALICE, BOB));
        let (_, packet, _) = world.submitted();
        let failure = Failure::new(condition, Cause::Remote)
            .with_text("say\r\n \"why\"")
            .retry_after(secs(7));
        world.outcome(packet.id, Ending::Failed(failure));
        let answer = world.answered(status);
        assert_eq!(answer.retry_after(), Some(7));
        assert_eq!(header(&answer, HeaderId::Warning), "399 openfed \"say why\"");
        if status < 400 {
            assert_eq!(header(&answer, HeaderId::Contact), "<sip:carol@corp.example>");
        }
        world.ends();
    }
}
