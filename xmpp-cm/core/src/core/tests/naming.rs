//! Addresses that a home server would turn into others.

use std::time::Duration;

use openfed_proto::address::Preparation;
use openfed_proto::condition::Condition;
use openfed_proto::link::Instruction;
use openfed_proto::packet::{Cause, Ending, Protocol};

use super::domain;
use super::world::{World, taken};
use crate::core::{Fact, Settings};

const ALICE: &str = "alice@corp.example";
const DELIVERED: Ending = Ending::Delivered { by: Protocol::Xmpp, status: 200 };

/// The home server has to be asked how it prepares addresses.
fn wondering() -> World {
    let settings = Settings::new("here", [domain("corp.example")]);
    World::with(Settings { ask_names: true, ..settings })
}

/// The question that the home server got last, as its id and the local part it asks about.
fn question(world: &mut World) -> (String, String) {
    let got = std::mem::take(&mut world.home().got);
    let asks = |it: &&minidom::Element| it.attr("to").is_some_and(|to| to.contains('@'));
    let ask = got.iter().filter(|it| it.name() == "iq").find(asks).unwrap();
    let (id, to) = (ask.attr("id").unwrap(), ask.attr("to").unwrap());
    (id.to_owned(), to.split_once('@').unwrap().0.to_owned())
}

fn answer(id: &str, local: &str, condition: &str) -> String {
    format!(
        "<iq type='error' id='{id}' from='{local}@corp.example' to='sip.example'><error \
         type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    )
}

#[test]
fn from_sip_they_are_refused_with_the_reason_and_reach_nobody() {
    for (from, to, who) in [
        ("straße@sip.example", ALICE, "sender"),
        ("bob@sip.example/ﬁ", ALICE, "sender"),
        ("bob@faß.example", ALICE, "sender"),
        ("bob@sip.example", "λόγος@corp.example", "recipient"),
    ] {
        for instruction in [Instruction::Home, Instruction::Probe] {
            let mut world = World::new();
            let packet = world.sip_message(from, to, "hi");
            world.attempt(&packet, instruction);
            let endings = world.endings();
            let [Ending::Failed(failure)] = endings.as_slice() else { panic!("{endings:?}") };
            assert_eq!(
                (&failure.condition, failure.cause),
                (&Condition::JidMalformed, Cause::Policy)
            );
            assert!(failure.text.as_ref().unwrap().starts_with(who), "{failure:?}");
        }
    }
}

#[test]
fn from_a_foreign_xmpp_server_they_are_answered() {
    let mut world = World::new();
    world.add("xmpp.example");
    let users = "from='straße@xmpp.example/r' to='alice@corp.example'";
    world.server("xmpp.example").say(&format!("<message {users} id='1'><body>x</body></message>"));
    world.run();
    let got = taken(world.server("xmpp.example"));
    assert!(got[0].contains("jid-malformed") && got[0].contains("the home server"), "{got:?}");
}

#[test]
fn a_home_server_that_writes_them_as_its_users_did_is_answered() {
    let mut world = World::new();
    let users = "from='alice@corp.example/d' to='straße@sip.example'";
    world.home_says(&format!("<message {users} id='1'><body>x</body></message>"));
    let got = taken(world.home());
    assert!(got[0].contains("jid-malformed") && got[0].contains("straße"), "{got:?}");
}

#[test]
fn a_home_server_is_asked_on_its_first_stream_and_then_known() {
    let mut world = wondering();
    world.home().pongs = false;
    let packet = world.sip_message("bob@sip.example", ALICE, "hi");
    world.attempt(&packet, Instruction::Home);
    let (id, local) = question(&mut world);
    let rest = local.strip_prefix("Aß").unwrap().to_owned();
    world.home_says(&answer(&id, &format!("ass{rest}"), "service-unavailable"));
    let (id, local) = question(&mut world);
    assert!(local.starts_with("Aԧ"), "{local}");
    world.home().pongs = true;
    world.home_says(&answer(&id, &local.to_lowercase(), "service-unavailable"));
    let learned = Fact::Names { home: domain("corp.example"), preparation: Preparation::Queries };
    assert!(world.facts.contains(&learned), "{:?}", world.facts);

    let packet = world.sip_message("ԧ@two.example", ALICE, "hi");
    world.attempt(&packet, Instruction::Home);
    assert!(world.endings().contains(&DELIVERED), "a newer letter is carried");
    let got = std::mem::take(&mut world.home().got);
    assert!(!got.iter().any(|it| String::from(it).contains('ß')), "asked once: {got:?}");
}

#[test]
fn a_server_that_repeats_what_is_written_is_taken_for_a_strict_one() {
    let mut world = wondering();
    let packet = world.sip_message("bob@sip.example", ALICE, "hi");
    // Its answer to the ping in the question bears the address as it was asked.
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [DELIVERED]);
    let learned = Fact::Names { home: domain("corp.example"), preparation: Preparation::Stored };
    assert!(world.facts.contains(&learned), "{:?}", world.facts);
    world.home().got.clear();
}

