//! Traffic of known domains: proxied by static route, without any router.

use super::*;
use crate::headers::HeaderId;

const ALICE: &str = "alice@corp.example";
const BOB: &str = "bob@partner.example";

/// A MESSAGE of a local user to a known domain, already forwarded.
fn forwarded(world: &mut World) -> Message {
    world.knows("partner.example");
    world.arrives(PEER, &message(ALICE, BOB));
    world.requested("MESSAGE", HOP)
}

/// An INVITE of a local user to a known domain, already forwarded.
fn invited(world: &mut World) -> (String, Message) {
    world.knows("partner.example");
    let text = request("INVITE", ALICE, BOB, "", "");
    world.arrives(PEER, &text);
    world.answered(100);
    let invite = world.requested("INVITE", HOP);
    (text, invite)
}

#[test]
fn a_message_to_a_cached_domain_is_forwarded_without_asking_a_router() {
    let mut world = World::open();
    let onward = forwarded(&mut world);
    assert_eq!(world.frames, []);
    assert_eq!(onward.max_forwards(), Ok(Some(69)));
    assert_eq!(onward.vias().expect("Via").len(), 2);
    assert_eq!(&onward.body()[..], b"hello");
    assert!(onward.header(HeaderId::RecordRoute).is_none());

    world.replies(HOP, &onward, 200);
    let ok = world.answered(200);
    assert_eq!(ok.vias().expect("Via").len(), 1);
    assert_eq!(header(&ok, HeaderId::To), "<sip:bob@partner.example>;tag=b1");

    let decided = world.facts.iter().find_map(|fact| match fact {
        Fact::Ended(end) if end.kind == StageKind::Receive => Some((end.status, end.decision)),
        _ => None,
    });
    assert_eq!(decided, Some((Some(200), Some("cached"))));

    world.pass(secs(2));
    match world.frames.pop_front() {
        Some((_, FromCm::Usage(used))) => {
            assert_eq!(used.len(), 1);
            assert_eq!((used[0].domain.as_str(), used[0].hits), ("partner.example", 1));
        }
        other => panic!("expected usage, got {other:?}"),
    }
    world.ends();
}

#[test]
fn unknown_methods_headers_reasons_and_binary_bodies_pass_byte_for_byte() {
    let mut world = World::open();
    world.knows("partner.example");
    let mut bytes = b"WINK sip:bob@partner.example;x=%41 SIP/2.0\r\n\
        v: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKpeer1\r\n\
        Max-Forwards:  7\r\n\
        f: \"A, b\" <sip:alice@corp.example>;tag=a1\r\n\
        t: <sip:bob@partner.example>\r\n\
        i: call1\r\n\
        CSeq: 1 WINK\r\n\
        X-Odd : folded\r\n\x20 and odd\r\n\
        l: 4\r\n\r\n"
        .to_vec();
    bytes.extend_from_slice(&[0, 255, b'\n', 128]);
    world.arrives_by(Transport::Udp, PEER, &bytes);
    let onward = world.requested("WINK", HOP);
    let out = onward.to_bytes();
    let text = String::from_utf8_lossy(&out);
    assert!(text.starts_with("WINK sip:bob@partner.example;x=%41 SIP/2.0\r\n"), "{text}");
    assert!(text.contains("X-Odd : folded\r\n  and odd\r\n"), "{text}");
    assert!(text.contains("Max-Forwards:  6\r\n"), "{text}");
    assert!(out.ends_with(&[0, 255, b'\n', 128]));
    // A method that nobody knows may make a dialog.
    assert!(onward.header(HeaderId::RecordRoute).is_some());

    world.arrives(HOP, &response(&onward, 299, "X-Back: yes\r\n"));
    let back = world.answered(299);
    assert!(String::from_utf8_lossy(&back.to_bytes()).starts_with("SIP/2.0 299 Any Words\r\n"));
    assert!(back.header_named("X-Back").is_some());
    world.ends_after_usage();
}

#[test]
fn e05_retransmissions_are_absorbed_and_answered_with_the_last_response() {
    let mut world = World::open();
    let onward = forwarded(&mut world);
    world.arrives(PEER, &message(ALICE, BOB));
    world.silent();
    world.replies(HOP, &onward, 200);
    world.answered(200);
    world.arrives(PEER, &message(ALICE, BOB));
    world.answered(200);
    // A second final response from the hop changes nothing.
    world.replies(HOP, &onward, 486);
    world.silent();
    world.ends_after_usage();
}

