//! Routers that come and go.

use super::*;

const ALICE: &str = "alice@corp.example";
const BOB: &str = "bob@partner.example";

/// Two routers; the message has been submitted to the one that is returned.
fn two_routers(world: &mut World) -> (RouterId, RouterId, Packet) {
    world.link(R1, "r1", 100);
    world.link(R2, "r2", 100);
    world.arrives(PEER, &message(ALICE, BOB));
    let (first, packet, _) = world.submitted();
    let other = if first == R1 { R2 } else { R1 };
    (first, other, packet)
}

#[test]
fn a_dead_routers_packets_go_to_another_one_with_the_same_id() {
    let mut world = World::alone();
    let (first, other, packet) = two_routers(&mut world);
    world.pass(secs(2));
    world.core.handle_link_down(first, world.now);
    world.collect();
    let is_again = |frame: &FromCm| matches!(frame, FromCm::Submit { again: true, .. });
    assert!(world.frames.front().is_some_and(|(_, frame)| is_again(frame)));
    let (second, again, _) = world.submitted();
    assert_eq!(second, other);
    assert_eq!(again.id, packet.id);
    assert_eq!(again.remaining, secs(28));
    let outcome = Outcome::delivered(packet.id, Protocol::Xmpp, 200);
    world.frame(other, FromRouter::Outcome(outcome));
    world.answered(200);
    world.ends();
}

#[test]
fn a_router_hears_which_attempts_are_here() {
    let mut world = World::open();
    let packet = packet_from_xmpp(1, BOB, "hello");
    world.attempt(&packet, 1, Instruction::Send);
    world.requested("MESSAGE", HOP);
    // What one router discovers the next one may know already.
    let here = [Instruction::Send, Instruction::Discover].map(|instruction| (instruction, true));
    for (instruction, known) in here.into_iter().chain([(Instruction::Accept, false)]) {
        let packet = packet.id;
        world.frame(R1, FromRouter::Recall { packet, instruction });
        let frame = FromCm::Recalled { packet, instruction, known };
        assert_eq!(world.frames.pop_front(), Some((R1, frame)));
    }
}

#[test]
fn without_any_router_left_a_packet_waits_for_one_until_its_deadline() {
    let mut world = World::open();
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    world.core.handle_link_down(R1, world.now);
    world.collect();
    world.silent();
    world.pass(secs(3));
    world.link(R2, "r2", 10);
    let (router, again, _) = world.submitted();
    assert_eq!((router, again.id), (R2, packet.id));
    world.core.handle_link_down(R2, world.now);
    world.collect();
    world.pass(secs(30));
    world.answered(100);
    world.answered(504);
    world.ends();
}

#[test]
fn a_conversation_stays_with_its_router() {
    let mut world = World::alone();
    let (first, ..) = two_routers(&mut world);
    for n in 2..20 {
        world.arrives(PEER, &message(ALICE, BOB).replace("peer1", &format!("peer{n}")));
        let (router, ..) = world.submitted();
        assert_eq!(router, first);
    }
    world.pass(secs(40));
    world.sent.clear();
    world.ends();
}

#[test]
fn conversations_are_spread_over_the_routers() {
    let mut world = World::alone();
    world.link(R1, "r1", 1_000);
    world.link(R2, "r2", 1_000);
    let mut to_first = 0;
    for n in 0..200 {
        let text = message(ALICE, &format!("user{n}@partner.example"));
        world.arrives(PEER, &text.replace("peer1", &format!("peer{n}")));
        to_first += u32::from(world.submitted().0 == R1);
    }
    assert!((60..140).contains(&to_first), "{to_first} of 200");
}

#[test]
fn a_leaving_router_gets_nothing_new() {
    let mut world = World::alone();
    let (first, other, _) = two_routers(&mut world);
    world.frame(first, FromRouter::Leaving(secs(5)));
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
    assert_eq!(world.submitted().0, other);
}

#[test]
fn an_attempt_whose_router_died_is_told_to_the_one_that_asks_again() {
    let mut world = World::open();
    world.link(R2, "r2", 10);
    let packet = packet_from_xmpp(1, BOB, "hello");
    world.attempt(&packet, 1, Instruction::Send);
    let onward = world.requested("MESSAGE", HOP);
    world.core.handle_link_down(R1, world.now);
    world.replies(HOP, &onward, 200);
    world.silent();
    let attempt = Attempt { packet: packet.clone(), number: 2, instruction: Instruction::Send };
    world.frame(R2, FromRouter::Attempt(attempt));
    let (router, frame) = world.frames.pop_front().expect("an ending");
    assert_eq!(router, R2);
    assert!(matches!(frame, FromCm::Ended(ended) if ended.number == 2));
    world.ends();
}

