//! Stanzas of local users that a router decides about, and what their senders are told.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::domain::Domain;
use openfed_proto::link::{FromCm, FromRouter, Instruction};
use openfed_proto::packet::{Body, Cause, Direction, Ending, Failure, Outcome, Protocol};
use openfed_proto::route::DomainPattern;

use super::domain;
use super::world::{ROUTER, World, hello, taken};
use crate::core::{Fact, RouterId};

const HI: &str = "<message type='chat' id='m1' from='alice@corp.example/desk' \
    to='bob@sip.example'><thread>t1</thread><body>hi</body></message>";

#[test]
fn s098_a_message_to_an_unknown_domain_is_a_packet_with_its_meaning() {
    let mut world = World::new();
    world.home_says(HI);
    let packets = world.submitted();
    assert_eq!(packets.len(), 1);
    let packet = &packets[0];
    assert_eq!(packet.direction, Direction::Outbound);
    assert_eq!(packet.from.to_jid(), "alice@corp.example/desk");
    assert_eq!(packet.to.to_jid(), "bob@sip.example");
    assert_eq!(packet.original.protocol, Protocol::Xmpp);
    assert_eq!(packet.hops[0].node, "here");
    let Body::Message(message) = &packet.body else { panic!("{:?}", packet.body) };
    assert_eq!(message.id.as_deref(), Some("m1"));
    assert_eq!(message.thread.as_deref(), Some("t1"));
    assert!(message.chat);
    assert_eq!(message.bodies[0].text, "hi");
}

#[test]
fn s042_a_failed_packet_is_an_error_stanza_with_the_exact_condition() {
    let mut world = World::new();
    world.home_says(HI);
    let id = world.submitted()[0].id;
    let failure = Failure::new(Condition::ItemNotFound, Cause::Remote).with_text("Not Found");
    world.fails(id, failure.clone());
    let got = taken(world.home());
    assert_eq!(got.len(), 1);
    assert_eq!(
        got[0],
        "<message xmlns='jabber:client' from='bob@sip.example' id='m1' \
         to='alice@corp.example/desk' type='error'><body>hi</body><error type='cancel'>\
         <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Not Found</text></error></message>",
    );
    // The router says it again: it was told once.
    world.fails(id, failure);
}

#[test]
fn an_answer_to_the_resource_that_sip_users_have_here_goes_to_the_user() {
    let mut world = World::new();
    let to_device = HI.replace("bob@sip.example", "bob@sip.example/openfed-sip");
    world.home_says(&to_device);
    world.home_says(&HI.replace("bob@sip.example", "bob@sip.example/desk"));
    let [ours, gruu] = &world.submitted()[..] else { panic!("both are asked about") };
    assert_eq!(ours.to.to_jid(), "bob@sip.example");
    assert_eq!(ours.conversation, gruu.conversation);
    let written = std::str::from_utf8(&ours.original.bytes).unwrap();
    assert!(written.contains("bob@sip.example") && !written.contains("openfed-sip"), "{written}");
    assert_eq!(gruu.to.to_jid(), "bob@sip.example/desk", "a GRUU stays what it is");
    // The error comes from whom the user wrote to.
    world.fails(ours.id, Failure::new(Condition::ItemNotFound, Cause::Remote));
    let got = taken(world.home()).remove(0);
    assert!(got.contains("from='bob@sip.example/openfed-sip'"), "{got}");
}

#[test]
fn a_delivered_packet_is_told_to_nobody() {
    let mut world = World::new();
    world.home_says(HI);
    let id = world.submitted()[0].id;
    world.frame(FromRouter::Outcome(Outcome::delivered(id, Protocol::Sip, 200)));
    assert!(world.core.is_idle());
}

