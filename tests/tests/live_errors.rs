//! What the sender is told when a message does not arrive: exactly, within its budget, once.

use std::time::{Duration, Instant};

use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::{Outgoing, Sip};
use openfed_tests::sip_peer::Reply;
use openfed_tests::world::{Kind, World};
use openfed_tests::xmpp_client::{explanation, text_of};
use openfed_tests::{Failure, Result};
use tokio::time::timeout;

/// A domain in A-labels; in U-labels it is `münchen.example`.
const A_LABELS: &str = "xn--mnchen-3ya.example";

/// A SIP transaction's time (RFC 3261 §17.1.2.2, Timer F) and some for the machine.
const TRANSACTION: Duration = Duration::from_secs(36);

/// SIP's answer and what the XMPP user is told: S-034…S-039.
const CONDITIONS: [(u16, &str); 30] = [
    (300, "redirect"),
    (302, "redirect"),
    (380, "not-acceptable"),
    (400, "bad-request"),
    (402, "bad-request"),
    (403, "forbidden"),
    (404, "item-not-found"),
    (405, "feature-not-implemented"),
    (406, "not-acceptable"),
    (408, "remote-server-timeout"),
    (410, "gone"),
    (413, "policy-violation"),
    (415, "not-acceptable"),
    (420, "feature-not-implemented"),
    (480, "recipient-unavailable"),
    (481, "item-not-found"),
    (482, "not-acceptable"),
    (484, "item-not-found"),
    (486, "recipient-unavailable"),
    (488, "not-acceptable"),
    (491, "unexpected-request"),
    (499, "bad-request"),
    (500, "internal-server-error"),
    (501, "feature-not-implemented"),
    (502, "remote-server-not-found"),
    (504, "remote-server-timeout"),
    (599, "internal-server-error"),
    (600, "recipient-unavailable"),
    (604, "item-not-found"),
    (606, "not-acceptable"),
];

/// The status that the user part of the Request-URI asks for: `sip:s404@…`.
fn as_asked(request: &Sip) -> Reply {
    let user = request.uri().strip_prefix("sip:s").and_then(|rest| rest.split('@').next());
    match user.and_then(|digits| digits.parse().ok()) {
        Some(status) => Reply::Status(status, "As Asked"),
        None => Reply::Status(200, "OK"),
    }
}

fn from_bob_to_alice(text: &str) -> Outgoing {
    Outgoing::message("sip:bob@known.example", &format!("sip:alice@{LOCAL}"), text)
}

/// In A-labels, in U-labels, and in the meantime to others: all are answered, each as it was written.
async fn a_name_in_a_labels_is_one_like_any_other(place: &Place, kind: Kind) -> Result<()> {
    let world = World::open(place, kind).await?;
    let World { hop, openfed, home, .. } = &world;
    for domain in ["münchen.example", "known.example"] {
        openfed.command(&["domain", "add", domain]).await?;
    }
    hop.answer_by(as_asked);
    let mut alice = home.typist("alice").await?;
    let asked: Vec<_> = [A_LABELS, "known.example", "münchen.example", A_LABELS, "known.example"]
        .into_iter()
        .enumerate()
        .collect();
    for (id, domain) in &asked {
        alice
            .types(&format!(
                "<message type='chat' id='{id}' to='s404@{domain}'><body>hi</body></message>"
            ))
            .await?;
    }
    for (id, domain) in &asked {
        let (id, from) = (id.to_string(), format!("s404@{domain}"));
        let told = |it: &minidom::Element| it.attr("id") == Some(&id);
        let error = alice.stanzas.wait_for(&format!("an error for {domain}"), SOON, told).await?;
        assert_eq!(error.attr("from"), Some(&*from));
        assert!(String::from(&error).contains("item-not-found"), "{error:?}");
    }
    Ok(())
}

#[test]
fn a_name_in_a_labels_is_one_like_any_other_on_prosody() {
    play(async |place| a_name_in_a_labels_is_one_like_any_other(place, Kind::Prosody).await);
}

#[test]
fn a_name_in_a_labels_is_one_like_any_other_on_ejabberd() {
    play(async |place| a_name_in_a_labels_is_one_like_any_other(place, Kind::Ejabberd).await);
}

#[test]
fn a_name_in_a_labels_is_one_like_any_other_on_jabberd2() {
    play(async |place| a_name_in_a_labels_is_one_like_any_other(place, Kind::Jabberd2).await);
}

