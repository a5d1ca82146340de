//! openfed, its peers, and a browser at its console.

use openfed_tests::Result;
use openfed_tests::browser::Browser;
use openfed_tests::dns::DnsServer;
use openfed_tests::openfed::{LOCAL, Openfed, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;

/// No home server is needed: a user of ours writes by SIP.
pub(crate) struct Desk {
    pub(crate) hop: SipPeer,
    pub(crate) trusted: SipPeer,
    pub(crate) openfed: Openfed,
    pub(crate) browser: Browser,
    _dns: DnsServer,
}

impl Desk {
    /// As after a fresh install.
    pub(crate) async fn closed(place: &Place) -> Result<Self> {
        Self::with(place, Setup::default()).await
    }

    /// The open route leads to the next hop.
    pub(crate) async fn open(place: &Place) -> Result<Self> {
        let desk = Self::closed(place).await?;
        desk.openfed.open_towards(desk.hop.address()?).await?;
        Ok(desk)
    }

    pub(crate) async fn with(place: &Place, setup: Setup) -> Result<Self> {
        let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
        let setup = Setup { dns: Some(dns.address()), ..setup };
        let openfed = Openfed::start(place, &setup).await?;
        let hop = SipPeer::start(place.at(Host::NextHop, 5060)).await?;
        let trusted = SipPeer::start(place.at(Host::SipPeer, 5060)).await?;
        let browser = Browser::start(place, openfed.api()).await?;
        Ok(Self { hop, trusted, openfed, browser, _dns: dns })
    }

    /// A user of ours writes to somebody at a domain; the status that she gets.
    pub(crate) async fn write_to(&self, domain: &str) -> Result<u16> {
        let from = format!("sip:alice@{LOCAL}");
        let message = Outgoing::message(&from, &format!("sip:bob@{domain}"), "hello");
        let answer = self.trusted.send(&message, self.openfed.sip()).await?;
        Ok(answer.status().unwrap_or_default())
    }
}
