//! Inbound requests: from foreign domains to local users.

use super::*;
use crate::headers::HeaderId;

const BOB: &str = "bob@partner.example";
const ALICE: &str = "alice@corp.example";

#[test]
fn an_inbound_message_is_accepted_submitted_again_and_answered_by_its_outcome() {
    let mut world = World::open();
    world.arrives(PEER, &message(BOB, ALICE));
    let (_, first, _) = world.submitted();
    assert_eq!(first.direction, Direction::Inbound);
    assert_eq!(first.foreign(), &domain("partner.example"));

    world.attempt(&first, 2, Instruction::Accept);
    let (_, second, accepted_in) = world.submitted();
    assert_eq!(accepted_in, Some(first.id));
    assert_ne!(second.id, first.id);
    assert_eq!((second.conversation, &second.body), (first.conversation, &first.body));

    world.outcome(second.id, delivered());
    let ended = world.ended();
    assert_eq!((ended.outcome.id, ended.number), (first.id, 2));
    assert_eq!(ended.outcome.ending, delivered());
    world.silent();
    world.outcome(first.id, delivered());
    let ok = world.answered(200);
    // S-111: neither body nor Contact.
    assert!(ok.header(HeaderId::Contact).is_none());
    assert!(ok.body().is_empty());
    world.ends();
}

#[test]
fn an_accepted_message_that_no_user_gets_fails_both() {
    let mut world = World::open();
    world.arrives(PEER, &message(BOB, ALICE));
    let (_, first, _) = world.submitted();
    world.attempt(&first, 2, Instruction::Accept);
    let (_, second, _) = world.submitted();
    let no_user = failed(Condition::ItemNotFound, Cause::Remote);
    world.outcome(second.id, no_user.clone());
    assert_eq!(world.ended().outcome.ending, no_user);
    world.outcome(first.id, no_user);
    world.answered(404);
    world.ends();
}

#[test]
fn an_accepted_message_without_outcome_ends_in_time() {
    let mut world = World::open();
    world.arrives(PEER, &message(BOB, ALICE));
    let (_, first, _) = world.submitted();
    let left = Packet { remaining: secs(10), ..first.clone() };
    world.attempt(&left, 2, Instruction::Accept);
    world.submitted();
    world.pass(secs(11));
    let ended = world.ended();
    assert_eq!(ended.outcome.ending, failed(Condition::RemoteServerTimeout, Cause::Unreachable));
    world.answered(100);
    world.outcome(first.id, ended.outcome.ending);
    world.answered(504);
    world.ends();
}

#[test]
fn a_message_from_a_known_domain_is_submitted_once() {
    let mut world = World::open();
    world.knows("partner.example");
    world.arrives(PEER, &message(BOB, ALICE));
    let (_, packet, accepted_in) = world.submitted();
    assert_eq!(accepted_in, None);
    world.outcome(packet.id, delivered());
    world.answered(200);
    world.ends();
}

#[test]
fn s_101_what_a_message_says_and_s_102_who_says_it() {
    let mut world = World::open();
    world.knows("partner.example");
    let more = "Subject: greetings\r\nContent-Language: de, en\r\n\
        Content-Type: text/plain;charset=ISO-8859-1\r\n";
    let (from, to) = ("bob@partner.example;gr=pad", "alice@corp.example;gr=desk");
    let mut bytes = request("MESSAGE", from, to, more, "gr_").into_bytes();
    *bytes.last_mut().expect("a body") = 0xfc;
    world.arrives_by(Transport::Udp, PEER, &bytes);
    let (_, packet, _) = world.submitted();
    assert_eq!(packet.from, address("bob@partner.example/pad"));
    assert_eq!(packet.to, address("alice@corp.example/desk"));
    let Body::Message(message) = packet.body else { panic!("a message") };
    assert_eq!(message.id.as_deref(), Some("peer1"));
    assert_eq!(message.thread.as_deref(), Some("call1"));
    assert!(!message.chat);
    assert_eq!(message.subjects[0].text, "greetings");
    assert_eq!(message.bodies[0], Text { lang: Some("de".into()), text: "grü".into() });
    // A full JID: 4xx instead of 6xx (S-029).
    world.outcome(packet.id, failed(Condition::ItemNotFound, Cause::Remote));
    world.answered(404);
    world.ends();
}

