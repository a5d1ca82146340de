//! Trying whether a domain can be reached: each step with its time, and no message.

use openfed_tests::certificates::Authority;
use openfed_tests::kamailio::Kamailio;
use openfed_tests::openfed::Setup;
use openfed_tests::place::{Host, Place};
use openfed_tests::prosody::{Lookup, Prosody};
use openfed_tests::scene::play;
use openfed_tests::sip_peer::Reply;
use openfed_tests::world::{Kind, World};
use openfed_tests::{Failure, Result};
use serde_json::Value;

/// What a way's steps found: protocol, then for each what was tried, how it went, what was found.
type Found = Vec<(String, bool, String)>;

/// The steps over XMPP and over SIP.
async fn try_out(world: &World, domain: &str) -> Result<(Found, Found)> {
    let told = world.openfed.command(&["explain", domain, "--try", "--json"]).await?;
    let told: Value = serde_json::from_str(&told)?;
    let steps = |protocol: &str| {
        let ways = told["ways"].as_array().into_iter().flatten();
        let mut steps = ways.filter(|way| way["protocol"] == protocol);
        let steps = steps.next().and_then(|way| way["steps"].as_array()).cloned();
        let steps = steps.ok_or_else(|| Failure::new(format!("no {protocol}: {told}")))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let step = |step: &Value| {
            assert!(step["took_us"].as_u64().is_some_and(|took| took < 12_000_000), "{step}");
            (text(&step["what"]), step["good"] == true, text(&step["finding"]))
        };
        Ok::<_, Failure>(steps.iter().map(step).collect())
    };
    Ok((steps("xmpp")?, steps("sip")?))
}

/// Whether these steps were taken, went like that, and found what begins like that; in order.
#[track_caller]
fn are(found: &Found, expected: &[(&str, bool, &str)]) {
    let alike = found.iter().zip(expected).all(|((what, good, finding), expected)| {
        *what == expected.0 && *good == expected.1 && finding.starts_with(expected.2)
    });
    assert!(alike && found.len() == expected.len(), "{found:#?} is not {expected:#?}");
}

/// A next hop over TLS, by the open route; its certificate has this name.
async fn with_tls_hop(place: &Place, name: &str) -> Result<(World, Kamailio)> {
    let authority = Authority::new(&place.directory("authority")?)?;
    let files = authority.certify(&place.directory("hop")?, &[name])?;
    let more = format!("[sip.tls]\nca = \"{}\"\n", authority.file().display());
    let world = World::with(place, Kind::Prosody, Setup { more, ..Setup::default() }).await?;
    let at = place.at(Host::SecondSipPeer, 5061);
    world.dns.srv("_sips._tcp.hop.example", 0, 0, 5061, "one.hop.example")?;
    world.dns.host("one.hop.example", at.ip());
    let kamailio = Kamailio::start_tls(place, at, world.hop.address()?, &files).await?;
    world.openfed.open_by("hop.example", 0, "tls").await?;
    Ok((world, kamailio))
}

#[test]
fn a_domain_that_both_ways_reach_shows_each_step_and_no_message_is_sent() {
    play(async |place| {
        let (world, _kamailio) = with_tls_hop(place, "hop.example").await?;
        let server = place.at(Host::Foreign, 5269);
        world.dns.srv("_xmpp-server._tcp.foreign.example", 0, 0, 5269, "xmpp.foreign.example")?;
        world.dns.host("xmpp.foreign.example", server.ip());
        let lookup = Lookup::Elsewhere(world.dns.address());
        let _foreign =
            Prosody::start(place, Host::Foreign, "foreign.example", &["bob"], lookup).await?;

        let (xmpp, sip) = try_out(&world, "foreign.example").await?;
        let (stream, tls) = (format!("XML stream with {server}"), format!("TLS with {server} as"));
        are(
            &xmpp,
            &[
                ("SRV of foreign.example for XMPP servers", true, &server.to_string()),
                (&format!("Connect to {server}"), true, "connected"),
                (&stream, true, "STARTTLS"),
                (&format!("{tls} foreign.example"), true, "TLS 1.3; the certificate does not"),
                (&stream, true, "open; offers dialback"),
            ],
        );
        let hop = place.at(Host::SecondSipPeer, 5061);
        are(
            &sip,
            &[
                ("SRV of hop.example for tls", true, &hop.to_string()),
                (&format!("Connect to {hop}"), true, "connected"),
                (&format!("TLS with {hop} as hop.example"), true, "TLS 1."),
                (&format!("OPTIONS to {hop} over tls"), true, "200 "),
            ],
        );
        assert_eq!(world.openfed.flows("foreign.example").await?, Vec::<Value>::new());
        assert_eq!(world.openfed.row("foreign.example").await?, None);
        // Our own domain is on our own server, which SIP has no part in.
        let told = world.openfed.command(&["explain", "corp.example", "--try"]).await?;
        assert!(told.contains("open; offers dialback"), "{told}");
        assert!(!told.contains("SIP"), "{told}");
        Ok(())
    });
}

#[test]
fn what_does_not_work_is_named_at_the_step_where_it_ends() {
    play(async |place| {
        let (world, _kamailio) = with_tls_hop(place, "other.example").await?;
        let nobody = place.at(Host::Foreign, 5269);
        world.dns.srv("_xmpp-server._tcp.dead.example", 0, 0, 5269, "xmpp.dead.example")?;
        world.dns.host("xmpp.dead.example", nobody.ip());
        let hop = place.at(Host::SecondSipPeer, 5061);

        let (xmpp, sip) = try_out(&world, "dead.example").await?;
        are(
            &xmpp,
            &[
                ("SRV of dead.example for XMPP servers", true, &nobody.to_string()),
                (&format!("Connect to {nobody}"), false, "Connection refused"),
            ],
        );
        are(
            &sip,
            &[
                ("SRV of hop.example for tls", true, &hop.to_string()),
                (&format!("Connect to {hop}"), true, "connected"),
                (&format!("TLS with {hop} as hop.example"), false, "invalid peer certificate"),
            ],
        );
        world.openfed.open_by("nowhere.example", 5060, "tcp").await?;
        let (xmpp, sip) = try_out(&world, "nobody.example").await?;
        are(&xmpp, &[("SRV of nobody.example for XMPP servers", false, "no SRV records and")]);
        are(&sip, &[("Addresses of nowhere.example", false, "no such name")]);
        Ok(())
    });
}

#[test]
fn a_next_hop_that_does_not_answer_is_asked_again_and_then_given_up() {
    play(async |place| {
        let world = World::open(place, Kind::Prosody).await?;
        let hop = world.hop.address()?;
        world.hop.answer(Reply::Silence);
        let (_, sip) = try_out(&world, "unknown.example").await?;
        let (addresses, asked) =
            (format!("Addresses of {}", hop.ip()), format!("OPTIONS to {hop} over udp"));
        let found = hop.to_string();
        are(&sip, &[(&addresses, true, &found), (&asked, false, "no answer within 4.0 s")]);
        let asked = world.hop.requests.all();
        assert!(asked.iter().all(|request| request.method() == "OPTIONS"), "{asked:?}");
        // Any final answer shows that SIP is spoken there.
        world.hop.answer(Reply::Status(405, "Method Not Allowed"));
        let (_, sip) = try_out(&world, "unknown.example").await?;
        are(&sip, &[(&addresses, true, &found), (&sip[1].0, true, "405 Method Not Allowed")]);
        Ok(())
    });
}
