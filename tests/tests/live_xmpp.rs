//! Foreign XMPP domains: openfed is a complete server-to-server edge for the home server.

use openfed_tests::certificates::Authority;
use openfed_tests::ejabberd::Ejabberd;
use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::process::until;
use openfed_tests::prosody::{Lookup, Prosody};
use openfed_tests::scene::{SOON, play};
use openfed_tests::world::{Kind, World};
use openfed_tests::xmpp_client::condition;
use openfed_tests::{Result, http};

/// A world with `foreign.example` on a Prosody elsewhere, which finds us by DNS as everyone does.
async fn with_foreign(place: &Place, kind: Kind) -> Result<(World, Prosody)> {
    with_foreign_for(place, kind, Setup::default()).await
}

/// openfed with a certificate of the local domain that all servers of the scene trust.
fn trusted(place: &Place) -> Result<Setup> {
    let files = Authority::of(place)?.certify(&place.directory("identity")?, &[LOCAL])?;
    let tls = format!("certificate = {:?}\nkey = {:?}", files.certificate, files.key);
    Ok(Setup { tls, ..Setup::default() })
}

async fn with_foreign_for(place: &Place, kind: Kind, setup: Setup) -> Result<(World, Prosody)> {
    let world = announced(place, kind, setup).await?;
    let lookup = Lookup::Elsewhere(world.dns.address());
    let foreign = Prosody::start(place, Host::Foreign, "foreign.example", &["bob"], lookup).await?;
    Ok((world, foreign))
}

/// A world in whose DNS `foreign.example` and the local domain have XMPP servers.
async fn announced(place: &Place, kind: Kind, setup: Setup) -> Result<World> {
    let world = World::with(place, kind, setup).await?;
    world.openfed.open_towards(world.hop.address()?).await?;
    for (domain, host) in [("foreign.example", Host::Foreign), (LOCAL, Host::Openfed)] {
        let target = format!("xmpp.{domain}");
        world.dns.srv(&format!("_xmpp-server._tcp.{domain}"), 0, 0, 5269, &target)?;
        world.dns.host(&target, place.ip(host));
    }
    Ok(world)
}

async fn both_directions(place: &Place, kind: Kind) -> Result<()> {
    let (world, foreign) = with_foreign(place, kind).await?;
    let alice = world.home.login("alice").await?;
    let bob = foreign.login("bob").await?;
    let at_home = format!("alice@{LOCAL}");

    alice.say("bob@foreign.example", "hello over there")?;
    let heard = bob.hears("hello over there").await?;
    assert_eq!(heard.attr("from"), Some(alice.jid().as_str()), "untouched");
    bob.say(&at_home, "hello back")?;
    let heard = alice.hears("hello back").await?;
    assert_eq!(heard.attr("from"), Some(bob.jid().as_str()), "untouched");

    // It speaks XMPP: no row, and nothing by SIP.
    assert_eq!(world.openfed.row("foreign.example").await?, None);
    assert_eq!(world.hop.requests.all().len(), 0);
    Ok(())
}

#[test]
fn a_foreign_xmpp_domain_and_a_user_on_prosody_write_to_each_other() {
    play(async |place| both_directions(place, Kind::Prosody).await);
}

#[test]
fn a_foreign_xmpp_domain_and_a_user_on_ejabberd_write_to_each_other() {
    play(async |place| both_directions(place, Kind::Ejabberd).await);
}

#[test]
fn a_foreign_xmpp_domain_and_a_user_on_jabberd2_write_to_each_other() {
    play(async |place| both_directions(place, Kind::Jabberd2).await);
}

#[test]
fn a_foreign_user_begins_the_conversation() {
    play(async |place| {
        let (world, foreign) = with_foreign(place, Kind::Prosody).await?;
        let alice = world.home.login("alice").await?;
        let bob = foreign.login("bob").await?;
        bob.say(&format!("alice@{LOCAL}"), "me first")?;
        alice.hears("me first").await?;
        Ok(())
    });
}

