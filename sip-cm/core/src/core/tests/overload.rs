//! More comes than can be done.

use super::*;
use crate::headers::HeaderId;

const ALICE: &str = "alice@corp.example";
const BOB: &str = "bob@partner.example";
const LONG: Duration = Duration::from_millis(150);

/// A message of its own.
fn numbered(number: u32) -> String {
    let text = message(ALICE, BOB);
    text.replace("peer1", &format!("peer{number}")).replace("call1", &format!("call{number}"))
}

/// A world whose queue has been long for half a second, and what its next hop was sent meanwhile.
fn overloaded() -> (World, Message) {
    let mut world = World::open();
    world.knows("partner.example");
    world.arrives_late(LONG, PEER, &numbered(1));
    let onward = world.requested("MESSAGE", HOP);
    world.pass(Duration::from_millis(450));
    (world, onward)
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
fn attempts_that_waited_too_long_fail_for_the_time_being() {
    let mut world = World::open();
    let late = |world: &mut World, number| {
        let packet = packet_from_xmpp(number, BOB, "hello");
        let attempt = Attempt { packet, number: 1, instruction: Instruction::Send };
        world.core.handle_frame(R1, FromRouter::Attempt(attempt), LONG, world.now);
        world.collect();
    };
    late(&mut world, 1);
    let onward = world.requested("MESSAGE", HOP);
    world.pass(Duration::from_millis(450));
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
    world.ends();
}
