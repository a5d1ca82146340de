//! What most scenes begin with: openfed between a home server with a user and a SIP next hop, and a
//! DNS in which no foreign domain exists.

use std::sync::Arc;

use crate::Result;
use crate::collector::Collector;
use crate::dns::DnsServer;
use crate::ejabberd::Ejabberd;
use crate::jabberd2::Jabberd2;
use crate::openfed::{LOCAL, Openfed, Setup};
use crate::place::{Host, Place};
use crate::prosody::{Lookup, Prosody};
use crate::sip_peer::SipPeer;
use crate::xmpp_client::XmppClient;
use crate::xmpp_typist::Typist;

/// Which program the operator's own XMPP server is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Prosody 0.12.
    Prosody,
    /// ejabberd 23.
    Ejabberd,
    /// jabberd2 2.7.
    Jabberd2,
}

/// The operator's own XMPP server.
pub enum Home {
    /// Prosody 0.12.
    Prosody(Prosody),
    /// ejabberd 23.
    Ejabberd(Ejabberd),
    /// jabberd2 2.7.
    Jabberd2(Jabberd2),
}

impl Home {
    /// Starts it with these users of [`LOCAL`], by the shipped settings, with openfed for its DNS.
    pub async fn start(place: &Place, kind: Kind, users: &[&str]) -> Result<Self> {
        let dns = place.at(Host::Openfed, 53);
        Ok(match kind {
            Kind::Prosody => {
                let lookup = Lookup::Home(dns);
                Self::Prosody(Prosody::start(place, Host::Home, LOCAL, users, lookup).await?)
            }
            Kind::Ejabberd => {
                Self::Ejabberd(Ejabberd::start(place, Host::Home, LOCAL, users, dns).await?)
            }
            Kind::Jabberd2 => {
                Self::Jabberd2(Jabberd2::start(place, Host::Home, LOCAL, users, dns).await?)
            }
        })
    }

    /// A user logs in.
    pub async fn login(&self, user: &str) -> Result<XmppClient> {
        match self {
            Self::Prosody(server) => server.login(user).await,
            Self::Ejabberd(server) => server.login(user).await,
            Self::Jabberd2(server) => server.login(user).await,
        }
    }

    /// A user who types raw XML logs in.
    pub async fn typist(&self, user: &str) -> Result<Typist> {
        match self {
            Self::Prosody(server) => server.typist(user).await,
            Self::Ejabberd(server) => server.typist(user).await,
            Self::Jabberd2(server) => server.typist(user).await,
        }
    }

    /// Kills it.
    pub async fn kill(&mut self) -> Result<()> {
        match self {
            Self::Prosody(server) => server.kill().await,
            Self::Ejabberd(server) => server.kill().await,
            Self::Jabberd2(server) => server.kill().await,
        }
    }
}

/// openfed in its surroundings.
pub struct World {
    /// The DNS for foreign domains: nothing exists in it yet.
    pub dns: DnsServer,
    /// Where traces go.
    pub collector: Collector,
    /// The next hop of the open route; it answers 200.
    pub hop: Arc<SipPeer>,
    /// A SIP user agent whose address openfed trusts.
    pub trusted: Arc<SipPeer>,
    /// openfed itself.
    pub openfed: Openfed,
    /// The home server, with the users alice, carol and strasse.
    pub home: Home,
}

impl World {
    /// Everything as it is after a first start: the open route is blocked.
    pub async fn closed(place: &Place, kind: Kind) -> Result<Self> {
        Self::with(place, kind, Setup::default()).await
    }

    /// The same with the open route unblocked towards the next hop.
    pub async fn open(place: &Place, kind: Kind) -> Result<Self> {
        let world = Self::closed(place, kind).await?;
        world.openfed.open_towards(world.hop.address()?).await?;
        Ok(world)
    }

    /// Everything, by this setup; its DNS and collector are filled in.
    pub async fn with(place: &Place, kind: Kind, setup: Setup) -> Result<Self> {
        let dns = DnsServer::start(place.at(Host::Dns, 53)).await?;
        if !setup.instances.is_empty() {
            // Whoever does not run refuses connections, and the home server takes the other.
            dns.host(setup.instances, place.ip(Host::Openfed));
            dns.host(setup.instances, place.ip(Host::Second));
        }
        let collector = Collector::start(place.at(Host::Collector, 4317)).await?;
        let hop = Arc::new(SipPeer::start(place.at(Host::NextHop, 5060)).await?);
        let trusted = Arc::new(SipPeer::start(place.at(Host::SipPeer, 5060)).await?);
        let setup = Setup { dns: Some(dns.address()), collector: collector.url(), ..setup };
        let openfed = Openfed::start(place, &setup);
        let home = Home::start(place, kind, &["alice", "carol", "strasse"]);
        let (openfed, home) = tokio::try_join!(openfed, home)?;
        Ok(Self { dns, collector, hop, trusted, openfed, home })
    }
}