#[test]
fn a_503_goes_to_the_next_route_and_any_other_answer_is_the_answer() {
    let mut world = World::open();
    world.tables(vec![
        route(".example.partner", HOP, 1),
        route(".example.partner", HOP_2, 2),
        open_route("192.0.2.22:5060", Transport::Udp),
    ]);
    world.arrives(PEER, &message(ALICE, BOB));
    let first = world.requested("MESSAGE", HOP);
    world.replies(HOP, &first, 503);
    let second = world.requested("MESSAGE", HOP_2);
    assert_ne!(first.top_via(), second.top_via());
    world.replies(HOP_2, &second, 404);
    world.answered(404);
    assert!(world.facts.iter().any(|fact| matches!(fact, Fact::HopDown { .. })));
    world.ends_after_usage();
}

#[test]
fn any_final_answer_but_503_ends_the_search_although_routes_are_left() {
    for code in [302, 403, 404, 407, 480, 481, 482, 486, 488, 500, 501, 502, 504, 600, 604] {
        let mut world = World::open();
        world.tables(vec![route(".example.partner", HOP, 1), route(".example.partner", HOP_2, 2)]);
        let first = forwarded(&mut world);
        world.replies(HOP, &first, code);
        world.answered(code);
        world.ends_after_usage();
    }
}

#[test]
fn e12_transport_errors_fail_over_at_once_and_the_last_one_is_504() {
    let mut world = World::open();
    world.tables(vec![route(".example.partner", HOP, 1), open_route(HOP_2, Transport::Udp)]);
    world.arrives(PEER, &message(ALICE, BOB));
    for to in [HOP, HOP_2] {
        let send = world.sent.pop_front().expect("a request");
        assert_eq!(send.to.address, to.parse().expect("an address"));
        world.core.handle_send_failed(send.token, world.now);
        world.collect();
    }
    world.answered(504);
    world.ends_after_usage();
}

#[test]
fn silence_fails_over_while_there_is_time_and_a_non_invite_never_gets_408() {
    let mut world = World::open();
    world.tables(vec![route(".example.partner", HOP, 1), open_route(HOP_2, Transport::Udp)]);
    world.arrives(PEER, &message(ALICE, BOB));
    world.pass(secs(31) + Duration::from_millis(900));
    let sent: Vec<Send> = world.sent.drain(..).collect();
    let to = |address: &str| {
        let address: SocketAddr = address.parse().expect("an address");
        sent.iter().filter(|send| send.to.address == address).count()
    };
    assert!(to(HOP) >= 5, "sent to the first: {}", to(HOP));
    assert!(to(HOP_2) >= 5, "sent to the second: {}", to(HOP_2));
    let codes: Vec<u16> = sent
        .iter()
        .filter_map(|send| Message::parse(send.bytes.clone()).expect("sound").code())
        .collect();
    // RFC 4320: 100 when the sender's timer has grown to T2; then 504 while it still listens.
    assert_eq!(codes, [100, 504]);
    world.ends_after_usage();
}

#[test]
fn a_503_of_the_only_hop_becomes_500_with_its_retry_after() {
    let mut world = World::open();
    let onward = forwarded(&mut world);
    world.arrives(HOP, &response(&onward, 503, "Retry-After: 9\r\n"));
    assert_eq!(world.answered(500).retry_after(), Some(9));
    world.ends_after_usage();
}

#[test]
fn rfc4320_a_408_of_the_hop_does_not_reach_a_non_invite() {
    let mut world = World::open();
    let onward = forwarded(&mut world);
    world.replies(HOP, &onward, 408);
    world.answered(504);
    world.ends_after_usage();
}

#[test]
fn e07_a_request_too_large_for_udp_goes_over_tcp_and_falls_back() {
    let mut world = World::open();
    world.knows("partner.example");
    world.arrives(PEER, &request("INFO", ALICE, BOB, "", &"x".repeat(1_300)));
    let send = world.sent.pop_front().expect("a request");
    assert_eq!(send.to.transport, Transport::Tcp);
    assert!(String::from_utf8_lossy(&send.bytes).contains("Via: SIP/2.0/TCP"));
    world.core.handle_send_failed(send.token, world.now);
    world.collect();
    let (onward, hop) = world.next_sent();
    assert_eq!(hop.transport, Transport::Udp);
    world.replies(HOP, &onward, 200);
    world.answered(200);
    world.ends_after_usage();
}

