//! Stanzas that pass between the home server and foreign XMPP servers.

use std::time::Duration;

use openfed_proto::condition::Condition;
use openfed_proto::link::{FromRouter, Instruction};
use openfed_proto::packet::{Cause, Ending, Failure, Protocol};

use super::world::{ROUTER, World, taken};
use crate::core::ConnId;
use crate::dialback::Secret;

fn users(from: &str, to: &str) -> String {
    format!("from='{from}' to='{to}'")
}

#[test]
fn a_foreign_server_reaches_the_local_user_untouched_and_in_order() {
    let mut world = World::new();
    world.add("xmpp.example");
    let users = users("bob@xmpp.example/r", "alice@corp.example");
    for number in 0..5 {
        let omemo =
            format!("<encrypted xmlns='eu.siacs.conversations.axolotl'>{number}</encrypted>");
        world
            .server("xmpp.example")
            .say(&format!("<message {users} id='{number}'>{omemo}</message>"));
    }
    world.server("xmpp.example").say(&format!("<presence {users} type='subscribe'></presence>"));
    world.run();
    let got = taken(world.home());
    assert_eq!(got.len(), 6);
    for (number, stanza) in got[..5].iter().enumerate() {
        assert!(stanza.contains(&format!("axolotl'>{number}</encrypted>")), "{stanza}");
    }
    assert!(got[5].contains("subscribe"));
}

#[test]
fn where_both_are_on_xmpp_nobody_is_called_by_the_resource_of_sip_users() {
    let mut world = World::new();
    world.add("xmpp.example");
    let hi = users("bob@xmpp.example/r", "alice@corp.example/openfed-sip");
    world.server("xmpp.example").say(&format!("<message {hi} id='1'><body>x</body></message>"));
    world.run();
    let got = taken(world.home()).remove(0);
    assert!(got.contains("to='alice@corp.example'"), "{got}");
    let back = users("alice@corp.example/d", "bob@xmpp.example/openfed-sip");
    world.home_says(&format!("<message {back} id='2'><body>y</body></message>"));
    let got = taken(world.server("xmpp.example")).remove(0);
    assert!(got.contains("to='bob@xmpp.example'"), "{got}");
}

#[test]
fn an_error_of_the_local_user_goes_back_to_the_foreign_one() {
    let mut world = World::new();
    world.add("xmpp.example");
    let hi = users("bob@xmpp.example/r", "nobody@corp.example");
    world.server("xmpp.example").say(&format!("<message {hi} id='1'><body>x</body></message>"));
    world.run();
    taken(world.home());
    let back = users("nobody@corp.example", "bob@xmpp.example/r");
    world.home_says(&format!("<message {back} id='1' type='error'></message>"));
    assert_eq!(taken(world.server("xmpp.example")).len(), 1);
}

#[test]
fn the_sender_of_what_an_earlier_life_took_is_told_here() {
    let mut world = World::new();
    let users = users("alice@corp.example/d", "bob@sip.example");
    let stanza = format!("<message {users} id='1'><body>hi</body></message>");
    let failure = Failure::new(Condition::ItemNotFound, Cause::Remote);
    world.frame(FromRouter::Undelivered { stanza: stanza.into(), failure: failure.clone() });
    let told = taken(world.home());
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("<item-not-found") && told[0].contains("<body>hi</body>"), "{told:?}");
    // Neither what asks for no answer nor rubbish is answered.
    let error = format!("<message {users} id='2' type='error'></message>");
    for stanza in [error.as_str(), "no stanza"] {
        let stanza = bytes::Bytes::from(stanza.to_owned());
        world.frame(FromRouter::Undelivered { stanza, failure: failure.clone() });
    }
    assert_eq!(taken(world.home()), Vec::<String>::new());
}

#[test]
fn an_answer_goes_back_the_way_the_question_came_whatever_became_of_the_domain() {
    let mut world = World::new();
    world.add("xmpp.example");
    let ask = users("bob@xmpp.example/r", "alice@corp.example/d");
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    world.home().pongs = false;
    world.server("xmpp.example").say(&format!("<iq {ask} type='get' id='1'>{ping}</iq>"));
    world.run();
    taken(world.home());
    let back = users("alice@corp.example/d", "bob@xmpp.example/r");
    let forget = openfed_proto::link::FromRouter::Invalidate(None);
    world.frame(forget);
    world.home_says(&format!("<message {back} id='m'><body>x</body></message>"));
    assert_eq!(world.submitted().len(), 1, "what is new is asked about");
    world.home_says(&format!("<iq {back} type='result' id='1'></iq>"));
    world.knows_sip("xmpp.example");
    world.home_says(&format!("<iq {back} type='error' id='2'></iq>"));
    assert_eq!(taken(world.server("xmpp.example")).len(), 2);
}