#[test]
fn disco_and_ping_pass_between_xmpp_domains_in_both_directions() {
    play(async |place| {
        let (world, foreign) = with_foreign(place, Kind::Prosody).await?;
        let alice = world.home.login("alice").await?;
        let bob = foreign.login("bob").await?;

        let answer = alice.disco("foreign.example").await?;
        let query = answer.children().next().map(|query| query.children().count());
        assert_eq!(answer.attr("type"), Some("result"));
        assert!(query.is_some_and(|features| features > 3), "{answer:?}");
        assert_eq!(alice.ping("foreign.example").await?.attr("type"), Some("result"));
        assert_eq!(bob.ping(LOCAL).await?.attr("type"), Some("result"));
        assert_eq!(bob.disco(LOCAL).await?.attr("type"), Some("result"));
        Ok(())
    });
}

#[test]
fn what_the_foreign_server_answers_is_the_answer() {
    play(async |place| {
        let (world, _foreign) = with_foreign(place, Kind::Prosody).await?;
        let alice = world.home.login("alice").await?;
        let message = alice.say("nobody@foreign.example", "anyone?")?;
        assert_eq!(alice.condition_of(&message, SOON).await?, "service-unavailable");
        assert_eq!(world.hop.requests.all().len(), 0, "never by SIP");
        Ok(())
    });
}

#[test]
fn a_refused_xmpp_connection_leads_to_sip() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        // Its DNS promises an XMPP server; nobody listens there.
        world.dns.srv("_xmpp-server._tcp.gone.example", 0, 0, 5269, "xmpp.gone.example")?;
        world.dns.host("xmpp.gone.example", place.ip(Host::Nobody));
        let alice = world.home.login("alice").await?;
        alice.say("bob@gone.example", "by SIP then")?;
        let request = world.hop.requests.wait_for("MESSAGE", SOON, |_| true).await?;
        assert_eq!(request.uri(), "sip:bob@gone.example");
        world.openfed.row_appears("gone.example").await?;
        Ok(())
    });
}

#[test]
fn a_foreign_server_that_died_does_not_turn_its_domain_into_sip() {
    play(async |place| {
        let (world, mut foreign) = with_foreign(place, Kind::Prosody).await?;
        let alice = world.home.login("alice").await?;
        let bob = foreign.login("bob").await?;
        alice.say("bob@foreign.example", "still alive")?;
        bob.hears("still alive").await?;
        foreign.kill().await?;

        let message = alice.say("bob@foreign.example", "and now?")?;
        assert_eq!(alice.condition_of(&message, SOON).await?, "remote-server-timeout");
        assert_eq!(world.hop.requests.all().len(), 0);
        assert_eq!(world.openfed.row("foreign.example").await?, None);
        Ok(())
    });
}

/// How many stanzas have passed through between XMPP domains.
async fn passed(world: &World) -> u64 {
    let [.., xmpp] = world.openfed.http();
    let metrics = http::get(xmpp, "/metrics").await.map_or(String::new(), |answer| answer.text);
    let mut lines = metrics.lines();
    let passed = lines.find_map(|line| line.strip_prefix("openfed_xmpp_passed_total "));
    passed.map_or(0, |number| number.parse().unwrap_or_default())
}

