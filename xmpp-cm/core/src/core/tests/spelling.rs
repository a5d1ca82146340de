//! A-labels and U-labels: one host, two names to most servers.

use openfed_proto::condition::Condition;
use openfed_proto::link::Instruction;
use openfed_proto::packet::{Cause, Ending, Failure, Protocol};

use super::world::{World, taken};

const ASCII: &str = "xn--mnchen-3ya.example";
const UNICODE: &str = "m\u{fc}nchen.example";
const DELIVERED: Ending = Ending::Delivered { by: Protocol::Xmpp, status: 200 };

fn says(world: &mut World, to: &str, id: &str) {
    world.home_says(&format!(
        "<message from='alice@corp.example/r' to='bob@{to}' id='{id}'><body>x</body></message>"
    ));
}

#[test]
fn to_the_home_server_a_name_is_written_as_it_wrote_it() {
    let mut world = World::new();
    for (name, id) in [(ASCII, "1"), (UNICODE, "2")] {
        says(&mut world, name, id);
        let submitted = world.submitted();
        assert_eq!(submitted.len(), 1, "{name}");
        assert_eq!(submitted[0].to.domain().as_str(), ASCII);
        world.fails(submitted[0].id, Failure::new(Condition::ItemNotFound, Cause::Remote));
        let got = taken(world.home());
        assert_eq!(got.len(), 1);
        assert!(got[0].contains(&format!("from='bob@{name}'")), "{}", got[0]);
        // Its key was asked about, and ours was said, in that form alone.
        let spellings = std::mem::take(&mut world.home().spellings);
        assert!(spellings.len() >= 2 && spellings.iter().all(|it| it == name), "{spellings:?}");
    }
}

#[test]
fn to_a_foreign_server_a_name_is_written_in_u_labels_until_it_shows_another_way() {
    let mut world = World::new();
    world.add(ASCII);
    says(&mut world, ASCII, "1");
    for packet in world.submitted() {
        world.attempt(&packet, Instruction::Reach);
        assert_eq!(world.endings(), [DELIVERED]);
    }
    let got = taken(world.server(ASCII));
    assert!(got[0].contains(&format!("bob@{UNICODE}")), "{}", got[0]);

    // It speaks of itself in A-labels.
    world.server(ASCII).say(&format!(
        "<message from='bob@{ASCII}' to='alice@corp.example' id='2'><body>y</body></message>"
    ));
    world.run();
    let got = taken(world.home());
    assert!(got[0].contains(&format!("bob@{ASCII}")), "{}", got[0]);
    let packet = world.sip_message("alice@corp.example", &format!("bob@{UNICODE}"), "z");
    world.attempt(&packet, Instruction::Reach);
    assert_eq!(world.endings(), [DELIVERED]);
    let got = taken(world.server(ASCII));
    assert!(got[0].contains(&format!("bob@{ASCII}")), "{}", got[0]);
}

#[test]
fn errors_and_pings_are_understood_in_either_form() {
    for (asked, answered) in [(ASCII, UNICODE), (UNICODE, ASCII)] {
        let mut world = World::new();
        world.home().pongs = false;
        let packet = world.sip_message(&format!("bob@{asked}"), "alice@corp.example", "hi");
        world.attempt(&packet, Instruction::Home);
        let id = world.home().got.pop().unwrap().attr("id").unwrap().to_owned();
        taken(world.home());
        world.home_says(&format!(
            "<message type='error' id='z9hG4bK1' from='alice@corp.example' to='bob@{answered}'>\
             <error type='cancel'><item-not-found \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        ));
        world.home_says(&format!(
            "<iq type='result' id='{id}' from='corp.example' to='{answered}'></iq>"
        ));
        let nobody = Failure::new(Condition::ItemNotFound, Cause::Remote);
        assert_eq!(world.endings(), [Ending::Failed(nobody)]);
    }
}
