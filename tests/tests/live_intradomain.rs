//! SIP between two local users, where the operator allows it.

use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::scene::play;
use openfed_tests::sip::Outgoing;
use openfed_tests::world::{Kind, World};

fn a_local_sip_user_writes_to_a_local_xmpp_user(kind: Kind) {
    play(async |place| {
        let setup = Setup { sip: "intradomain = true".into(), ..Setup::default() };
        let world = World::with(place, kind, setup).await?;
        let alice = world.home.login("alice").await?;
        let carol = format!("sip:carol@{LOCAL}");
        let message = Outgoing::message(&carol, &format!("sip:alice@{LOCAL}"), "from my desk");
        let response = world.trusted.send(&message, world.openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        // No home server takes its own user from elsewhere.
        let heard = alice.hears("from my desk").await?;
        assert_eq!(heard.attr("from"), Some(&*format!("carol@sip.{LOCAL}/openfed-sip")));

        let message = Outgoing::message(&carol, &format!("sip:nobody@{LOCAL}"), "anybody?");
        let response = world.trusted.send(&message, world.openfed.sip()).await?;
        assert_eq!(response.status(), Some(404));
        Ok(())
    });
}

#[test]
fn on_prosody() {
    a_local_sip_user_writes_to_a_local_xmpp_user(Kind::Prosody);
}

#[test]
fn on_ejabberd() {
    a_local_sip_user_writes_to_a_local_xmpp_user(Kind::Ejabberd);
}

#[test]
fn on_jabberd2() {
    a_local_sip_user_writes_to_a_local_xmpp_user(Kind::Jabberd2);
}