#[test]
fn a_domain_that_turned_out_to_speak_xmpp_is_reached_without_the_router() {
    let mut world = World::new();
    world.add("xmpp.example");
    let message = HI.replace("sip.example", "xmpp.example");
    world.home_says(&message);
    let packet = world.submitted().remove(0);
    // The same conversation follows the same way as long as the first is under way (E-47).
    world.home_says(&message.replace("m1", "m2"));
    let second = world.submitted().remove(0);
    world.attempt(&packet, openfed_proto::link::Instruction::Reach);
    world.attempt(&second, openfed_proto::link::Instruction::Reach);
    for ended in world.ended() {
        world.frame(FromRouter::Outcome(ended.outcome));
    }
    world.home_says(&message.replace("m1", "m3"));
    let ids: Vec<String> = taken(world.server("xmpp.example"))
        .iter()
        .map(|it| it.split("id='").nth(1).unwrap()[..2].to_owned())
        .collect();
    assert_eq!(ids, ["m1", "m2", "m3"]);
    // The operator adds it as a SIP domain: a router is asked again.
    world.frame(FromRouter::Invalidate(Some(vec![domain("xmpp.example")])));
    world.home_says(&message.replace("m1", "m4"));
    assert_eq!(world.submitted().len(), 1);
}

#[test]
fn what_is_no_message_travels_without_meaning() {
    let mut world = World::new();
    for (stanza, kind) in [
        (
            "<iq type='get' id='i' from='a@corp.example/r' to='d.example'>\
             <ping xmlns='urn:xmpp:ping'/></iq>",
            "iq/get",
        ),
        (
            "<presence type='subscribe' from='a@corp.example' to='b@d.example'></presence>",
            "presence/subscribe",
        ),
        (
            "<message type='groupchat' from='a@corp.example/r' to='room@d.example'>\
             <body>x</body></message>",
            "message/groupchat",
        ),
    ] {
        world.home_says(stanza);
        let packet = world.submitted().remove(0);
        assert_eq!(packet.body, Body::Opaque { kind: kind.to_owned() });
        world.fails(packet.id, Failure::new(Condition::RemoteServerNotFound, Cause::NotFound));
        let got = taken(world.home());
        assert!(got[0].contains("remote-server-not-found"), "{got:?}");
    }
}

#[test]
fn e46_errors_and_results_are_never_submitted_nor_answered() {
    let mut world = World::new();
    for stanza in [
        "<message type='error' id='x' from='a@corp.example' to='b@d.example'></message>",
        "<presence type='error' id='x' from='a@corp.example' to='b@d.example'></presence>",
        "<iq type='error' id='x' from='a@corp.example' to='b@d.example'></iq>",
        "<iq type='result' id='x' from='a@corp.example' to='b@d.example'></iq>",
    ] {
        world.home_says(stanza);
    }
    assert_eq!(world.astray().len(), 1, "the message error, for another instance");
}

#[test]
fn without_a_router_the_sender_is_asked_to_wait_at_once() {
    let mut world = World::new();
    let now = world.now;
    world.core.handle_link_down(ROUTER, now);
    world.home_says(HI);
    let got = taken(world.home());
    assert!(got[0].contains("resource-constraint") && got[0].contains("wait"), "{got:?}");
}

#[test]
fn a_router_with_a_full_window_gets_no_more() {
    let mut world = World::new();
    let now = world.now;
    let hello = openfed_proto::link::Hello { capacity: 1, ..hello("r1") };
    world.core.handle_link_up(ROUTER, &hello, now);
    world.home_says(HI);
    let id = world.submitted()[0].id;
    world.home_says(&HI.replace("bob", "carol"));
    assert!(taken(world.home())[0].contains("resource-constraint"));
    world.frame(FromRouter::Credit(1));
    world.frame(FromRouter::Outcome(Outcome::delivered(id, Protocol::Sip, 200)));
    world.home_says(HI);
    assert_eq!(world.submitted().len(), 1);
}

#[test]
fn packets_of_a_dead_router_go_to_another_with_the_same_id_and_in_order() {
    let mut world = World::new();
    world.home_says(HI);
    world.home_says(&HI.replace("m1", "m2"));
    let first: Vec<_> = world.submitted().iter().map(|packet| packet.id).collect();
    let now = world.now;
    world.core.handle_link_down(ROUTER, now);
    world.run();
    assert_eq!(world.frames, []);
    world.wait(Duration::from_secs(2));
    let now = world.now;
    world.core.handle_link_up(RouterId(2), &hello("r2"), now);
    world.run();
    assert!(world.frames.iter().all(|(router, _)| *router == RouterId(2)));
    let is_again = |frame: &FromCm| matches!(frame, FromCm::Submit { again: true, .. });
    assert!(world.frames.iter().all(|(_, frame)| is_again(frame)), "{:?}", world.frames);
    let again = world.submitted();
    assert_eq!(again.iter().map(|packet| packet.id).collect::<Vec<_>>(), first);
    assert_eq!(again[0].remaining, Duration::from_secs(30), "time does not begin anew");
}