#[test]
fn an_invite_with_its_100_180_200_and_ack() {
    let mut world = World::open();
    let (_, invite) = invited(&mut world);
    assert_eq!(header(&invite, HeaderId::RecordRoute), "<sip:198.51.100.1:5060;transport=udp;lr>");
    world.replies(HOP, &invite, 100);
    world.silent();
    world.replies(HOP, &invite, 180);
    world.answered(180);
    world.replies(HOP, &invite, 200);
    world.answered(200);
    // RFC 6026: a copy of the 2xx goes back as well.
    world.replies(HOP, &invite, 200);
    world.answered(200);

    let route = "Route: <sip:198.51.100.1:5060;transport=udp;lr>\r\n";
    let ack = request("ACK", ALICE, "bob@192.0.2.99", route, "")
        .replace("To: <sip:bob@192.0.2.99>", "To: <sip:bob@partner.example>;tag=b1")
        .replace("peer1", "peer2");
    world.arrives(PEER, &ack);
    let onward = world.requested("ACK", "192.0.2.99:5060");
    assert!(onward.header(HeaderId::Route).is_none());
    world.ends_after_usage();
}

#[test]
fn a_failed_invite_is_acknowledged_here_and_resent_until_the_peer_acknowledges() {
    let mut world = World::open();
    let (text, invite) = invited(&mut world);
    world.replies(HOP, &invite, 486);
    let ack = world.requested("ACK", HOP);
    assert_eq!(ack.top_via(), invite.top_via());
    assert_eq!(ack.to().expect("To").tag(), Some("b1"));
    world.answered(486);
    world.pass(Duration::from_millis(500));
    world.answered(486);
    world.arrives(PEER, &text.replace("INVITE", "ACK"));
    world.ends_after_usage();
}

#[test]
fn cancel_waits_for_a_provisional_response_and_487_comes_back() {
    let mut world = World::open();
    let (text, invite) = invited(&mut world);
    world.arrives(PEER, &text.replace("INVITE", "CANCEL"));
    world.answered(200);
    world.silent();
    world.replies(HOP, &invite, 180);
    let cancel = world.requested("CANCEL", HOP);
    assert_eq!(cancel.top_via(), invite.top_via());
    world.answered(180);
    world.replies(HOP, &cancel, 200);
    world.replies(HOP, &invite, 487);
    world.requested("ACK", HOP);
    world.answered(487);
    world.arrives(PEER, &text.replace("INVITE", "ACK"));
    world.ends_after_usage();
}

#[test]
fn a_cancel_that_means_nothing_is_481() {
    let mut world = World::open();
    world.arrives(PEER, &request("CANCEL", ALICE, BOB, "", ""));
    world.answered(481);
    world.ends();
}

#[test]
fn timer_c_ends_what_rings_for_ever() {
    let mut world = World::open();
    let (text, invite) = invited(&mut world);
    world.replies(HOP, &invite, 180);
    world.answered(180);
    world.pass(secs(180));
    world.silent();
    // Each provisional response sets it anew.
    world.replies(HOP, &invite, 183);
    world.answered(183);
    world.pass(secs(184));
    world.silent();
    world.pass(Duration::from_millis(1_200));
    let cancel = world.requested("CANCEL", HOP);
    world.answered(408);
    world.replies(HOP, &cancel, 200);
    world.replies(HOP, &invite, 487);
    world.requested("ACK", HOP);
    world.arrives(PEER, &text.replace("INVITE", "ACK"));
    world.sent.clear();
    world.ends_after_usage();
}

#[test]
fn two_transports_record_two_routes_and_both_are_taken_off_again() {
    let mut world = World::open();
    world.tables(vec![open_route(HOP, Transport::Tcp)]);
    world.knows("partner.example");
    world.arrives(PEER, &request("SUBSCRIBE", ALICE, BOB, "", ""));
    let onward = world.requested("SUBSCRIBE", HOP);
    let recorded = onward.addresses(HeaderId::RecordRoute).expect("Record-Route");
    let recorded: Vec<&str> = recorded.iter().map(|value| value.as_str()).collect();
    let (tcp, udp) =
        ("<sip:198.51.100.1:5060;transport=tcp;lr>", "<sip:198.51.100.1:5060;transport=udp;lr>");
    assert_eq!(recorded, [tcp, udp]);
    world.arrives_by(Transport::Tcp, HOP, response(&onward, 200, "").as_bytes());
    world.answered(200);

    let routes = format!("Route: {tcp}, {udp}\r\n");
    let notify = request("NOTIFY", BOB, "alice@192.0.2.77:5070", &routes, "")
        .replace("To: <sip:alice@192.0.2.77:5070>", "To: <sip:alice@corp.example>;tag=b2")
        .replace("192.0.2.10:5060;branch=z9hG4bKpeer1", "192.0.2.20:5060;branch=z9hG4bKhop1");
    world.arrives_by(Transport::Tcp, HOP, notify.as_bytes());
    let onward = world.requested("NOTIFY", "192.0.2.77:5070");
    assert!(onward.header(HeaderId::Route).is_none());
    world.replies("192.0.2.77:5070", &onward, 200);
    world.answered(200);
    world.ends_after_usage();
}

