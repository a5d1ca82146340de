//! More comes than can be done.

use super::*;
use crate::headers::HeaderId;

const ALICE: &str = "alice@corp.example";
const BOB: &str = "bob@partner.example";
const LONG: Duration = Duration::from_millis(250);

/// A message of its own.
fn numbered(number: u32) -> String {
    let text = message(ALICE, BOB);
    text.replace("peer1", &format!("peer{number}")).replace("call1", &format!("call{number}"))
}

/// A world whose queue has been long for a second, and what its next hop was sent meanwhile.
fn overloaded() -> (World, Message) {
    let mut world = World::open();
    world.knows("partner.example");
    world.arrives_late(LONG, PEER, &numbered(1));
    let onward = world.requested("MESSAGE", HOP);
    world.pass(Duration::from_millis(1_050));
    // The copy of Timer E.
    world.sent.clear();
    (world, onward)
}

/// What the instance before this one had may come again, and have arrived.
#[test]
fn soon_after_a_restart_what_is_too_much_is_told_a_time_out() {
    let mut world = World::just_started(config());
    world.link(R1, "r1", 100);
    world.tables(vec![open_route(HOP, Transport::Udp)]);
    world.knows("partner.example");
    world.arrives_late(LONG, PEER, &numbered(1));
    world.requested("MESSAGE", HOP);
    world.pass(Duration::from_millis(1_050));
    world.sent.clear();
    world.arrives_late(LONG, PEER, &numbered(2));
    assert!(header(&world.answered(504), HeaderId::Warning).contains("may have arrived"));
    assert!(turned_away(&mut world, LONG, &numbered(3)));
    world.answered(504);

    // Over TCP nothing is sent again (RFC 3261 §17.1.2.2).
    world.arrives_late_by(Transport::Tcp, LONG, PEER, &numbered(4));
    world.answered(503);
}

/// The last request that was turned away; copies of what is under way may have left meanwhile.
fn last_refused(world: &mut World) -> Message {
    let sent = std::iter::from_fn(|| (!world.sent.is_empty()).then(|| world.next_sent().0));
    sent.filter(|message| message.code() == Some(503)).last().expect("a 503")
}

#[test]
fn what_has_waited_too_long_is_turned_away_and_what_is_under_way_goes_on() {
    let (mut world, onward) = overloaded();
    world.arrives_late(LONG, PEER, &numbered(2));
    let refused = world.answered(503);
    assert_eq!(header(&refused, HeaderId::RetryAfter), "1");
    assert!(world.facts.contains(&Fact::TurnedAway));

    // A copy of what was taken before is no new work, and neither is the answer to it, which has
    // overtaken what waits.
    world.arrives_late(LONG, PEER, &numbered(1));
    world.silent();
    world.arrives_late(Duration::ZERO, HOP, &response(&onward, 200, ""));
    assert_eq!(header(&world.answered(200), HeaderId::CallId), "call1");
    world.arrives_late(LONG, PEER, &numbered(3));
    world.answered(503);
    world.ends_after_usage();
}

#[test]
fn a_copy_of_what_was_turned_away_is_not_served_in_a_better_moment() {
    let (mut world, first) = overloaded();
    world.arrives_late(LONG, PEER, &numbered(2));
    world.answered(503);
    assert!(turned_away(&mut world, LONG, &numbered(3)));
    world.answered(503);
    world.replies(HOP, &first, 200);
    world.answered(200);

    // There is time again. But its sender has heard that it is to go elsewhere.
    for number in [2, 3] {
        world.arrives(PEER, &numbered(number));
        let read = world.answered(503);
        assert!(turned_away(&mut world, Duration::ZERO, &numbered(number)));
        let tag = |answer: &Message| answer.to().expect("To").tag().map(str::to_owned);
        assert_eq!(tag(&world.answered(503)), tag(&read), "whether read or only looked at");
    }
    // What is new is served, and so is the same when its sender tries again, by a new branch.
    assert!(!turned_away(&mut world, Duration::ZERO, &numbered(4)));
    world.arrives(PEER, &numbered(2).replace("peer2", "peer2again"));
    let onward = world.requested("MESSAGE", HOP);
    world.replies(HOP, &onward, 200);
    assert_eq!(header(&world.answered(200), HeaderId::CallId), "call2");
    world.ends_after_usage();
}