async fn each_sip_failure_is_told(place: &Place, kind: Kind) -> Result<()> {
    let world = World::open(place, kind).await?;
    let World { hop, openfed, home, .. } = &world;
    openfed.command(&["domain", "add", "known.example"]).await?;
    hop.answer_by(as_asked);
    let alice = home.login("alice").await?;
    let mut sent = Vec::new();
    for (status, expected) in CONDITIONS {
        let id = alice.say(&format!("s{status}@known.example"), "will it arrive?")?;
        sent.push((status, expected, id));
    }
    for (status, expected, id) in sent {
        assert_eq!(alice.condition_of(&id, SOON).await?, expected, "after {status}");
        let all = alice.stanzas.all();
        let told: Vec<_> = all.iter().filter(|stanza| stanza.attr("id") == Some(&id)).collect();
        assert_eq!(told.len(), 1, "once, after {status}");
        // Some clients show an error only if it repeats the text.
        assert_eq!(text_of(told[0]).as_deref(), Some("will it arrive?"), "after {status}");
        let explained = format!("SIP {status} As Asked");
        assert_eq!(explanation(told[0]).as_deref(), Some(&*explained), "after {status}");
    }
    Ok(())
}

#[test]
fn each_sip_failure_is_told_as_its_condition_on_prosody() {
    play(async |place| each_sip_failure_is_told(place, Kind::Prosody).await);
}

#[test]
fn each_sip_failure_is_told_as_its_condition_on_ejabberd() {
    play(async |place| each_sip_failure_is_told(place, Kind::Ejabberd).await);
}

#[test]
fn each_sip_failure_is_told_as_its_condition_on_jabberd2() {
    play(async |place| each_sip_failure_is_told(place, Kind::Jabberd2).await);
}

#[test]
fn a_sip_failure_for_an_unknown_domain_is_told_and_leaves_no_row() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &world;
        hop.answer_by(as_asked);
        let alice = home.login("alice").await?;
        for (status, expected) in [(404, "item-not-found"), (480, "recipient-unavailable")] {
            let domain = format!("unknown{status}.example");
            let id = alice.say(&format!("s{status}@{domain}"), "will it arrive?")?;
            assert_eq!(alice.condition_of(&id, SOON).await?, expected);
            assert_eq!(openfed.row(&domain).await?, None);
        }
        Ok(())
    });
}

#[test]
fn a_silent_next_hop_is_told_within_the_time_of_a_transaction() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &world;
        openfed.command(&["domain", "add", "known.example"]).await?;
        hop.answer(Reply::Silence);
        let alice = home.login("alice").await?;
        let known = alice.say("bob@known.example", "anyone?")?;
        let unknown = alice.say("bob@unknown.example", "anyone?")?;

        assert_eq!(alice.condition_of(&known, TRANSACTION).await?, "remote-server-timeout");
        // XMPP's own error, as if SIP had not been tried.
        assert_eq!(alice.condition_of(&unknown, TRANSACTION).await?, "remote-server-not-found");
        assert_eq!(openfed.row("unknown.example").await?, None);
        Ok(())
    });
}

#[test]
fn a_next_hop_that_is_gone_is_told_and_messages_go_again_when_it_is_back() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &world;
        openfed.command(&["domain", "add", "known.example"]).await?;
        let nobody = place.at(Host::Nobody, 5060).ip().to_string();
        let gone = ["route", "set", ".*", "--next-hop", &nobody, "--port", "5060"];
        openfed.command(&[&gone[..], &["--protocol", "tcp"]].concat()).await?;
        let alice = home.login("alice").await?;

        let before = Instant::now();
        let known = alice.say("bob@known.example", "anyone?")?;
        assert_eq!(alice.condition_of(&known, SOON).await?, "remote-server-timeout");
        assert!(before.elapsed() < Duration::from_secs(5), "a refused connection is known at once");

        openfed.open_towards(hop.address()?).await?;
        alice.say("bob@known.example", "and now?")?;
        hop.requests.wait_for("MESSAGE", SOON, |own| own.body == "and now?").await?;
        Ok(())
    });
}

#[test]
fn a_dead_home_server_is_told_and_never_a_false_200() {
    play(async |place| {
        let mut world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &mut world;
        openfed.command(&["domain", "add", "known.example"]).await?;
        let alice = home.login("alice").await?;
        let response = hop.send(&from_bob_to_alice("alive"), openfed.sip()).await?;
        assert_eq!(response.status(), Some(200));
        alice.hears("alive").await?;
        home.kill().await?;

        let response = hop.send(&from_bob_to_alice("and now?"), openfed.sip()).await?;
        let status = response.status().unwrap_or_default();
        assert!((400..700).contains(&status), "{}", response.start);
        Ok(())
    });
}

#[test]
fn a_home_server_that_comes_back_gets_messages_without_a_restart() {
    play(async |place| {
        let mut world = World::open(place, Kind::Prosody).await?;
        let World { hop, openfed, home, .. } = &mut world;
        openfed.command(&["domain", "add", "known.example"]).await?;
        home.kill().await?;
        let response = hop.send(&from_bob_to_alice("too early"), openfed.sip()).await?;
        assert_ne!(response.status(), Some(200));

        let home = openfed_tests::world::Home::start(place, Kind::Prosody, &["alice"]).await?;
        let alice = home.login("alice").await?;
        // Its failure may be remembered for a moment; every message is answered meanwhile.
        let welcomed = async {
            loop {
                let message = from_bob_to_alice("welcome back");
                match hop.send(&message, openfed.sip()).await?.status() {
                    Some(200) => return Ok::<_, Failure>(()),
                    other => assert_eq!(other, Some(504)),
                }
            }
        };
        timeout(SOON, welcomed).await??;
        alice.hears("welcome back").await?;
        Ok(())
    });
}