#[test]
fn a_strict_router_after_us_finds_its_address_in_the_request_uri() {
    let mut world = World::open();
    let routes = "Route: <sip:198.51.100.1:5060;lr>, <sip:192.0.2.50>\r\n";
    let bye = request("BYE", ALICE, "bob@192.0.2.99", routes, "")
        .replace("To: <sip:bob@192.0.2.99>", "To: <sip:bob@partner.example>;tag=b1");
    world.arrives(PEER, &bye);
    let onward = world.requested("BYE", "192.0.2.50:5060");
    assert_eq!(onward.uri().expect("a request").expect("a URI").as_str(), "sip:192.0.2.50");
    assert_eq!(header(&onward, HeaderId::Route), "<sip:bob@192.0.2.99>");
    world.replies("192.0.2.50:5060", &onward, 200);
    world.answered(200);
    world.ends();
}

#[test]
fn e16_a_next_hop_by_name_is_looked_up_and_its_addresses_are_tried_in_turn() {
    let mut world = World::open();
    let mut named = open_route(HOP, Transport::Udp);
    (named.next_hop, named.port) = ("sbc.example".into(), 0);
    world.tables(vec![named]);
    let (trust, host, port) = world.look_ups.pop_front().expect("a look-up");
    assert_eq!((&*host, port), ("sbc.example", None));
    world.core.handle_resolved(trust, vec![hop(HOP)], world.now);
    world.knows("partner.example");
    world.arrives(PEER, &message(ALICE, BOB));
    let (token, ..) = world.look_ups.pop_front().expect("a look-up");
    world.core.handle_resolved(token, vec![hop(HOP), hop(HOP_2)], world.now);
    world.collect();
    let first = world.sent.pop_front().expect("a request");
    assert_eq!(first.to, hop(HOP));
    world.core.handle_send_failed(first.token, world.now);
    world.collect();
    let onward = world.requested("MESSAGE", HOP_2);
    world.replies(HOP_2, &onward, 200);
    world.answered(200);

    // What the name leads to may send to us; others may not.
    let options = request("OPTIONS", "x@a.example", "198.51.100.1", "", "");
    world.arrives(HOP_2, &options);
    world.answered(200);
    world.arrives("192.0.2.30:5060", &options.replace("peer1", "peer3"));
    world.answered(403);
}

#[test]
fn a_name_that_leads_nowhere_is_504() {
    let mut world = World::open();
    let mut named = open_route(HOP, Transport::Udp);
    named.next_hop = "sbc.example".into();
    world.tables(vec![named]);
    world.look_ups.clear();
    world.knows("partner.example");
    world.arrives(PEER, &message(ALICE, BOB));
    let (token, ..) = world.look_ups.pop_front().expect("a look-up");
    world.core.handle_resolved(token, Vec::new(), world.now);
    world.collect();
    world.answered(504);
}

fn with_credentials(transport: Transport) -> StaticRoute {
    let (username, password) = ("gateway".to_owned(), "secret".to_owned());
    let credentials = Some(openfed_proto::route::Credentials { username, password });
    StaticRoute { credentials, ..open_route(HOP, transport) }
}

const CHALLENGE: &str = "Proxy-Authenticate: Digest realm=\"sbc\", nonce=\"n1\"\r\n";

#[test]
fn e13_a_challenge_is_answered_once_with_the_routes_credentials() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = World::open();
        world.tables(vec![with_credentials(transport)]);
        let first = forwarded(&mut world);
        world.arrives_by(transport, HOP, response(&first, 407, CHALLENGE).as_bytes());
        let second = world.requested("MESSAGE", HOP);
        assert!(header(&second, HeaderId::ProxyAuthorization).contains("username=\"gateway\""));
        assert_eq!(second.cseq().expect("CSeq").number, 2);
        assert_ne!(first.top_via(), second.top_via());
        world.replies(HOP, &second, 200);
        // The peer knows its own number only.
        assert_eq!(world.answered(200).cseq().expect("CSeq").number, 1);
        world.ends_after_usage();
    }
}