#[test]
fn a_router_that_lost_a_packet_to_another_one_has_no_say_in_its_failure() {
    let mut world = World::new();
    world.home_says(HI);
    let id = world.submitted()[0].id;
    let now = world.now;
    world.core.handle_link_down(ROUTER, now);
    world.core.handle_link_up(RouterId(2), &hello("r2"), now);
    world.run();
    assert_eq!(world.submitted()[0].id, id, "the second router has it");
    world.core.handle_link_up(RouterId(3), &hello("r1"), now);
    let failure = Failure::new(Condition::RemoteServerTimeout, Cause::Leaving);
    let failed = FromRouter::Outcome(Outcome::failed(id, failure));
    world.core.handle_frame(RouterId(3), failed.clone(), Duration::ZERO, now);
    world.run();
    assert_eq!(taken(world.home()), [""; 0]);
    world.core.handle_frame(RouterId(2), failed, Duration::ZERO, now);
    world.run();
    assert!(taken(world.home())[0].contains("remote-server-timeout"));
}

#[test]
fn a_router_that_keeps_silent_is_a_timeout() {
    let mut world = World::new();
    world.home_says(HI);
    assert_eq!(world.submitted().len(), 1);
    world.wait(Duration::from_secs(32));
    assert_eq!(taken(world.home()), [""; 0]);
    world.wait(Duration::from_secs(2));
    assert!(taken(world.home())[0].contains("remote-server-timeout"));
    assert!(world.core.is_idle());
}

#[test]
fn a_conversation_stays_with_its_router_and_conversations_are_spread() {
    let mut world = World::new();
    let now = world.now;
    world.core.handle_link_up(RouterId(2), &hello("r2"), now);
    for user in 0..64 {
        world.home_says(&HI.replace("bob", &format!("bob{user}")));
        world.home_says(&HI.replace("bob", &format!("bob{user}")).replace("m1", "m2"));
    }
    let mut of_router: [usize; 2] = [0, 0];
    for pair in world.frames.chunks(2) {
        assert_eq!(pair[0].0, pair[1].0);
        assert!(matches!(pair[0].1, FromCm::Submit { again: false, .. }));
        of_router[usize::try_from(pair[0].0.0).unwrap() - 1] += 1;
    }
    assert!(of_router.iter().all(|count| *count > 16), "{of_router:?}");
    world.frames.clear();
}

#[test]
fn e53_a_malformed_address_is_refused_at_the_edge() {
    let mut world = World::new();
    world.home_says(
        "<message id='m' from='alice@corp.example' to='b&quot;ob@sip.example'>\
         <body>x</body></message>",
    );
    assert!(taken(world.home())[0].contains("jid-malformed"));
}

#[test]
fn a_blocked_domain_is_refused_in_both_directions() {
    let mut world = World::new();
    world.add("evil.example");
    let knock = "<message id='m' from='b@evil.example' to='alice@corp.example'>\
        <body>x</body></message>";
    world.server("evil.example").say(knock);
    world.run();
    assert_eq!(taken(world.home()).len(), 1);

    world.block(DomainPattern::Exact(domain("evil.example")));
    world.home_says(&HI.replace("sip.example", "evil.example"));
    assert!(taken(world.home())[0].contains("policy-violation"));
    world.server("evil.example").say(knock);
    world.run();
    assert!(taken(world.server("evil.example"))[0].contains("policy-violation"));
    let packet = world.sip_message("alice@corp.example", "b@evil.example", "x");
    world.attempt(&packet, openfed_proto::link::Instruction::Reach);
    assert!(format!("{:?}", world.endings()).contains("policy-violation"));
}