#[test]
fn what_one_router_discovered_is_not_sent_again_for_one_that_knows_the_domain() {
    let mut world = World::open();
    world.link(R2, "r2", 10);
    let packet = packet_from_xmpp(1, BOB, "hello");
    world.attempt(&packet, 2, Instruction::Discover);
    let onward = world.requested("MESSAGE", HOP);
    let attempt = Attempt { packet: packet.clone(), number: 1, instruction: Instruction::Send };
    world.frame(R2, FromRouter::Attempt(attempt.clone()));
    world.silent();
    world.replies(HOP, &onward, 200);
    world.frame(R2, FromRouter::Attempt(attempt));
    world.frames.retain(|(_, frame)| !matches!(frame, FromCm::Credit(_)));
    assert_eq!([1, 2, 3].map(|_| world.ended().number), [2, 1, 1]);
    world.ends();
}

#[test]
fn an_accepted_request_is_not_given_to_another_router_but_ends_as_its_acceptance_does() {
    let mut world = World::open();
    world.arrives(PEER, &message(BOB, ALICE));
    let (_, packet, _) = world.submitted();
    world.attempt(&packet, 2, Instruction::Accept);
    let (_, onward, accepted_in) = world.submitted();
    assert_eq!(accepted_in, Some(packet.id));
    world.core.handle_link_down(R1, world.now);
    world.collect();
    world.link(R2, "r2", 10);
    let (router, again, _) = world.submitted();
    assert_eq!((router, again.id), (R2, onward.id));
    world.silent();
    let outcome = Outcome::delivered(onward.id, Protocol::Xmpp, 200);
    world.frame(R2, FromRouter::Outcome(outcome));
    world.answered(200);
    world.ends();
}

#[test]
fn what_a_router_says_that_lost_the_packet_to_another_one_is_not_the_last_word() {
    let mut world = World::alone();
    let (first, other, packet) = two_routers(&mut world);
    world.core.handle_link_down(first, world.now);
    world.collect();
    assert_eq!(world.submitted().0, other);
    world.link(RouterId(3), "back", 10);
    let ending = failed(Condition::ResourceConstraint, Cause::Leaving);
    let outcome = Outcome { id: packet.id, ending, hops: Vec::new() };
    world.frame(RouterId(3), FromRouter::Outcome(outcome));
    world.silent();
    world.frame(other, FromRouter::Outcome(Outcome::delivered(packet.id, Protocol::Xmpp, 200)));
    world.answered(200);
    world.ends();
}

#[test]
fn draining_tells_the_routers_refuses_what_is_new_and_ends_what_is_not() {
    let mut world = World::open();
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    world.core.handle_draining(secs(10), world.now);
    world.collect();
    assert_eq!(world.frames.pop_front(), Some((R1, FromCm::Leaving(secs(10)))));
    assert!(!world.core.is_idle());
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
    world.answered(503);
    world.outcome(packet.id, delivered());
    world.answered(200);
    assert!(world.core.is_idle());
    world.ends();
}

#[test]
fn the_operator_takes_it_out_and_back_in() {
    let mut world = World::open();
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    assert!(world.core.is_ready());
    world.frame(R1, FromRouter::Drain(true));
    assert_eq!(world.frames.pop_front(), Some((R1, FromCm::Leaving(Duration::ZERO))));
    assert!(!world.core.is_ready());
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
    world.answered(503);
    world.outcome(packet.id, delivered());
    world.answered(200);
    world.frame(R1, FromRouter::Drain(true));
    assert_eq!(world.frames.pop_front(), None, "once is enough");

    world.frame(R1, FromRouter::Drain(false));
    assert_eq!(world.frames.pop_front(), Some((R1, FromCm::Serving)));
    assert!(world.core.is_ready());
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer3"));
    let (_, packet, _) = world.submitted();
    world.outcome(packet.id, delivered());
    world.answered(200);

    // A process that ends is not called back.
    world.core.handle_draining(secs(10), world.now);
    world.collect();
    assert_eq!(world.frames.pop_front(), Some((R1, FromCm::Leaving(secs(10)))));
    world.frame(R1, FromRouter::Drain(false));
    assert!(world.frames.is_empty() && !world.core.is_ready());
    world.ends();
}

#[test]
fn a_copy_of_a_request_is_the_same_packet_at_another_instance_or_in_another_life() {
    let submitted = |text: &str| {
        let mut world = World::open();
        world.arrives(PEER, text);
        world.submitted().1.id
    };
    let first = message(ALICE, BOB);
    let by_another_way = first.replace("peer1", "peer2");
    assert_ne!(first, by_another_way);
    assert_eq!(submitted(&first), submitted(&by_another_way));
    for other in [
        first.replace("call1", "call2"),
        first.replace("hello", "hallo"),
        first.replace("CSeq: 1", "CSeq: 2"),
        message(ALICE, "bert@partner.example"),
    ] {
        assert_ne!(submitted(&first), submitted(&other), "{other}");
    }
}

