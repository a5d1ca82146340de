//! Names that a home server would turn into others: delivered as what they are, or refused with the
//! reason; never somebody else's.

use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::Outgoing;
use openfed_tests::world::{Kind, World};

/// A SIP user as a URI writes it.
fn sip(user: &str, domain: &str) -> String {
    let escaped: String = user.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("sip:{escaped}@{domain}")
}

fn why(response: &openfed_tests::sip::Sip) -> &str {
    response.header("Warning").unwrap_or_default()
}

#[test]
fn a_sender_whom_prosody_would_turn_into_another_is_refused_with_the_reason() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let to = format!("sip:alice@{LOCAL}");
        for user in ["straße", "λόγος", "क्\u{200d}ष", "نامه\u{200c}ای"] {
            let message = Outgoing::message(&sip(user, "far.example"), &to, "wrong");
            let response = hop.send(&message, openfed.sip()).await?;
            assert_eq!(response.status(), Some(400), "{user}: {response:?}");
            assert!(why(&response).contains("sender: the home server"), "{response:?}");
        }
        let message = Outgoing::message(&sip("müller", "far.example"), &to, "right");
        assert_eq!(hop.send(&message, openfed.sip()).await?.status(), Some(200));
        let heard = alice.hears("right").await?;
        assert_eq!(heard.attr("from"), Some("müller@far.example"));
        assert_eq!(alice.heard_from("strasse@far.example"), [""; 0]);
        Ok(())
    });
}

/// What the operator says of the home server is wrong here, so that Prosody gets them to see.
#[test]
fn an_error_for_nobody_is_the_outcome_in_whatever_form_prosody_writes_the_address() {
    play(async |place| {
        let setup = Setup { home: "names = \"rfc7622\"", ..Setup::default() };
        let world = World::with(place, Kind::Prosody, setup).await?;
        let World { hop, openfed, .. } = &world;
        openfed.open_towards(hop.address()?).await?;
        for user in ["straße", "STRAẞE", "λόγος", "क्\u{200d}ष", "نامه\u{200c}ای"]
        {
            let message = Outgoing::message("sip:bob@far.example", &sip(user, LOCAL), "anyone?");
            let response = hop.send(&message, openfed.sip()).await?;
            assert_eq!(response.status(), Some(404), "{user}: {response:?}");
        }
        Ok(())
    });
}

#[test]
fn how_the_home_server_prepares_addresses_is_found_out() {
    for (kind, found) in [(Kind::Prosody, "rfc3920-lenient"), (Kind::Ejabberd, "rfc3920")] {
        play(async |place| {
            let world = World::open(place, kind).await?;
            let World { hop, openfed, home, .. } = &world;
            let alice = home.login("alice").await?;
            let to = format!("sip:alice@{LOCAL}");
            let message = Outgoing::message("sip:bob@far.example", &to, "hello");
            assert_eq!(hop.send(&message, openfed.sip()).await?.status(), Some(200));
            alice.hears("hello").await?;
            let log = openfed.processes().next().map(|(_, process)| process.log()).unwrap();
            let said = |line: &String| {
                line.contains("how the home server prepares") && line.contains(found)
            };
            log.lines.wait_for(found, SOON, said).await?;
            Ok(())
        });
    }
}
