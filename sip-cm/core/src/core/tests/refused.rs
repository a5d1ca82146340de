//! What is not let in (rules §3 steps 1–3).

use super::*;
use crate::headers::HeaderId;
use crate::rule::Rule;

const ALICE: &str = "alice@corp.example";
const BOB: &str = "bob@partner.example";

#[track_caller]
fn refused(mut world: World, from: &str, text: &str, status: u16) -> Message {
    world.arrives(from, text);
    let answer = world.answered(status);
    world.ends();
    answer
}

/// It is refused, and whoever looks sees by which rule: the sender, the console, the log.
#[track_caller]
fn forbidden(mut world: World, from: &str, text: &str, rule: Rule) -> Refused {
    world.arrives(from, text);
    let answer = world.answered(403);
    assert_eq!(header(&answer, HeaderId::Warning), format!("399 openfed \"{}\"", rule.as_str()));
    let source = from.parse::<SocketAddr>().expect("an address").ip();
    assert!(world.facts.contains(&Fact::Refused { source, rule, line: true }), "{:?}", world.facts);
    let [flow] = &std::mem::take(&mut world.refused)[..] else { panic!("one flow") };
    let verdicts: Vec<_> = flow.outcome.hops.iter().map(|hop| hop.verdict.as_str()).collect();
    assert_eq!(verdicts, ["received", rule.as_str()]);
    let condition =
        if rule.is_block() { Condition::PolicyViolation } else { Condition::NotAllowed };
    assert_eq!(flow.outcome.ending, failed(condition, Cause::Policy));
    world.ends();
    flow.clone()
}

#[test]
fn no_relay_ever() {
    let flow = forbidden(World::open(), PEER, &message("eve@evil.example", BOB), Rule::Relay);
    assert_eq!((flow.domain.as_str(), flow.direction), ("evil.example", Direction::Inbound));
}

#[test]
fn a_flood_of_refusals_shows_as_its_beginning() {
    let mut world = World::open();
    for number in 0..500 {
        let text = message("eve@evil.example", BOB).replace("peer1", &format!("peer{number}"));
        let source = format!("203.0.{}.{}:5060", number / 250, number % 250);
        world.arrives(if number % 2 == 0 { &source } else { "203.0.113.9:5060" }, &text);
        world.answered(403);
    }
    let told = |line: bool| {
        let is = |fact: &&Fact| matches!(fact, Fact::Refused { line: it, .. } if *it == line);
        world.facts.iter().filter(is).count()
    };
    assert_eq!(told(true) + told(false), 500, "all are counted");
    assert!(told(true) <= 32 && world.refused.len() <= 30, "{}", world.refused.len());
    world.ends();
}

#[test]
fn nobody_speaks_for_a_local_user_from_outside() {
    let flow = forbidden(World::open(), "203.0.113.9:5060", &message(ALICE, BOB), Rule::Source);
    assert_eq!((flow.domain.as_str(), flow.direction), ("partner.example", Direction::Outbound));
    let carol = message(ALICE, "carol@corp.example");
    let flow = forbidden(World::open(), PEER, &carol, Rule::Intradomain);
    assert_eq!((flow.domain.as_str(), flow.direction), ("corp.example", Direction::Internal));
}

#[test]
fn nobody_speaks_for_a_local_user_through_a_next_hop() {
    for cached in [false, true] {
        let mut world = World::open();
        if cached {
            world.knows("partner.example");
        }
        forbidden(world, HOP, &message(ALICE, BOB), Rule::LocalSender);
    }
    let mut world = World::with(Config { intradomain: true, ..config() });
    world.link(R1, "r1", 10);
    world.tables(vec![open_route(HOP, Transport::Udp)]);
    forbidden(world, HOP, &message(ALICE, "carol@corp.example"), Rule::LocalSender);
    let in_dialog = message(ALICE, BOB)
        .replace("To: <sip:bob@partner.example>", "To: <sip:bob@partner.example>;tag=b1");
    forbidden(World::open(), HOP, &in_dialog, Rule::LocalSender);
    // What it is there for: to bring what others say.
    let mut world = World::open();
    world.arrives(HOP, &message(BOB, ALICE));
    assert_eq!(world.submitted().1.direction, Direction::Inbound);
}

