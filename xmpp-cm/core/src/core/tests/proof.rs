//! What the fences of a home server are worth.

use std::time::Duration;

use minidom::Element;
use openfed_proto::link::Instruction;
use openfed_proto::packet::{Ending, Protocol};

use super::domain;
use super::world::World;
use crate::core::{Fact, Settings};

const DELIVERED: Ending = Ending::Delivered { by: Protocol::Xmpp, status: 200 };

/// A first message is on its way; the home server has got it, and a message to nobody before it.
fn wondering() -> (World, Element, Vec<String>) {
    let settings = Settings::new("here", [domain("corp.example")]);
    let mut world = World::with(Settings { ask_proof: true, ..settings });
    world.home().pongs = false;
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    let (probe, pings) = got(&mut world);
    (world, probe.unwrap(), pings)
}

/// A message to a user other than alice, and the ids of pings.
fn got(world: &mut World) -> (Option<Element>, Vec<String>) {
    let (mut probe, mut pings) = (None, Vec::new());
    for stanza in std::mem::take(&mut world.home().got) {
        match stanza.name() {
            "iq" => pings.push(stanza.attr("id").unwrap().to_owned()),
            _ if stanza.attr("to") == Some("alice@corp.example") => {}
            _ => probe = Some(stanza),
        }
    }
    (probe, pings)
}

fn refuse(world: &mut World, probe: &Element) {
    let attr = |name| probe.attr(name).unwrap();
    world.home_says(&format!(
        "<message type='error' id='{}' from='{}' to='{}'><error type='cancel'><service-unavailable \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
        attr("id"),
        attr("to"),
        attr("from")
    ));
}

fn pong(world: &mut World, pings: &[String]) {
    for id in pings {
        world.home_says(&format!(
            "<iq type='result' id='{id}' from='corp.example' to='sip.example'></iq>"
        ));
    }
}

fn found(world: &World) -> Vec<bool> {
    let found = world.facts.iter().filter_map(|fact| match fact {
        Fact::Proof { proves, .. } => Some(*proves),
        _ => None,
    });
    found.collect()
}

#[test]
fn a_server_that_refuses_messages_to_nobody_before_the_ping_is_believed_and_asked_once() {
    let (mut world, probe, pings) = wondering();
    refuse(&mut world, &probe);
    pong(&mut world, &pings);
    let (_, pings) = got(&mut world);
    pong(&mut world, &pings);
    assert_eq!(world.endings(), [DELIVERED]);
    assert_eq!(found(&world), [true]);
    world.home().pongs = true;
    world.wait(Duration::from_secs(400));
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [DELIVERED]);
    assert!(got(&mut world).0.is_none());
}

#[test]
fn a_server_that_says_nothing_is_told_of_and_asked_again_on_a_later_stream() {
    let (mut world, _, pings) = wondering();
    pong(&mut world, &pings);
    let (_, pings) = got(&mut world);
    pong(&mut world, &pings);
    assert_eq!(world.endings(), [DELIVERED]);
    assert_eq!(found(&world), [false]);
    world.wait(Duration::from_secs(400));
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    let (probe, pings) = got(&mut world);
    refuse(&mut world, &probe.unwrap());
    pong(&mut world, &pings);
    let (_, pings) = got(&mut world);
    pong(&mut world, &pings);
    assert_eq!(world.endings(), [DELIVERED]);
    assert_eq!(found(&world), [false, true], "it has been mended");
}

#[test]
fn a_server_that_answers_no_ping_is_still_unknown() {
    let (mut world, _, _) = wondering();
    world.wait(Duration::from_secs(30));
    assert_eq!(world.endings().len(), 1);
    assert_eq!(found(&world), [false; 0]);
    got(&mut world);
}
