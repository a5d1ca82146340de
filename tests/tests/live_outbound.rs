//! A user of the operator's XMPP server writes to people on SIP domains that nobody configured.

use openfed_tests::Result;
use openfed_tests::kamailio::{Challenge, Kamailio};
use openfed_tests::openfed::LOCAL;
use openfed_tests::place::{Host, Place};
use openfed_tests::scene::{SOON, play};
use openfed_tests::sip::Outgoing;
use openfed_tests::sipp::Sipp;
use openfed_tests::world::{Kind, World};
use tokio_xmpp::jid::Jid;
use tokio_xmpp::minidom::Element;
use tokio_xmpp::parsers::message::{Lang, Message, Thread};

const BOB: &str = "bob@unknown.example";

/// The message with all that the mapping knows (RFC 7572, table 1).
fn rich_message() -> Result<Message> {
    let mut message = Message::chat(Jid::new(BOB)?);
    message.bodies.insert(Lang::from("de"), "Grüß Gott, Bob".to_owned());
    message.subjects.insert(Lang::from("de"), "Begrüßung".to_owned());
    message.thread = Some(Thread { parent: None, id: "thread-of-alice".to_owned() });
    Ok(message)
}

async fn a_user_writes_to_an_unknown_domain_and_is_answered(
    place: &Place,
    kind: Kind,
) -> Result<()> {
    let world = World::open(place, kind).await?;
    let World { dns, hop, openfed, home, .. } = &world;
    let alice = home.login("alice").await?;

    alice.say_message(rich_message()?)?;

    // XMPP was tried first.
    let request = hop.requests.wait_for("MESSAGE at the next hop", SOON, |_| true).await?;
    assert!(dns.queries_about("_xmpp-server._tcp.unknown.example") > 0);
    // S-098, S-099, S-100, S-109: the mapped headers.
    assert_eq!((request.method(), request.uri()), ("MESSAGE", "sip:bob@unknown.example"));
    assert_eq!(request.address("To"), Some("sip:bob@unknown.example"));
    let from = request.address("From").unwrap_or_default().to_owned();
    let resource = alice.jid().resource().map(|resource| resource.to_string());
    assert!(from.starts_with(&format!("sip:alice@{LOCAL};gr=")), "{from}");
    assert!(resource.is_some_and(|resource| from.ends_with(&resource)), "{from}");
    assert_eq!(request.body, "Grüß Gott, Bob");
    assert_eq!(request.header("Subject"), Some("Begrüßung"));
    assert_eq!(request.header("Content-Language"), Some("de"));
    assert!(request.header("Content-Type").is_some_and(|own| own.starts_with("text/plain")));
    assert!(request.header("Call-ID").is_some_and(|own| own.contains("thread-of-alice")));
    assert_eq!(request.header("Contact"), None);
    // The domain is known from now on.
    let row = openfed.row_appears("unknown.example").await?;
    assert_eq!(row["origin"], "discovered");
    assert_eq!(row["direction"], "outbound");

    // The answer reaches the user.
    let answer = Outgoing::message(&format!("sip:{BOB}"), &format!("sip:alice@{LOCAL}"), "servus");
    assert_eq!(hop.send(&answer, openfed.sip()).await?.status(), Some(200));
    let heard = alice.hears("servus").await?;
    let from = heard.attr("from").unwrap_or_default().to_owned();
    assert_eq!(from, format!("{BOB}/openfed-sip"), "some clients hear nobody without a resource");
    assert!(heard.attr("to").is_some_and(|to| to.starts_with(&format!("alice@{LOCAL}"))));
    // Whoever answers there reaches the user, not a device.
    alice.say(&from, "und tschüss")?;
    let last = hop.requests.wait_for("MESSAGE", SOON, |own| own.body == "und tschüss").await?;
    assert_eq!(
        (last.uri(), last.address("To")),
        ("sip:bob@unknown.example", Some("sip:bob@unknown.example"))
    );
    assert_eq!(hop.unreadable.all(), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_user_on_prosody_writes_to_an_unknown_domain_and_is_answered() {
    play(async |place| {
        a_user_writes_to_an_unknown_domain_and_is_answered(place, Kind::Prosody).await
    });
}

#[test]
fn a_user_on_ejabberd_writes_to_an_unknown_domain_and_is_answered() {
    play(async |place| {
        a_user_writes_to_an_unknown_domain_and_is_answered(place, Kind::Ejabberd).await
    });
}

#[test]
fn a_user_on_jabberd2_writes_to_an_unknown_domain_and_is_answered() {
    play(async |place| {
        a_user_writes_to_an_unknown_domain_and_is_answered(place, Kind::Jabberd2).await
    });
}

#[test]
fn the_documented_hop_of_a_user_is_one_flow_and_the_second_message_tries_no_xmpp() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { dns, hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;

        alice.say(BOB, "one")?;
        openfed.row_appears("unknown.example").await?;
        let asked = dns.queries_about("unknown.example");
        alice.say(BOB, "two")?;
        let two = hop.requests.wait_for("second MESSAGE", SOON, |own| own.body == "two").await?;

        assert_eq!(two.uri(), "sip:bob@unknown.example");
        assert_eq!(dns.queries_about("unknown.example"), asked, "no XMPP attempt");
        let flows = openfed.flows("unknown.example").await?;
        let first = flows.first().map(|flow| flow["hops"].to_string()).unwrap_or_default();
        let roles = first.matches("\"role\":\"xmpp-cm\"").count();
        assert!(roles >= 2, "in at xmpp-cm, and back at it for the attempt: {first}");
        assert!(first.contains("\"role\":\"sip-cm\""), "{first}");
        Ok(())
    });
}