#[test]
fn local_users_meet_if_the_operator_says_so() {
    let mut world = World::with(Config { intradomain: true, ..config() });
    world.link(R1, "r1", 10);
    world.arrives(PEER, &message(ALICE, "carol@corp.example"));
    let (_, packet, _) = world.submitted();
    assert_eq!(packet.direction, Direction::Internal);
    world.outcome(packet.id, delivered());
    world.answered(200);
    world.ends();
}

#[test]
fn blocked_domains_are_refused_in_both_directions_cached_or_not() {
    for (from, to) in [(ALICE, BOB), (BOB, ALICE), (ALICE, "x@sub.partner.example")] {
        for cached in [false, true] {
            let mut world = World::open();
            let tables = Tables {
                version: 2,
                routes: vec![open_route(HOP, Transport::Udp)],
                blocked: blocked(&["*.partner.example"]),
                ..Tables::default()
            };
            world.frame(R1, FromRouter::Tables(tables));
            if cached {
                world.knows("partner.example");
            }
            forbidden(world, PEER, &message(from, to), Rule::BlockedDomain);
        }
    }
}

#[test]
fn what_a_store_that_went_back_says_is_obeyed() {
    let mut world = World::open();
    let evil = blocked(&["partner.example"]);
    let tables = |number, version, blocked: &Vec<DomainPattern>| {
        let (era, blocked) = (Era { store: 7, number }, blocked.clone());
        let routes = vec![open_route(HOP, Transport::Udp)];
        FromRouter::Tables(Tables { era, version, routes, blocked, pinned: Vec::new() })
    };
    world.link(R2, "r2", 100);
    for router in [R1, R2] {
        world.frame(router, tables(1, 100, &Vec::new()));
    }
    // One router has found that the store went back, the other one tells of what it knows.
    world.frame(R1, tables(2, 90, &evil));
    world.frame(R2, tables(1, 101, &Vec::new()));
    forbidden(world, PEER, &message(ALICE, BOB), Rule::BlockedDomain);
}

#[test]
fn what_a_router_alone_held_goes_with_it() {
    let mut world = World::open();
    world.link(R2, "r2", 100);
    let evil = blocked(&["partner.example"]);
    let tables = Tables { version: 9, blocked: evil, ..Tables::default() };
    world.frame(R2, FromRouter::Tables(tables));
    world.core.handle_link_down(R2, world.now);
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    world.outcome(packet.id, delivered());
    world.answered(200);
    world.ends();
}

#[test]
fn blocking_reaches_what_a_router_still_asks_for() {
    let mut world = World::open();
    let tables = Tables { version: 2, blocked: blocked(&["partner.example"]), ..Tables::default() };
    world.frame(R1, FromRouter::Tables(tables));
    world.attempt(&packet_from_xmpp(1, BOB, "hello"), 1, Instruction::Send);
    let ended = world.ended();
    assert_eq!(ended.outcome.ending, failed(Condition::PolicyViolation, Cause::Policy));
    world.ends();
}

#[test]
fn pinned_domains_are_the_routers_to_decide() {
    let mut world = World::open();
    world.knows("partner.example");
    let tables =
        Tables { version: 2, pinned: vec![domain("partner.example")], ..Tables::default() };
    world.frame(R1, FromRouter::Tables(tables));
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    world.outcome(packet.id, delivered());
    world.answered(200);
    world.ends();
}

#[test]
fn s_044_s_026_other_schemes_than_sip() {
    let sips = message(BOB, ALICE).replace("sip:alice", "sips:alice");
    refused(World::open(), PEER, &sips, 416);
    let tel =
        message(BOB, ALICE).replacen("MESSAGE sip:alice@corp.example", "MESSAGE tel:+4930", 1);
    refused(World::open(), PEER, &tel, 416);
    let odd = message(BOB, ALICE).replacen("MESSAGE sip:alice@corp.example", "MESSAGE odd:x", 1);
    refused(World::open(), PEER, &odd, 416);
}