#[test]
fn a_peer_that_asks_is_told_what_share_to_keep_back() {
    let asking = |number| {
        let flag = ";oc;oc-algo=\"loss,rate\";rport";
        numbered(number).replace(";rport", flag)
    };
    let (mut world, _) = overloaded();
    // Half of what comes is too much: the share grows by a tenth at a time.
    for number in 2..10 {
        let waited = if number % 2 == 0 { LONG } else { Duration::from_millis(50) };
        world.arrives_late(waited, PEER, &asking(number));
    }
    world.sent.clear();
    world.pass(Duration::from_millis(500));
    world.arrives_late(LONG, PEER, &asking(11));
    let refused = last_refused(&mut world);
    let via = refused.top_via().expect("a Via");
    assert_eq!(via.params().get("oc"), Some(Some("10")), "{}", via.as_str());
    assert_eq!(via.params().value("oc-algo"), Some("loss"));
    assert_eq!(via.params().get("oc-validity"), Some(Some("250")));
    assert!(via.params().value("oc-seq").is_some_and(|seq| seq.contains('.')));
    assert_eq!(via.branch(), Some("z9hG4bKpeer11"));

    // Half of what still comes is too much: that much more is to be kept back.
    world.arrives_late(Duration::from_millis(50), PEER, &asking(12));
    world.sent.clear();
    world.pass(Duration::from_millis(500));
    world.arrives_late(LONG, PEER, &asking(13));
    assert_eq!(
        last_refused(&mut world).top_via().expect("a Via").params().get("oc"),
        Some(Some("20"))
    );

    // A peer that does not ask is told nothing.
    world.arrives_late(LONG, PEER, &numbered(14));
    let refused = last_refused(&mut world);
    assert_eq!(refused.top_via().expect("a Via").params().get("oc"), None);
}

#[test]
fn when_the_rush_is_over_peers_are_soon_told_to_keep_nothing_back() {
    let asking = |number| numbered(number).replace(";rport", ";oc;oc-algo=\"loss\";rport");
    let (mut world, _) = overloaded();
    let mut told = Vec::new();
    let waits = [LONG, LONG, LONG, Duration::from_millis(50), Duration::from_millis(50)];
    let waits = waits.into_iter().chain([Duration::ZERO; 4]);
    for (number, waited) in (2..).zip(waits) {
        world.sent.clear();
        world.arrives_late(waited, PEER, &asking(number));
        let sent = std::iter::from_fn(|| (!world.sent.is_empty()).then(|| world.next_sent().0));
        let answer = sent.last().expect("something is sent");
        let share = answer.vias().expect("Vias").into_iter().find_map(|via| {
            via.params().get("oc").flatten().and_then(|share| share.parse::<u32>().ok())
        });
        told.push(share);
        world.pass(Duration::from_millis(500));
    }
    assert_eq!(told, [0, 10, 20, 30, 28, 26, 18, 10, 2].map(Some));
}

#[test]
fn attempts_that_waited_too_long_fail_for_the_time_being() {
    let mut world = World::open();
    let late = |world: &mut World, number| {
        let packet = packet_from_xmpp(number, BOB, "hello");
        let attempt = Attempt { packet, number: 1, instruction: Instruction::Send };
        world.core.handle_frame(R1, FromRouter::Attempt(attempt), secs(3), world.now);
        world.collect();
    };
    late(&mut world, 1);
    let onward = world.requested("MESSAGE", HOP);
    world.pass(Duration::from_millis(1_050));
    world.sent.clear();
    late(&mut world, 2);
    match world.ended().outcome.ending {
        Ending::Failed(failure) => {
            assert_eq!(failure.condition, Condition::ResourceConstraint);
            assert_eq!(failure.cause, Cause::Busy);
            assert!(failure.retry_after.is_some());
        }
        other => panic!("expected a failure, got {other:?}"),
    }
    late(&mut world, 1);
    world.silent();
    world.replies(HOP, &onward, 200);
    assert_eq!(world.ended().outcome.id, PacketId([1; 16]));
    // The room of both attempts is given back.
    assert!(matches!(world.frames.pop_front(), Some((R1, FromCm::Credit(2)))));
    world.ends();
}

/// Whether an unread datagram is turned away, having waited so long.
fn turned_away(world: &mut World, waited: Duration, text: &str) -> bool {
    let source = PEER.parse().expect("an address");
    let arrival = Arrival { source, transport: Transport::Udp, flow: FlowId(9) };
    let turned_away = world.core.turns_away(&text.to_owned().into(), &arrival, waited, world.now);
    world.collect();
    turned_away
}

#[test]
fn what_is_turned_away_at_a_glance_hears_the_same() {
    let compact = |number| {
        let long = numbered(number);
        let lower = long.replace("Via: ", "v: ").replace("From: ", "f:").replace("To: ", "t : ");
        lower.replace("Call-ID: ", "i: ").replace("\r\nCSeq", "\r\nVia: SIP/2.0/UDP below\r\nCSEQ")
    };
    let (mut world, _) = overloaded();
    for text in [numbered(2), compact(2)] {
        world.arrives_late(LONG, PEER, &text);
        let (read, to) = world.next_sent();
        assert!(turned_away(&mut world, LONG, &text), "{text}");
        let (looked_at, to_the_same) = world.next_sent();
        assert_eq!(to_the_same, to);
        assert_eq!(looked_at.code(), Some(503));
        let values = |message: &Message, id| {
            let values = message.headers_of(id).map(|header| header.value().to_vec());
            values.collect::<Vec<_>>()
        };
        use HeaderId::{CSeq, CallId, ContentLength, From, RetryAfter, Via};
        for id in [Via, From, CallId, CSeq, RetryAfter, ContentLength] {
            assert_eq!(values(&looked_at, id), values(&read, id), "{id:?}");
        }
        let tag = looked_at.to().expect("a To").tag().map(str::to_owned);
        assert!(tag.is_some_and(|tag| !tag.is_empty()));
    }
    assert_eq!(world.facts.iter().filter(|fact| **fact == Fact::TurnedAway).count(), 4);
    assert_eq!(world.set_aside, 4);
}