#[test]
fn sipp_is_a_next_hop_and_sends_the_answer() {
    play(async |place| {
        let world = World::closed(place, Kind::Prosody).await?;
        let World { openfed, home, .. } = &world;
        let sipp_at = place.at(Host::SecondSipPeer, 5060);
        let keys = [("status", "200"), ("reason", "OK")];
        let server = Sipp::server(place, "message_server.xml", sipp_at, &keys).await?;
        openfed.open_towards(sipp_at).await?;
        let alice = home.login("alice").await?;

        alice.say(BOB, "to SIPp")?;
        openfed.row_appears("unknown.example").await?;
        let messages = server.messages()?;
        assert!(messages.contains("MESSAGE sip:bob@unknown.example SIP/2.0"), "{messages}");
        drop(server);

        let to = format!("sip:alice@{LOCAL}");
        let keys = [("from", "sip:bob@unknown.example"), ("to", &to), ("text", "from SIPp")];
        let sipp = Sipp::client(place, "message_client.xml", sipp_at, openfed.sip(), 1, &keys)?;
        sipp.succeeds(SOON).await?;
        alice.hears("from SIPp").await?;
        Ok(())
    });
}

#[test]
fn kamailio_is_a_next_hop() {
    play(async |place| {
        let world = World::closed(place, Kind::Prosody).await?;
        let World { openfed, home, hop, .. } = &world;
        let kamailio_at = place.at(Host::SecondSipPeer, 5060);
        let _kamailio =
            Kamailio::start(place, kamailio_at, hop.address()?, Challenge::None).await?;
        openfed.open_towards(kamailio_at).await?;
        let alice = home.login("alice").await?;

        alice.say(BOB, "through Kamailio")?;
        let request = hop.requests.wait_for("MESSAGE beyond Kamailio", SOON, |_| true).await?;
        assert_eq!(request.body, "through Kamailio");
        assert_eq!(request.all("Via").count(), 2);
        Ok(())
    });
}

#[test]
fn typing_alone_is_no_message_and_what_has_no_meaning_in_sip_is_not_sent() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { openfed, home, hop, .. } = &world;
        let alice = home.login("alice").await?;
        openfed.command(&["domain", "add", "unknown.example"]).await?;

        // S-113: a chat state without a text.
        let mut typing = Message::chat(Jid::new(BOB)?);
        let state = Element::builder("composing", "http://jabber.org/protocol/chatstates");
        typing.payloads.push(state.build());
        alice.say_message(typing)?;
        alice.say(BOB, "and then a text")?;

        let first = hop.requests.wait_for("request", SOON, |_| true).await?;
        assert_eq!(first.body, "and then a text");
        Ok(())
    });
}

