//! Explain, for a domain of every kind.

use openfed_tests::openfed::Setup;
use openfed_tests::scene::play;

use super::desk::Desk;

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
