//! openfed, its peers, and a browser at its console.

use openfed_tests::browser::Browser;
use openfed_tests::dns::DnsServer;
use openfed_tests::openfed::{LOCAL, Openfed, Setup};
use openfed_tests::place::{Host, Place};
use openfed_tests::sip::Outgoing;
use openfed_tests::sip_peer::SipPeer;
use openfed_tests::{Failure, Result, http};
use serde_json::json;

/// What users of the console know.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// No home server is needed: a user of ours writes by SIP.
pub(crate) struct Desk {
    pub(crate) hop: SipPeer,
    pub(crate) trusted: SipPeer,
    pub(crate) openfed: Openfed,
    pub(crate) browser: Browser,
    _dns: DnsServer,
}

impl Desk {
    /// As after a fresh install, with nobody logged in.
    pub(crate) async fn fresh(place: &Place) -> Result<Self> {
        Self::made(place, Setup::default()).await
    }

    /// As after a fresh install; an administrator has logged in.
    pub(crate) async fn closed(place: &Place) -> Result<Self> {
        Self::with(place, Setup::default()).await
    }

    /// The open route leads to the next hop.
    pub(crate) async fn open(place: &Place) -> Result<Self> {
        let desk = Self::closed(place).await?;
        desk.openfed.open_towards(desk.hop.address()?).await?;
        Ok(desk)
    }

    /// By this setup; an administrator has logged in.
    pub(crate) async fn with(place: &Place, setup: Setup) -> Result<Self> {
        let desk = Self::made(place, setup).await?;
        desk.add_user("ada", "administrator").await?;
        desk.log_in("ada", PASSWORD).await?;
        desk.browser.shows("h1", "Overview").await?;
        Ok(desk)
    }

    async fn made(place: &Place, setup: Setup) -> Result<Self> {
        let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
        let setup = Setup { dns: Some(dns.address()), ..setup };
        let openfed = Openfed::start(place, &setup).await?;
        let hop = SipPeer::start(place.at(Host::NextHop, 5060)).await?;
        let trusted = SipPeer::start(place.at(Host::SipPeer, 5060)).await?;
        let browser = Browser::start(place, openfed.api()).await?;
        Ok(Self { hop, trusted, openfed, browser, _dns: dns })
    }

    pub(crate) async fn add_user(&self, name: &str, role: &str) -> Result<()> {
        let user = json!({ "name": name, "role": role, "password": PASSWORD });
        let answer = http::call(self.openfed.api(), "POST", "/api/v1/users", Some(&user)).await?;
        match answer.status {
            201 => Ok(()),
            _ => Err(Failure::new(format!("{answer:?}"))),
        }
    }

    pub(crate) async fn log_in(&self, name: &str, password: &str) -> Result<()> {
        log_in(&self.browser, name, password).await
    }

    /// The password that the program wrote to its terminal at the first start.
    pub(crate) async fn first_password(&self) -> Result<String> {
        let (_, process) = self.openfed.processes().next().ok_or_else(|| Failure::new("none"))?;
        process.line("It is shown this once").await?;
        let lines = self.openfed.log_lines();
        let mut after = lines.iter().skip_while(|line| !line.contains("The first start")).skip(1);
        let found = after.find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned());
        found.ok_or_else(|| Failure::new("no password was told"))
    }

    /// A user of ours writes to somebody at a domain; the status that she gets.
    pub(crate) async fn write_to(&self, domain: &str) -> Result<u16> {
        let from = format!("sip:alice@{LOCAL}");
        let message = Outgoing::message(&from, &format!("sip:bob@{domain}"), "hello");
        let answer = self.trusted.send(&message, self.openfed.sip()).await?;
        Ok(answer.status().unwrap_or_default())
    }
}

/// Somebody logs in; what comes next depends on who.
pub(crate) async fn log_in(browser: &Browser, name: &str, password: &str) -> Result<()> {
    browser.open("/login").await?;
    browser.fill("#name", name).await?;
    browser.fill("#password", password).await?;
    browser.choose("Log in").await
}