#[test]
fn a_foreign_server_that_trusts_our_certificate_says_what_it_has() {
    play(async |place| {
        let (world, mut foreign) = with_foreign_for(place, Kind::Prosody, trusted(place)?).await?;
        let alice = world.home.login("alice").await?;
        let bob = foreign.login("bob").await?;
        alice.say("bob@foreign.example", "hello over there")?;
        bob.hears("hello over there").await?;
        foreign.process().line("Accepting SASL EXTERNAL identity from corp.example").await?;

        // Its system takes what it will never read.
        let before = passed(&world).await;
        foreign.process().freeze()?;
        let mut unread = Vec::new();
        for number in 0..3 {
            unread.push(alice.say("bob@foreign.example", &format!("unread {number}"))?);
        }
        until(async || passed(&world).await == before + 3).await?;
        foreign.kill().await?;
        for message in unread {
            assert_eq!(alice.condition_of(&message, SOON).await?, "remote-server-timeout");
        }
        let errors = alice.stanzas.count(|stanza| stanza.attr("type") == Some("error"));
        assert_eq!(errors, 3, "what it had is not in doubt");
        Ok(())
    });
}

#[test]
fn an_ejabberd_that_trusts_our_certificate_is_written_to_without_dialback() {
    play(async |place| {
        let world = announced(place, Kind::Prosody, trusted(place)?).await?;
        let dns = world.dns.address();
        let foreign =
            Ejabberd::start(place, Host::Foreign, "foreign.example", &["bob"], dns).await?;
        let alice = world.home.login("alice").await?;
        let bob = foreign.login("bob").await?;
        for number in 0..3 {
            let text = format!("hello {number}");
            alice.say("bob@foreign.example", &text)?;
            bob.hears(&text).await?;
        }
        bob.say(&format!("alice@{LOCAL}"), "hello back")?;
        alice.hears("hello back").await?;
        foreign.process().line("EXTERNAL authentication corp.example -> foreign.example").await?;
        let errors = alice.stanzas.count(|stanza| stanza.attr("type") == Some("error"));
        assert_eq!(errors, 0);
        Ok(())
    });
}

#[test]
fn a_pinned_domain_never_goes_by_sip() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        world.openfed.command(&["domain", "pin", "pinned.example"]).await?;
        let alice = world.home.login("alice").await?;
        let message = alice.say("bob@pinned.example", "XMPP or nothing")?;
        assert_eq!(alice.condition_of(&message, SOON).await?, "remote-server-not-found");
        assert_eq!(world.hop.requests.all().len(), 0);
        Ok(())
    });
}

#[test]
fn iq_to_a_sip_user_is_answered_here_and_never_falls_back() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let alice = world.home.login("alice").await?;

        // Unknown: XMPP's error, and no discovery.
        let ping = alice.ping("bob@unknown.example").await?;
        assert_eq!(condition(&ping).as_deref(), Some("remote-server-not-found"));
        assert_eq!(world.hop.requests.all().len(), 0);
        assert_eq!(world.openfed.row("unknown.example").await?, None);

        // Known as SIP: answered on its users' behalf.
        world.openfed.command(&["domain", "add", "known.example"]).await?;
        let disco = alice.disco("bob@known.example").await?;
        assert_eq!(disco.attr("type"), Some("result"), "{disco:?}");
        assert_eq!(alice.ping("bob@known.example").await?.attr("type"), Some("result"));
        let roster = tokio_xmpp::minidom::Element::builder("query", "jabber:iq:roster").build();
        let other = alice.ask("bob@known.example", roster).await?;
        assert_eq!(condition(&other).as_deref(), Some("service-unavailable"));
        Ok(())
    });
}

#[test]
fn a_foreign_server_that_claims_a_local_domain_is_refused() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        world.dns.srv("_xmpp-server._tcp.other.example", 0, 0, 5269, "us.example")?;
        world.dns.host("us.example", place.ip(Host::Openfed));
        // A server elsewhere serves the operator's own domain, and writes to where openfed listens.
        let lookup = Lookup::Elsewhere(world.dns.address());
        let impostor = Prosody::start(place, Host::Foreign, LOCAL, &["mallory"], lookup).await?;
        let mallory = impostor.login("mallory").await?;
        let message = mallory.say("bob@other.example", "I am one of yours")?;
        mallory.condition_of(&message, SOON).await?;
        assert_eq!(world.hop.requests.all().len(), 0);
        Ok(())
    });
}