/// As long as a router is linked, what it holds is in force, whatever one that is gone held.
#[test]
fn a_block_that_only_a_lost_router_knew_is_none() {
    let mut world = World::new();
    let blocked = vec![DomainPattern::Exact(domain("sip.example"))];
    let of_another = openfed_proto::link::Tables { version: 9, blocked, ..Default::default() };
    let other = RouterId(77);
    world.frame(FromRouter::Tables(openfed_proto::link::Tables::default()));
    let frame = FromRouter::Tables(of_another);
    world.core.handle_frame(other, frame, Duration::ZERO, world.now);
    assert!(asks(&mut world, HI).contains("policy-violation"));
    world.core.handle_link_down(other, world.now);
    assert_eq!(asks(&mut world, HI), "");
    assert_eq!(world.submitted().len(), 1);
}

fn asks(world: &mut World, stanza: &str) -> String {
    world.home_says(stanza);
    taken(world.home()).concat()
}

#[test]
fn requests_to_a_sip_domain_are_answered_for_it() {
    let mut world = World::new();
    world.knows_sip("sip.example");
    let iq = |kind: &str, to: &str, payload: &str| {
        format!("<iq type='{kind}' id='q' from='a@corp.example/r' to='{to}'>{payload}</iq>")
    };
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    let pong = asks(&mut world, &iq("get", "sip.example", "<query xmlns='jabber:iq:version'/>"));
    assert!(pong.contains("result") && pong.contains("<name>openfed</name>"), "{pong}");
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    assert!(asks(&mut world, &iq("get", "sip.example", info)).contains("gateway"));
    let pong = asks(&mut world, &iq("get", "b@sip.example", ping));
    assert!(pong.contains("result") && pong.contains("b@sip.example"), "{pong}");
    assert!(asks(&mut world, &iq("get", "b@sip.example", info)).contains("account"));
    let roster = "<query xmlns='jabber:iq:roster'/>";
    assert!(asks(&mut world, &iq("get", "b@sip.example", roster)).contains("service-unavailable"));
    assert!(asks(&mut world, &iq("set", "sip.example", ping)).contains("service-unavailable"));
    assert!(asks(&mut world, &iq("get", "sip.example", "")).contains("bad-request"));
    assert!(asks(&mut world, &iq("what", "sip.example", ping)).contains("bad-request"));
}

const STATE: &str = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";

#[test]
fn s113_what_has_no_meaning_at_a_sip_domain_is_said_answered_or_quiet() {
    let mut world = World::new();
    world.knows_sip("sip.example");
    let users = "from='a@corp.example/r' to='b@sip.example'";
    assert_eq!(asks(&mut world, &format!("<message type='chat' {users}>{STATE}</message>")), "");
    assert_eq!(world.facts.iter().filter(|fact| **fact == Fact::Unsaid).count(), 1);
    assert_eq!(asks(&mut world, &format!("<presence {users}></presence>")), "");
    let subscribe = asks(&mut world, &format!("<presence type='subscribe' {users}></presence>"));
    assert!(subscribe.contains("service-unavailable"), "{subscribe}");
    let muc =
        asks(&mut world, &format!("<message type='groupchat' {users}><body>x</body></message>"));
    assert!(muc.contains("feature-not-implemented"), "{muc}");
    let call = "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>";
    let call = asks(&mut world, &format!("<message type='chat' {users}>{call}</message>"));
    assert!(call.contains("feature-not-implemented") && call.contains("no way to say"), "{call}");
    world.home_says(HI);
    world.home_says(&format!("<message type='headline' {users}><body>x</body></message>"));
    assert_eq!(world.submitted().len(), 2, "messages go on");
}

#[test]
fn s113_typing_to_whoever_cannot_be_reached_is_no_correspondence_and_gets_no_error() {
    let mut world = World::new();
    world.block(DomainPattern::Exact(domain("blocked.example")));
    let pinned: Vec<Domain> = vec![domain("gone.example")];
    let tables = openfed_proto::link::Tables { version: 2, pinned, ..Default::default() };
    world.frame(FromRouter::Tables(openfed_proto::link::Tables {
        blocked: vec![DomainPattern::Exact(domain("blocked.example"))],
        ..tables
    }));
    for to in ["unknown.example", "blocked.example", "gone.example"] {
        let users = format!("from='a@corp.example/r' to='b@{to}'");
        assert_eq!(
            asks(&mut world, &format!("<message type='chat' {users}>{STATE}</message>")),
            ""
        );
        assert_eq!(world.submitted(), [], "{to}");
    }
    world.wait(Duration::from_secs(10));
    assert_eq!(taken(world.home()), [""; 0]);
    assert_eq!(world.facts.iter().filter(|fact| **fact == Fact::Unsaid).count(), 3);
}

