//! openfed with everything that load needs around it: Redis, the home server, a SIP domain that it
//! knows, and those who write. Stretches of load run on it one after the other.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};

use super::Way;
use super::figures::{Figures, Spent};
use super::fleet::Fleet;
use super::home::{Home, Names};
use super::ledger::{Current, Ledger};
use super::mark::BLANK_DOMAIN;
use super::pace::Pace;
use super::sip_sink::SipSink;
use super::sip_source::{Route, SipSource};
use super::sip_wire::Transport;
use super::{prosody_users, xmpp_source};
use crate::Result;
use crate::dns::DnsServer;
use crate::kamailio::Kamailio;
use crate::openfed::{LOCAL, Openfed, Setup};
use crate::place::{Host, Place};
use crate::process::Process;
use crate::prosody::{Lookup, Prosody};
use crate::redis::Redis;
use crate::xmpp_client::XmppClient;

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
    home: HomeServer,
    transport: Transport,
    heeds: bool,
    current: Current,
    stretches: u16,
    addresses: Addresses,
    /// In it no foreign domain exists.
    _dns: DnsServer,
}

/// Who sends from where to where.
struct Addresses {
    trusted: IpAddr,
    hop: IpAddr,
    sip: Vec<SocketAddr>,
}

/// What is to be set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// `openfed up` instead of three programs.
    pub together: bool,
    /// A real Prosody with a real client for the home server: independent, but good for a few
    /// hundred messages a second only.
    pub prosody: bool,
    /// What the SIP source sends over.
    pub transport: Transport,
    /// The SIP source keeps back what it is told to (RFC 7339).
    pub heeds: bool,
}

/// The operator's own XMPP server.
enum HomeServer {
    Tool(Arc<Home>),
    Prosody { _server: Box<Prosody>, alice: Arc<XmppClient> },
}

/// A stretch of load that runs.
pub struct Running {
    /// Where it is entered.
    pub ledger: Arc<Ledger>,
    source: JoinHandle<Result<()>>,
}

impl Running {
    /// Waits until all is sent and settled, or patience is over.
    pub async fn end(self) -> Result<Arc<Ledger>> {
        self.source.await??;
        Ok(self.ledger)
    }
}

impl Stage {
    /// Sets it up.
    pub async fn set_up(place: &Place, shape: Shape) -> Result<Self> {
        let (dns, redis) = foundation(place).await?;
        let setup = Setup { apart: !shape.together, ..setup(&dns, &redis) };
        let openfed = Openfed::start(place, &setup).await?;
        Self::complete(place, openfed, (dns, redis), shape, &[Host::Openfed]).await
    }

    /// Sets it up with two replicas of each service.
    pub async fn set_up_replicas(place: &Place) -> Result<(Self, Fleet)> {
        let (dns, redis) = foundation(place).await?;
        let setup = Setup { routers: Fleet::more_routers(place), ..setup(&dns, &redis) };
        let openfed = Openfed::prepare(place, &setup)?;
        let fleet = Fleet::start(place, &openfed).await?;
        let stage = Self::complete(place, openfed, (dns, redis), Shape::default(), &Fleet::HOSTS);
        let stage = stage.await?;
        Ok((stage, fleet))
    }

