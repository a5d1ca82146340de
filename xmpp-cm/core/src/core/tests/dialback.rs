//! Who may speak for whom.

use super::world::{World, taken};
use crate::core::Fact;

fn message(from: &str, to: &str) -> String {
    format!("<message id='1' from='{from}' to='{to}'><body>x</body></message>")
}

fn refusals(world: &World) -> Vec<&str> {
    world
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Refused { condition, .. } => Some(condition.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn nobody_outside_speaks_for_a_local_domain_to_the_local_one() {
    let mut world = World::new();
    world.add("mallory.example");
    world.server("mallory.example").say(&message("boss@corp.example", "alice@corp.example"));
    world.run();
    assert_eq!(refusals(&world), ["invalid-from"]);
}

#[test]
fn nobody_outside_speaks_for_a_local_domain_to_a_foreign_one() {
    let mut world = World::new();
    world.add("mallory.example");
    world.server("mallory.example").claim("corp.example");
    world.server("mallory.example").say(&message("boss@corp.example", "bob@sip.example"));
    world.run();
    assert_eq!(refusals(&world), ["invalid"], "the configured home server did not know the key");
    assert_eq!(world.home().accepted, 1, "and it was asked nowhere else");
}

#[test]
fn the_home_server_speaks_for_no_foreign_domain() {
    let mut world = World::new();
    world.home_says(&message("bob@sip.example", "alice@corp.example"));
    assert_eq!(refusals(&world), ["remote-server-not-found"], "verified where it really is");
}

#[test]
fn s046_nobody_is_relayed_between_foreign_domains() {
    let mut world = World::new();
    world.add("one.example");
    world.server("one.example").say(&message("bob@one.example", "bob@two.example"));
    world.run();
    assert_eq!(refusals(&world), ["host-unknown"]);
}

#[test]
fn a_foreign_domain_is_verified_where_its_name_leads() {
    let mut world = World::new();
    world.add("one.example");
    world.add("mallory.example");
    world.server("mallory.example").say(&message("bob@one.example", "alice@corp.example"));
    world.run();
    assert_eq!(refusals(&world), ["invalid"]);
    assert_eq!(world.server("one.example").accepted, 1);
    world.server("one.example").say(&message("bob@one.example", "alice@corp.example"));
    world.run();
    assert_eq!(taken(world.home()).len(), 1);
}

#[test]
fn a_claim_whose_server_keeps_silent_gets_its_answer() {
    let mut world = World::new();
    world.add("one.example");
    world.server("one.example").mute = true;
    let now = world.now;
    world.server("one.example").say(&message("bob@one.example", "alice@corp.example"));
    // It says, but hears nothing: its own stream does not come up either.
    world.run();
    world.wait(std::time::Duration::from_secs(60));
    assert!(world.now > now && world.core.conns.is_empty());
}

#[test]
fn federation_that_is_off_lets_no_foreign_server_in_and_tries_none() {
    let mut settings = crate::core::Settings::new("here", [super::domain("corp.example")]);
    settings.federation = false;
    let mut world = World::with(settings);
    world.add("one.example");
    world.server("one.example").say(&message("bob@one.example", "alice@corp.example"));
    world.run();
    assert_eq!(refusals(&world), ["policy-violation"]);
    let packet = world.sip_message("alice@corp.example", "bob@one.example", "x");
    world.attempt(&packet, openfed_proto::link::Instruction::Reach);
    assert!(format!("{:?}", world.endings()).contains("NotListed"));
    assert_eq!(world.server("one.example").accepted, 0);
}

#[test]
fn strangers_are_counted_and_sent_away_when_there_are_too_many() {
    let mut settings = crate::core::Settings::new("here", [super::domain("corp.example")]);
    settings.limits.strangers = 2;
    let mut world = World::with(settings);
    let peer = "192.0.2.1:1".parse().unwrap();
    let now = world.now;
    let first = world.core.handle_accepted(peer, now).unwrap();
    assert!(world.core.handle_accepted(peer, now).is_some());
    assert!(world.core.handle_accepted(peer, now).is_none());
    world.core.handle_closed(first, 0, now);
    assert!(world.core.handle_accepted(peer, now).is_some());
    world.run();
    world.typed.clear();
}

/// jabberd2 begins its streams so, as Debian installs it.
#[test]
fn a_stream_that_is_not_gone_on_with_leaves_a_trace() {
    let mut world = World::new();
    let peer = "192.0.2.9:4711".parse().unwrap();
    let header = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' \
                  xmlns='jabber:server' xmlns:db='jabber:server:dialback'";
    for (rest, condition) in [
        (">", "improper-addressing"),
        (" to='corp.example' from='corp.example' version='1.0'>", "invalid-from"),
        (" to='corp.example' from='far.example' version='1.0'><message/>", "not-authorized"),
        ("", "connection-timeout"),
    ] {
        let conn = world.core.handle_accepted(peer, world.now).unwrap();
        world.core.handle_bytes(conn, format!("{header}{rest}").as_bytes(), world.now);
        world.run();
        world.wait(std::time::Duration::from_secs(12));
        let refused = world.facts.iter().rev().find_map(|fact| match fact {
            Fact::Refused { peer, condition, .. } => Some((*peer, condition.as_str())),
            _ => None,
        });
        assert_eq!(refused, Some((Some(peer), condition)));
    }
    let told = world.facts.iter().filter(|fact| matches!(fact, Fact::Refused { .. })).count();
    assert_eq!(told, 4, "each once");
    world.typed.clear();
}