#[test]
fn options_of_an_unknown_domain_is_answered_after_acceptance() {
    let mut world = World::open();
    world.arrives(PEER, &request("OPTIONS", BOB, ALICE, "", ""));
    let (_, packet, _) = world.submitted();
    assert_eq!(packet.body, Body::Opaque { kind: "OPTIONS".into() });
    world.attempt(&packet, 2, Instruction::Accept);
    let ended = world.ended();
    assert_eq!(ended.outcome.ending, Ending::Delivered { by: Protocol::Sip, status: 200 });
    world.outcome(packet.id, ended.outcome.ending);
    let ok = world.answered(200);
    assert_eq!(header(&ok, HeaderId::Allow), "MESSAGE, OPTIONS");
    assert_eq!(header(&ok, HeaderId::Accept), "text/plain, text/html, message/cpim");
    world.ends();
}

#[test]
fn e03_methods_that_a_user_not_on_sip_cannot_take() {
    let mut world = World::open();
    for (known, method, status) in [
        (false, "INVITE", 405),
        (false, "WINK", 501),
        (true, "SUBSCRIBE", 405),
        (true, "BLINK", 501),
    ] {
        if known {
            world.knows("partner.example");
        }
        world.arrives(PEER, &request(method, BOB, ALICE, "", "").replace("peer1", method));
        if !known {
            if method == "INVITE" {
                world.answered(100);
            }
            let (_, packet, _) = world.submitted();
            world.attempt(&packet, 2, Instruction::Accept);
            let ended = world.ended();
            world.outcome(packet.id, ended.outcome.ending);
        }
        let answer = world.answered(status);
        assert_eq!(header(&answer, HeaderId::Allow), "MESSAGE, OPTIONS");
    }
    world.arrives(PEER, &request("ACK", BOB, ALICE, "", "").replace("peer1", "INVITE"));
    world.frames.clear();
    world.ends();
}

#[test]
fn e03_bodies_and_extensions_that_we_do_not_have() {
    for (more, status) in [
        ("Content-Type: text/xml\r\n", 415),
        ("Content-Type: text/plain;charset=utf-16\r\n", 415),
        ("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", 415),
        ("Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n", 415),
        ("Content-Type: text/plain\r\nRequire: magic\r\n", 420),
    ] {
        let mut world = World::open();
        world.arrives(PEER, &request("MESSAGE", BOB, ALICE, more, "hello"));
        let answer = world.answered(status);
        match status {
            415 => {
                assert_eq!(header(&answer, HeaderId::Accept), "text/plain, text/html, message/cpim")
            }
            _ => assert_eq!(header(&answer, HeaderId::Unsupported), "magic"),
        }
        world.ends();
    }
}

#[test]
fn e04_the_same_request_on_another_way_is_merged() {
    let mut world = World::open();
    world.arrives(PEER, &message(BOB, ALICE));
    let (_, packet, _) = world.submitted();
    world.arrives(PEER, &message(BOB, ALICE).replace("peer1", "peer2"));
    world.answered(482);
    world.outcome(packet.id, delivered());
    world.answered(200);
    world.ends();
}

#[test]
fn a_user_behind_our_address_is_found_in_to() {
    let mut world = World::open();
    world.knows("partner.example");
    let text = message(BOB, ALICE).replacen(
        "MESSAGE sip:alice@corp.example",
        "MESSAGE sip:alice@198.51.100.1:5060",
        1,
    );
    world.arrives(PEER, &text);
    let (_, packet, _) = world.submitted();
    assert_eq!(packet.to, address(ALICE));
    world.outcome(packet.id, delivered());
    world.answered(200);
    world.ends();
}

/// RFC 3428 §5: a user agent may leave it to us to find out what the user speaks.
#[test]
fn s_018_im_and_pres_are_the_same_user_as_sip() {
    for scheme in ["im", "pres", "IM"] {
        let mut world = World::open();
        let text = message(BOB, ALICE).replace("sip:", &format!("{scheme}:"));
        world.arrives(PEER, &text);
        let (_, packet, _) = world.submitted();
        assert_eq!((packet.from, packet.to), (address(BOB), address(ALICE)), "{scheme}");

        // Next hops need not know the scheme.
        let mut world = World::open();
        world.knows("partner.example");
        world.arrives(PEER, &message(ALICE, BOB).replace("sip:", &format!("{scheme}:")));
        let onward = world.requested("MESSAGE", HOP);
        assert_eq!(
            onward.uri().expect("a request").expect("a URI").as_str(),
            "sip:bob@partner.example"
        );
        world.replies(HOP, &onward, 200);
        world.answered(200);
    }
}
