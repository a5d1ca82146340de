//! The operator at the console, in a browser: open federation is configured, watched and undone.

use openfed_tests::Result;
use openfed_tests::browser::Browser;
use openfed_tests::dns::DnsServer;
use openfed_tests::openfed::{LOCAL, Openfed, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::scene::play;
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;

const ALICE: &str = "sip:alice@corp.example";

/// openfed with a next hop and a trusted SIP user; no home server is needed for SIP to SIP.
struct Desk {
    hop: SipPeer,
    trusted: SipPeer,
    openfed: Openfed,
    browser: Browser,
    _dns: DnsServer,
}

impl Desk {
    async fn set(place: &Place) -> Result<Self> {
        assert!(ALICE.ends_with(LOCAL));
        let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
        let setup = Setup { dns: Some(dns.address()), ..Setup::default() };
        let openfed = Openfed::start(place, &setup).await?;
        let hop = SipPeer::start(place.at(Host::NextHop, 5060)).await?;
        let trusted = SipPeer::start(place.at(Host::SipPeer, 5060)).await?;
        let browser = Browser::start(place, openfed.api()).await?;
        Ok(Self { hop, trusted, openfed, browser, _dns: dns })
    }

    /// Alice writes to somebody at a domain; the status that she gets.
    async fn write_to(&self, domain: &str) -> Result<u16> {
        let message = Outgoing::message(ALICE, &format!("sip:bob@{domain}"), "hello");
        let answer = self.trusted.send(&message, self.openfed.sip()).await?;
        Ok(answer.status().unwrap_or_default())
    }
}

#[test]
fn the_open_route_is_configured_in_seven_steps_and_a_row_appears_without_reload() {
    play(async |place| {
        let mut desk = Desk::set(place).await?;
        assert_eq!(desk.write_to("unknown.example").await?, 404, "closed after a fresh install");
        let next_hop = desk.hop.address()?;
        let browser = &mut desk.browser;

        // 1: the console says that open federation is not active, and why.
        browser.open("/").await?;
        browser.shows("#overview", "not active").await?;
        browser.shows("#overview", "no next hop, port and protocol yet").await?;
        browser.picture("step-1-overview").await?;
        // 2: Presence › Routing › Static Routes.
        browser.choose("Static Routes").await?;
        browser.shows("h1", "Static Routes").await?;
        browser.picture("step-2-static-routes").await?;
        // 3: the pre-defined route is found.
        browser.fill("#find", ".*").await?;
        browser.choose("Find").await?;
        browser.shows("#routes caption", "1 of 1 static routes").await?;
        browser.choose(".*").await?;
        browser.shows("h1", "Static Route Configuration").await?;
        browser.picture("step-3-pre-filled").await?;
        // 4: next hop, port and protocol.
        browser.fill("#next_hop", &next_hop.ip().to_string()).await?;
        browser.fill("#port", &next_hop.port().to_string()).await?;
        browser.select("#protocol", "udp").await?;
        browser.picture("step-4-next-hop").await?;
        // 5: Service is on.
        assert!(browser.find("#in_service").await?.is_selected().await?);
        browser.picture("step-5-service").await?;
        // 6: Block Route is unchecked.
        assert!(browser.find("#blocked").await?.is_selected().await?);
        browser.click("#blocked").await?;
        browser.picture("step-6-unblocked").await?;
        // 7: saved, and in effect at once.
        browser.choose("Save").await?;
        browser.shows("[role=status]", "Saved").await?;
        browser.shows("#routes", "open").await?;
        browser.picture("step-7-saved").await?;
        browser.open("/").await?;
        browser.shows("#overview", "active").await?;
        browser.hides("#overview", "not active").await?;

        browser.open("/federation/sip").await?;
        browser.shows("#domains", "No SIP domain is known yet").await?;
        browser.script("window.unloaded = false", Vec::new()).await?;
        assert_eq!(desk.write_to("unknown.example").await?, 200);
        let browser = &mut desk.browser;
        browser.shows("#domains tbody", "unknown.example").await?;
        browser.shows("#domains tbody", "cached").await?;
        let same = browser.script("return window.unloaded === false", Vec::new()).await?;
        assert_eq!(same, true, "the page was loaded anew");
        browser.picture("row-appeared").await?;
        desk.browser.end().await
    });
}