#[test]
fn without_an_xmpp_manager_unknown_domains_are_refused_and_known_ones_go_on() {
    play(async |place| {
        let setup = Setup { apart: true, ..Setup::default() };
        let mut world = World::with(place, Kind::Prosody, setup).await?;
        let World { hop, trusted, openfed, .. } = &mut world;
        openfed.open_towards(hop.address()?).await?;
        openfed.command(&["domain", "add", "known.example"]).await?;
        openfed.kill("xmpp-cm").await?;
        openfed.is_missed("xmpp-cm").await?;

        let from = format!("sip:alice@{LOCAL}");
        let known = Outgoing::message(&from, "sip:bob@known.example", "known");
        assert_eq!(trusted.send(&known, openfed.sip()).await?.status(), Some(200));
        let unknown = Outgoing::message(&from, "sip:bob@unknown.example", "unknown");
        assert_eq!(trusted.send(&unknown, openfed.sip()).await?.status(), Some(404));
        let inbound = Outgoing::message("sip:eve@new.example", &from, "let me in");
        assert_eq!(hop.send(&inbound, openfed.sip()).await?.status(), Some(403));
        assert_eq!(openfed.row("unknown.example").await?, None);

        // Back again: everything works without a restart of the others.
        openfed.start_service(place, "xmpp-cm")?;
        openfed.is_ready().await?;
        let again = Outgoing::message(&from, "sip:bob@unknown.example", "again");
        assert_eq!(trusted.send(&again, openfed.sip()).await?.status(), Some(200));
        Ok(())
    });
}

#[test]
fn without_a_router_known_domains_go_on_and_unknown_ones_get_a_temporary_error() {
    play(async |place| {
        let setup = Setup { apart: true, ..Setup::default() };
        let mut world = World::with(place, Kind::Prosody, setup).await?;
        let World { hop, trusted, openfed, .. } = &mut world;
        openfed.open_towards(hop.address()?).await?;
        let from = format!("sip:alice@{LOCAL}");
        let known = |text: &str| Outgoing::message(&from, "sip:bob@known.example", text);
        openfed.command(&["domain", "add", "known.example"]).await?;
        assert_eq!(trusted.send(&known("cached"), openfed.sip()).await?.status(), Some(200));
        openfed.kill("xcp-router").await?;

        assert_eq!(trusted.send(&known("still"), openfed.sip()).await?.status(), Some(200));
        let unknown = Outgoing::message(&from, "sip:bob@unknown.example", "unknown");
        let before = Instant::now();
        let status = trusted.send(&unknown, openfed.sip()).await?.status().unwrap_or_default();
        assert!((500..600).contains(&status) || [408, 480].contains(&status), "{status}");
        // What was on its way when the router died waits for another one, within its own time.
        assert!(before.elapsed() < TRANSACTION, "{:?}", before.elapsed());

        openfed.start_service(place, "xcp-router")?;
        openfed.is_ready().await?;
        let again = Outgoing::message(&from, "sip:bob@unknown.example", "again");
        assert_eq!(trusted.send(&again, openfed.sip()).await?.status(), Some(200));
        Ok(())
    });
}

#[test]
fn a_stopped_openfed_ends_by_itself_and_starts_again_with_the_same_state() {
    play(async |place| {
        let World { dns, collector, hop, trusted, openfed, home } =
            World::open(place, Kind::Prosody).await?;
        let from = format!("sip:alice@{LOCAL}");
        let message = |text: &str| Outgoing::message(&from, "sip:bob@unknown.example", text);
        assert_eq!(trusted.send(&message("one"), openfed.sip()).await?.status(), Some(200));
        openfed.row_appears("unknown.example").await?;
        openfed.stop().await?;

        let setup =
            Setup { dns: Some(dns.address()), collector: collector.url(), ..Setup::default() };
        let openfed = openfed_tests::openfed::Openfed::start(place, &setup).await?;
        assert!(openfed.row("unknown.example").await?.is_some());
        let asked = dns.queries_about("unknown.example");
        assert_eq!(trusted.send(&message("two"), openfed.sip()).await?.status(), Some(200));
        hop.requests.wait_for("second MESSAGE", SOON, |own| own.body == "two").await?;
        assert_eq!(dns.queries_about("unknown.example"), asked, "no new discovery");
        drop(home);
        Ok(())
    });
}