#[test]
fn what_is_no_new_work_or_needs_a_closer_look_is_read() {
    let (mut world, onward) = overloaded();
    let new = numbered(2);
    let read_in_full = [
        numbered(1),
        String::from_utf8_lossy(&response(&onward, 200, "").into_bytes()).into_owned(),
        new.replace("MESSAGE", "ACK"),
        new.replace("MESSAGE", "CANCEL"),
        new.replace("z9hG4bK", ""),
        new.replace(";rport", ";rport;oc"),
        new.replace(";rport", ";rport, SIP/2.0/UDP below;branch=z9hG4bKb"),
        new.replace(";branch=", ";x=1, SIP/2.0/UDP below;branch="),
        new.replace("\r\nCSeq", "\r\n\t1\r\nCSeq"),
        new.replace("\r\nCSeq", "\r\n\tx: 1\r\nCSeq"),
        new.replace("\r\nCSeq", "\nX: y\r\nCSeq"),
        new.replace("\r\nCSeq", "\r\nCall-ID: again\r\nCSeq"),
        new.replace("Call-ID", "X-Call-ID"),
        new.replace("To: <sip:bob@partner.example>", "To: <sip:bob@partner.example>;tag=1"),
        new.replace("MESSAGE sip:", "MESSAGE tel:"),
        new.replace(" SIP/2.0\r\nVia", " SIP/3.0\r\nVia"),
        new.replace("\r\n\r\n", "\r\n"),
        String::new(),
    ];
    for text in read_in_full {
        assert_ne!(text, new, "the replacement found nothing");
        assert!(!turned_away(&mut world, LONG, &text), "{text}");
        world.silent();
    }
    assert!(turned_away(&mut world, LONG, &new));
    assert!(!turned_away(&mut world, Duration::from_millis(99), &numbered(3)), "in time");
}

/// A message of a known domain for our user.
fn inbound(number: u32) -> String {
    let text = message(BOB, ALICE);
    text.replace("peer1", &format!("peer{number}")).replace("call1", &format!("call{number}"))
}

#[test]
fn no_more_is_sent_on_than_comes_through_further_on() {
    let mut world = World::alone();
    world.link(R1, "r1", 200);
    world.tables(vec![open_route(HOP, Transport::Udp)]);
    world.knows("partner.example");
    let mut under_way = VecDeque::new();
    for number in 1..=150 {
        world.arrives(PEER, &inbound(number));
        under_way.push_back(world.submitted().1.id);
    }
    let busy = Failure::new(Condition::ResourceConstraint, Cause::Busy);
    let mut ends = |world: &mut World, ending: Ending| {
        world.outcome(under_way.pop_front().expect("a packet"), ending);
        world.next_sent().0.code()
    };
    assert_eq!(ends(&mut world, Ending::Failed(busy.clone())), Some(500));
    // Half of what was under way, once for all that are too much in a quarter of a second.
    assert_eq!(ends(&mut world, Ending::Failed(busy.clone())), Some(500));
    assert!(world.core.is_overloaded());
    world.arrives(PEER, &inbound(151));
    assert_eq!(header(&world.answered(503), HeaderId::RetryAfter), "1");
    assert!(turned_away(&mut world, Duration::ZERO, &inbound(152)));
    world.answered(503);

    // What does not go to a router is not concerned.
    assert!(!turned_away(&mut world, Duration::ZERO, &numbered(153)));
    world.arrives(PEER, &numbered(153));
    world.requested("MESSAGE", HOP);

    // 148 are under way, and 75 may be; for each sixteen that come through, one more.
    let delivered = Ending::Delivered { by: Protocol::Xmpp, status: 200 };
    for _ in 0..69 {
        assert_eq!(ends(&mut world, delivered.clone()), Some(200));
    }
    assert!(turned_away(&mut world, Duration::ZERO, &inbound(154)));
    world.answered(503);
    assert_eq!(ends(&mut world, delivered.clone()), Some(200));
    assert!(!turned_away(&mut world, Duration::ZERO, &inbound(155)));
    world.arrives(PEER, &inbound(155));
    world.submitted();

    // Ten seconds later, nothing is known of it any more.
    world.pass(secs(10));
    world.sent.clear();
    assert_eq!(ends(&mut world, delivered), Some(200));
    assert!(!world.core.is_overloaded());
}

#[test]
fn links_that_take_no_more_narrow_the_window_too() {
    let mut world = World::alone();
    world.link(R1, "r1", 140);
    world.tables(vec![open_route(HOP, Transport::Udp)]);
    for number in 1..=140 {
        world.arrives(PEER, &inbound(number));
        world.submitted();
    }
    assert!(!turned_away(&mut world, Duration::ZERO, &inbound(141)));
    world.arrives(PEER, &inbound(141));
    world.answered(500);
    assert!(turned_away(&mut world, Duration::ZERO, &inbound(142)));
    world.answered(503);
}