#[test]
fn an_answer_that_came_to_another_instance_is_handed_on() {
    let (mut world, mut other) = (wondering(), wondering());
    world.home().pongs = false;
    let packet = world.sip_message("bob@sip.example", ALICE, "hi");
    world.attempt(&packet, Instruction::Home);
    let (id, local) = question(&mut world);
    let prepared = format!("aß{}", local.strip_prefix("Aß").unwrap());
    other.home_says(&answer(&id, &prepared, "service-unavailable"));
    world.hears_astray(&mut other);
    let learned = Fact::Names { home: domain("corp.example"), preparation: Preparation::Precis };
    assert!(world.facts.contains(&learned), "{:?}", world.facts);
    other.home().got.clear();
}

#[test]
fn what_the_operator_says_is_not_asked() {
    let settings = Settings::new("here", [domain("corp.example")]);
    let names = [(domain("corp.example"), Preparation::Precis)].into();
    let mut world = World::with(Settings { ask_names: true, names, ..settings });
    let packet = world.sip_message("straße@sip.example", ALICE, "hi");
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [DELIVERED]);
    let got = taken(world.home());
    assert!(got.len() == 1 && got[0].contains("straße@sip.example"), "{got:?}");
}

/// ejabberd prepares the domain of the stream, and leaves the stanza as its user typed it. (It takes
/// the answer, too; the server of these scenes does not.)
#[test]
fn what_was_typed_to_a_domain_that_the_home_server_turned_into_another_is_answered() {
    for to in ["bob@straße.example", "bob@a..b"] {
        let mut world = World::new();
        let hello = "<message from='alice@corp.example/d' to='bob@strasse.example' id='1' \
                     type='error'></message>";
        world.home_says(hello);
        assert_eq!(world.astray().len(), 1, "perhaps it is for another instance");
        let typed = format!(
            "<message xmlns='jabber:server' from='alice@corp.example/d' to='{to}' id='2'>\
             <body>x</body></message>"
        );
        world.home_types("strasse.example", &typed);
        let answered = Fact::Answered { condition: "jid-malformed" };
        assert!(world.facts.contains(&answered), "{to}: {:?}", world.facts);
        assert!(world.home().opened_to("strasse.example").is_some(), "its stream goes on");
    }
}

#[test]
fn a_foreign_server_that_writes_to_somewhere_else_is_cut_off() {
    let mut world = World::new();
    world.add("xmpp.example");
    let users = "from='bob@xmpp.example' to='alice@corp.example'";
    world.server("xmpp.example").say(&format!("<message {users} id='1'></message>"));
    world.run();
    taken(world.home());
    let conn = world.server("xmpp.example").opened_to("corp.example").unwrap();
    let elsewhere = "<message from='bob@xmpp.example' to='alice@other.example' id='2'></message>";
    let now = world.now;
    world.core.handle_bytes(conn, elsewhere.as_bytes(), now);
    world.run();
    assert_eq!(world.server("xmpp.example").opened_to("corp.example"), None);
}

/// Its resolver says by itself that such names do not exist.
#[test]
fn a_sender_whom_the_home_server_does_not_find_is_refused_soon_and_then_at_once() {
    let mut world = World::new();
    let packet = world.sip_message("bob@sip.example", ALICE, "hi");
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [DELIVERED]);
    taken(world.home());
    world.home().mute = true;
    let packet = world.sip_message("anonymous@anonymous.invalid", ALICE, "hi");
    world.attempt(&packet, Instruction::Home);
    world.wait(Duration::from_secs(2));
    let refused = |world: &mut World| {
        let endings = world.endings();
        let [Ending::Failed(failure)] = endings.as_slice() else { panic!("{endings:?}") };
        assert_eq!((&failure.condition, failure.cause), (&Condition::NotAllowed, Cause::Policy));
        assert!(failure.text.as_ref().unwrap().contains("does not ask openfed"), "{failure:?}");
    };
    refused(&mut world);
    let packet = world.sip_message("anybody@else.invalid", ALICE, "hi");
    world.attempt(&packet, Instruction::Home);
    refused(&mut world);
    let told = world.core.tell_names(&domain("pbx.invalid"), world.now);
    assert!(matches!(told.as_slice(), [(_, Err(why))] if why.contains("(invalid)")), "{told:?}");
    let told = world.core.tell_names(&domain("pbx.onion"), world.now);
    assert!(matches!(told.as_slice(), [(_, Ok(_))]), "{told:?}");
    assert_eq!(world.core.tell_names(&domain("sip.example"), world.now), []);

    world.home().mute = false;
    world.wait(Duration::from_secs(61));
    let packet = world.sip_message("anybody@else.invalid", ALICE, "hi");
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [DELIVERED], "it is tried again");
    taken(world.home());
}
