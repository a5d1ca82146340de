//! Requests of dialogs: who may go on, and where to.

use super::*;
use crate::headers::HeaderId;
use crate::rule::Rule;

const ALICE: &str = "alice@corp.example";
const BOB: &str = "bob@partner.example";

/// A request of a dialog that passed us, from Alice's phone to Bob's.
fn from_alice(method: &str) -> String {
    let route = "Route: <sip:198.51.100.1:5060;transport=udp;lr>\r\n";
    request(method, ALICE, "bob@192.0.2.20", route, "")
        .replace("To: <sip:bob@192.0.2.20>", "To: <sip:bob@partner.example>;tag=b1")
}

/// The same the other way, by the next hop; `target` is what it says that Alice's contact is.
fn from_bob(method: &str, target: &str) -> String {
    let route = "Route: <sip:198.51.100.1:5060;transport=udp;lr>\r\n";
    request(method, BOB, target, route, "")
        .replace(&format!("To: <sip:{target}>"), "To: <sip:alice@corp.example>;tag=b2")
        .replace("192.0.2.10:5060;branch", "192.0.2.20:5060;branch")
}

/// New domains are not let in.
fn closed() -> World {
    let mut world = World::open();
    let open = StaticRoute { blocked: true, ..open_route(HOP, Transport::Udp) };
    world.tables(vec![open]);
    world
}

fn asked(world: &mut World) {
    let frame = world.frames.pop_front();
    assert_eq!(frame, Some((R1, FromCm::Ask(domain("partner.example")))));
}

fn verdict(sip: bool) -> FromRouter {
    FromRouter::Verdict { domain: domain("partner.example"), sip, lease: secs(60) }
}

#[test]
fn while_closed_a_dialog_of_a_domain_without_row_ends() {
    let mut world = closed();
    world.arrives(PEER, &from_alice("INFO"));
    asked(&mut world);
    let second = from_bob("INFO", "alice@192.0.2.77").replace("peer1", "hop1");
    world.arrives(HOP, &second);
    world.silent();
    world.frame(R1, verdict(false));
    world.answered(404);
    world.answered(403);
    world.ends();
}

#[test]
fn while_closed_a_dialog_of_a_known_domain_goes_on_and_asks_once_per_lease() {
    let mut world = closed();
    world.arrives(PEER, &from_alice("INFO"));
    asked(&mut world);
    world.frame(R1, verdict(true));
    let onward = world.requested("INFO", HOP);
    world.replies(HOP, &onward, 200);
    world.answered(200);
    world.arrives(PEER, &from_alice("UPDATE").replace("peer1", "peer2"));
    let onward = world.requested("UPDATE", HOP);
    world.replies(HOP, &onward, 200);
    world.answered(200);
    world.frame(R1, FromRouter::Invalidate(Some(vec![domain("partner.example")])));
    world.arrives(PEER, &from_alice("INFO").replace("peer1", "peer3"));
    asked(&mut world);
    world.frame(R1, verdict(false));
    world.answered(404);
    world.ends();
}

#[test]
fn a_bye_may_always_end_its_dialog() {
    let mut world = closed();
    world.arrives(PEER, &from_alice("BYE"));
    let onward = world.requested("BYE", HOP);
    world.replies(HOP, &onward, 200);
    world.answered(200);
    world.ends();
}

#[test]
fn a_question_moves_to_another_router_and_without_any_the_dialog_goes_on() {
    let mut world = closed();
    world.link(R2, "r2", 5);
    world.arrives(PEER, &from_alice("INFO"));
    asked(&mut world);
    world.core.handle_link_down(R1, world.now);
    world.collect();
    assert_eq!(world.frames.pop_front(), Some((R2, FromCm::Ask(domain("partner.example")))));
    world.core.handle_link_down(R2, world.now);
    world.collect();
    let onward = world.requested("INFO", HOP);
    world.replies(HOP, &onward, 200);
    world.answered(200);
    world.ends();
}

#[test]
fn a_router_that_says_nothing_holds_no_dialog_up() {
    let mut world = closed();
    world.arrives(PEER, &from_alice("INFO"));
    asked(&mut world);
    world.pass(secs(2));
    let onward = world.requested("INFO", HOP);
    world.replies(HOP, &onward, 200);
    world.answered(200);
    world.ends();
}

#[test]
fn a_cancelled_or_forgotten_request_needs_no_verdict() {
    let mut world = closed();
    let invite = from_alice("INVITE");
    world.arrives(PEER, &invite);
    asked(&mut world);
    world.arrives(PEER, &invite.replace("INVITE", "CANCEL"));
    world.answered(200);
    world.answered(487);
    world.arrives(PEER, &invite.replace("INVITE", "ACK"));
    world.frame(R1, verdict(true));
    world.ends();
}

