//! User agents as they are, and Kamailio between them and openfed.

use openfed_tests::Result;
use openfed_tests::agent::scenes::{
    answers_are_by_the_rfc, texts_go_both_ways, texts_go_within_a_call, texts_in_a_call,
};
use openfed_tests::agent::{Agent, Library};
use openfed_tests::baresip::Baresip;
use openfed_tests::kamailio::{Challenge, Kamailio};
use openfed_tests::openfed::LOCAL;
use openfed_tests::place::{Host, Place};
use openfed_tests::scene::play;
use openfed_tests::world::{Kind, World};

#[test]
fn sofia_sip_writes_and_is_written_to() {
    play(async |place| texts_go_both_ways(place, Library::Sofia).await);
}

#[test]
fn sofia_sip_is_answered_by_the_rfc() {
    play(async |place| answers_are_by_the_rfc(place, Library::Sofia).await);
}

#[test]
fn sofia_sip_writes_within_a_call() {
    play(async |place| texts_go_within_a_call(place, Library::Sofia).await);
}

/// The world with a route to this address, by which both unknown.example and known.example go.
async fn world_towards(place: &Place, host: Host, port: u16) -> Result<World> {
    let world = World::closed(place, Kind::Prosody).await?;
    world.openfed.open_towards(place.at(host, port)).await?;
    world.openfed.command(&["domain", "add", "known.example"]).await?;
    Ok(world)
}

#[test]
fn baresip_writes_and_is_written_to() {
    play(async |place| {
        let world = world_towards(place, Host::SecondSipPeer, 5060).await?;
        let at = place.at(Host::SecondSipPeer, 5060);
        let alice = world.home.login("alice").await?;
        let alice_at = format!("alice@{LOCAL}");
        let (bob_at, sip) = ("bob@known.example", world.openfed.sip());
        let mut bob = Baresip::start(place, at, bob_at, &alice_at, sip).await?;
        for text in
            ["plain", "\"quoted\" & <marked> %40 \\n", "\u{65e5}\u{672c} \u{20bb7} e\u{301}"]
        {
            alice.say(bob_at, text)?;
            bob.hears(&alice_at, text).await?;
            let text = format!("{text} (back)");
            bob.writes(&text).await?;
            alice.hears(&text).await?;
        }
        Ok(())
    });
}

#[test]
fn baresip_sees_that_nobody_is_there() {
    play(async |place| {
        let world = world_towards(place, Host::SecondSipPeer, 5060).await?;
        let (at, sip) = (place.at(Host::SecondSipPeer, 5060), world.openfed.sip());
        let nobody = format!("nobody@{LOCAL}");
        let mut bob = Baresip::start(place, at, "bob@known.example", &nobody, sip).await?;
        bob.writes("anybody there?").await?;
        bob.process().line("404 Not Found").await.map(|_| ())
    });
}

#[test]
fn baresip_calls_baresip() {
    play(async |place| {
        let world = world_towards(place, Host::SecondSipPeer, 5060).await?;
        let (at, sip) = (place.at(Host::SecondSipPeer, 5060), world.openfed.sip());
        let alice_at = format!("alice@{LOCAL}");
        let bob = Baresip::start(place, at, "bob@known.example", &alice_at, sip).await?;
        let at = place.at(Host::SipPeer, 5070);
        let mut alice = Baresip::start(place, at, &alice_at, "bob@known.example", sip).await?;
        alice.does("/dial sip:bob@known.example").await?;
        alice.process().line("Call established").await?;
        bob.process().line("Call established").await?;
        alice.does("/hangup").await?;
        bob.process().line("session closed").await?;
        Ok(())
    });
}

#[test]
fn agents_write_from_behind_kamailio_and_within_a_call() {
    play(async |place| {
        let world = world_towards(place, Host::SecondSipPeer, 5060).await?;
        let (far, sip) = (place.at(Host::SecondSipPeer, 5060), world.openfed.sip());
        let near = place.at(Host::SipPeer, 5080);
        let _kamailio = Kamailio::start(place, near, sip, Challenge::None).await?;
        let mut bob = Agent::start(place, Library::Sofia, far, "bob@known.example", sip).await?;
        let at = place.at(Host::SipPeer, 5070);
        let carol_at = format!("carol@{LOCAL}");
        let mut carol = Agent::start(place, Library::Sofia, at, &carol_at, near).await?;

        let alice = world.home.login("alice").await?;
        carol.sends("sip:bob@known.example", "to bob, through two proxies").await?;
        assert_eq!(carol.status("MESSAGE").await?, 200);
        bob.hears(&carol_at, "to bob, through two proxies").await?;
        bob.sends(&format!("sip:alice@{LOCAL}"), "to alice").await?;
        alice.hears("to alice").await?;
        texts_in_a_call(&mut carol, &mut bob).await
    });
}