    async fn complete(
        place: &Place,
        openfed: Openfed,
        (dns, redis): (DnsServer, Redis),
        shape: Shape,
        hosts: &[Host],
    ) -> Result<Self> {
        let current = Current::default();
        let sink = SipSink::start(place.at(Host::NextHop, 5060), current.clone())?;
        openfed.open_towards(sink.address()).await?;
        openfed.command(&["domain", "add", DOMAIN]).await?;
        let all_at = |port| hosts.iter().map(|host| place.at(*host, port)).collect();
        let home = if shape.prosody {
            let lookup = Lookup::Home(place.at(Host::Openfed, 53));
            let prosody = Prosody::start(place, Host::Home, LOCAL, &["alice"], lookup).await?;
            let alice = Arc::new(prosody.login("alice").await?);
            HomeServer::Prosody { _server: Box::new(prosody), alice }
        } else {
            let names = Names { local: LOCAL, remote: DOMAIN, peers: all_at(5269) };
            let authority = place.directory("openfed")?.join("tls/authority.pem");
            let home = place.at(Host::Home, 5269);
            HomeServer::Tool(Arc::new(Home::start(home, names, &authority, current.clone()).await?))
        };
        let addresses = Addresses {
            trusted: place.ip(Host::SipPeer),
            hop: place.ip(Host::NextHop),
            sip: all_at(5060),
        };
        Ok(Self {
            openfed,
            redis,
            sink,
            relay: None,
            home,
            transport: shape.transport,
            heeds: shape.heeds,
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
        Spent::by(self.processes(system))
    }

    /// Gives what is measured a core of its own.
    pub fn keep_on(&self, core: usize) -> Result<()> {
        let systems = [System::Openfed, System::Kamailio].into_iter();
        let mut processes = systems.flat_map(|system| self.processes(system));
        processes.try_for_each(|(_, process)| process.keep_on(core))
    }

    fn processes(&self, system: System) -> Vec<(&'static str, &Process)> {
        match (system, &self.relay) {
            (System::Openfed, _) => {
                self.openfed.processes().chain([("redis", self.redis.process())]).collect()
            }
            (System::Kamailio, relay) => {
                relay.iter().map(|(kamailio, _)| ("kamailio", kamailio.process())).collect()
            }
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
        self.current.clear();
        self.start(way, targets, pace, patience)?.end().await
    }

    /// Starts a stretch of load through openfed beside those that run.
    pub fn begin(&mut self, way: Way, pace: &Pace, patience: Duration) -> Result<Running> {
        self.start(way, self.addresses.sip.clone(), pace, patience)
    }

    fn start(
        &mut self,
        way: Way,
        targets: Vec<SocketAddr>,
        pace: &Pace,
        patience: Duration,
    ) -> Result<Running> {
        self.stretches += 1;
        let Self { addresses: Addresses { trusted, hop, .. }, transport, heeds, .. } = *self;
        let route = |from_ip, from, to| Route { from_ip, from, to, targets, transport, heeds };
        let sip = match way {
            Way::SipToSip => Some(SipSource::new(&route(trusted, LOCAL, DOMAIN))?),
            Way::SipToXmpp => Some(SipSource::new(&route(hop, DOMAIN, LOCAL))?),
            Way::XmppToSip => None,
            Way::Discovery => Some(SipSource::new(&route(trusted, LOCAL, BLANK_DOMAIN))?),
        };
        let ledger = Arc::new(Ledger::new(self.stretches, pace.messages()));
        self.current.add(&ledger);
        let (own, pace) = (Arc::clone(&ledger), pace.clone());
        let source = match (sip, &self.home) {
            (Some(mut source), HomeServer::Tool(_)) => {
                spawn_blocking(move || source.run(&own, &pace, patience))
            }
            (Some(mut source), HomeServer::Prosody { alice, .. }) => {
                let alice = Arc::clone(alice);
                spawn_blocking(move || {
                    source.run(&own, &pace, patience)?;
                    prosody_users::heard(&alice, &own);
                    Ok(())
                })
            }
            (None, HomeServer::Tool(home)) => {
                let home = Arc::clone(home);
                spawn_blocking(move || {
                    xmpp_source::run(&home, DOMAIN, &own, &pace, patience);
                    Ok(())
                })
            }
            (None, HomeServer::Prosody { alice, .. }) => {
                let alice = Arc::clone(alice);
                spawn_blocking(move || prosody_users::run(&alice, DOMAIN, &own, &pace, patience))
            }
        };
        Ok(Running { ledger, source })
    }

    /// Keeps the users of the home server from writing, or lets them go on; Prosody's never cease.
    pub fn hush_xmpp(&self, quiet: bool) {
        if let HomeServer::Tool(home) = &self.home {
            home.hush(quiet);
        }
    }
}

async fn foundation(place: &Place) -> Result<(DnsServer, Redis)> {
    let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
    Ok((dns, Redis::start(place).await?))
}

/// As an operator has it, without traces.
fn setup(dns: &DnsServer, redis: &Redis) -> Setup {
    Setup {
        store: redis.url(),
        dns: Some(dns.address()),
        sample: Some(0.0),
        log: Some("info"),
        ..Setup::default()
    }
}
