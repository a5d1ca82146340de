//! What servers answer on the very stream that our stanzas came on.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::link::Instruction;
use openfed_proto::packet::{Body, Cause, Ending, Failure, Protocol};

use super::domain;
use super::world::{World, taken};
use crate::core::Fact;

const DELIVERED: Ending = Ending::Delivered { by: Protocol::Xmpp, status: 200 };

fn failed(condition: Condition, cause: Cause) -> Ending {
    Ending::Failed(Failure::new(condition, cause))
}

fn bad_request(addresses: &str, id: &str) -> String {
    format!(
        "<message type='error' {addresses} id='{id}'><body>hi</body><error type='modify'>\
         <bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    )
}

fn ignored(world: &World, name: &str) -> usize {
    let fact = Fact::Ignored { domain: domain(name) };
    world.facts.iter().filter(|it| **it == fact).count()
}

/// Three messages from `sip.example`, none of them confirmed: `z9hG4bK1` to `z9hG4bK3`.
fn three_to_home() -> World {
    let mut world = World::new();
    world.home().pongs = false;
    for user in ["alice", "dave", "carol"] {
        let packet = world.sip_message("bob@sip.example", &format!("{user}@corp.example"), "hi");
        world.attempt(&packet, Instruction::Home);
    }
    world
}

/// The home server answers the pings that it has got, where it should.
fn pong(world: &mut World) {
    for stanza in std::mem::take(&mut world.home().got) {
        if let ("iq", Some(id)) = (stanza.name(), stanza.attr("id")) {
            let to = stanza.attr("from").unwrap().to_owned();
            world.home_says(&format!(
                "<iq type='result' id='{id}' from='corp.example' to='{to}'></iq>"
            ));
        }
    }
}

#[test]
fn an_error_on_our_own_stream_is_the_outcome_of_its_message_and_of_no_other() {
    for addresses in [
        "from='dave@corp.example' to='bob@sip.example'",
        "from='da ve@corp.example' to='bob@sip.example'",
        "from='@' to=''",
        "",
    ] {
        let mut world = three_to_home();
        world.types_back("corp.example", &bad_request(addresses, "z9hG4bK2"));
        assert_eq!(world.endings(), [failed(Condition::BadRequest, Cause::Remote)], "{addresses}");
        // Once: what is said again counts for nothing.
        world.types_back("corp.example", &bad_request(addresses, "z9hG4bK2"));
        pong(&mut world);
        pong(&mut world);
        assert_eq!(world.endings(), [DELIVERED, DELIVERED], "{addresses}");
        assert_eq!(ignored(&world, "corp.example"), 1);
        assert_eq!(world.home().accepted, 1, "the stream goes on");
    }
}

#[test]
fn of_two_messages_with_one_id_the_one_between_these_users_has_ended() {
    let mut world = World::new();
    world.home().pongs = false;
    let mut packets = ["one.example", "two.example"]
        .map(|from| world.sip_message(&format!("bob@{from}"), "alice@corp.example", "hi"));
    for packet in &mut packets {
        let Body::Message(message) = &mut packet.body else { panic!("a message") };
        message.id = Some("same".to_owned());
        world.attempt(packet, Instruction::Home);
    }
    let users = "from='alice@corp.example' to='bob@two.example'";
    world.types_back("corp.example", &bad_request(users, "same"));
    let ended = world.ended();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].outcome.id, packets[1].id);
    pong(&mut world);
    assert_eq!(world.endings(), [DELIVERED]);
}

#[test]
fn an_error_counts_on_the_stream_that_took_the_message_and_on_no_other() {
    let mut world = three_to_home();
    world.add("xmpp.example");
    let packet = world.sip_message("alice@corp.example", "carol@xmpp.example", "hi");
    world.attempt(&packet, Instruction::Reach);
    assert_eq!(world.endings(), [DELIVERED]);
    let users = "from='alice@corp.example' to='bob@sip.example'";
    world.types_back("xmpp.example", &bad_request(users, "z9hG4bK1"));
    assert_eq!(world.endings(), []);
    assert_eq!(ignored(&world, "xmpp.example"), 1);
    pong(&mut world);
    pong(&mut world);
    assert_eq!(world.endings(), [DELIVERED, DELIVERED, DELIVERED]);
    taken(world.server("xmpp.example"));
}

#[test]
fn no_answer_to_a_ping_counts_on_our_own_stream_in_any_namespace() {
    for namespace in ["", " xmlns='jabber:client'"] {
        for kind in ["result", "error"] {
            let mut world = three_to_home();
            let got = std::mem::take(&mut world.home().got);
            let id = got.iter().find(|it| it.name() == "iq").and_then(|it| it.attr("id")).unwrap();
            world.types_back(
                "corp.example",
                &format!(
                    "<iq{namespace} type='{kind}' id='{id}' from='corp.example' to='sip.example'/>"
                ),
            );
            assert_eq!(world.endings(), []);
            assert_eq!(ignored(&world, "corp.example"), 1);
            // Where it should come it still counts.
            world.home_says(&format!(
                "<iq type='result' id='{id}' from='corp.example' to='sip.example'></iq>"
            ));
            assert_eq!(world.endings(), [DELIVERED]);
            pong(&mut world);
            assert_eq!(world.endings(), [DELIVERED, DELIVERED]);
            assert_eq!(world.home().accepted, 1);
        }
    }
}

#[test]
fn an_error_for_a_stanza_that_passed_goes_back_to_who_wrote_it() {
    let mut world = World::new();
    world.add("xmpp.example");
    let packet = world.sip_message("alice@corp.example", "bob@xmpp.example", "hi");
    world.attempt(&packet, Instruction::Reach);
    assert_eq!(world.endings(), [DELIVERED]);
    taken(world.server("xmpp.example"));
    world.home_says(
        "<message from='alice@corp.example/r' to='bob@xmpp.example' id='x'><body>x</body></message>",
    );
    for packet in world.submitted() {
        world.attempt(&packet, Instruction::Reach);
        assert_eq!(world.endings(), [DELIVERED]);
    }
    taken(world.server("xmpp.example"));
    // Another domain than that which the stream leads to is not believed.
    let forged = "from='bob@other.example' to='alice@corp.example/r'";
    world.types_back("xmpp.example", &bad_request(forged, "x"));
    assert_eq!(ignored(&world, "xmpp.example"), 1);
    let users = "from='bob@xmpp.example' to='alice@corp.example/r'";
    world.types_back("xmpp.example", &bad_request(users, "x"));
    let got = taken(world.home());
    assert_eq!(got.len(), 1);
    assert!(got[0].contains("bad-request") && got[0].contains("id='x'"), "{}", got[0]);
    assert_eq!(ignored(&world, "xmpp.example"), 1);
    world.wait(Duration::from_secs(40));
}
