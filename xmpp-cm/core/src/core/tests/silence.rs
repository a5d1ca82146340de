//! Connections that are dead while nobody says so.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::link::Instruction;
use openfed_proto::packet::{Cause, Ending, Failure, Protocol};

use super::domain;
use super::world::{World, taken};
use crate::core::{ConnId, Fact, Settings};

const DELIVERED: Ending = Ending::Delivered { by: Protocol::Xmpp, status: 200 };
/// Longer than a fence has, shorter than that and the time of a close.
const FENCE: Duration = Duration::from_secs(11);

fn timeout() -> Ending {
    Ending::Failed(Failure::new(Condition::RemoteServerTimeout, Cause::Unreachable))
}

/// A message from this domain to the home server.
fn to_home(world: &mut World, from: &str) {
    let packet = world.sip_message(&format!("bob@{from}"), "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
}

/// One message has arrived.
fn used() -> World {
    let mut world = World::new();
    to_home(&mut world, "one.example");
    assert_eq!(world.endings(), [DELIVERED]);
    taken(world.home());
    world
}

fn silent(world: &World) -> usize {
    world.facts.iter().filter(|fact| matches!(fact, Fact::Silent { .. })).count()
}

#[test]
fn a_stream_on_which_nothing_comes_is_left_after_one_fence() {
    let mut world = used();
    world.home().hangs(false);
    for _ in 0..3 {
        to_home(&mut world, "one.example");
        world.wait(Duration::from_secs(1));
    }
    world.wait(FENCE);
    // Each was behind a ping of its own.
    assert_eq!(world.endings(), [timeout(), timeout(), timeout()]);
    to_home(&mut world, "one.example");
    assert_eq!(world.endings(), [DELIVERED], "over a new stream, at once");
    assert_eq!(world.home().accepted, 2);
    world.wait(Duration::from_secs(6));
    assert_eq!(world.endings(), []);
    // And so it goes on.
    to_home(&mut world, "two.example");
    assert_eq!(world.endings(), [DELIVERED]);
    assert_eq!(world.home().accepted, 2);
    assert_eq!(taken(world.home()).len(), 2);
}

#[test]
fn a_stream_that_should_bring_the_answers_and_brings_nothing_is_left_too() {
    let mut world = used();
    world.home().hangs(true);
    to_home(&mut world, "one.example");
    world.wait(FENCE + Duration::from_secs(6));
    assert_eq!(world.endings(), [timeout()], "it may have arrived");
    assert_eq!(silent(&world), 2, "the stream of the message and that of the answer");
    to_home(&mut world, "one.example");
    assert_eq!(world.endings(), [DELIVERED]);
    assert_eq!(taken(world.home()).len(), 2);
}

#[test]
fn any_sign_of_life_keeps_a_stream() {
    type Sign = fn(&mut World);
    let signs: [Sign; 3] = [
        |world| world.types_back("corp.example", " "),
        |world| {
            world.types_back("corp.example", "<presence from='corp.example' to='one.example'/>")
        },
        |world| {
            // A later fence of the same stream is answered.
            to_home(world, "two.example");
            let got = std::mem::take(&mut world.home().got);
            let ping = got.iter().rfind(|it| it.name() == "iq").unwrap();
            let id = ping.attr("id").unwrap();
            world.home_says(&format!(
                "<iq type='result' id='{id}' from='corp.example' to='two.example'></iq>"
            ));
            assert_eq!(world.endings(), [DELIVERED]);
        },
    ];
    for (number, sign) in signs.into_iter().enumerate() {
        let mut world = used();
        world.home().pongs = false;
        to_home(&mut world, "one.example");
        world.wait(Duration::from_secs(2));
        sign(&mut world);
        world.wait(FENCE);
        assert_eq!(world.endings(), [timeout()]);
        world.home().pongs = true;
        to_home(&mut world, "one.example");
        assert_eq!(world.endings(), [DELIVERED]);
        assert_eq!(world.home().accepted, 1, "{number}");
        taken(world.home());
    }
}

#[test]
fn an_answer_that_is_lost_is_missed_by_one_message_alone() {
    let mut world = used();
    world.home().pongs = false;
    to_home(&mut world, "one.example");
    world.home().pongs = true;
    // Soon after it, while that answer is still waited for.
    to_home(&mut world, "one.example");
    assert_eq!(world.endings(), []);
    world.wait(Duration::from_millis(250));
    assert_eq!(world.endings(), [DELIVERED]);
    to_home(&mut world, "one.example");
    assert_eq!(world.endings(), [DELIVERED]);
    world.wait(FENCE);
    assert_eq!(world.endings(), [timeout()]);
    assert_eq!((world.home().accepted, silent(&world)), (1, 0));
    taken(world.home());
}

#[test]
fn a_foreign_server_is_reached_anew_like_the_home_server() {
    let mut world = World::new();
    world.add("d.example");
    for expected in [DELIVERED, Ending::Failed(outage()), DELIVERED] {
        let packet = world.sip_message("alice@corp.example", "b@d.example", "x");
        world.attempt(&packet, Instruction::Reach);
        world.wait(FENCE);
        assert_eq!(world.endings(), [expected]);
        if silent(&world) == 0 {
            world.server("d.example").hangs(false);
        }
    }
    assert_eq!(world.server("d.example").accepted, 2);
    assert_eq!(taken(world.server("d.example")).len(), 2);
}

fn outage() -> Failure {
    Failure::new(Condition::RemoteServerTimeout, Cause::Outage)
}

#[test]
fn a_silent_stream_is_left_when_it_does_not_take_another_domain() {
    let mut world = used();
    world.home().hangs(false);
    to_home(&mut world, "two.example");
    world.wait(Duration::from_secs(8));
    assert_eq!(world.endings().len(), 1);
    assert_eq!(silent(&world), 1);
    world.wait(Duration::from_secs(6));
    to_home(&mut world, "two.example");
    assert_eq!(world.endings(), [DELIVERED]);
    taken(world.home());
}

#[test]
fn a_silent_stream_is_left_when_it_verifies_no_claim() {
    let mut world = used();
    world.home().hangs(false);
    // The home server wants to speak to another domain, and its key is asked about.
    world.home_says(
        "<message from='alice@corp.example' to='b@new.example' id='1'><body>x</body></message>",
    );
    world.wait(Duration::from_secs(8));
    assert_eq!(silent(&world), 1);
    world.home().gives_up();
    world.home_says(
        "<message from='alice@corp.example' to='b@newer.example' id='2'><body>x</body></message>",
    );
    assert_eq!(world.submitted().len(), 1, "a new stream verifies the key");
    world.wait(Duration::from_secs(40));
    taken(world.home());
}

#[test]
fn a_stream_that_is_not_read_is_not_silent() {
    let mut settings = Settings::new("here", [domain("corp.example")]);
    // Each answer is one too many.
    settings.limits.answer_bytes = 0;
    let mut world = World::with(settings);
    world.add("xmpp.example");
    let hi = "<message from='bob@xmpp.example/r' to='alice@corp.example' id='1'></message>";
    world.server("xmpp.example").say(hi);
    world.run();
    assert_eq!(taken(world.home()).len(), 1);
    let theirs = world.server("xmpp.example").opened_to("corp.example").unwrap();
    assert!(world.unread.contains(&theirs));
    // What answers came there we would not know.
    world.server("xmpp.example").pongs = false;
    let packet = world.sip_message("alice@corp.example", "bob@xmpp.example", "hi");
    world.attempt(&packet, Instruction::Reach);
    world.wait(FENCE);
    let [Ending::Failed(failure)] = &world.endings()[..] else { panic!("no answer came") };
    assert_eq!(failure.condition, Condition::RemoteServerTimeout);
    assert_eq!(silent(&world), 1, "our own stream, on which nothing came either");
    taken(world.server("xmpp.example"));
}

#[test]
fn who_writes_to_a_server_that_does_not_keep_up_is_read_no_faster() {
    let mut settings = Settings::new("here", [domain("corp.example")]);
    settings.limits.answer_bytes = 500;
    let mut world = World::with(settings);
    world.add("xmpp.example");
    let mut came = 0;
    for number in 0..20 {
        let users = "from='bob@xmpp.example/r' to='alice@corp.example'";
        let hi = format!("<message {users} id='{number}'><body>hi</body></message>");
        world.server("xmpp.example").say(&hi);
        world.run();
        came += taken(world.home()).len();
    }
    let theirs = world.server("xmpp.example").opened_to("corp.example").unwrap();
    assert!(world.unread.contains(&theirs) && came < 20, "{came} are more than 500 bytes");
    // The home server has taken them, and the next ones.
    while came < 20 {
        let now = world.now;
        (1..10).for_each(|conn| world.core.handle_unconfirmed(ConnId(conn), 0, now));
        world.run();
        let more = taken(world.home()).len();
        assert!(more > 0, "{came} came, and no more do");
        came += more;
    }
    assert!(!world.unread.contains(&theirs));
}