#[test]
fn a_lease_that_ran_out_asks_the_router_again() {
    let mut world = World::new();
    world.knows_sip("sip.example");
    world.wait(Duration::from_secs(61));
    world.home_says("<presence from='a@corp.example' to='b@sip.example'></presence>");
    assert_eq!(world.submitted().len(), 1);
}

#[test]
fn a_pinned_xmpp_domain_never_meets_a_router() {
    let mut world = World::new();
    world.add("xmpp.example");
    let pinned: Vec<Domain> = vec![domain("xmpp.example"), domain("gone.example")];
    let tables = openfed_proto::link::Tables { version: 1, pinned, ..Default::default() };
    world.frame(FromRouter::Tables(tables));
    world.home_says(&HI.replace("sip.example", "xmpp.example"));
    assert_eq!(taken(world.server("xmpp.example")).len(), 1);
    world.home_says(&HI.replace("sip.example", "gone.example"));
    assert!(taken(world.home())[0].contains("remote-server-not-found"));
}

#[test]
fn when_the_node_leaves_nobody_is_left_without_an_answer() {
    let mut world = World::new();
    world.home_says(HI);
    assert_eq!(world.submitted().len(), 1);
    world.core.handle_leaving();
    world.home_says(&HI.replace("m1", "m2"));
    assert!(taken(world.home())[0].contains("resource-constraint"));
    let now = world.now;
    world.core.handle_stop(now);
    world.run();
    assert!(taken(world.home())[0].contains("resource-constraint"));
    assert!(world.core.is_idle() && world.core.conns.is_empty());
}

#[test]
fn the_operator_takes_it_out_and_nothing_is_lost_or_refused() {
    let mut world = World::new();
    world.home_says(HI);
    let first = world.submitted().remove(0);
    world.frame(FromRouter::Drain(true));
    let leaving = (ROUTER, FromCm::Leaving(Duration::ZERO));
    assert_eq!(std::mem::take(&mut world.frames), std::slice::from_ref(&leaving));
    assert!(!world.core.is_serving() && !world.listens);
    world.frame(FromRouter::Drain(true));
    assert!(world.frames.is_empty(), "once is enough");
    // Another router hears it, too.
    world.core.handle_link_up(RouterId(2), &hello("r2"), world.now);
    world.run();
    assert_eq!(std::mem::take(&mut world.frames), [(RouterId(2), leaving.1)]);

    // What still comes on the stream is taken, and so is what a router still sends.
    world.home_says(&HI.replace("m1", "m2"));
    let second = world.submitted().remove(0);
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.home().pongs = false;
    world.attempt(&packet, Instruction::Home);
    world.wait(Duration::from_secs(1));
    assert!(world.endings().is_empty() && !world.core.conns.is_empty(), "its fence is awaited");
    let pings = |it: &&minidom::Element| it.has_child("ping", "urn:xmpp:ping");
    let ping = world.home().got.iter().find(pings).cloned().unwrap();
    let [id, from, to] = ["id", "from", "to"].map(|name| ping.attr(name).unwrap());
    world.home_says(&format!("<iq type='result' id='{id}' from='{to}' to='{from}'></iq>"));
    assert_eq!(world.endings(), [Ending::Delivered { by: Protocol::Xmpp, status: 200 }]);
    taken(world.home());

    for packet in [&first, &second] {
        let gone = Failure::new(Condition::RemoteServerNotFound, Cause::NotFound);
        world.fails(packet.id, gone);
    }
    assert_eq!(taken(world.home()).len(), 2);

    // Then its streams are closed, though they are in use all the time.
    for number in 0..20 {
        if world.core.conns.is_empty() {
            break;
        }
        world.home_says(&HI.replace("m1", &format!("n{number}")));
        let packet = world.submitted().remove(0);
        world.fails(packet.id, Failure::new(Condition::RemoteServerNotFound, Cause::NotFound));
        assert_eq!(taken(world.home()).len(), 1);
        world.wait(Duration::from_millis(100));
    }
    assert!(world.core.conns.is_empty() && world.core.is_idle());

    world.frame(FromRouter::Drain(false));
    let serving = [(ROUTER, FromCm::Serving), (RouterId(2), FromCm::Serving)];
    assert_eq!(std::mem::take(&mut world.frames), serving);
    assert!(world.core.is_serving() && world.listens);
    world.home_says(&HI.replace("m1", "m4"));
    assert_eq!(world.submitted().len(), 1);
}

