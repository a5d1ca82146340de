//! Names that a home server would turn into others: delivered as what they are, or refused with the
//! reason; never somebody else's.

#[path = "live_names/cases.rs"]
mod cases;
#[path = "live_names/table.rs"]
mod table;
#[path = "live_names/trial.rs"]
mod trial;

use std::time::{Duration, Instant};

use cases::{DOMAINS, LOCALS};
use openfed_tests::dns::DnsServer;
use openfed_tests::openfed::{LOCAL, Openfed, Setup};
use openfed_tests::place::Host;
use openfed_tests::prosody::{Lookup, Prosody};
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::world::{Kind, World};
use openfed_tests::{Failure, Result};
use table::Row;
use trial::{Fate, Name};

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
        let from = heard.attr("from").and_then(|from| from.split('/').next());
        assert_eq!(from, Some("müller@far.example"));
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
        for user in ["weiß", "GROẞ", "λόγος", "क्\u{200d}ष", "نامه\u{200c}ای"] {
            let message = Outgoing::message("sip:bob@far.example", &sip(user, LOCAL), "anyone?");
            let response = hop.send(&message, openfed.sip()).await?;
            assert_eq!(response.status(), Some(404), "{user}: {response:?}");
        }
        Ok(())
    });
}

#[test]
fn how_the_home_server_prepares_addresses_is_found_out() {
    for (kind, found) in [
        (Kind::Prosody, "rfc3920-lenient"),
        (Kind::Ejabberd, "rfc3920"),
        (Kind::Jabberd2, "rfc3920-lenient"),
    ] {
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
            let settings = openfed.settings().to_string_lossy();
            let told = openfed.command(&["check", "--config", &settings]).await?;
            assert!(told.contains(&format!("prepares addresses by {found}")), "{told}");
            Ok(())
        });
    }
}

/// Every name, both ways, on one home server; what is wrong with any of them is told in the end.
async fn try_all(world: &World, names: &[(&str, Name<'_>)], fates: &mut [Vec<Fate>]) -> Result<()> {
    let mut alice = world.home.typist("alice").await?;
    let mut wrong = Vec::new();
    for (at, ((_, name), fates)) in names.iter().zip(fates).enumerate() {
        let from = trial::from_sip(world, &mut alice, *name, &format!("from-{at}")).await;
        let to = trial::to_sip(world, &mut alice, *name, &format!("to-{at}")).await;
        for fate in [from, to] {
            match fate {
                Ok(fate) => fates.push(fate),
                Err(failure) => wrong.push(format!("{failure:?}")),
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::new(wrong.join("\n"))) }
}

#[test]
fn every_name_is_carried_as_it_is_or_refused_with_the_reason_and_the_guide_says_which() {
    let locals = LOCALS.map(|(what, local)| (what, Name { local, domain: "far.example" }));
    let domains = DOMAINS.map(|(what, domain)| (what, Name { local: "bob", domain }));
    let names = [&locals[..], &domains[..]].concat();
    let mut fates = vec![Vec::new(); names.len()];
    for kind in [Kind::Prosody, Kind::Ejabberd] {
        play(async |place| {
            let world = World::open(place, kind).await?;
            try_all(&world, &names, &mut fates).await
        });
    }
    let mut rows = Vec::new();
    for (at, ((what, name), fates)) in names.iter().zip(fates).enumerate() {
        let user = ("user", name.local);
        let (part, written) = if at < LOCALS.len() { user } else { ("domain", name.domain) };
        rows.push(Row { part, what, written, fates });
    }
    table::hold(&rows).unwrap_or_else(|failure| panic!("{failure:?}"));
}

/// Its resolver knows by itself that some zones are empty: none of the shipped settings.
#[test]
fn a_sender_whom_the_home_server_does_not_look_up_is_refused_with_the_reason() {
    play(async |place| {
        let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
        let hop = SipPeer::start(place.at(Host::NextHop, 5060)).await?;
        let setup = Setup { dns: Some(dns.address()), ..Setup::default() };
        let openfed = Openfed::start(place, &setup).await?;
        let lookup = Lookup::Elsewhere(place.at(Host::Openfed, 53));
        let home = Prosody::start(place, Host::Home, LOCAL, &["alice"], lookup).await?;
        openfed.open_towards(hop.address()?).await?;
        let alice = home.login("alice").await?;
        let from = async |sender: &str| {
            let message = Outgoing::message(sender, &format!("sip:alice@{LOCAL}"), sender);
            let began = Instant::now();
            Ok::<_, Failure>((hop.send(&message, openfed.sip()).await?, began.elapsed()))
        };
        let (response, _) = from("sip:bob@far.example").await?;
        assert_eq!(response.status(), Some(200));
        alice.hears("sip:bob@far.example").await?;
        let (first, _) = from("sip:anonymous@anonymous.invalid").await?;
        let (second, took) = from("sip:somebody@else.invalid").await?;
        for response in [first, second] {
            assert_eq!(response.status(), Some(403), "{response:?}");
            assert!(why(&response).contains("does not ask openfed"), "{response:?}");
        }
        assert!(took < Duration::from_secs(1), "at once: {took:?}");
        let told = openfed.command(&["explain", "anonymous.invalid"]).await?;
        assert!(told.contains("special-use"), "{told}");
        let told = openfed.command(&["explain", "anonymous.invalid", "--try"]).await?;
        assert!(told.contains("does not ask openfed"), "{told}");
        let (response, _) = from("sip:somebody@voiceipg").await?;
        assert_eq!(response.status(), Some(200), "one label is looked up");
        Ok(())
    });
}

#[test]
fn nobody_is_told_that_a_message_for_nobody_arrived() {
    for kind in [Kind::Prosody, Kind::Ejabberd, Kind::Jabberd2] {
        play(async |place| {
            let world = World::open(place, kind).await?;
            // Whom others might be taken for.
            let strasse = world.home.typist("strasse").await?;
            for (_, local) in LOCALS.iter().filter(|(_, local)| *local != "strasse") {
                trial::to_nobody(&world, local).await?;
            }
            assert_eq!(strasse.stanzas.count(|it| it.name() == "message"), 0);
            Ok(())
        });
    }
}
