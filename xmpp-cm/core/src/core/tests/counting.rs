//! Servers that say what they have got (XEP-0198), and what becomes of the rest.

use std::time::Duration;

use super::domain;
use super::world::{World, taken};
use crate::core::Settings;

/// `xmpp.example` lets us in by our certificate, and is known to speak XMPP.
fn world() -> World {
    let mut settings = Settings::new("here", [domain("corp.example")]);
    settings.identity = true;
    let mut world = World::with(settings);
    world.add("xmpp.example");
    world.server("xmpp.example").trusts = vec![domain("corp.example")];
    world.core.knowledge.learn_xmpp(&domain("xmpp.example"), world.now);
    world
}

fn say(world: &mut World, id: &str) {
    world.home_says(&format!(
        "<message from='alice@corp.example/d' to='bob@xmpp.example' id='{id}'><body>hi</body></message>"
    ));
}

fn got(world: &mut World) -> usize {
    world.wait(Duration::from_millis(100));
    taken(world.server("xmpp.example")).len()
}

/// Errors that alice got, with a condition.
fn errors(world: &mut World, condition: &str) -> usize {
    let errors = taken(world.home());
    assert!(errors.iter().all(|it| it.contains(condition)), "{errors:?}");
    errors.len()
}

fn crash(world: &mut World) {
    let World { core, servers, now, .. } = world;
    servers.get_mut("xmpp.example").unwrap().crash(core, *now);
    world.run();
}

#[test]
fn what_a_server_says_that_it_has_is_no_more_in_doubt() {
    let mut world = world();
    say(&mut world, "1");
    say(&mut world, "2");
    assert_eq!(got(&mut world), 2);
    assert!(world.server("xmpp.example").spellings.is_empty(), "without dialback");
    crash(&mut world);
    world.wait(Duration::from_secs(60));
    assert_eq!(errors(&mut world, "nothing"), 0);
    say(&mut world, "3");
    assert_eq!(got(&mut world), 1);
}

#[test]
fn what_only_the_system_of_a_server_took_is_told_as_not_confirmed() {
    let mut world = world();
    world.server("xmpp.example").counts = false;
    say(&mut world, "1");
    assert_eq!(got(&mut world), 1);
    crash(&mut world);
    world.wait(Duration::from_secs(1));
    assert_eq!(errors(&mut world, "remote-server-timeout"), 1);
    assert_eq!(got(&mut world), 0, "it may have arrived");
}

#[test]
fn what_did_not_arrive_at_all_is_sent_once_more() {
    let mut world = world();
    world.server("xmpp.example").counts = false;
    say(&mut world, "1");
    assert_eq!(got(&mut world), 1);
    world.server("xmpp.example").deny_last(10_000);
    crash(&mut world);
    assert_eq!(got(&mut world), 1);
    assert_eq!(errors(&mut world, "nothing"), 0);
}

#[test]
fn a_server_that_never_says_what_it_has_is_left() {
    let mut world = world();
    world.server("xmpp.example").counts = false;
    say(&mut world, "1");
    assert_eq!(got(&mut world), 1);
    let before = world.server("xmpp.example").accepted;
    world.server("xmpp.example").hangs(false);
    world.wait(Duration::from_secs(66));
    assert_eq!(errors(&mut world, "remote-server-timeout"), 1);
    say(&mut world, "2");
    assert_eq!(got(&mut world), 1);
    assert_eq!(world.server("xmpp.example").accepted, before + 1);
}

#[test]
fn a_server_that_refuses_the_certificate_and_closes_is_asked_by_dialback() {
    let mut world = world();
    world.server("xmpp.example").refuses_sasl = true;
    say(&mut world, "1");
    assert_eq!(got(&mut world), 1);
    assert_eq!(world.server("xmpp.example").accepted, 2);
    assert_eq!(world.server("xmpp.example").spellings, ["corp.example"]);
    crash(&mut world);
    say(&mut world, "2");
    assert_eq!(got(&mut world), 1);
    assert_eq!(world.server("xmpp.example").accepted, 3, "it is known by now");
}

#[test]
fn the_home_server_may_count_too() {
    let mut world = World::new();

    world.home().trusts = vec![domain("sip.example")];
    let message = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&message, openfed_proto::link::Instruction::Home);
    assert_eq!(taken(world.home()).len(), 1);
    assert_eq!(world.endings().len(), 1);
    assert_eq!(world.home().spellings, ["sip.example"], "its own key alone");
}