/// A message that begins with its text, as nearly all do. Not well-formed: whoever reads it, ends
/// the stream.
const UNREADABLE: &str = "<message type='chat' id='m2' from='alice@corp.example/desk' \
    to='bob@sip.example'><body>hi</b></message>";

/// A home server with a stream to `sip.example`, and no router.
fn without_room() -> World {
    let mut world = World::new();
    world.home_says(HI);
    let id = world.submitted()[0].id;
    world.frame(FromRouter::Outcome(Outcome::delivered(id, Protocol::Sip, 200)));
    let now = world.now;
    world.core.handle_link_down(ROUTER, now);
    world
}

#[test]
fn what_has_no_room_is_refused_without_being_read() {
    let mut world = without_room();
    let whole = UNREADABLE.replace("m2", "m3").replace("chat", "normal");
    world.home_types("sip.example", &format!("{UNREADABLE}{whole}"));
    let got = taken(world.home());
    assert_eq!(got.len(), 2, "{got:?}");
    for (told, id) in got.iter().zip(["m2", "m3"]) {
        let parts = [id, "resource-constraint", "type='error'", "to='alice@corp.example/desk'"];
        assert!(parts.into_iter().all(|part| told.contains(part)), "{told}");
    }
    world.home_types("sip.example", &whole[..40]);
    let now = world.now;
    world.core.handle_link_up(ROUTER, &hello("r1"), now);
    world.home_types("sip.example", &whole[40..].replace("/b>", "/body>"));
    assert_eq!(world.submitted().len(), 1, "the one that had begun is read to its end");
    world.home_types("sip.example", UNREADABLE);
    assert_eq!(world.home().opened_to("sip.example"), None, "with room, all is read");
}

#[test]
fn what_needs_no_router_is_read_also_without_room() {
    let unreadable = |from: &str, to: &str| UNREADABLE.replace(from, to);
    let ends_the_stream = [
        unreadable("chat", "error"),
        unreadable("chat", "groupchat"),
        unreadable("bob@sip.example", "bob@other.example"),
        unreadable("bob@sip.example", "bob@Sip.example"),
        unreadable("<body>", "<thread/><body>"),
    ];
    for text in ends_the_stream {
        let mut world = without_room();
        world.home_types("sip.example", &text);
        assert_eq!(world.home().opened_to("sip.example"), None, "{text}");
    }
    for leaving in [false, true] {
        let mut world = without_room();
        if leaving {
            world.core.handle_leaving();
        } else {
            world.block(DomainPattern::Exact(domain("sip.example")));
        }
        world.home_types("sip.example", UNREADABLE);
        assert_eq!(world.home().opened_to("sip.example"), None, "leaving: {leaving}");
    }
}

#[test]
fn a_stream_on_which_all_is_refused_is_in_use() {
    let mut world = without_room();
    for _ in 0..3 {
        world.wait(Duration::from_secs(200));
        world.home_types("sip.example", UNREADABLE);
    }
    assert_eq!(taken(world.home()).len(), 3);
}

#[test]
fn a_refusal_that_is_lost_is_told_once_more_and_no_third_time() {
    let mut world = without_room();
    world.home_types("sip.example", UNREADABLE);
    for told in [1, 1, 0] {
        assert_eq!(taken(world.home()).len(), told);
        world.home().deny_last(200);
        let now = world.now;
        let World { core, servers, .. } = &mut world;
        servers.get_mut("corp.example").unwrap().crash(core, now);
        world.run();
    }
}