#[test]
fn a_foreign_stanza_for_a_home_server_that_is_down_is_answered() {
    let mut world = World::new();
    world.add("xmpp.example");
    world.break_name("corp.example", crate::core::ConnectFailure::Unreachable);
    let hi = users("bob@xmpp.example/r", "alice@corp.example");
    world.server("xmpp.example").say(&format!("<message {hi} id='1'><body>x</body></message>"));
    world.run();
    let got = taken(world.server("xmpp.example"));
    assert!(got[0].contains("remote-server-timeout"), "{got:?}");
}

#[test]
fn a_stream_that_the_peer_closed_is_opened_again_without_loss() {
    let mut world = World::new();
    world.add("xmpp.example");
    let hi = users("bob@xmpp.example/r", "alice@corp.example");
    let back = users("alice@corp.example/d", "bob@xmpp.example/r");
    for round in 1..=3 {
        world.server("xmpp.example").say(&format!("<message {hi} id='1'><body>x</body></message>"));
        world.run();
        assert_eq!(taken(world.home()).len(), 1);
        world.home_says(&format!("<message {back} id='2'><body>x</body></message>"));
        assert_eq!(taken(world.server("xmpp.example")).len(), 1);
        assert!(world.server("xmpp.example").accepted >= round);
        let now = world.now;
        world.server("xmpp.example").hang_up(now);
        world.home().hang_up(now);
        world.run();
    }
}

#[test]
fn a_stanza_that_never_arrived_is_sent_once_more_and_no_other() {
    let mut world = World::new();
    world.add("xmpp.example");
    let hi = users("bob@xmpp.example/r", "alice@corp.example");
    let back = users("alice@corp.example/d", "bob@xmpp.example/r");
    world.server("xmpp.example").say(&format!("<message {hi} id='1'><body>x</body></message>"));
    world.run();
    world.home_says(&format!("<message {back} id='arrived'><body>x</body></message>"));
    let now = world.now;
    world.server("xmpp.example").mute = true;
    world.home_says(&format!("<message {back} id='lost'><body>x</body></message>"));
    world.home_says(&format!("<message {back} id='lost-too'><body>x</body></message>"));
    world.server("xmpp.example").mute = false;
    let World { core, servers, .. } = &mut world;
    servers.get_mut("xmpp.example").unwrap().crash(core, now);
    world.run();
    let got = taken(world.server("xmpp.example"));
    let ids: Vec<_> = got.iter().filter_map(|it| it.split(" id=").nth(1)).collect();
    assert!(got.len() == 3 && ids[0].contains("arrived"), "{got:?}");
    assert!(ids[1].contains("lost\"") || ids[1].contains("lost'"), "{got:?}");
    assert!(ids[2].contains("lost-too"), "{got:?}");
    assert_eq!(taken(world.home()).len(), 1);
}

#[test]
fn a_stanza_that_cannot_arrive_any_more_is_answered() {
    let mut world = World::new();
    world.add("xmpp.example");
    let hi = users("bob@xmpp.example/r", "alice@corp.example");
    let back = users("alice@corp.example/d", "bob@xmpp.example/r");
    world.server("xmpp.example").say(&format!("<message {hi} id='1'><body>x</body></message>"));
    world.run();
    world.home_says(&format!("<message {back} id='0'><body>x</body></message>"));
    taken(world.server("xmpp.example"));
    taken(world.home());
    let now = world.now;
    world.server("xmpp.example").mute = true;
    world.home_says(&format!("<message {back} id='lost'><body>x</body></message>"));
    world.break_name("xmpp.example", crate::core::ConnectFailure::Unreachable);
    let World { core, servers, .. } = &mut world;
    servers.get_mut("xmpp.example").unwrap().crash(core, now);
    world.run();
    let told = taken(world.home());
    assert!(told.len() == 1 && told[0].contains("remote-server-timeout"), "{told:?}");
}

#[test]
fn what_is_lost_twice_is_answered() {
    let mut world = World::new();
    world.add("xmpp.example");
    let hi = users("bob@xmpp.example/r", "alice@corp.example");
    let back = users("alice@corp.example/d", "bob@xmpp.example/r");
    world.server("xmpp.example").say(&format!("<message {hi} id='1'><body>x</body></message>"));
    world.run();
    world.home_says(&format!("<message {back} id='0'><body>x</body></message>"));
    taken(world.server("xmpp.example"));
    taken(world.home());
    let now = world.now;
    world.server("xmpp.example").mute = true;
    world.home_says(&format!("<message {back} id='lost'><body>x</body></message>"));
    for round in 1..=2 {
        world.server("xmpp.example").mute = false;
        let World { core, servers, .. } = &mut world;
        servers.get_mut("xmpp.example").unwrap().crash(core, now);
        world.run();
        let came = taken(world.server("xmpp.example")).len();
        let told = taken(world.home());
        assert_eq!((came, told.len()), if round == 1 { (1, 0) } else { (0, 1) }, "{told:?}");
        // That it came is a secret of the scene: its acknowledgement is lost
        world.server("xmpp.example").deny_last(200);
    }
}

