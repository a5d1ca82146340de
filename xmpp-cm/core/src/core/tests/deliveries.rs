//! Messages that a router hands over, and how it learns what became of them.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::finding::Finding;
use openfed_proto::link::{Attempt, FromCm, FromRouter, Instruction};
use openfed_proto::packet::{Body, Cause, Ending, Failure, Protocol};

use super::world::{ROUTER, World, hello, taken};
use crate::core::{ConnectFailure, Fact};
use crate::stream::StreamCondition;

const DELIVERED: Ending = Ending::Delivered { by: Protocol::Xmpp, status: 200 };

fn failed(condition: Condition, cause: Cause) -> Ending {
    Ending::Failed(Failure::new(condition, cause))
}

#[test]
fn a_sip_message_is_delivered_when_the_home_server_answered_the_fence() {
    let mut world = World::new();
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.home().pongs = false;
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [], "written is not yet taken");

    let ping = world.home().got.pop().unwrap();
    let id = ping.attr("id").unwrap();
    assert_eq!(ping.attr("from"), Some("sip.example"));
    world.home_says(&format!(
        "<iq type='error' id='{id}' from='corp.example' to='sip.example'></iq>"
    ));
    assert_eq!(world.endings(), [DELIVERED], "an error answers a fence as well as a result");
    let got = taken(world.home());
    assert_eq!(got.len(), 1);
    assert!(got[0].contains("<body>hi</body><thread>call-1</thread>"), "{}", got[0]);
    assert!(got[0].contains("id='z9hG4bK1'") || got[0].contains("id=\"z9hG4bK1\""), "{}", got[0]);
}

#[test]
fn e52_no_such_user_is_the_outcome_of_that_message_alone() {
    let mut world = World::new();
    world.home().pongs = false;
    let packets: Vec<_> = ["alice", "nobody", "carol"]
        .map(|user| world.sip_message("bob@sip.example", &format!("{user}@corp.example"), "hi"))
        .into();
    for packet in &packets {
        world.attempt(packet, Instruction::Home);
    }
    let got = std::mem::take(&mut world.home().got);
    let pings: Vec<_> = got.iter().filter(|it| it.name() == "iq").collect();
    assert_eq!(pings.len(), 1, "one fence in flight; the others wait for it");
    let id = pings[0].attr("id").unwrap();
    world.home_says(&format!(
        "<iq type='result' id='{id}' from='corp.example' to='sip.example'></iq>"
    ));
    assert_eq!(world.endings(), [DELIVERED]);

    // The second fence covers both; the error comes before its answer.
    world.home_says(
        "<message type='error' id='z9hG4bK2' from='nobody@corp.example' to='bob@sip.example'>\
         <error type='cancel'><service-unavailable \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    );
    assert_eq!(world.endings(), [], "whether the domain is there, the answer to the ping says");
    let ping = world.home().got.pop().unwrap();
    let id = ping.attr("id").unwrap();
    world.home_says(&format!(
        "<iq type='result' id='{id}' from='corp.example' to='sip.example'></iq>"
    ));
    let ended = world.ended();
    let told: Vec<_> = ended.iter().map(|it| (it.outcome.id, it.outcome.ending.clone())).collect();
    let nobody = failed(Condition::ItemNotFound, Cause::Remote);
    assert_eq!(told, [(packets[1].id, nobody), (packets[2].id, DELIVERED)]);
    assert_eq!(ended[1].outcome.hops.last().unwrap().verdict, "delivered");
}

/// jabberd2 says of everything in a domain that is not there what it says of a user.
#[test]
fn a_ping_that_finds_no_domain_says_that_nothing_arrived() {
    for (condition, expected) in [
        ("item-not-found", failed(Condition::RemoteServerTimeout, Cause::Remote)),
        ("remote-server-not-found", failed(Condition::RemoteServerTimeout, Cause::Remote)),
        ("service-unavailable", failed(Condition::ItemNotFound, Cause::Remote)),
    ] {
        let mut world = World::new();
        world.home().pongs = false;
        let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
        world.attempt(&packet, Instruction::Home);
        let id = world.home().got.pop().unwrap().attr("id").unwrap().to_owned();
        taken(world.home());
        let error = |condition: &str| {
            format!(
                "<error type='cancel'><{condition} \
                 xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
            )
        };
        world.home_says(&format!(
            "<message type='error' id='z9hG4bK1' from='alice@corp.example' to='bob@sip.example'>{}\
             </message>",
            error("item-not-found")
        ));
        assert_eq!(world.endings(), []);
        world.home_says(&format!(
            "<iq type='error' id='{id}' from='corp.example' to='sip.example'>{}</iq>",
            error(condition)
        ));
        assert_eq!(world.endings(), [expected], "{condition}");
    }
}

#[test]
fn a_user_that_is_not_there_is_told_also_if_the_ping_is_never_answered() {
    for dies in [false, true] {
        let mut world = World::new();
        world.home().pongs = false;
        let packet = world.sip_message("bob@sip.example", "nobody@corp.example", "hi");
        world.attempt(&packet, Instruction::Home);
        taken(world.home());
        world.home_says(
            "<message type='error' id='z9hG4bK1' from='nobody@corp.example' to='bob@sip.example'>\
             <error type='cancel'><item-not-found \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
        );
        if dies {
            let now = world.now;
            let mut home = world.servers.remove("corp.example").unwrap();
            home.crash(&mut world.core, now);
            world.servers.insert("corp.example", home);
            world.run();
        } else {
            world.wait(Duration::from_secs(11));
        }
        assert_eq!(world.endings(), [failed(Condition::ItemNotFound, Cause::Remote)]);
    }
}

#[test]
fn an_error_after_its_fence_is_dropped_and_counted() {
    let mut world = World::new();
    world.knows_sip("sip.example");
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [DELIVERED]);
    taken(world.home());
    world.home_says(
        "<message type='error' id='z9hG4bK1' from='alice@corp.example' to='bob@sip.example'>\
         </message>",
    );
    assert!(world.facts.contains(&crate::core::Fact::LateError));
    assert_eq!(world.astray().len(), 1, "another instance may wait for it");
}

