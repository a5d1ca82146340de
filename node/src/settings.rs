//! The operator's settings: one TOML file for all processes, environment overrides
//! `OPENFED__SECTION__KEY`, every fault reported at once.
//!
//! `deploy/openfed.toml` explains each key; a test holds it equal to the defaults here.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openfed_proto::address::Preparation;
use openfed_proto::domain::Domain;
use openfed_proto::packet::Role;
use openfed_proto::route::DomainPattern;
use toml::de::DeTable;
use tracing_subscriber::filter::Targets;

mod error;
mod reader;
mod sections;
mod value;

pub use error::{SettingsError, SettingsErrors};
pub use value::{Cidr, DnsAnswer, HostPort, HttpUrl, Listen, ProxySource, StoreUrl, TracesUrl};

use reader::Reader;

/// All settings; each process takes its part. `Default` has every key at its default, which
/// lacks what only the operator knows: local domains and their home servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `[domains] local`: the domains whose users live on the operator's XMPP servers.
    pub local: Vec<Domain>,
    /// `[store] url`.
    pub store: StoreUrl,
    /// `[store] key_file`: the key that passwords of next hops are sealed with.
    pub store_key: Option<PathBuf>,
    /// `[node]`.
    pub node: Node,
    /// `[router]`.
    pub router: Router,
    /// `[cm] routers`: each address that a name resolves to is one router replica.
    pub routers: Vec<HttpUrl>,
    /// `[sip]`.
    pub sip: Sip,
    /// `[xmpp]`.
    pub xmpp: Xmpp,
    /// `[front]`.
    pub front: Front,
    /// `[discovery]`.
    pub discovery: Discovery,
    /// `[telemetry]`.
    pub telemetry: Telemetry,
}

/// What a process is called and how it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// First part of [`Settings::node_name`]; default: the machine's name.
    pub name: Option<String>,
    /// Time that draining may take after the first signal to end.
    pub drain: Duration,
}

/// Where `xcp-router` listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Router {
    /// gRPC links of the connection managers.
    pub link: SocketAddr,
    /// Console, API, `/healthz`, `/readyz`; all but these two for those who log in.
    pub http: SocketAddr,
    /// Certificate of `http`; without one it speaks plain HTTP.
    pub tls: Option<Identity>,
    /// Proxies whose PROXY header says who connects to `http`.
    pub proxy_from: Vec<ProxySource>,
    /// Whether `http` may speak plain HTTP to other machines.
    pub insecure_http: bool,
    /// `/metrics`, `/healthz` and `/readyz` alone, without login.
    pub metrics: Option<SocketAddr>,
    /// See [`Settings::token_file`].
    pub token_file: Option<PathBuf>,
    /// Whether a start without any user makes one, and prints its password.
    pub first_administrator: bool,
    /// Requests a second that one user or token may send, five times as many at once.
    pub requests_per_second: u32,
}

/// What `sip-cm` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sip {
    /// Where SIP is spoken.
    pub listen: Vec<Listen>,
    /// Proxies whose PROXY header says who sends, before each connection and each datagram.
    pub proxy_from: Vec<ProxySource>,
    /// Sources that may send SIP; next hops in service are trusted, too.
    pub trusted: Vec<Cidr>,
    /// The address put into Via, Contact and Record-Route; default: the listening one.
    pub advertise: Option<HostPort>,
    /// Whether SIP between two local users is delivered to the home server.
    pub intradomain: bool,
    /// Foreign domains to which users of ours write without the `gr` of their device.
    pub without_gr: Vec<DomainPattern>,
    /// Metrics and health.
    pub http: SocketAddr,
    /// Certificates for `tls:` listeners and next hops.
    pub tls: Tls,
    /// DNS servers for next hops; empty: the system's.
    pub resolver: Vec<SocketAddr>,
}

/// Certificate files (PEM).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificate chain and private key that we show.
    pub identity: Option<Identity>,
    /// Authorities trusted besides the system's.
    pub ca: Option<PathBuf>,
}

/// A certificate chain with its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Chain, leaf first.
    pub certificate: PathBuf,
    /// PKCS #8, PKCS #1 or SEC1.
    pub key: PathBuf,
}

/// What `xmpp-cm` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xmpp {
    /// Where servers connect to us (home servers and foreign ones).
    pub listen: SocketAddr,
    /// Proxies whose PROXY header says who connects.
    pub proxy_from: Vec<ProxySource>,
    /// Whether foreign XMPP domains are tried and accepted.
    pub federation: bool,
    /// Foreign domains with which XMPP is never spoken, nor SIP instead.
    pub deny: Vec<DomainPattern>,
    /// If given, XMPP is spoken with these foreign domains alone.
    pub allow: Option<Vec<DomainPattern>>,
    /// The type of messages that came by SIP.
    pub message_type: MessageType,
    /// Metrics and health.
    pub http: SocketAddr,
    /// The operator's XMPP server of each local domain.
    pub home: Vec<Home>,
    /// The DNS responder for the home server's resolver.
    pub dns: Option<DnsResponder>,
    /// DNS servers for foreign domains; empty: the system's.
    pub resolver: Vec<SocketAddr>,
    /// Certificates of the streams.
    pub tls: Tls,
    /// Where the authority is kept under which certificates for the home link are minted.
    pub tls_directory: PathBuf,
}