#[test]
fn e13_refused_credentials_are_the_hops_last_word_and_stale_ones_are_not() {
    let mut world = World::open();
    world.tables(vec![with_credentials(Transport::Udp)]);
    let first = forwarded(&mut world);
    world.arrives(HOP, &response(&first, 407, CHALLENGE));
    let second = world.requested("MESSAGE", HOP);
    let stale = CHALLENGE.replace("\r\n", ", stale=true\r\n").replace("n1", "n2");
    world.arrives(HOP, &response(&second, 407, &stale));
    let third = world.requested("MESSAGE", HOP);
    assert!(header(&third, HeaderId::ProxyAuthorization).contains("nonce=\"n2\""));
    world.arrives(HOP, &response(&third, 407, CHALLENGE));
    world.answered(407);
    world.ends_after_usage();
}

/// All credentials of a request, one a line.
fn credentials_of(request: &Message) -> Vec<String> {
    let lines = request.headers_of(HeaderId::ProxyAuthorization);
    lines.map(|header| header.text().expect("text").to_string()).collect()
}

#[test]
fn e13_the_senders_own_credentials_are_not_the_routes() {
    let own = |realm: &str| format!("Digest username=\"alice\", realm=\"{realm}\", nonce=\"0\"");
    let mut world = World::open();
    let first_hop = StaticRoute { priority: 1, ..with_credentials(Transport::Udp) };
    let second_hop = StaticRoute { priority: 2, ..route(".example.partner", HOP_2, 2) };
    let first_hop = StaticRoute { pattern: second_hop.pattern.clone(), ..first_hop };
    world.tables(vec![first_hop, second_hop]);
    let more = ["sbc", "far.example"].map(|it| format!("Proxy-Authorization: {}\r\n", own(it)));
    world.arrives(PEER, &request("MESSAGE", ALICE, BOB, &more.concat(), "hello"));
    let first = world.requested("MESSAGE", HOP);
    assert_eq!(credentials_of(&first), [own("sbc"), own("far.example")]);
    world.arrives(HOP, &response(&first, 407, CHALLENGE));
    let second = world.requested("MESSAGE", HOP);
    let [far, ours] = &credentials_of(&second)[..] else { panic!("two") };
    assert_eq!(*far, own("far.example"));
    assert!(ours.contains("username=\"gateway\", realm=\"sbc\""), "{ours}");
    // The next hop is another one: it sees what the sender wrote, not what was told to the first.
    world.replies(HOP, &second, 503);
    let third = world.requested("MESSAGE", HOP_2);
    assert_eq!(credentials_of(&third), [own("sbc"), own("far.example")]);
    world.replies(HOP_2, &third, 200);
    assert_eq!(world.answered(200).cseq().expect("CSeq").number, 1);
    world.ends_after_usage();
}

#[test]
fn never_to_ourselves_nor_back_to_where_it_came_from() {
    for bad in ["198.51.100.1:5060", PEER] {
        let mut world = World::open();
        world.tables(vec![route(".example.partner", bad, 1), open_route(HOP, Transport::Udp)]);
        world.arrives(PEER, &message(ALICE, BOB));
        let onward = world.requested("MESSAGE", HOP);
        world.replies(HOP, &onward, 200);
        world.answered(200);

        let mut only = route(".example.partner", bad, 1);
        only.allow_less_specific = false;
        world.tables(vec![only]);
        world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
        world.answered(482);
        world.ends_after_usage();
    }
}

#[test]
fn e37_a_request_that_comes_back_is_a_loop_and_fails_over() {
    let mut world = World::open();
    world.tables(vec![route(".example.partner", HOP, 1), open_route(HOP_2, Transport::Udp)]);
    world.arrives(PEER, &message(ALICE, BOB));
    let onward = world.requested("MESSAGE", HOP);
    // The hop sends it back to us, with its own Via on top.
    let mut back = onward.clone();
    back.push_via("SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bKhop1");
    world.arrives(HOP, &String::from_utf8_lossy(&back.to_bytes()));
    let mut refused = world.answered(482);
    // And passes our refusal on, as it must.
    refused.pop_via().expect("Via");
    world.arrives(HOP, &String::from_utf8_lossy(&refused.to_bytes()));
    let second = world.requested("MESSAGE", HOP_2);
    world.replies(HOP_2, &second, 202);
    world.answered(202);
    world.ends_after_usage();
}