#[test]
fn no_relay_through_a_forged_dialog() {
    let mut world = World::open();
    world.arrives(HOP, &from_bob("MESSAGE", "victim@203.0.113.7"));
    world.answered(403);
    world.arrives(HOP, &from_bob("ACK", "victim@203.0.113.7").replace("peer1", "hop2"));
    world.silent();
    world.arrives(HOP, &from_bob("INFO", "victim@elsewhere.example").replace("peer1", "hop3"));
    let (token, ..) = world.look_ups.pop_front().expect("a look-up");
    let address = "203.0.113.7:5060".parse().expect("an address");
    let hop = Hop { transport: Transport::Udp, address, flow: None, name: None };
    world.core.handle_resolved(token, vec![hop], world.now);
    world.collect();
    world.answered(403);

    world.arrives(HOP, &from_bob("INFO", "alice@192.0.2.77").replace("peer1", "hop4"));
    let onward = world.requested("INFO", PHONE);
    assert!(onward.header(HeaderId::Route).is_none());
    world.replies(PHONE, &onward, 200);
    world.answered(200);
    world.ends();
}

#[test]
fn an_ack_obeys_the_rules_of_its_dialog() {
    let mut world = World::open();
    let tables = Tables {
        version: 2,
        routes: vec![open_route(HOP, Transport::Udp)],
        blocked: blocked(&["partner.example"]),
        ..Tables::default()
    };
    world.frame(R1, FromRouter::Tables(tables));
    world.arrives(PEER, &from_alice("ACK"));
    world.ends();
}

const SIP_CAROL: &str = "carol@sip.corp.example";

fn asked_about_sip(world: &mut World) {
    assert_eq!(world.frames.pop_front(), Some((R1, FromCm::Ask(domain("sip.corp.example")))));
}

fn word(sip: bool) -> FromRouter {
    FromRouter::Verdict { domain: domain("sip.corp.example"), sip, lease: secs(60) }
}

/// To whoever reads it, a name below ours is ours.
#[test]
fn a_next_hop_speaks_for_a_subdomain_if_the_operator_has_configured_it() {
    for from in [SIP_CAROL, "carol@a.b.corp.example"] {
        let mut world = World::open();
        world.arrives(HOP, &message(from, "alice@corp.example"));
        let name = from.split_once('@').expect("a domain").1;
        assert_eq!(world.frames.pop_front(), Some((R1, FromCm::Ask(domain(name)))));
        let lease = secs(60);
        world.frame(R1, FromRouter::Verdict { domain: domain(name), sip: false, lease });
        let refused = world.answered(403);
        let rule = Rule::Subdomain.as_str();
        assert_eq!(header(&refused, HeaderId::Warning), format!("399 openfed \"{rule}\""));
        assert_eq!(world.refused.pop().expect("a flow").domain.as_str(), name);
        world.ends();
    }

    let mut world = World::open();
    world.arrives(HOP, &message(SIP_CAROL, "alice@corp.example"));
    asked_about_sip(&mut world);
    world.frame(R1, word(true));
    for number in [1, 2] {
        let (_, packet, _) = world.submitted();
        world.outcome(packet.id, delivered());
        world.answered(200);
        // The second one is known to be all right.
        let again = message(SIP_CAROL, "alice@corp.example").replace("peer1", "peer2");
        if number == 1 {
            world.arrives(HOP, &again.replace("call1", "call2"));
        }
    }
    world.ends();

    let mut routed = World::open();
    let own = route(".example.corp.sip", HOP, 1);
    routed.tables(vec![open_route(HOP, Transport::Udp), own]);
    routed.arrives(HOP, &message(SIP_CAROL, "alice@corp.example"));
    routed.submitted();
}

#[test]
fn a_trusted_source_and_a_name_that_only_looks_like_ours_need_no_word() {
    for (source, from) in
        [(PEER, SIP_CAROL), (HOP, "carol@notcorp.example"), (HOP, "carol@corp.example.com")]
    {
        let mut world = World::open();
        world.arrives(source, &message(from, "alice@corp.example"));
        assert_eq!(world.submitted().1.direction, Direction::Inbound, "{from}");
    }
}

