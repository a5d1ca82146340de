//! What a server keeps for us (XEP-0198), until it is answered, passed on, or with a router.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::link::{FromCm, FromRouter, Hello};
use openfed_proto::packet::{Cause, Failure, Outcome, Protocol};

use super::world::{ROUTER, World, hello, taken};
use crate::core::Command;

const ASK: &str = "<r xmlns='urn:xmpp:sm:3'/>";
/// Who asks hears the number within this time, whatever it is.
const ANSWER: Duration = Duration::from_millis(100);
const NOTHING: [u32; 0] = [];

/// The home server has management on its stream to `sip.example`, which is known as SIP.
fn managed() -> World {
    let mut world = World::new();
    world.knows_sip("sip.example");
    world.home_says("<presence from='alice@corp.example' to='bob@sip.example'></presence>");
    world.home_types("sip.example", "<enable xmlns='urn:xmpp:sm:3'/>");
    world
}

fn message(world: &mut World, id: &str) {
    world.home_says(&format!(
        "<message from='alice@corp.example/d' to='bob@sip.example' id='{id}'><body>hi</body></message>"
    ));
}

fn told(world: &mut World) -> Vec<u32> {
    std::mem::take(&mut world.home().acknowledged)
}

#[test]
fn a_message_is_kept_until_a_router_has_it() {
    let mut world = managed();
    message(&mut world, "1");
    message(&mut world, "2");
    world.home_types("sip.example", ASK);
    assert_eq!(told(&mut world), NOTHING);
    world.wait(ANSWER);
    assert_eq!(told(&mut world), [0], "who asks waits no longer than that");
    world.frame(FromRouter::Taken { packets: 1, held: false });
    assert_eq!(told(&mut world), [1]);
    world.frame(FromRouter::Taken { packets: 2, held: false });
    assert_eq!(told(&mut world), [2]);
    world.wait(ANSWER);
    assert_eq!(told(&mut world), NOTHING);
    assert_eq!(world.submitted().len(), 2);
    assert_eq!(world.frames, []);
}

#[test]
fn what_a_router_holds_goes_on_when_its_server_has_been_told() {
    let mut world = managed();
    message(&mut world, "1");
    let frames = std::mem::take(&mut world.frames);
    assert!(matches!(&frames[..], [(ROUTER, FromCm::Submit { kept: true, .. })]), "{frames:?}");
    // It has not asked; its question may be under way.
    let (held, now) = (FromRouter::Taken { packets: 1, held: true }, world.now);
    world.core.handle_frame(ROUTER, held, Duration::ZERO, now);
    let commands: Vec<Command> = std::iter::from_fn(|| world.core.next_command()).collect();
    let [Command::Transmit { bytes, .. }, Command::Mark { conn, mark }] = &commands[..] else {
        panic!("{commands:?}")
    };
    assert_eq!(*bytes, "<a xmlns='urn:xmpp:sm:3' h='1'/>".as_bytes());
    // Not before those bytes are with the system.
    world.core.handle_written(*conn, mark + 1);
    assert_eq!(world.core.next_command(), None);
    world.core.handle_written(*conn, *mark);
    let (router, frame) = (ROUTER, FromCm::Acknowledged(1));
    assert_eq!(world.core.next_command(), Some(Command::ToRouter { router, frame }));
    world.core.handle_written(*conn, *mark);
    assert_eq!(world.core.next_command(), None, "once");
}

#[test]
fn a_stream_that_ends_before_its_server_has_been_told_says_nothing_to_the_router() {
    let mut world = managed();
    message(&mut world, "1");
    world.frames.clear();
    let (held, now) = (FromRouter::Taken { packets: 1, held: true }, world.now);
    world.core.handle_frame(ROUTER, held, Duration::ZERO, now);
    let commands: Vec<Command> = std::iter::from_fn(|| world.core.next_command()).collect();
    let Some(Command::Mark { conn, mark }) = commands.last() else { panic!("{commands:?}") };
    world.core.handle_closed(*conn, 0, now);
    world.core.handle_written(*conn, *mark);
    world.run();
    let is_said = |frame: &FromCm| matches!(frame, FromCm::Acknowledged(_));
    assert!(!world.frames.iter().any(|(_, frame)| is_said(frame)), "{:?}", world.frames);
}

#[test]
fn a_message_that_has_ended_is_kept_no_longer() {
    for failed in [false, true] {
        let mut world = managed();
        message(&mut world, "1");
        world.home_types("sip.example", ASK);
        assert_eq!(told(&mut world), NOTHING);
        let id = world.submitted()[0].id;
        match failed {
            true => world.fails(id, Failure::new(Condition::ItemNotFound, Cause::Remote)),
            false => world.frame(FromRouter::Outcome(Outcome::delivered(id, Protocol::Sip, 200))),
        }
        assert_eq!(told(&mut world), [1]);
        assert_eq!(taken(world.home()).len(), usize::from(failed));
    }
}

#[test]
fn what_is_answered_here_is_kept_no_longer() {
    let mut world = managed();
    let users = "from='alice@corp.example/d' to='bob@sip.example'";
    for stanza in [
        format!("<iq {users} type='get' id='1'><query xmlns='jabber:iq:version'/></iq>"),
        format!("<presence {users} type='subscribe'></presence>"),
        format!(
            "<message {users}><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
        ),
        format!("<message {users} type='error'></message>"),
        "<message from='alice@corp.example/d' to='@sip.example'><body>x</body></message>"
            .to_owned(),
    ] {
        world.home_says(&stanza);
    }
    world.home_types("sip.example", ASK);
    assert_eq!(told(&mut world), [5]);
    taken(world.home());
    world.astray();
}