/// It would have the sender try again with the Request-URI that it has (RFC 3261 §8.1.3.5).
#[test]
fn e03_416_is_about_the_request_uri_alone() {
    for from in ["tel:+4930", "odd:x"] {
        let text = message(BOB, ALICE).replace("<sip:bob@partner.example>", &format!("<{from}>"));
        let flow = forbidden(World::open(), PEER, &text, Rule::SenderScheme);
        assert_eq!((flow.domain.as_str(), flow.direction), ("corp.example", Direction::Inbound));
        let both = text.replacen("MESSAGE sip:alice@corp.example", "MESSAGE tel:+4930", 1);
        refused(World::open(), PEER, &both, 416);
    }
    for (from, to) in [(BOB, ALICE), (ALICE, BOB)] {
        let sips = message(from, to).replace("To: <sip:", "To: <sips:");
        forbidden(World::open(), PEER, &sips, Rule::Insecure);
    }
    let mut over_udp = World::open();
    over_udp.knows("partner.example");
    let sips = message(ALICE, BOB).replace("To: <sip:", "To: <sips:");
    forbidden(over_udp, PEER, &sips, Rule::Insecure);
}

#[test]
fn e02_max_forwards_0() {
    let last = |text: String| text.replace("Max-Forwards: 70", "Max-Forwards: 0");
    refused(World::open(), PEER, &last(message(ALICE, BOB)), 483);
    refused(World::open(), PEER, &last(message(BOB, ALICE)), 483);
    let ok = refused(World::open(), PEER, &last(request("OPTIONS", ALICE, BOB, "", "")), 200);
    assert!(ok.header(HeaderId::Allow).is_some());
}

#[test]
fn an_absent_max_forwards_begins_at_70() {
    let mut world = World::open();
    world.knows("partner.example");
    world.arrives(PEER, &message(ALICE, BOB).replace("Max-Forwards: 70\r\n", ""));
    assert_eq!(world.requested("MESSAGE", HOP).max_forwards(), Ok(Some(70)));
}

#[test]
fn malformed_addresses_are_400_and_proxy_require_is_420() {
    let no_utf8 = message(ALICE, "%FF@partner.example");
    refused(World::open(), PEER, &no_utf8, 400);
    let ip = message("bob@192.0.2.1", ALICE);
    refused(World::open(), PEER, &ip, 400);
    let required = request("MESSAGE", ALICE, BOB, "Proxy-Require: magic\r\n", "");
    let answer = refused(World::open(), PEER, &required, 420);
    assert_eq!(header(&answer, HeaderId::Unsupported), "magic");
}

#[test]
fn what_cannot_be_read_is_answered_if_it_can_be() {
    let mut world = World::open();
    world.arrives(PEER, &message(ALICE, BOB).replace("CSeq: 1 MESSAGE", "CSeq: 1 INFO"));
    world.answered(400);
    world.arrives(PEER, "nonsense\r\n\r\n");
    world.arrives("203.0.113.9:5060", "nonsense\r\n\r\n");
    world.ends();
}

#[test]
fn options_to_this_service_says_what_it_does() {
    let ping = request("OPTIONS", "x@a.example", "198.51.100.1:5060", "", "");
    let ok = refused(World::open(), PEER, &ping, 200);
    assert_eq!(header(&ok, HeaderId::Allow), "MESSAGE, OPTIONS");
    let text = message("x@a.example", "198.51.100.1:5060");
    refused(World::open(), PEER, &text, 404);
    let register = request("REGISTER", "x@a.example", "198.51.100.1:5060", "", "");
    refused(World::open(), PEER, &register, 405);
}