/// What a message from SIP, which knows no such thing, is on XMPP (S-103).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// No type, which means the same (RFC 7572 §5).
    Normal,
    /// `type='chat'`: some clients listen to chats alone.
    Chat,
}

/// The home server of one local domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// One of `domains.local`.
    pub domain: Domain,
    /// Its server-to-server address.
    pub address: HostPort,
    /// How it prepares addresses; none: that is found out.
    pub names: Option<Preparation>,
}

/// A DNS responder that answers every name with the addresses of `xmpp-cm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsResponder {
    /// UDP and TCP.
    pub listen: SocketAddr,
    /// `xmpp-cm` as the home server reaches it.
    pub answer: DnsAnswer,
    /// DNS servers that know the name in `answer`; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// Who is answered.
    pub clients: Vec<Cidr>,
    /// Whether `openfed dns` answers, instead of `xmpp-cm`.
    pub apart: bool,
    /// Metrics and health of `openfed dns`.
    pub http: SocketAddr,
}

/// What `openfed front` passes on to the replicas of the services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// Metrics and health.
    pub http: SocketAddr,
    /// One for each listening address.
    pub pass: Vec<Pass>,
}

/// What comes in at one address goes to one of the replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Where; by UDP or TCP.
    pub listen: Listen,
    /// Each address that the name resolves to is one replica.
    pub to: HostPort,
    /// The port of each replica's `http`, whose `/readyz` says whether it takes work; none: all do.
    pub ready: Option<u16>,
}

/// How unknown domains are discovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Whether open federation needs a working XMPP federation beside it.
    pub require_xmpp: bool,
    /// Inbound SIP from a domain that speaks XMPP, too.
    pub dual: Dual,
    /// Budget of the XMPP attempt.
    pub xmpp_attempt: Duration,
    /// Whether an unreachable XMPP server lets SIP be tried.
    pub fallback_on_timeout: bool,
    /// Whether a domain that `xmpp.allow` does not name may be tried by SIP.
    pub fallback_on_not_listed: bool,
    /// After what time XMPP is asked again about a domain without a proof; doubled each time, up to
    /// a day.
    pub ask_again: Duration,
    /// New rows per second and node.
    pub rate_per_node: u32,
    /// New rows per second and source.
    pub rate_per_source: u32,
    /// Rows of the domain table; when full, nothing new is discovered.
    pub table_cap: u64,
}

/// What becomes of inbound SIP from a domain that speaks XMPP, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dual {
    /// Accepted.
    Accept,
    /// Refused.
    Refuse,
}

/// Logs and traces.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// OTLP/gRPC collector; none: no traces leave the process.
    pub otlp: Option<HttpUrl>,
    /// Share of packets that are traced, 0–1; discoveries always are.
    pub sample: f64,
    /// Level, or a list such as `info,xcp_router=debug`.
    pub log: Targets,
    /// For people or for machines.
    pub format: LogFormat,
    /// Where the console's links to traces lead; none: it shows their ids.
    pub traces_url: Option<TracesUrl>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line per event.
    Human,
    /// One JSON object per line.
    Json,
}

impl Settings {
    /// Reads `path` (none: only defaults), then the overrides among `env`.
    ///
    /// # Errors
    /// Every fault found in both, with file, line and key.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsErrors> {
        let text = match path {
            Some(path) => fs::read_to_string(path)
                .map_err(|error| SettingsErrors::unreadable(path, &error))?,
            None => String::new(),
        };
        Self::from_text(path, &text, env)
    }

    fn from_text(
        path: Option<&Path>,
        text: &str,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsErrors> {
        let reader = Reader::new(path, text, env);
        let (document, syntax) = DeTable::parse_recoverable(text);
        for error in &syntax {
            reader.fault(error.span(), "", error.message());
        }
        // Values of a broken document would only repeat its fault.
        let settings = syntax.is_empty().then(|| {
            let settings = Self::read(&mut reader.root(document.get_ref()));
            settings.check(&reader);
            settings
        });
        let errors = reader.into_errors(syntax.is_empty());
        settings.filter(|_| errors.is_empty()).ok_or(SettingsErrors(errors))
    }

    /// The node's name: unique in the installation as long as no two processes of one role share
    /// a machine; those set `node.name`.
    pub fn node_name(&self, role: Role) -> String {
        let base = self.node.name.clone().unwrap_or_else(machine_name);
        format!("{base}-{}", role.as_str())
    }

    /// The file with the API token of whoever may read it: `router.token_file`, or one beside an
    /// embedded store.
    pub fn token_file(&self) -> Option<PathBuf> {
        let beside = || match &self.store {
            StoreUrl::Embedded(directory) => Some(directory.join("admin.token")),
            StoreUrl::Redis(_) => None,
        };
        self.router.token_file.clone().or_else(beside)
    }

    /// The private keys that the operator has named.
    pub fn keys(&self) -> impl Iterator<Item = &Path> {
        let named = [&self.router.tls, &self.sip.tls.identity, &self.xmpp.tls.identity];
        named.into_iter().flatten().map(|identity| identity.key.as_path())
    }

    /// The home server of a local domain.
    pub fn home(&self, domain: &Domain) -> Option<&Home> {
        self.xmpp.home.iter().find(|home| home.domain == *domain)
    }
}

impl Default for Settings {
    fn default() -> Self {
        let empty = DeTable::new();
        Self::read(&mut Reader::new(None, "", std::iter::empty()).root(&empty))
    }
}

fn machine_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "openfed".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests;