#[test]
fn what_waits_on_a_used_stream_that_ends_gets_a_fresh_one() {
    let mut world = World::new();
    let first = world.sip_message("bob@one.example", "alice@corp.example", "x");
    world.attempt(&first, Instruction::Home);
    assert_eq!(world.endings().len(), 1);
    // The key for the second domain and the footer of the home server cross.
    let now = world.now;
    world.home().mute = true;
    let second = world.sip_message("bob@two.example", "alice@corp.example", "x");
    world.attempt(&second, Instruction::Home);
    assert_eq!(world.endings(), []);
    world.home().mute = false;
    world.home().hang_up(now);
    world.run();
    assert_eq!(world.endings(), [Ending::Delivered { by: Protocol::Xmpp, status: 200 }]);
    assert_eq!(taken(world.home()).len(), 2);
}

/// The home server as it is with XEP-0288: everything goes over the one stream that it opened.
struct Bidi {
    conn: ConnId,
}

impl Bidi {
    fn open(world: &mut World) -> Self {
        let now = world.now;
        let peer = "192.0.2.9:5".parse().unwrap();
        let conn = world.core.handle_accepted(peer, now).unwrap();
        let bidi = Self { conn };
        let header = "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
            xmlns:stream='http://etherx.jabber.org/streams' from='corp.example' \
            to='sip.example' version='1.0'>";
        bidi.types(world, header);
        bidi.types(world, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        bidi.types(world, header);
        let id = world.typed.rsplit(" id='").next().unwrap().split('\'').next().unwrap();
        let key = Secret::new(b"corp.example").key(
            &super::domain("sip.example"),
            &super::domain("corp.example"),
            id,
        );
        bidi.types(world, "<bidi xmlns='urn:xmpp:bidi'/>");
        let result = format!("<db:result from='corp.example' to='sip.example'>{key}</db:result>");
        bidi.types(world, &result);
        assert!(world.typed.contains("type='valid'"), "{}", world.typed);
        world.typed.clear();
        bidi
    }

    fn types(&self, world: &mut World, text: &str) {
        let now = world.now;
        world.core.handle_bytes(self.conn, text.as_bytes(), now);
        world.run();
    }
}

#[test]
fn with_bidi_messages_and_fences_use_the_home_servers_own_stream() {
    let mut world = World::new();
    let home = Bidi::open(&mut world);
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    assert!(world.typed.contains("<body>hi</body>"), "{}", world.typed);
    let ping = world.typed.split("<iq ").nth(1).unwrap();
    let id = ping.split("id='").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    assert_eq!(world.endings(), []);
    home.types(
        &mut world,
        &format!("<iq type='result' id='{id}' from='corp.example' to='sip.example'/>"),
    );
    assert_eq!(world.endings(), [Ending::Delivered { by: Protocol::Xmpp, status: 200 }]);
    assert_eq!(taken(world.home()), [""; 0], "only the key was verified there");
}

#[test]
fn a_late_home_stream_takes_over_what_waits_for_ours() {
    let mut world = World::new();
    world.home().distrusts = true;
    let home = Bidi::open(&mut world);
    let packet = world.sip_message("bob@sip.example", "alice@corp.example", "hi");
    world.attempt(&packet, Instruction::Home);
    assert!(world.typed.contains("<body>hi</body>"));
    home.types(&mut world, "</stream:stream>");
    assert_eq!(world.endings().len(), 1, "nobody knows whether it was taken");
    world.wait(Duration::from_secs(1));
}

#[test]
fn between_xmpp_domains_nothing_needs_a_router() {
    let mut world = World::new();
    world.add("xmpp.example");
    let hi = users("bob@xmpp.example/r", "alice@corp.example");
    let back = users("alice@corp.example/d", "bob@xmpp.example/r");
    let message = |users: &str| format!("<message {users} id='1'><body>x</body></message>");
    world.server("xmpp.example").say(&message(&hi));
    world.run();
    world.home_says(&message(&back));
    assert_eq!((taken(world.home()).len(), taken(world.server("xmpp.example")).len()), (1, 1));
    let now = world.now;
    world.core.handle_link_down(ROUTER, now);
    world.server("xmpp.example").say(&message(&hi));
    world.home_says(&message(&back));
    let (home, foreign) = (taken(world.home()), taken(world.server("xmpp.example")));
    assert_eq!((home.len(), foreign.len()), (1, 1));
    assert!(!home[0].contains("error") && !foreign[0].contains("error"));
}