#[test]
fn a_message_beyond_1300_bytes_is_refused_and_a_shorter_one_passes() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { openfed, home, hop, .. } = &world;
        let alice = home.login("alice").await?;
        openfed.command(&["domain", "add", "unknown.example"]).await?;

        // S-105: the whole request counts, in bytes; these are two per letter.
        let long = alice.say(BOB, &"ü".repeat(650))?;
        assert_eq!(alice.condition_of(&long, SOON).await?, "policy-violation");
        alice.say(BOB, &"u".repeat(650))?;
        let request = hop.requests.wait_for("request", SOON, |_| true).await?;
        assert_eq!(request.body.len(), 650);
        Ok(())
    });
}

#[test]
fn a_closed_feature_is_invisible_to_the_user() {
    play(async |place| {
        let world = World::closed(place, Kind::Prosody).await?;
        let alice = world.home.login("alice").await?;
        let message = alice.say(BOB, "nobody there")?;
        assert_eq!(alice.condition_of(&message, SOON).await?, "remote-server-not-found");
        assert_eq!(world.hop.requests.all().len(), 0);
        assert_eq!(world.openfed.row("unknown.example").await?, None);
        Ok(())
    });
}

#[test]
fn fifty_messages_at_once_to_an_unknown_domain_are_one_discovery_and_keep_their_order() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { dns, openfed, home, hop, .. } = &world;
        let alice = home.login("alice").await?;
        let texts: Vec<_> = (0..50).map(|number| format!("message {number}")).collect();
        for text in &texts {
            alice.say(BOB, text)?;
        }
        let all = |requests: &[_]| (requests.len() >= 50).then_some(());
        hop.requests.wait_until("50 requests", SOON, all).await?;

        let bodies: Vec<_> = hop.requests.all().into_iter().map(|own| own.body).collect();
        assert_eq!(bodies, texts);
        assert!(openfed.row("unknown.example").await?.is_some());
        let attempts = dns.queries_about("_xmpp-server._tcp.unknown.example");
        assert!(attempts <= 2, "one XMPP attempt, for IPv4 and IPv6: {attempts} questions");
        Ok(())
    });
}

#[test]
fn a_users_message_reaches_only_the_domain_that_it_was_meant_for() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { openfed, home, hop, trusted, .. } = &world;
        let alice = home.login("alice").await?;
        let other = trusted.address()?;
        let (host, port) = (other.ip().to_string(), other.port().to_string());
        let route = ["route", "add", ".example.special", "--next-hop", &host, "--port", &port];
        openfed.command(&[&route[..], &["--protocol", "udp"]].concat()).await?;

        alice.say("bob@special.example", "by its own route")?;
        alice.say("bob@notspecial.example", "by the open route")?;
        let own = trusted.requests.wait_for("routed message", SOON, |_| true).await?;
        assert_eq!(own.uri(), "sip:bob@special.example");
        let open = hop.requests.wait_for("message by the open route", SOON, |_| true).await?;
        assert_eq!(open.uri(), "sip:bob@notspecial.example");
        Ok(())
    });
}

/// Clients write a chat state before the first text to a new contact, as they open a window or at the
/// first key: that is no correspondence (S-113).
#[test]
fn typing_to_a_new_contact_discovers_nothing_and_gets_no_error() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let World { dns, hop, openfed, home, .. } = &world;
        let alice = home.login("alice").await?;
        let states = "http://jabber.org/protocol/chatstates";
        let state = |name: &str| Element::builder(name, states).build();
        let typing = |name: &str| -> Result<Message> {
            let mut message = Message::chat(Jid::new(BOB)?);
            message.payloads.push(state(name));
            Ok(message)
        };
        alice.say_message(typing("active")?)?;
        alice.say_message(typing("composing")?)?;
        // Streams are in order: when this one is answered, both have been looked at.
        alice.ping("unknown.example").await?;
        assert_eq!(openfed.flows("unknown.example").await?.len(), 1, "the ping alone");
        assert_eq!(openfed.row("unknown.example").await?, None);

        alice.say(BOB, "hello")?;
        hop.requests.wait_for("MESSAGE at the next hop", SOON, |_| true).await?;
        openfed.row_appears("unknown.example").await?;
        alice.say_message(typing("gone")?)?;
        alice.ping("unknown.example").await?;
        let error = |stanza: &&Element| stanza.name() == "message";
        assert_eq!(alice.stanzas.count(error), 0, "no error for any of them");
        assert_eq!(hop.requests.all().len(), 1);
        assert!(dns.queries_about("_xmpp-server._tcp.unknown.example") > 0);
        Ok(())
    });
}
