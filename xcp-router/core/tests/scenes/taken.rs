//! What xmpp-cm hear of packets that are here, before these go on.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::link::{FromCm, FromRouter, Instruction};
use openfed_proto::packet::{Cause, Conversation, Packet, Protocol, Role};

use crate::scene::*;

/// Per second, packets are held so often.
const HOLDS: u64 = 200;
/// Of others it hears within this time.
const LATER: Duration = Duration::from_millis(5);
/// By then an xmpp-cm whose link was lost is given up.
const GONE: Duration = Duration::from_millis(1_500);
/// No packet is held for longer.
const HELD: Duration = Duration::from_millis(100);

fn submit(scene: &mut Scene) -> u8 {
    let packet = scene.xmpp_out("known.example");
    let name = packet.id.0[0];
    scene.submit_kept(XMPP, packet);
    name
}

/// What it hears of the packets, `None` if nothing or something else.
fn told(scene: &mut Scene) -> Option<(u64, bool)> {
    match scene.act() {
        Act::Frame { link: XMPP, frame: FromRouter::Taken { packets, held } } => {
            Some((packets, held))
        }
        other => panic!("not told but {other:?}"),
    }
}

/// They go on, in this order, and arrive.
#[track_caller]
fn go_on(scene: &mut Scene, packets: &[u8]) {
    let attempts: Vec<_> = packets.iter().map(|_| scene.expect(Instruction::Send, SIP)).collect();
    let names: Vec<u8> = attempts.iter().map(|attempt| attempt.packet.id.0[0]).collect();
    assert_eq!(names, packets);
    for attempt in attempts {
        scene.end(SIP, &attempt, delivered(Protocol::Sip));
        scene.finished();
    }
    scene.quiet();
}

#[test]
fn a_packet_goes_on_when_its_server_does_not_keep_it_any_more() {
    let mut scene = Scene::known();
    let first = submit(&mut scene);
    assert_eq!(told(&mut scene), Some((1, true)));
    // What comes behind it does not overtake it, and has its own turn.
    let next = [submit(&mut scene), submit(&mut scene)];
    scene.quiet();
    scene.frame(XMPP, FromCm::Acknowledged(1));
    assert_eq!(told_behind(&mut scene, first), (3, true));
    scene.frame(XMPP, FromCm::Acknowledged(3));
    go_on(&mut scene, &next);
    scene.pass(HELD);
    scene.quiet();
}

/// The first one goes on, and of the next ones it hears.
fn told_behind(scene: &mut Scene, first: u8) -> (u64, bool) {
    let said = told(scene).unwrap();
    go_on(scene, &[first]);
    said
}

#[test]
fn where_very_many_come_none_is_held_and_few_words_are_lost() {
    let mut scene = Scene::known();
    for number in 1..=HOLDS {
        let name = submit(&mut scene);
        assert_eq!(told(&mut scene), Some((number, true)));
        scene.frame(XMPP, FromCm::Acknowledged(number));
        go_on(&mut scene, &[name]);
    }
    let mut attempts = Vec::new();
    let mut more = |scene: &mut Scene, told_before: &dyn Fn(&mut Scene)| {
        submit(scene);
        told_before(scene);
        attempts.push(scene.expect(Instruction::Send, SIP));
    };
    (1..=31).for_each(|_| more(&mut scene, &|_| {}));
    more(&mut scene, &|scene| assert_eq!(told(scene), Some((HOLDS + 32, false))));
    (33..=35).for_each(|_| more(&mut scene, &|_| {}));
    scene.pass(LATER);
    assert_eq!(told(&mut scene), Some((HOLDS + 35, false)));
    for attempt in attempts {
        scene.end(SIP, &attempt, delivered(Protocol::Sip));
        scene.finished();
    }
    // After a while one is held again; what follows at once is not.
    let (held, follows) = (submit(&mut scene), submit(&mut scene));
    assert_eq!(told(&mut scene), Some((HOLDS + 36, true)));
    scene.frame(XMPP, FromCm::Acknowledged(HOLDS + 36));
    go_on(&mut scene, &[held, follows]);
}

#[test]
fn a_packet_is_held_for_a_moment_only() {
    let mut scene = Scene::known();
    let slow = submit(&mut scene);
    assert_eq!(told(&mut scene), Some((1, true)));
    scene.pass(HELD - Duration::from_micros(1));
    scene.quiet();
    scene.pass(Duration::from_micros(1));
    go_on(&mut scene, &[slow]);
    // Its server has heard of the first one now, not of the second.
    let held = submit(&mut scene);
    assert_eq!(told(&mut scene), Some((2, true)));
    scene.frame(XMPP, FromCm::Acknowledged(1));
    scene.quiet();
    scene.frame(XMPP, FromCm::Acknowledged(2));
    go_on(&mut scene, &[held]);
}

/// One that its server keeps and one that it does not, held when the xmpp-cm is gone.
fn two_held() -> (Scene, Packet) {
    let mut scene = Scene::known();
    let kept = scene.xmpp_out("known.example");
    let first = kept.clone();
    scene.submit_kept(XMPP, kept);
    told(&mut scene);
    let safe = Packet { conversation: Conversation(7), ..scene.xmpp_out("known.example") };
    let name = safe.id.0[0];
    scene.submit(XMPP, safe);
    scene.quiet();
    scene.unlink(XMPP);
    go_on(&mut scene, &[name]);
    (scene, first)
}

#[test]
fn a_held_packet_does_not_go_on_when_its_xmpp_cm_died_and_the_next_life_tells_so() {
    for late in [false, true] {
        let (mut scene, packet) = two_held();
        if late {
            scene.pass(GONE);
            assert_eq!(scene.finished().outcome.id, packet.id);
        }
        scene.link_as(Role::XmppCm, "xmpp-1", 2, 100);
        let tells = |act: &Act| {
            matches!(act, Act::Frame { frame: FromRouter::Undelivered { stanza, .. }, .. }
                if *stanza == packet.original.bytes)
        };
        assert_eq!(scene.acts().iter().filter(|act| tells(act)).count(), 1, "late: {late}");
        scene.forget_frames();
        if !late {
            assert_eq!(why(&scene.finished()), (Condition::ResourceConstraint, Cause::Leaving));
        }
        scene.quiet();
    }
}

#[test]
fn a_held_packet_goes_on_when_it_comes_again() {
    let (mut scene, packet) = two_held();
    let follows = scene.xmpp_out("known.example");
    let back = scene.link(Role::XmppCm, "xmpp-1");
    scene.forget_frames();
    let follows = scene.submit(back, follows).0[0];
    scene.quiet();
    let name = packet.id.0[0];
    scene.frame(back, FromCm::Submit { packet, accepted_in: None, again: true, kept: false });
    go_on(&mut scene, &[name, follows]);
}

#[test]
fn of_what_no_server_keeps_nothing_is_told() {
    let mut scene = Scene::known();
    let packet = scene.xmpp_out("known.example");
    let name = packet.id.0[0];
    scene.submit(XMPP, packet);
    go_on(&mut scene, &[name]);
    scene.pass(HELD);
    scene.quiet();
}
