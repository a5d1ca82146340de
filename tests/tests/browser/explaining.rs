//! Explain, for a domain of every kind.

use openfed_tests::openfed::Setup;
use openfed_tests::scene::play;

use super::desk::{Desk, PASSWORD};

#[test]
fn explain_tells_the_way_of_a_domain_of_every_kind() {
    play(async |place| {
        let more = Setup { xmpp: "deny = [\"denied.example\"]", ..Setup::default() };
        let mut desk = Desk::with(place, more).await?;
        desk.openfed.open_towards(desk.hop.address()?).await?;
        assert_eq!(desk.write_to("cached.example").await?, 200);
        desk.openfed.row_appears("cached.example").await?;
        let hop = desk.hop.address()?;
        let (host, port) = (hop.ip().to_string(), hop.port().to_string());
        for pattern in [".example.routed", ".example.closed"] {
            let add = ["route", "add", pattern, "--next-hop", &host, "--port", &port];
            desk.openfed.command(&[&add[..], &["--protocol", "udp"]].concat()).await?;
        }
        for command in [
            ["domain", "add", "configured.example"],
            ["domain", "block", "blocked.example"],
            ["domain", "pin", "pinned.example"],
            ["route", "block", ".example.closed"],
        ] {
            desk.openfed.command(&command).await?;
        }
        let browser = &mut desk.browser;
        for (domain, decision, reason) in [
            ("corp.example", "local", "Is it one of our own domains? yes"),
            ("configured.example", "configured", "yes: configured by the operator"),
            ("cached.example", "cached", "yes: discovered by correspondence"),
            ("routed.example", "configured", "yes: a static route names it"),
            ("blocked.example", "blocked", "Is the domain blocked? yes"),
            ("closed.example", "blocked", "Is its most specific static route blocked? yes"),
            ("pinned.example", "configured", "It is pinned to XMPP."),
            ("pinned.example", "configured", "Is the domain pinned to XMPP? yes"),
            (
                "unknown.example",
                "discover",
                "Try SIP by the open route; if that works, remember it.",
            ),
        ] {
            browser.open("/explain").await?;
            browser.fill("main #domain", domain).await?;
            browser.click("main button[type=submit]").await?;
            browser.shows("#decision", domain).await?;
            let shown = browser.text("#explained").await?;
            assert!(shown.contains(&format!("{domain}: {decision}")), "{shown}");
            assert!(shown.contains(reason), "{domain}: {shown}");
        }
        browser.picture("explain").await?;

        // What is no domain is said beside the field; and what changes is explained anew.
        browser.fill("main #domain", "not a domain").await?;
        browser.click("main button[type=submit]").await?;
        browser.shows("#domain-fault", "The domain ").await?;
        browser.open("/explain?domain=unknown.example").await?;
        browser.stays().await?;
        desk.openfed.command(&["route", "block", ".*"]).await?;
        let browser = &desk.browser;
        browser.shows("#explained", "Is the open route .* unblocked and in service? no").await?;
        assert!(browser.has_stayed().await?);
        desk.browser.end().await
    });
}

#[test]
fn a_domain_is_tried_out_and_the_decision_stays_beside_what_came_of_it() {
    play(async |place| {
        let mut desk = Desk::open(place).await?;
        let (hop, browser) = (desk.hop.address()?, &mut desk.browser);
        browser.open("/explain?domain=unknown.example").await?;
        browser.click("#try").await?;
        browser.shows("#tried", &format!("OPTIONS to {hop} over udp")).await?;
        let shown = browser.text("#tried").await?;
        assert!(shown.contains("no SRV records and no addresses"), "{shown}");
        assert!(shown.contains("200 OK"), "{shown}");
        browser.shows("#decision", "unknown.example: discover").await?;
        browser.is_accessible().await?;
        browser.picture("explain-tried").await?;
        // The page goes on to follow what changes.
        browser.stays().await?;
        desk.openfed.command(&["domain", "block", "unknown.example"]).await?;
        browser.shows("#decision", "unknown.example: blocked").await?;
        assert!(browser.has_stayed().await?);
        assert!(browser.text("#tried").await?.contains("200 OK"));

        // Who may not change anything may not have us connect to anybody.
        desk.add_user("vera", "viewer").await?;
        desk.browser.choose("Log out").await?;
        desk.browser.shows("h1", "Log in").await?;
        desk.log_in("vera", PASSWORD).await?;
        let browser = &desk.browser;
        browser.shows("h1", "Overview").await?;
        browser.open("/explain?domain=unknown.example").await?;
        browser.shows("#decision", "unknown.example: blocked").await?;
        assert!(!browser.has("#try").await?);
        desk.browser.end().await
    });
}