#[test]
fn what_passes_through_is_kept_until_it_is_written() {
    let mut world = managed();
    world.add("xmpp.example");
    world.server("xmpp.example").mute = true;
    // It speaks XMPP: what goes there waits for a stream.
    world.core.knowledge.learn_xmpp(&super::domain("xmpp.example"), world.now);
    world.home_says(
        "<message from='carol@corp.example' to='x@xmpp.example' type='error'></message>",
    );
    world.home_types("xmpp.example", "<enable xmlns='urn:xmpp:sm:3'/>");
    world.home_says(
        "<message from='alice@corp.example' to='bob@xmpp.example'><body>x</body></message>",
    );
    world.home_types("xmpp.example", ASK);
    assert_eq!(told(&mut world), NOTHING);
    world.wait(ANSWER);
    assert_eq!(told(&mut world), [0]);
    world.wait(Duration::from_secs(60));
    assert_eq!(told(&mut world), [1], "its sender heard that it failed");
    assert!(taken(world.home()).iter().any(|it| it.contains("type='error'")));
}

#[test]
fn what_is_refused_unread_is_counted() {
    let mut world = World::new();
    world.knows_sip("sip.example");
    let hello = Hello { capacity: 0, ..hello("r1") };
    world.core.handle_link_up(ROUTER, &hello, world.now);
    world.home_says("<presence from='alice@corp.example' to='bob@sip.example'></presence>");
    world.home_types("sip.example", "<enable xmlns='urn:xmpp:sm:3'/>");
    message(&mut world, "1");
    assert_eq!(taken(world.home()).len(), 1);
    world.home_types("sip.example", ASK);
    assert_eq!(told(&mut world), [1]);
}

#[test]
fn a_home_server_is_known_again_by_its_certificate_from_its_first_stream_on() {
    for (home, foreign) in [(Some([7; 32]), Some([8; 32])), (None, None), (Some([7; 32]), None)] {
        let mut world = World::new();
        world.add("xmpp.example");
        world.home().certificate = home;
        world.server("xmpp.example").certificate = foreign;
        for name in ["one.example", "two.example"] {
            world.knows_sip(name);
            let to = format!("from='alice@corp.example' to='bob@{name}'");
            world.home_says(&format!("<presence {to}></presence>"));
        }
        let to = "from='bob@xmpp.example/r' to='alice@corp.example'";
        world.server("xmpp.example").say(&format!("<presence {to}></presence>"));
        world.run();
        taken(world.home());
        // The third one verifies the foreign server.
        assert_eq!(world.home().external, [home.is_some(); 3]);
        assert_eq!(world.server("xmpp.example").external, [false]);
    }
}

#[test]
fn another_certificate_than_the_one_at_its_address_is_no_home_servers() {
    let mut world = World::new();
    world.home().certificate = Some([7; 32]);
    world.knows_sip("one.example");
    world.home_says("<presence from='alice@corp.example' to='bob@one.example'></presence>");
    world.home().certificate = Some([9; 32]);
    world.knows_sip("two.example");
    world.home_says("<presence from='alice@corp.example' to='bob@two.example'></presence>");
    assert_eq!(world.home().external, [true, false]);
}

fn presence(world: &mut World) {
    world.home_says("<presence from='alice@corp.example' to='bob@sip.example'></presence>");
}

/// The instance is taken out while a stanza comes in each period, until the stream is closed.
/// Milliseconds from being taken out until then, and from the last stanza until then.
fn closed_after(period: u64) -> [u64; 2] {
    let mut world = managed();
    presence(&mut world);
    world.frame(FromRouter::Drain(true));
    let (mut number, mut last) = (1, 0);
    for millis in 1.. {
        world.wait(Duration::from_millis(1));
        if world.home().opened_to("sip.example").is_none() {
            assert_eq!(told(&mut world).last(), Some(&number), "nothing is bounced");
            world.frames.clear();
            return [millis, millis - last];
        }
        if millis % period == 0 {
            (number, last) = (number + 1, millis);
            presence(&mut world);
        }
    }
    unreachable!("it is closed some time");
}

#[test]
fn an_instance_that_is_taken_out_ends_a_stream_when_its_server_is_silent() {
    for (period, closed) in [
        // Not in use: as soon as it is looked at.
        (1_000, [200, 200]),
        // In use, but there is time between two stanzas.
        (150, [210, 60]),
        // Never silent for so long: a little after a stanza, well before the next one.
        (20, [708, 8]),
        (10, [708, 8]),
        (5, [1_202, 2]),
        // No silence at all.
        (1, [10_200, 1]),
    ] {
        assert_eq!(closed_after(period), closed, "{period}");
    }
}

#[test]
fn a_stream_that_is_wanted_again_stays() {
    let mut world = managed();
    for (drained, times) in [(true, 30), (false, 100)] {
        world.frame(FromRouter::Drain(drained));
        for _ in 0..times {
            presence(&mut world);
            world.wait(Duration::from_millis(20));
        }
    }
    world.wait(Duration::from_millis(299_979));
    assert!(world.home().opened_to("sip.example").is_some());
    world.wait(Duration::from_millis(1));
    assert!(world.home().opened_to("sip.example").is_none(), "it was idle");
    world.frames.clear();
}

#[test]
fn an_idle_stream_ends_when_its_server_is_silent() {
    let mut world = managed();
    world.wait(Duration::from_millis(299_990));
    // No stanza, so it is not in use; but one may follow.
    world.home_types("sip.example", ASK);
    world.wait(Duration::from_millis(59));
    assert!(world.home().opened_to("sip.example").is_some());
    world.wait(Duration::from_millis(1));
    assert!(world.home().opened_to("sip.example").is_none());
}
