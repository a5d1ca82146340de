//! Messages of XMPP users to SIP domains.

use super::*;
use crate::headers::HeaderId;

const BOB: &str = "bob@partner.example";

#[test]
fn s_098_s_099_a_message_becomes_a_message() {
    let mut world = World::open();
    world.attempt(&packet_from_xmpp(1, "bob@partner.example/pad", "hello"), 1, Instruction::Send);
    let request = world.requested("MESSAGE", HOP);
    let uri = request.uri().expect("a request").expect("a URI");
    assert_eq!(uri.as_str(), "sip:bob@partner.example;gr=pad");
    let from = request.from().expect("From");
    assert_eq!(from.uri().as_str(), "sip:alice@corp.example;gr=desk");
    assert!(from.tag().is_some());
    assert_eq!(header(&request, HeaderId::ContentType), "text/plain;charset=UTF-8");
    assert_eq!(header(&request, HeaderId::ContentLanguage), "en");
    assert_eq!(header(&request, HeaderId::CallId), "%-thread%201");
    assert_eq!(&request.body()[..], b"hello");
    assert!(request.header(HeaderId::Contact).is_none());
    let branch = request.top_via().expect("Via").branch().map(str::to_owned).expect("a branch");
    assert!(branch.ends_with(".stanza-1"), "{branch}");

    world.replies(HOP, &request, 202);
    let ended = world.ended();
    assert_eq!(ended.outcome.ending, Ending::Delivered { by: Protocol::Sip, status: 202 });
    assert_eq!(ended.route.as_deref(), Some(".*"));
    world.ends();
}

/// To some clients each device of a user would be another person.
#[test]
fn s_021_domains_that_the_operator_names_do_not_see_devices() {
    let mut world = World::with(Config { without_gr: blocked(&["*.partner.example"]), ..config() });
    world.link(R1, "r1", 10);
    world.tables(vec![open_route(HOP, Transport::Udp)]);
    for (number, to, from) in [
        (1, "bob@sub.partner.example/pad", "sip:alice@corp.example"),
        (2, "bob@other.example", "sip:alice@corp.example;gr=desk"),
    ] {
        world.attempt(&packet_from_xmpp(number, to, "hello"), 1, Instruction::Send);
        let request = world.requested("MESSAGE", HOP);
        assert_eq!(request.from().expect("From").uri().as_str(), from);
        let to = request.uri().expect("a request").expect("a URI");
        assert_eq!(to.params().get("gr").is_some(), number == 1, "whom it is to is theirs to say");
        world.replies(HOP, &request, 200);
        world.ended();
    }
    world.frames.clear();
    world.ends();
}

#[test]
fn s_112_the_same_thread_gets_fresh_numbers_and_tags() {
    let mut world = World::open();
    let mut seen = Vec::new();
    for n in 1..=2 {
        world.attempt(&packet_from_xmpp(n, BOB, "hello"), 1, Instruction::Send);
        let request = world.requested("MESSAGE", HOP);
        seen.push((
            request.call_id().expect("Call-ID"),
            request.cseq().expect("CSeq").number,
            request.from().expect("From").tag().map(str::to_owned),
        ));
        world.replies(HOP, &request, 200);
        world.ended();
    }
    assert_eq!(seen[0].0, seen[1].0);
    assert_ne!(seen[0].1, seen[1].1);
    assert_ne!(seen[0].2, seen[1].2);
    world.frames.clear();
    world.ends();
}

#[test]
fn s_110_one_message_at_a_time_to_one_uri_in_order() {
    let mut world = World::open();
    for n in 1..=3 {
        world.attempt(&packet_from_xmpp(n, BOB, &format!("text {n}")), 1, Instruction::Send);
    }
    world.attempt(&packet_from_xmpp(9, "carol@partner.example", "other"), 1, Instruction::Send);
    let first = world.requested("MESSAGE", HOP);
    let other = world.requested("MESSAGE", HOP);
    assert_eq!((&first.body()[..], &other.body()[..]), (&b"text 1"[..], &b"other"[..]));
    world.silent();
    world.replies(HOP, &other, 200);
    world.ended();
    world.silent();
    // A failed message does not stop the next one.
    world.replies(HOP, &first, 404);
    let Ending::Failed(failure) = world.ended().outcome.ending else { panic!("it failed") };
    assert_eq!((failure.condition, failure.cause), (Condition::ItemNotFound, Cause::Remote));
    assert!(matches!(world.frames.pop_front(), Some((_, FromCm::Credit(2)))));
    let second = world.requested("MESSAGE", HOP);
    assert_eq!(&second.body()[..], b"text 2");
    world.replies(HOP, &second, 200);
    world.ended();
    let third = world.requested("MESSAGE", HOP);
    assert_eq!(&third.body()[..], b"text 3");
    world.replies(HOP, &third, 200);
    world.ended();
    world.frames.clear();
    world.ends();
}

#[test]
fn s_110_the_line_is_bounded_and_its_messages_have_deadlines() {
    let mut world = World::open();
    for n in 0..66 {
        world.attempt(&packet_from_xmpp(n, BOB, "hello"), 1, Instruction::Send);
    }
    let mut busy = 0;
    while let Some((_, frame)) = world.frames.pop_front() {
        if let FromCm::Ended(ended) = frame {
            let Ending::Failed(failure) = ended.outcome.ending else { panic!("it failed") };
            assert_eq!(failure.cause, Cause::Busy);
            assert!(failure.retry_after.is_some());
            busy += 1;
        }
    }
    assert_eq!(busy, 2);
    world.pass(secs(30));
    let ended = world.frames.iter().filter(|(_, frame)| matches!(frame, FromCm::Ended(_)));
    assert_eq!(ended.count(), 64);
    world.sent.clear();
    world.frames.clear();
    world.ends();
}