#[test]
fn e37_a_spiral_with_another_request_uri_is_no_loop() {
    let mut world = World::open();
    let onward = forwarded(&mut world);
    world.knows("other.example");
    let mut back = onward.clone();
    back.set_uri("sip:bob@other.example");
    back.push_via("SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bKhop1");
    world.arrives("192.0.2.10:5070", &String::from_utf8_lossy(&back.to_bytes()));
    let again = world.requested("MESSAGE", HOP);
    assert_eq!(again.vias().expect("Via").len(), 4);
}

#[test]
fn service_off_is_503_and_a_blocked_route_is_403() {
    let mut world = World::open();
    let off = StaticRoute { in_service: false, ..open_route(HOP, Transport::Udp) };
    world.tables(vec![off]);
    world.knows("partner.example");
    world.arrives(PEER, &message(ALICE, BOB));
    world.answered(503);

    let blocked = StaticRoute { blocked: true, ..route(".example.partner", HOP, 1) };
    world.tables(vec![blocked, open_route(HOP, Transport::Udp)]);
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
    world.answered(403);
    world.ends();
}

#[test]
fn e38_sips_goes_over_tls_or_not_at_all() {
    let mut world = World::open();
    world.knows("partner.example");
    let text = message(ALICE, BOB).replace("sip:bob", "sips:bob");
    world.arrives(PEER, &text);
    world.answered(416);
    world.tables(vec![open_route(HOP, Transport::Tls)]);
    world.arrives(PEER, &text.replace("peer1", "peer2"));
    let (_, hop) = world.next_sent();
    assert_eq!(hop.transport, Transport::Tls);
    assert_eq!(hop.name.as_deref(), Some("192.0.2.20"));
}

#[test]
fn reliable_transports_do_not_retransmit() {
    let mut world = World::open();
    world.tables(vec![open_route(HOP, Transport::Tcp)]);
    let onward = forwarded(&mut world);
    world.pass(secs(3));
    world.silent();
    world.arrives_by(Transport::Tcp, HOP, response(&onward, 200, "").as_bytes());
    world.answered(200);
    world.ends_after_usage();
}

#[test]
fn a_connection_is_suspected_where_a_request_found_no_answer() {
    for (transport, method, expected) in [
        (Transport::Tcp, "MESSAGE", 1),
        (Transport::Tcp, "INVITE", 1),
        (Transport::Udp, "MESSAGE", 0),
    ] {
        let mut world = World::open();
        world.tables(vec![open_route(HOP, transport)]);
        world.knows("partner.example");
        let since = world.now;
        world.arrives(PEER, &request(method, ALICE, BOB, "", ""));
        world.pass(secs(40));
        let suspected: Vec<_> = world.suspected.iter().map(|(to, at)| (to.address, *at)).collect();
        let hop: SocketAddr = HOP.parse().expect("an address");
        assert_eq!(suspected, vec![(hop, since); expected], "{method}");
    }
    // What could not be sent says nothing about silence, and neither does an answer.
    let mut world = World::open();
    world.tables(vec![open_route(HOP, Transport::Tcp)]);
    world.knows("partner.example");
    world.arrives(PEER, &message(ALICE, BOB));
    let send = world.sent.pop_front().expect("a request");
    world.core.handle_send_failed(send.token, world.now);
    world.collect();
    world.arrives(PEER, &message(ALICE, BOB).replace("peer1", "peer2"));
    world.sent.retain(|send| send.bytes.starts_with(b"MESSAGE"));
    let onward = world.requested("MESSAGE", HOP);
    world.arrives_by(Transport::Tcp, HOP, response(&onward, 486, "").as_bytes());
    world.pass(secs(40));
    assert_eq!(world.suspected, []);
}

#[test]
fn a_way_that_is_given_up_for_another_is_suspected() {
    let mut world = World::open();
    let first = StaticRoute { transport: Transport::Tcp, ..route(".example.partner", HOP, 1) };
    world.tables(vec![first, open_route(HOP_2, Transport::Udp)]);
    let since = world.now;
    world.arrives(PEER, &message(ALICE, BOB));
    world.pass(secs(20));
    let suspected: Vec<_> = world.suspected.iter().map(|(to, at)| (to.address, *at)).collect();
    assert_eq!(suspected, [(HOP.parse().expect("an address"), since)]);
}