#[test]
fn answers_that_came_to_another_instance_find_their_way_back_in_order() {
    let (mut asked, mut other) = (World::new(), World::new());
    asked.home().pongs = false;
    let packets: Vec<_> = ["alice", "nobody"]
        .map(|user| asked.sip_message("bob@sip.example", &format!("{user}@corp.example"), "hi"))
        .into();
    for packet in &packets {
        asked.attempt(packet, Instruction::Home);
    }
    let ping = |world: &mut World| {
        let got = std::mem::take(&mut world.home().got);
        let id = got.iter().find(|it| it.name() == "iq").and_then(|it| it.attr("id"));
        let id = id.unwrap().to_owned();
        format!("<iq type='result' id='{id}' from='corp.example' to='sip.example'></iq>")
    };
    let first = ping(&mut asked);
    other.home_says(&first);
    asked.hears_astray(&mut other);
    assert_eq!(asked.endings(), [DELIVERED]);
    other.home_says(
        "<message type='error' id='z9hG4bK2' from='nobody@corp.example' to='bob@sip.example'>\
         <error type='cancel'><item-not-found \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    );
    asked.hears_astray(&mut other);
    let second = ping(&mut asked);
    other.home_says(&second);
    asked.hears_astray(&mut other);
    assert_eq!(asked.endings(), [failed(Condition::ItemNotFound, Cause::Remote)]);
    // An answer that nobody waits for goes no further.
    other.home_says(&second);
    asked.hears_astray(&mut other);
    assert_eq!(asked.endings(), []);
}

#[test]
fn answers_to_clients_are_not_taken_for_those_of_fences() {
    let mut world = World::new();
    world.knows_sip("sip.example");
    let id = "0123456789abcdef0123456789abcdef";
    world.home_says(&format!(
        "<iq type='result' id='{id}' from='alice@corp.example' to='bob@sip.example'></iq>"
    ));
    world.home_says("<iq type='result' id='short' from='corp.example' to='sip.example'></iq>");
    assert_eq!(world.astray(), Vec::<bytes::Bytes>::new());
}

#[test]
fn a_fence_that_nobody_answers_ends_as_a_timeout() {
    let mut world = World::new();
    world.home().pongs = false;
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    world.wait(Duration::from_secs(9));
    assert_eq!(world.endings(), []);
    world.wait(Duration::from_secs(2));
    assert_eq!(world.endings(), [failed(Condition::RemoteServerTimeout, Cause::Unreachable)]);
    taken(world.home());
}

#[test]
fn a_stream_that_dies_before_its_fence_never_makes_a_success() {
    let mut world = World::new();
    world.home().pongs = false;
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    let now = world.now;
    let mut home = world.servers.remove("corp.example").unwrap();
    home.crash(&mut world.core, now);
    home.got.clear();
    world.servers.insert("corp.example", home);
    world.run();
    assert_eq!(world.endings(), [failed(Condition::RemoteServerTimeout, Cause::Unreachable)]);
}

#[test]
fn every_domain_speaks_on_the_same_stream_to_the_home_server() {
    let mut world = World::new();
    for from in ["bob@one.example", "bob@two.example", "bob@three.example"] {
        let packet = world.sip_message(from, "alice@corp.example", "hi");
        world.attempt(&packet, Instruction::Home);
    }
    assert_eq!(world.endings(), [DELIVERED, DELIVERED, DELIVERED]);
    assert_eq!(taken(world.home()).len(), 3);
    assert_eq!(world.home().accepted, 1);
}

#[test]
fn a_home_server_that_wants_a_stream_for_each_domain_gets_them() {
    let mut world = World::new();
    world.home().multiplexes = false;
    for from in ["bob@one.example", "bob@two.example", "bob@three.example"] {
        let packet = world.sip_message(from, "alice@corp.example", "hi");
        world.attempt(&packet, Instruction::Home);
    }
    assert_eq!(world.endings(), [DELIVERED, DELIVERED, DELIVERED]);
    assert_eq!(taken(world.home()).len(), 3);
}

#[test]
fn a_repeated_attempt_gets_the_same_ending_and_is_not_sent_twice() {
    let mut world = World::new();
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [DELIVERED, DELIVERED]);
    assert_eq!(taken(world.home()).len(), 1);
}