#[test]
fn s_105_more_than_1300_bytes_on_the_wire_is_refused() {
    for (size, fits) in [(600, true), (1_400, false)] {
        let mut world = World::open();
        world.attempt(&packet_from_xmpp(1, BOB, &"x".repeat(size)), 1, Instruction::Send);
        if fits {
            let send = world.sent.pop_front().expect("a request");
            assert!(send.bytes.len() <= 1_300);
            continue;
        }
        let Ending::Failed(failure) = world.ended().outcome.ending else { panic!("it failed") };
        assert_eq!((failure.condition, failure.cause), (Condition::PolicyViolation, Cause::Policy));
        world.ends();
    }
}

#[test]
fn s_105_is_measured_on_the_whole_request_to_the_byte() {
    let mut world = World::open();
    world.attempt(&packet_from_xmpp(1, BOB, ""), 1, Instruction::Send);
    let empty = world.sent.pop_front().expect("a request").bytes.len();
    // Content-Length grows from one digit to three.
    let room = 1_300 - empty - 2;
    for (n, size, fits) in [(2, room - 9, true), (3, room + 9, false)] {
        let mut world = World::open();
        world.attempt(&packet_from_xmpp(n, BOB, &"x".repeat(size)), 1, Instruction::Send);
        assert_eq!(world.sent.len() == 1, fits);
    }
}

#[test]
fn failover_of_a_message_keeps_its_id_and_ends_once() {
    let mut world = World::open();
    world.tables(vec![route(".example.partner", HOP, 1), open_route(HOP_2, Transport::Udp)]);
    world.attempt(&packet_from_xmpp(1, BOB, "hello"), 4, Instruction::Send);
    let first = world.requested("MESSAGE", HOP);
    world.replies(HOP, &first, 503);
    let second = world.requested("MESSAGE", HOP_2);
    let branch = |m: &Message| m.top_via().expect("Via").branch().map(str::to_owned);
    assert!(branch(&second).is_some_and(|b| b.ends_with(".stanza-1")));
    assert_ne!(branch(&first), branch(&second));
    world.replies(HOP_2, &second, 503);
    let ended = world.ended();
    assert_eq!(ended.number, 4);
    let Ending::Failed(failure) = ended.outcome.ending else { panic!("it failed") };
    assert_eq!((failure.condition, failure.cause), (Condition::InternalServerError, Cause::Remote));
    world.ends();
}

#[test]
fn silence_is_a_timeout_of_ours() {
    let mut world = World::open();
    world.attempt(&packet_from_xmpp(1, BOB, "hello"), 1, Instruction::Discover);
    world.pass(secs(30));
    assert!(world.sent.len() > 5);
    world.sent.clear();
    let ended = world.ended();
    assert_eq!(ended.outcome.ending, failed(Condition::RemoteServerTimeout, Cause::Unreachable));
    world.ends();
}

#[test]
fn discovery_needs_the_open_route_and_known_domains_do_not() {
    let mut world = World::open();
    world.tables(vec![StaticRoute { blocked: true, ..open_route(HOP, Transport::Udp) }]);
    world.attempt(&packet_from_xmpp(1, BOB, "hello"), 1, Instruction::Discover);
    assert!(matches!(world.ended().outcome.ending, Ending::Failed(_)));
    world.attempt(&packet_from_xmpp(2, BOB, "hello"), 1, Instruction::Send);
    world.requested("MESSAGE", HOP);
}

#[test]
fn what_has_no_meaning_in_sip_and_what_is_not_ours_to_do() {
    let mut world = World::open();
    let mut packet = packet_from_xmpp(1, BOB, "hello");
    packet.body = Body::Opaque { kind: "iq get".into() };
    world.attempt(&packet, 1, Instruction::Send);
    let unmappable = failed(Condition::FeatureNotImplemented, Cause::Unmappable);
    assert_eq!(world.ended().outcome.ending, unmappable);
    world.attempt(&packet_from_xmpp(2, BOB, "hello"), 1, Instruction::Home);
    assert_eq!(world.ended().outcome.ending, unmappable);
    world.frames.clear();
    world.ends();
}

#[test]
fn a_local_part_without_sip_form_is_refused_not_misdirected() {
    let mut world = World::open();
    world.attempt(
        &packet_from_xmpp(1, "foo\\5cbar@partner.example", "hello"),
        1,
        Instruction::Send,
    );
    let ended = world.ended();
    assert_eq!(ended.outcome.ending, failed(Condition::JidMalformed, Cause::Policy));
    world.ends();
}

#[test]
fn s_109_the_subject_in_the_bodys_language_and_no_line_of_its_own() {
    let mut world = World::open();
    let mut packet = packet_from_xmpp(1, BOB, "hallo");
    let Body::Message(message) = &mut packet.body else { panic!("a message") };
    let text = |lang: &str, text: &str| Text { lang: Some(lang.into()), text: text.into() };
    message.bodies = vec![text("de", "hallo"), text("en", "hello")];
    message.subjects = vec![text("en", "greetings"), text("de", "Gruß\r\nContact: <sip:x>")];
    world.attempt(&packet, 1, Instruction::Send);
    let request = world.requested("MESSAGE", HOP);
    assert_eq!(header(&request, HeaderId::Subject), "Gruß  Contact: <sip:x>");
    assert_eq!(header(&request, HeaderId::ContentLanguage), "de");
    assert_eq!(&request.body()[..], b"hallo");
    assert!(request.header(HeaderId::Contact).is_none());
}