/// A client that is pointed here learns that there is no registrar, not that it is not trusted.
#[test]
fn e03_the_method_is_looked_at_before_who_speaks() {
    let to = |method: &str, uri: &str, from: &str| {
        let text = request(method, from, ALICE, "Contact: <sip:a@192.0.2.77>\r\n", "");
        text.replacen("sip:alice@corp.example", uri, 1)
    };
    for source in [PEER, HOP, "203.0.113.9:5060"] {
        for (method, uri) in [
            ("REGISTER", "sip:corp.example"),
            ("REGISTER", "sip:CORP.example:5060;transport=tcp"),
            ("REGISTER", "sip:198.51.100.1"),
            ("PUBLISH", "sip:alice@corp.example"),
        ] {
            for from in [ALICE, BOB] {
                let answer = refused(World::open(), source, &to(method, uri, from), 405);
                assert_eq!(header(&answer, HeaderId::Allow), "MESSAGE, OPTIONS");
            }
        }
    }
    // Between two of ours nothing but a message could ever go.
    for (method, status) in [("SUBSCRIBE", 405), ("REFER", 405), ("ODD", 501)] {
        let text = request(method, ALICE, "carol@corp.example", "", "");
        let answer = refused(World::open(), PEER, &text, status);
        assert_eq!(header(&answer, HeaderId::Allow), "MESSAGE, OPTIONS");
    }
    // Elsewhere there may be one, and who asks for it must be trusted.
    let elsewhere = to("REGISTER", "sip:partner.example", ALICE);
    forbidden(World::open(), "203.0.113.9:5060", &elsewhere, Rule::Source);
    let mut world = World::open();
    world.knows("partner.example");
    world.arrives(PEER, &elsewhere.replace("To: <sip:alice@corp", "To: <sip:alice@partner"));
    let onward = world.requested("REGISTER", HOP);
    world.replies(HOP, &onward, 200);
    world.answered(200);
}

#[test]
fn e10_a_dialog_that_is_not_on_sip_is_481() {
    let bye = request("BYE", BOB, ALICE, "", "")
        .replace("corp.example>\r\nCall", "corp.example>;tag=b1\r\nCall");
    refused(World::open(), PEER, &bye, 481);
    let relay = request("BYE", BOB, "x@other.example", "", "")
        .replace("To: <sip:x@other.example>", "To: <sip:x@other.example>;tag=b1");
    forbidden(World::open(), PEER, &relay, Rule::Relay);
}

#[test]
fn a_stray_ack_and_a_stray_response_are_dropped() {
    let mut world = World::open();
    world.arrives(PEER, &request("ACK", ALICE, BOB, "", ""));
    world.arrives(
        PEER,
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
    );
    world.ends();
}

#[test]
fn a_message_of_our_own_that_comes_back_is_a_loop() {
    let mut world = World::open();
    world.attempt(&packet_from_xmpp(1, BOB, "hello"), 1, Instruction::Send);
    let ours = world.requested("MESSAGE", HOP);
    let mut back = ours.clone();
    back.push_via("SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKhop1");
    world.arrives(PEER, &String::from_utf8_lossy(&back.to_bytes()));
    world.answered(482);
    world.replies(HOP, &ours, 482);
    let Ending::Failed(failure) = world.ended().outcome.ending else { panic!("it failed") };
    assert_eq!((failure.condition, failure.cause), (Condition::NotAcceptable, Cause::Remote));
    world.ends();
}

#[test]
fn full_tables_refuse_aloud() {
    let mut world = World::with(Config { max_transactions: 1, ..config() });
    world.link(R1, "r1", 10);
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
    assert_eq!(world.answered(500).retry_after(), Some(5));
    world.outcome(packet.id, delivered());
    world.answered(200);
    world.ends();
}

#[test]
fn more_requests_than_can_be_answered_in_time_are_refused_aloud() {
    let mut world = World::with(Config { max_requests: 1, ..config() });
    world.link(R1, "r1", 10);
    world.arrives(PEER, &message(ALICE, BOB));
    let (_, packet, _) = world.submitted();
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
    assert_eq!(world.answered(500).retry_after(), Some(5));
    world.outcome(packet.id, delivered());
    world.answered(200);
    world.ends();
}

#[test]
fn a_message_is_not_worth_more_time_than_it_says() {
    let mut world = World::open();
    world.arrives(PEER, &request("MESSAGE", BOB, ALICE, "Expires: 9\r\n", "hello"));
    let (_, packet, _) = world.submitted();
    assert_eq!(packet.remaining, secs(9));
    world.pass(secs(10));
    world.answered(100);
    world.answered(504);
    world.ends();
}