#[test]
fn a_router_hears_which_attempts_are_here() {
    let mut world = World::new();
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [DELIVERED]);
    for (instruction, known) in [(Instruction::Home, true), (Instruction::Reach, false)] {
        let packet = packet.id;
        world.frame(FromRouter::Recall { packet, instruction });
        let frame = FromCm::Recalled { packet, instruction, known };
        assert_eq!(std::mem::take(&mut world.frames), [(ROUTER, frame)]);
    }
    assert_eq!(taken(world.home()).len(), 1);
}

#[test]
fn the_ending_of_an_attempt_whose_router_died_is_told_to_the_next_that_asks() {
    let mut world = World::new();
    world.home().pongs = false;
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    let now = world.now;
    world.core.handle_link_down(ROUTER, now);
    world.wait(Duration::from_secs(11));
    let unheard = world.facts.iter().any(|fact| matches!(fact, Fact::Unheard { .. }));
    assert!(unheard, "{:?}", world.facts);
    let now = world.now;
    world.core.handle_link_up(ROUTER, &hello("r1"), now);
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [failed(Condition::RemoteServerTimeout, Cause::Unreachable)]);
    assert_eq!(taken(world.home()).len(), 1, "sent once");
}

#[test]
fn a_home_server_that_is_down_is_a_timeout_and_asked_again_after_a_pause() {
    let mut world = World::new();
    world.broken.insert("corp.example", ConnectFailure::Unreachable);
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [failed(Condition::RemoteServerTimeout, Cause::Unreachable)]);
    world.broken.clear();
    world.wait(Duration::from_secs(5));
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [DELIVERED]);
    taken(world.home());
}

