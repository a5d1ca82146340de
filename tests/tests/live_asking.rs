//! A domain whose XMPP server was down at first contact goes by SIP, until XMPP answers.

use openfed_tests::openfed::{LOCAL, Setup};
use openfed_tests::place::Host;
use openfed_tests::process::until;
use openfed_tests::prosody::{Lookup, Prosody};
use openfed_tests::scene::{SOON, play};
use openfed_tests::world::{Kind, World};
use openfed_tests::{Failure, http};

#[test]
fn a_row_without_a_proof_goes_when_the_xmpp_server_is_up_again() {
    play(async |place| {
        let more = "[discovery]\nask_again_seconds = 1\n".to_owned();
        let setup = Setup { more, ..Setup::default() };
        let world = World::with(place, Kind::Prosody, setup).await?;
        let World { dns, hop, openfed, home, .. } = &world;
        openfed.open_towards(hop.address()?).await?;
        // Given two domains whose XMPP server does not listen, and one without any,
        for name in ["foreign.example", "confirmed.example"] {
            dns.srv(&format!("_xmpp-server._tcp.{name}"), 0, 0, 5269, "xmpp.foreign.example")?;
        }
        dns.srv(&format!("_xmpp-server._tcp.{LOCAL}"), 0, 0, 5269, "xmpp.corp.example")?;
        dns.host("xmpp.corp.example", place.ip(Host::Openfed));
        dns.host("xmpp.foreign.example", place.ip(Host::Foreign));
        let alice = home.login("alice").await?;

        // when a user writes, then it goes by SIP, and the row says what that rests on.
        for (name, finding, proven) in [
            ("confirmed.example", "refused", false),
            ("foreign.example", "refused", false),
            ("unknown.example", "absent", true),
        ] {
            alice.say(&format!("bob@{name}"), name)?;
            hop.requests.wait_for("MESSAGE", SOON, |own| own.body == name).await?;
            let row = openfed.row_appears(name).await?;
            assert_eq!(
                (&row["finding"], &row["proven"]),
                (&finding.into(), &proven.into()),
                "{row}"
            );
            assert_eq!(row["asks_next"].is_null(), proven, "{row}");
            if name == "confirmed.example" {
                let told = openfed.command(&["domain", "confirm", name]).await?;
                assert!(told.contains("stays"), "{told}");
            }
        }
        let told = openfed.command(&["explain", "foreign.example"]).await?;
        assert!(told.contains("not proven: all addresses refused the connection"), "{told}");
        let asked = dns.queries_about("unknown.example");

        // When its server is up, then the row goes,
        let lookup = Lookup::Elsewhere(dns.address());
        let foreign =
            Prosody::start(place, Host::Foreign, "foreign.example", &["bob"], lookup).await?;
        let gone = async || openfed.row("foreign.example").await.is_ok_and(|row| row.is_none());
        let failure = || Failure::new("the row of foreign.example stays");
        until(gone).await.map_err(|_| failure())?;
        let audit = openfed.command(&["audit"]).await?;
        assert!(audit.contains("XMPP answered, SIP domain removed"), "{audit}");
        let metrics = http::get(openfed.api(), "/metrics").await?.text;
        let counted = |text: &str| metrics.lines().any(|line| line.starts_with(text));
        assert!(counted("openfed_router_rows_withdrawn_total 1"), "{metrics}");
        assert!(counted("openfed_router_asked_again_total{outcome=\"reached\"} 1"), "{metrics}");

        // and messages go by XMPP.
        let bob = foreign.login("bob").await?;
        alice.say("bob@foreign.example", "by XMPP at last")?;
        bob.hears("by XMPP at last").await?;
        // What was proven was not asked again, and what was confirmed is there.
        assert_eq!(dns.queries_about("unknown.example"), asked);
        let row = openfed.row_appears("confirmed.example").await?;
        assert_eq!((&row["origin"], &row["finding"]), (&"configured".into(), &"refused".into()));
        assert!(row["asks_next"].is_null(), "{row}");
        Ok(())
    });
}