#[test]
fn invalidation_makes_a_domain_unknown_again() {
    let mut world = World::open();
    world.knows("partner.example");
    world.frame(R1, FromRouter::Invalidate(Some(vec![domain("partner.example")])));
    world.arrives(PEER, &message(ALICE, BOB));
    world.submitted();
    world.pass(secs(40));
    world.sent.clear();
    world.ends();
}

/// A request of the next hop, by its name, for a user of ours.
fn from_the_next_hop(number: u32) -> String {
    let text = message(BOB, ALICE).replace("peer1", &format!("hop{number}"));
    text.replace("call1", &format!("call{number}"))
}

#[test]
fn who_may_be_a_next_hop_is_sent_elsewhere_until_the_tables_are_here() {
    let mut world = World::alone();
    let refused = |world: &mut World, number| {
        world.arrives(HOP, &from_the_next_hop(number));
        (world.next_sent().0.code(), number)
    };
    assert_eq!(refused(&mut world, 1), (Some(503), 1), "no link");
    world.link(R1, "r1", 100);
    assert_eq!(refused(&mut world, 2), (Some(503), 2), "no tables");

    let named =
        StaticRoute { next_hop: "sbc.example.net".into(), ..open_route(HOP, Transport::Udp) };
    world.tables(vec![named]);
    let (token, ..) = world.look_ups.pop_front().expect("a look-up");
    assert_eq!(refused(&mut world, 3), (Some(503), 3), "no address");
    world.core.handle_resolved(token, vec![hop(HOP)], world.now);
    world.collect();
    world.arrives(HOP, &from_the_next_hop(4));
    let (_, packet, _) = world.submitted();
    world.outcome(packet.id, Ending::Delivered { by: Protocol::Xmpp, status: 200 });
    world.answered(200);

    world.arrives(HOP_2, &from_the_next_hop(5));
    world.answered(403);
    world.silent();
}

#[test]
fn what_no_router_has_ever_been_there_for_goes_elsewhere() {
    let mut world = World::alone();
    world.arrives(PEER, &message(ALICE, BOB));
    assert_eq!(world.answered(503).retry_after(), Some(5));
    world.ends();
}

#[test]
fn what_comes_before_the_first_tables_is_answered_when_it_comes_again() {
    let mut world = World::just_started(config());
    world.arrives(PEER, &message(ALICE, BOB));
    world.silent();
    assert_eq!(world.facts, [Fact::Unready]);
    world.link(R1, "r1", 100);
    world.tables(vec![open_route(HOP, Transport::Udp)]);
    world.pass(Duration::from_millis(500));
    world.arrives(PEER, &message(ALICE, BOB));
    // Whoever was here before may have submitted it, too.
    assert!(matches!(world.frames.front(), Some((R1, FromCm::Submit { again: true, .. }))));
    let (_, packet, _) = world.submitted();
    world.outcome(packet.id, delivered());
    world.answered(200);
    world.pass(secs(32));
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
    assert!(matches!(world.frames.front(), Some((R1, FromCm::Submit { again: false, .. }))));
    let (_, packet, _) = world.submitted();
    world.outcome(packet.id, delivered());
    world.answered(200);
    world.ends();
}

#[test]
fn without_any_tables_senders_do_not_wait_for_long() {
    let mut world = World::just_started(config());
    world.pass(secs(2));
    world.arrives(PEER, &message(ALICE, BOB));
    world.answered(503);
    world.ends();
}

/// The scene's message forwarded to the next hop by an instance that has drawn other random numbers.
fn forwarded_by_another_life() -> Message {
    let mut world = World::open();
    world.knows("partner.example");
    let options = request("OPTIONS", "x@a.example", "198.51.100.1", "", "");
    world.arrives(PEER, &options.replace("peer1", "first"));
    world.answered(200);
    world.arrives(PEER, &message(ALICE, BOB));
    world.requested("MESSAGE", HOP)
}

#[test]
fn what_an_instance_had_when_it_died_reaches_the_next_hop_as_a_copy() {
    let mut world = World::open();
    world.knows("partner.example");
    world.arrives(PEER, &message(ALICE, BOB));
    let onward = world.requested("MESSAGE", HOP);
    assert_eq!(forwarded_by_another_life().to_bytes(), onward.to_bytes());

    // A request of its own is none.
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
    let other = world.requested("MESSAGE", HOP);
    let branch = |message: &Message| {
        message.top_via().expect("a Via").branch().expect("a branch").to_owned()
    };
    assert_ne!(branch(&other), branch(&onward));

    // The same of a packet that a router gives to the instance again.
    let sent = |number: u8| {
        let mut world = World::open();
        let packet = packet_from_xmpp(number, BOB, "hello");
        world.attempt(&packet, 1, Instruction::Send);
        world.requested("MESSAGE", HOP).to_bytes()
    };
    assert_eq!(sent(1), sent(1));
    assert_ne!(sent(1), sent(2));
}