#[test]
fn a_sip_message_reaches_an_xmpp_domain_with_its_fence() {
    let mut world = World::new();
    world.add("xmpp.example");
    let packet = world.sip_message("alice@corp.example", "bob@xmpp.example", "hi");
    world.attempt(&packet, Instruction::Reach);
    assert_eq!(world.endings(), [DELIVERED]);
    assert_eq!(taken(world.server("xmpp.example")).len(), 1);
}

#[test]
fn a_probe_is_delivered_by_an_authenticated_stream_and_by_memory() {
    let mut world = World::new();
    world.add("xmpp.example");
    let packet = world.sip_message("bob@xmpp.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Probe);
    assert_eq!(world.endings(), [DELIVERED]);
    world.servers.remove("xmpp.example");
    let packet = world.sip_message("bob@xmpp.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Probe);
    assert_eq!(world.endings(), [DELIVERED]);
}

/// The fallback set of the rules, §3: what a failed Reach is told as.
#[test]
fn every_failure_is_classified_as_the_rules_want() {
    use Condition::{RemoteServerNotFound, RemoteServerTimeout};
    type Break = fn(&mut World);
    let cases: [(Break, Condition, Cause); 8] = [
        (|world| drop(world.servers.remove("d.example")), RemoteServerNotFound, Cause::NotFound),
        (
            |world| world.break_name("d.example", ConnectFailure::Unreachable),
            RemoteServerTimeout,
            Cause::Unreachable,
        ),
        (
            |world| world.break_name("d.example", ConnectFailure::Untrusted),
            RemoteServerTimeout,
            Cause::Untrusted,
        ),
        (
            |world| world.break_name("d.example", ConnectFailure::Busy),
            Condition::ResourceConstraint,
            Cause::Busy,
        ),
        (
            |world| world.server("d.example").refuses = Some(StreamCondition::HostUnknown),
            RemoteServerTimeout,
            Cause::HostUnknown,
        ),
        (
            |world| world.server("d.example").refuses = Some(StreamCondition::PolicyViolation),
            RemoteServerTimeout,
            Cause::Remote,
        ),
        (|world| world.server("d.example").distrusts = true, RemoteServerTimeout, Cause::Untrusted),
        (|world| world.server("d.example").mute = true, RemoteServerTimeout, Cause::Unreachable),
    ];
    for (number, (break_it, condition, cause)) in cases.into_iter().enumerate() {
        let mut world = World::new();
        world.add("d.example");
        break_it(&mut world);
        let packets =
            [1, 2, 3].map(|_| world.sip_message("alice@corp.example", "b@d.example", "x"));
        for packet in &packets {
            world.attempt(packet, Instruction::Reach);
        }
        world.wait(Duration::from_secs(8));
        let expected = match failed(condition, cause) {
            // Nobody but DNS proves it.
            Ending::Failed(failure) if cause == Cause::NotFound => {
                Ending::Failed(failure.with_finding(Finding::Absent))
            }
            other => other,
        };
        assert_eq!(world.endings(), [expected.clone(), expected.clone(), expected], "{number}");
    }
}

#[test]
fn a_silent_domain_with_which_xmpp_worked_has_an_outage() {
    let mut world = World::new();
    world.add("d.example");
    let packet = world.sip_message("alice@corp.example", "b@d.example", "x");
    world.attempt(&packet, Instruction::Reach);
    assert_eq!(world.endings(), [DELIVERED]);
    taken(world.server("d.example"));
    let now = world.now;
    world.server("d.example").hang_up(now);
    world.run();
    world.broken.insert("d.example", ConnectFailure::Unreachable);
    let packet = world.sip_message("alice@corp.example", "b@d.example", "x");
    world.attempt(&packet, Instruction::Reach);
    assert_eq!(world.endings(), [failed(Condition::RemoteServerTimeout, Cause::Outage)]);
}

/// It may have been taken: another protocol would deliver it twice, and to a domain that speaks
/// XMPP (rules §3, fallback set).
#[test]
fn an_unconfirmed_message_to_an_xmpp_domain_has_an_outage() {
    for dies in [false, true] {
        let mut world = World::new();
        world.add("d.example");
        world.server("d.example").pongs = false;
        let packet = world.sip_message("alice@corp.example", "b@d.example", "x");
        world.attempt(&packet, Instruction::Reach);
        assert_eq!(taken(world.server("d.example")).len(), 1);
        if dies {
            let now = world.now;
            let mut server = world.servers.remove("d.example").unwrap();
            server.crash(&mut world.core, now);
            world.servers.insert("d.example", server);
            world.run();
        } else {
            world.wait(Duration::from_secs(11));
        }
        let expected = failed(Condition::RemoteServerTimeout, Cause::Outage);
        assert_eq!(world.endings(), [expected], "the stream dies: {dies}");
    }
}

#[test]
fn a_sip_method_without_meaning_in_xmpp_is_refused() {
    let mut world = World::new();
    let mut packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    packet.body = Body::Opaque { kind: "INFO".to_owned() };
    world.attempt(&packet, Instruction::Home);
    assert_eq!(world.endings(), [failed(Condition::FeatureNotImplemented, Cause::Unmappable)]);
}

#[test]
fn an_idle_stream_is_closed_and_opened_again() {
    let mut world = World::new();
    world.add("d.example");
    for connections in [1, 2] {
        let packet = world.sip_message("alice@corp.example", "b@d.example", "x");
        world.attempt(&packet, Instruction::Reach);
        assert_eq!(world.endings(), [DELIVERED]);
        assert_eq!(world.server("d.example").accepted, connections);
        taken(world.server("d.example"));
        world.wait(Duration::from_secs(301));
        assert!(world.core.conns.is_empty(), "all streams of the peer were idle");
    }
}

#[test]
fn a_full_queue_refuses_aloud() {
    let mut settings = crate::core::Settings::new("here", [super::domain("corp.example")]);
    settings.limits.queue = 2;
    let mut world = World::with(settings);
    world.add("d.example");
    world.server("d.example").mute = true;
    let packets = [1, 2, 3].map(|_| world.sip_message("alice@corp.example", "b@d.example", "x"));
    for packet in &packets {
        world.attempt(packet, Instruction::Reach);
    }
    assert_eq!(world.endings(), [failed(Condition::ResourceConstraint, Cause::Busy)]);
    world.wait(Duration::from_secs(8));
    assert_eq!(world.endings().len(), 2);
}

#[test]
fn attempts_that_waited_too_long_fail_for_the_time_being() {
    let mut world = World::new();
    world.home().pongs = false;
    let late = |world: &mut World, text: &str| {
        let packet = world.sip_message("bob@sip.example", "alice@corp.example", text);
        let attempt = Attempt { packet, number: 1, instruction: Instruction::Home };
        let waited = Duration::from_millis(250);
        world.core.handle_frame(ROUTER, FromRouter::Attempt(attempt.clone()), waited, world.now);
        world.run();
        attempt
    };
    let first = late(&mut world, "taken");
    world.wait(Duration::from_millis(1_050));
    late(&mut world, "too much");
    let endings = world.endings();
    assert!(
        matches!(&endings[..], [Ending::Failed(failure)]
            if failure.condition == Condition::ResourceConstraint && failure.cause == Cause::Busy),
        "{endings:?}"
    );
    // What is under way already is not refused when it is asked for again.
    let again = FromRouter::Attempt(first);
    world.core.handle_frame(ROUTER, again, Duration::from_millis(250), world.now);
    world.run();
    assert_eq!(world.endings(), []);
    let got = std::mem::take(&mut world.home().got);
    assert_eq!(got.iter().filter(|stanza| stanza.name() == "message").count(), 1);
}
