//! What xmpp-cm hear of packets that are here, before these go on.

use std::time::Duration;

use openfed_proto::link::{FromCm, FromRouter, Instruction};
use openfed_proto::packet::{Ending, Protocol, Role};

use crate::scene::*;

/// Packets come this close together, or they are alone.
const CLOSE: Duration = Duration::from_millis(5);
/// No packet is held for longer.
const HELD: Duration = Duration::from_millis(20);

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
    // What comes behind it does not overtake it.
    let second = submit(&mut scene);
    scene.quiet();
    scene.frame(XMPP, FromCm::Acknowledged(1));
    go_on(&mut scene, &[first, second]);
    // Of the second one it hears soon, unless its outcome says it.
    scene.pass(CLOSE);
    scene.quiet();
}

#[test]
fn where_many_come_none_is_held_and_few_words_are_lost() {
    let mut scene = Scene::known();
    let first = submit(&mut scene);
    assert_eq!(told(&mut scene), Some((1, true)));
    scene.frame(XMPP, FromCm::Acknowledged(1));
    go_on(&mut scene, &[first]);
    scene.pass(CLOSE / 2);
    let mut attempts = Vec::new();
    let mut more = |scene: &mut Scene, told_before: &dyn Fn(&mut Scene)| {
        submit(scene);
        told_before(scene);
        attempts.push(scene.expect(Instruction::Send, SIP));
    };
    (2..=4).for_each(|_| more(&mut scene, &|_| {}));
    scene.pass(CLOSE);
    assert_eq!(told(&mut scene), Some((4, false)));
    (5..=35).for_each(|_| more(&mut scene, &|_| {}));
    more(&mut scene, &|scene| assert_eq!(told(scene), Some((36, false))));
    for attempt in attempts {
        scene.end(SIP, &attempt, delivered(Protocol::Sip));
        scene.finished();
    }
    // One that is alone again is held again.
    scene.pass(CLOSE);
    let alone = submit(&mut scene);
    assert_eq!(told(&mut scene), Some((37, true)));
    scene.quiet();
    scene.frame(XMPP, FromCm::Acknowledged(37));
    go_on(&mut scene, &[alone]);
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

#[test]
fn a_held_packet_goes_on_when_its_xmpp_cm_is_gone() {
    let mut scene = Scene::known();
    submit(&mut scene);
    told(&mut scene);
    scene.unlink(XMPP);
    let attempt = scene.expect(Instruction::Send, SIP);
    scene.end(SIP, &attempt, not_found());
    scene.finished();
    scene.link_as(Role::XmppCm, "xmpp-1", 2, 100);
    let Ending::Failed(failure) = not_found() else { unreachable!() };
    let stanza = attempt.packet.original.bytes;
    assert_eq!(scene.undelivered(), Some(FromRouter::Undelivered { stanza, failure }));
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
