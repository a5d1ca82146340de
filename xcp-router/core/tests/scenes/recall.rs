//! The router that had a packet is gone, and it comes again by another one: which instance has it?

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::link::{FromCm, FromRouter, Instruction};
use openfed_proto::packet::{Ending, Packet, PacketId, Protocol, Role};
use xcp_router_core::LinkId;

use crate::scene::*;

/// Three instances of xmpp-cm.
fn three() -> (Scene, [LinkId; 3]) {
    let mut scene = Scene::open();
    let others = ["xmpp-2", "xmpp-3"].map(|name| scene.link(Role::XmppCm, name));
    scene.forget_frames();
    (scene, [XMPP, others[0], others[1]])
}

/// A message for the local user that another router had before.
fn again(scene: &mut Scene) -> Packet {
    let packet = scene.sip_in("foreign.example");
    scene.change(vec![xcp_router_core::TableChange::Row(
        domain("foreign.example"),
        openfed_proto::route::Origin::Discovered,
    )]);
    scene.forget_frames();
    packet
}

fn submit(scene: &mut Scene, packet: &Packet, again: bool) {
    let packet = packet.clone();
    scene.frame(SIP, FromCm::Submit { packet, accepted_in: None, again, kept: false });
}

/// Each of these is asked for the attempt.
#[track_caller]
fn asked(scene: &mut Scene, links: &[LinkId], id: PacketId) {
    let wanted = FromRouter::Recall { packet: id, instruction: Instruction::Home };
    for link in links {
        let frame = std::iter::from_fn(|| Some(scene.frame_to(*link)))
            .find(|frame| matches!(frame, FromRouter::Recall { .. }));
        assert_eq!(frame, Some(wanted.clone()));
    }
}

fn says(scene: &mut Scene, link: LinkId, packet: PacketId, known: bool) {
    scene.frame(link, FromCm::Recalled { packet, instruction: Instruction::Home, known });
}

#[test]
fn the_instance_that_has_it_goes_on_with_it() {
    for holder in 0..3 {
        let (mut scene, links) = three();
        let packet = again(&mut scene);
        submit(&mut scene, &packet, true);
        asked(&mut scene, &links, packet.id);
        scene.quiet();
        for link in links.iter().filter(|link| **link != links[holder]) {
            says(&mut scene, *link, packet.id, false);
        }
        scene.quiet();
        says(&mut scene, links[holder], packet.id, true);
        scene.play(Instruction::Home, links[holder], delivered(Protocol::Xmpp));
        assert!(is_delivered(&scene.finished()));
    }
}

#[test]
fn if_nobody_has_it_or_time_is_up_it_is_given_out_once() {
    for answers in [3, 1] {
        let (mut scene, links) = three();
        let packet = again(&mut scene);
        submit(&mut scene, &packet, true);
        asked(&mut scene, &links, packet.id);
        for link in &links[..answers] {
            says(&mut scene, *link, packet.id, false);
        }
        if answers < 3 {
            scene.quiet();
            scene.pass(Duration::from_secs(1));
        }
        let (link, attempt, _) = scene.attempt();
        // What comes too late changes nothing.
        says(&mut scene, links[2], packet.id, true);
        scene.quiet();
        scene.end(link, &attempt, delivered(Protocol::Xmpp));
        assert!(is_delivered(&scene.finished()));
    }
}

#[test]
fn nobody_waits_for_an_instance_that_is_gone() {
    let (mut scene, links) = three();
    let packet = again(&mut scene);
    submit(&mut scene, &packet, true);
    asked(&mut scene, &links, packet.id);
    says(&mut scene, links[0], packet.id, false);
    says(&mut scene, links[1], packet.id, false);
    scene.unlink(links[2]);
    let (link, attempt, _) = scene.attempt();
    scene.end(link, &attempt, delivered(Protocol::Xmpp));
    scene.finished();
}

#[test]
fn what_is_new_is_given_out_at_once_but_never_overtakes_its_conversation() {
    let (mut scene, links) = three();
    let packet = again(&mut scene);
    submit(&mut scene, &packet, true);
    asked(&mut scene, &links, packet.id);
    let behind = scene.sip_in("foreign.example");
    assert_eq!(behind.conversation, packet.conversation);
    submit(&mut scene, &behind, false);
    asked(&mut scene, &links, behind.id);
    scene.quiet();
    for id in [packet.id, behind.id] {
        for link in links {
            says(&mut scene, link, id, false);
        }
    }
    for id in [packet.id, behind.id] {
        let (link, attempt, _) = scene.attempt();
        assert_eq!(attempt.packet.id, id);
        scene.end(link, &attempt, delivered(Protocol::Xmpp));
    }
    scene.finished();
    scene.finished();
    let new = scene.sip_in("foreign.example");
    submit(&mut scene, &new, false);
    let (link, attempt, _) = scene.attempt();
    scene.end(link, &attempt, delivered(Protocol::Xmpp));
    scene.finished();
}

#[test]
fn a_single_instance_is_not_asked() {
    let mut scene = Scene::open();
    let packet = again(&mut scene);
    submit(&mut scene, &packet, true);
    scene.play(Instruction::Home, XMPP, delivered(Protocol::Xmpp));
    scene.finished();
}

#[test]
fn what_comes_again_while_nobody_is_linked_who_could_tell_may_have_arrived() {
    let mut scene = Scene::open();
    let (old, new) = (again(&mut scene), again(&mut scene));
    scene.unlink(XMPP);
    scene.forget_frames();
    for (packet, comes_again, expected) in
        [(old, true, Condition::RemoteServerTimeout), (new, false, Condition::ResourceConstraint)]
    {
        submit(&mut scene, &packet, comes_again);
        let Ending::Failed(failure) = scene.finished().outcome.ending else {
            panic!("nobody has it")
        };
        assert_eq!(failure.condition, expected, "again: {comes_again}");
    }
}
