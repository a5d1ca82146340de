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

    // A copy of what was taken before is no new work, and neither is the answer to it.
    world.arrives_late(LONG, PEER, &numbered(1));
    world.silent();
    world.arrives_late(LONG, HOP, &response(&onward, 200, ""));
    assert_eq!(header(&world.answered(200), HeaderId::CallId), "call1");
    world.ends_after_usage();
}

#[test]
fn who_was_turned_away_is_served_in_a_better_moment() {
    let (mut world, first) = overloaded();
    world.arrives_late(LONG, PEER, &numbered(2));
    world.answered(503);
    world.replies(HOP, &first, 200);
    world.answered(200);
    world.arrives(PEER, &numbered(2));
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
    // Half of what comes is too much.
    for number in 2..10 {
        let waited = if number % 2 == 0 { LONG } else { Duration::from_millis(100) };
        world.arrives_late(waited, PEER, &asking(number));
    }
    world.sent.clear();
    world.pass(Duration::from_millis(500));
    world.arrives_late(LONG, PEER, &asking(11));
    let refused = last_refused(&mut world);
    let via = refused.top_via().expect("a Via");
    assert_eq!(via.params().get("oc"), Some(Some("50")), "{}", via.as_str());
    assert_eq!(via.params().value("oc-algo"), Some("loss"));
    assert_eq!(via.params().get("oc-validity"), Some(Some("500")));
    assert!(via.params().value("oc-seq").is_some_and(|seq| seq.contains('.')));
    assert_eq!(via.branch(), Some("z9hG4bKpeer11"));

    // Half of what still comes is too much: that much more is to be kept back.
    world.arrives_late(Duration::from_millis(100), PEER, &asking(12));
    world.sent.clear();
    world.pass(Duration::from_millis(500));
    world.arrives_late(LONG, PEER, &asking(13));
    assert_eq!(
        last_refused(&mut world).top_via().expect("a Via").params().get("oc"),
        Some(Some("75"))
    );

    // A peer that does not ask is told nothing.
    world.arrives_late(LONG, PEER, &numbered(14));
    let refused = last_refused(&mut world);
    assert_eq!(refused.top_via().expect("a Via").params().get("oc"), None);
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
