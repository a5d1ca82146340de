//! openfed with everything that load needs around it: Redis, the home server, a SIP domain that it
//! knows, and those who write. Stretches of load run on it one after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::Way;
use super::figures::{Figures, Spent};
use super::home::{Home, Names};
use super::ledger::{Current, Ledger};
use super::pace::Pace;
use super::sip_sink::SipSink;
use super::sip_source::{Route, SipSource};
use super::xmpp_source;
use crate::Result;
use crate::dns::DnsServer;
use crate::kamailio::Kamailio;
use crate::openfed::{LOCAL, Openfed, Setup};
use crate::place::{Host, Place};
use crate::redis::Redis;

/// The SIP domain that openfed knows.
pub const DOMAIN: &str = "known.example";

/// How long the last messages of a stretch may take, before they count as lost.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What load goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// openfed.
    Openfed,
    /// Kamailio as a relay, which does SIP to SIP alone: its module for XMPP crashes at the first
    /// stream header of a server.
    Kamailio,
}

impl System {
    /// As it is said in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Openfed => "openfed",
            Self::Kamailio => "Kamailio",
        }
    }
}

/// See the head of this file.
pub struct Stage {
    /// openfed.
    pub openfed: Openfed,
    /// Its store.
    pub redis: Redis,
    /// The next hop of [`DOMAIN`], which counts what comes.
    pub sink: SipSink,
    relay: Option<(Kamailio, SocketAddr)>,
    home: Arc<Home>,
    current: Current,
    stretches: u16,
    addresses: Addresses,
    /// In it no foreign domain exists.
    _dns: DnsServer,
}

/// Who sends from where to where.
struct Addresses {
    trusted: std::net::IpAddr,
    hop: std::net::IpAddr,
    sip: Vec<SocketAddr>,
}

impl Stage {
    /// Sets it up; `together` is `openfed up` instead of three programs.
    pub async fn set_up(place: &Place, together: bool) -> Result<Self> {
        let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
        let redis = Redis::start(place).await?;
        let setup = Setup {
            store: redis.url(),
            dns: Some(dns.address()),
            sample: Some(0.0),
            log: Some("info"),
            apart: !together,
            ..Setup::default()
        };
        let openfed = Openfed::start(place, &setup).await?;
        let current = Current::default();
        let sink = SipSink::start(place.at(Host::NextHop, 5060), current.clone())?;
        openfed.open_towards(sink.address()).await?;
        openfed.command(&["domain", "add", DOMAIN]).await?;
        let names =
            Names { local: LOCAL, remote: DOMAIN, peers: vec![place.at(Host::Openfed, 5269)] };
        let authority = place.directory("openfed")?.join("tls/authority.pem");
        let home = place.at(Host::Home, 5269);
        let home = Arc::new(Home::start(home, names, &authority, current.clone()).await?);
        let addresses = Addresses {
            trusted: place.ip(Host::SipPeer),
            hop: place.ip(Host::NextHop),
            sip: vec![openfed.sip()],
        };
        Ok(Self {
            openfed,
            redis,
            sink,
            relay: None,
            home,
            current,
            stretches: 0,
            addresses,
            _dns: dns,
        })
    }

    /// Starts Kamailio as a relay to the sink.
    pub async fn add_kamailio(&mut self, place: &Place) -> Result<()> {
        let address = place.at(Host::Relay, 5060);
        let kamailio = Kamailio::start_relay(place, address, self.sink.address()).await?;
        self.relay = Some((kamailio, address));
        Ok(())
    }

    /// What the processes of a system have spent so far; for openfed, those of Redis, too.
    pub fn spent(&self, system: System) -> Result<Spent> {
        match (system, &self.relay) {
            (System::Openfed, _) => {
                let ours = self.openfed.processes().chain([("redis", self.redis.process())]);
                Spent::by(ours)
            }
            (System::Kamailio, Some((kamailio, _))) => {
                Spent::by([("kamailio", kamailio.process())])
            }
            (System::Kamailio, None) => Ok(Spent::default()),
        }
    }

    /// Runs a stretch of load through a system and measures it.
    pub async fn measure(
        &mut self,
        system: System,
        way: Way,
        pace: &Pace,
    ) -> Result<(Figures, Spent)> {
        let before = self.spent(system)?;
        let ledger = self.run(system, way, pace, PATIENCE).await?;
        let spent = self.spent(system)?.since(&before);
        Ok((Figures::of(way, &ledger, pace, &spent), spent))
    }

    /// Runs a stretch of load through a system; what is not settled after `patience` is lost.
    pub async fn run(
        &mut self,
        system: System,
        way: Way,
        pace: &Pace,
        patience: Duration,
    ) -> Result<Arc<Ledger>> {
        let targets = match (system, &self.relay) {
            (System::Openfed, _) => self.addresses.sip.clone(),
            (System::Kamailio, relay) => relay.iter().map(|(_, address)| *address).collect(),
        };
        self.stretches += 1;
        let Addresses { trusted, hop, .. } = self.addresses;
        let route = match way {
            Way::SipToSip => Some(Route { from_ip: trusted, from: LOCAL, to: DOMAIN, targets }),
            Way::SipToXmpp => Some(Route { from_ip: hop, from: DOMAIN, to: LOCAL, targets }),
            Way::XmppToSip => None,
        };
        let source = route.map(|route| SipSource::new(&route)).transpose()?;
        let ledger = Arc::new(Ledger::new(self.stretches, pace.messages()));
        self.current.set(&ledger);
        let (own, home, pace) = (Arc::clone(&ledger), Arc::clone(&self.home), pace.clone());
        let running = spawn_blocking(move || match source {
            Some(mut source) => source.run(&own, &pace, patience),
            None => {
                xmpp_source::run(&home, DOMAIN, &own, &pace, patience);
                Ok(())
            }
        });
        running.await??;
        Ok(ledger)
    }
}