#[test]
fn without_a_routers_word_a_subdomain_is_told_to_try_again() {
    let mut world = World::open();
    world.arrives(HOP, &message(SIP_CAROL, "alice@corp.example"));
    asked_about_sip(&mut world);
    world.pass(secs(2));
    assert_eq!(world.answered(500).retry_after(), Some(5));
    world.core.handle_link_down(R1, world.now);
    world.arrives(HOP, &message(SIP_CAROL, "alice@corp.example").replace("peer1", "peer2"));
    world.answered(500);
    world.ends();
}

#[test]
fn in_a_dialog_a_subdomain_is_spoken_for_by_the_same_rule() {
    let info = |method: &str, branch: &str| {
        from_bob(method, "alice@192.0.2.77")
            .replace("partner.example", "sip.corp.example")
            .replace("peer1", branch)
    };
    let mut world = World::open();
    world.arrives(HOP, &info("INFO", "sub1"));
    asked_about_sip(&mut world);
    world.frame(R1, word(false));
    world.answered(403);
    world.arrives(HOP, &info("BYE", "sub2"));
    let onward = world.requested("BYE", PHONE);
    world.replies(PHONE, &onward, 200);
    world.answered(200);
    world.arrives(HOP, &info("INFO", "sub3"));
    asked_about_sip(&mut world);
    world.frame(R1, word(true));
    let onward = world.requested("INFO", PHONE);
    world.replies(PHONE, &onward, 200);
    world.answered(200);
    world.ends();
}

/// A request of Alice's in a dialog whose recorded route ends here; Bob's contact is a name.
fn to_a_name(method: &str, target: &str) -> String {
    from_alice(method).replacen("sip:bob@192.0.2.20", target, 1)
}

/// RFC 5627 §3.4: the domain of a GRUU finds its user; DNS need not.
#[test]
fn a_dialog_with_a_name_as_its_target_goes_by_the_domains_next_hop() {
    let gruu = "sip:bob@partner.example;gr=desk";
    let mut world = World::open();
    let (username, password) = ("gateway".to_owned(), "secret".to_owned());
    let credentials = Some(openfed_proto::route::Credentials { username, password });
    let own = StaticRoute { credentials, ..route(".example.partner", HOP_2, 1) };
    world.tables(vec![open_route(HOP, Transport::Udp), own]);
    world.arrives(PEER, &to_a_name("INFO", gruu));
    let first = world.requested("INFO", HOP_2);
    assert_eq!(first.uri().expect("a request").expect("a URI").as_str(), gruu);
    let challenge = "Proxy-Authenticate: Digest realm=\"sbc\", nonce=\"n1\"\r\n";
    world.arrives(HOP_2, &response(&first, 407, challenge));
    let second = world.requested("INFO", HOP_2);
    assert!(header(&second, HeaderId::ProxyAuthorization).contains("gateway"));
    assert_eq!(second.cseq(), first.cseq(), "the numbers of a dialog are its ends'");
    world.replies(HOP_2, &second, 200);
    world.answered(200);
    // So does what has no transaction.
    world.arrives(PEER, &to_a_name("ACK", gruu).replace("peer1", "peer2"));
    world.requested("ACK", HOP_2);
    // A name that no route knows is in the hands of the next hop of the dialog's domain.
    world.arrives(PEER, &to_a_name("INFO", "sip:bob@pbx.far.example").replace("peer1", "peer3"));
    let onward = world.requested("INFO", HOP_2);
    world.replies(HOP_2, &onward, 200);
    world.answered(200);
    world.ends();
}

#[test]
fn a_name_as_target_opens_no_way_around_the_operators_word() {
    let mut world = World::open();
    let closed = StaticRoute { blocked: true, ..route(".example.far", HOP_2, 1) };
    let tables = Tables {
        version: 2,
        routes: vec![open_route(HOP, Transport::Udp), closed],
        blocked: blocked(&["bad.example"]),
        ..Tables::default()
    };
    world.frame(R1, FromRouter::Tables(tables));
    for (target, rule) in
        [("bad.example", Rule::BlockedDomain), ("far.example", Rule::BlockedRoute)]
    {
        let text = to_a_name("INFO", &format!("sip:bob@{target}")).replace("peer1", target);
        world.arrives(PEER, &text);
        let expected = format!("399 openfed \"{}\"", rule.as_str());
        assert_eq!(header(&world.answered(403), HeaderId::Warning), expected);
    }
    // The contact of a user of ours is no domain's: it is looked up.
    world.arrives(HOP, &from_bob("INFO", "alice@phone.lan.example").replace("peer1", "hop1"));
    let (_, host, _) = world.look_ups.pop_front().expect("a look-up");
    assert_eq!(host, "phone.lan.example");
}
