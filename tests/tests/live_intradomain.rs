//! SIP between two local users, where the operator allows it.

use openfed_tests::openfed::LOCAL;
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::Outgoing;
use openfed_tests::world::{Kind, World};

fn allowed(kind: Kind) {
    play(async |place| {
        let world = World::closed(place, kind).await?;
        let alice = world.home.login("alice").await?;
        let message = Outgoing::message(
            &format!("sip:carol@{LOCAL}"),
            &format!("sip:alice@{LOCAL}"),
            "from the desk phone",
        );
        let response = world.trusted.send(&message, world.openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        let heard = alice.hears("from the desk phone").await?;
        assert_eq!(heard.attr("from"), Some(&*format!("carol@sip.{LOCAL}")));
        let _ = SOON;
        Ok(())
    });
}

#[test]
fn on_prosody() {
    allowed(Kind::Prosody);
}

#[test]
fn on_ejabberd() {
    allowed(Kind::Ejabberd);
}
