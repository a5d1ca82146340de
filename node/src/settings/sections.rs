//! Each section's keys, with their defaults, and the rules between keys.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use openfed_proto::address::Preparation;
use openfed_proto::domain::Domain;
use openfed_proto::route::Transport;
use tracing_subscriber::filter::Targets;

use super::reader::{Reader, Section};
use super::value::{Kind, Value};
use super::{
    Discovery, DnsResponder, Dual, Front, Home, HostPort, HttpUrl, Identity, Listen, LogFormat,
    MessageType, Node, Pass, Router, Settings, Sip, StoreUrl, Telemetry, Tls, Xmpp,
};

impl Settings {
    pub(super) fn read(root: &mut Section<'_>) -> Self {
        let mut store = root.section("store");
        let url = store.value("url", StoreUrl::Embedded("./openfed-data".into()));
        Self {
            local: root.section("domains").list("local", Vec::new()),
            store: url,
            store_key: store.optional("key_file"),
            node: Node::read(&mut root.section("node")),
            router: Router::read(&mut root.section("router")),
            routers: root.section("cm").list("routers", vec![local_router()]),
            sip: Sip::read(&mut root.section("sip")),
            xmpp: Xmpp::read(&mut root.section("xmpp")),
            front: Front::read(&mut root.section("front")),
            discovery: Discovery::read(&mut root.section("discovery")),
            telemetry: Telemetry::read(&mut root.section("telemetry")),
        }
    }

    /// Rules that hold between keys.
    pub(super) fn check(&self, reader: &Reader<'_>) {
        if self.local.is_empty() {
            reader.fault(None, "domains.local", "name at least one domain of yours");
        }
        if self.routers.is_empty() {
            reader.fault(None, "cm.routers", "name at least one router");
        }
        let listens_tls = self.sip.listen.iter().any(|at| at.transport == Transport::Tls);
        if listens_tls && self.sip.tls.identity.is_none() {
            let message = "a tls: listener needs sip.tls.certificate and sip.tls.key";
            reader.fault(None, "sip.listen", message);
        }
        let mut seen = BTreeSet::new();
        for home in &self.xmpp.home {
            if !self.local.contains(&home.domain) {
                let message = format!("{} is not one of domains.local", home.domain);
                reader.fault(None, "xmpp.home.domain", message);
            }
            if !seen.insert(&home.domain) {
                let message = format!("{} has two home servers", home.domain);
                reader.fault(None, "xmpp.home.domain", message);
            }
        }
    }
}

impl Node {
    fn read(section: &mut Section<'_>) -> Self {
        let name: Option<String> = section.optional("name");
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if name.as_ref().is_some_and(|name| name.len() > 64 || !name.chars().all(allowed)) {
            section.fault("name", "at most 64 letters, digits, dots, dashes and underscores");
        }
        Self { name, drain: seconds(section, "drain_seconds", 10, 3600) }
    }
}

impl Router {
    fn read(section: &mut Section<'_>) -> Self {
        let own = Self {
            link: section.value("link", loopback(7400)),
            http: section.value("http", loopback(7480)),
            tls: identity(&mut section.section("tls")),
            proxy_from: section.list("proxy_from", Vec::new()),
            insecure_http: section.value("insecure_http", false),
            metrics: section.optional("metrics"),
            token_file: section.optional("token_file"),
            first_administrator: section.value("first_administrator", true),
            requests_per_second: rate(section, "requests_per_second", 200).max(1),
        };
        if !own.http.ip().is_loopback() && own.tls.is_none() && !own.insecure_http {
            let message = "passwords would go over the network in the clear: give router.tls, \
                           listen on loopback, or say insecure_http = true";
            section.fault("http", message);
        }
        own
    }
}

impl Sip {
    fn read(section: &mut Section<'_>) -> Self {
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5060));
        let listen = |transport| Listen { transport, address: everywhere };
        Self {
            listen: section.list("listen", vec![listen(Transport::Udp), listen(Transport::Tcp)]),
            proxy_from: section.list("proxy_from", Vec::new()),
            trusted: section.list("trusted", super::value::loopback_range()),
            advertise: section.optional("advertise"),
            intradomain: section.value("intradomain", false),
            without_gr: section.list("without_gr", Vec::new()),
            http: section.value("http", loopback(7481)),
            tls: Tls::read(&mut section.section("tls")),
            resolver: section.section("resolver").list("servers", Vec::new()),
        }
    }
}

impl Tls {
    fn read(section: &mut Section<'_>) -> Self {
        Self { identity: identity(section), ca: section.optional("ca") }
    }
}

/// Certificate and key: both or none.
fn identity(section: &mut Section<'_>) -> Option<Identity> {
    let certificate: Option<PathBuf> = section.optional("certificate");
    let key: Option<PathBuf> = section.optional("key");
    if certificate.is_some() != key.is_some() {
        let missing = if key.is_some() { "certificate" } else { "key" };
        section.fault(missing, "certificate and key go together");
    }
    certificate.zip(key).map(|(certificate, key)| Identity { certificate, key })
}

impl Xmpp {
    fn read(section: &mut Section<'_>) -> Self {
        let mut tls = section.section("tls");
        let home = section.sections("home").into_iter().filter_map(Home::read).collect();
        Self {
            listen: section.value("listen", SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5269))),
            proxy_from: section.list("proxy_from", Vec::new()),
            federation: section.value("federation", true),
            deny: section.list("deny", Vec::new()),
            allow: section.optional_list("allow"),
            message_type: section.value("message_type", MessageType::Normal),
            http: section.value("http", loopback(7482)),
            home,
            dns: section.optional_section("dns").and_then(DnsResponder::read),
            resolver: section.section("resolver").list("servers", Vec::new()),
            tls: Tls::read(&mut tls),
            tls_directory: tls.value("directory", "./openfed-tls".into()),
        }
    }
}

impl Home {
    fn read(mut section: Section<'_>) -> Option<Self> {
        let domain = required::<Domain>(&mut section, "domain");
        let address = required::<HostPort>(&mut section, "address");
        let names = section.value("names", Names(None)).0;
        Some(Self { domain: domain?, address: address?, names })
    }
}

impl DnsResponder {
    fn read(mut section: Section<'_>) -> Option<Self> {
        let listen = required(&mut section, "listen");
        let answer = required(&mut section, "answer");
        let servers = section.list("servers", Vec::new());
        let clients = section.list("clients", super::value::private_ranges());
        let apart = section.value("apart", false);
        let http = section.value("http", loopback(7483));
        Some(Self { listen: listen?, answer: answer?, servers, clients, apart, http })
    }
}

impl Front {
    fn read(section: &mut Section<'_>) -> Self {
        let pass = section.sections("pass").into_iter().filter_map(Pass::read).collect();
        Self { http: section.value("http", loopback(7485)), pass }
    }
}

impl Pass {
    fn read(mut section: Section<'_>) -> Option<Self> {
        let listen = required::<Listen>(&mut section, "listen");
        let to = required::<HostPort>(&mut section, "to");
        let ready = section.number("ready", 0, 0..=65_535);
        if listen.is_some_and(|listen| listen.transport == Transport::Tls) {
            section.fault("listen", "TLS goes through as it is: write tcp:");
        }
        Some(Self { listen: listen?, to: to?, ready: u16::try_from(ready).ok().filter(|p| *p > 0) })
    }
}

impl Discovery {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            require_xmpp: section.value("require_xmpp", true),
            dual: section.value("dual", Dual::Accept),
            // All of a packet's attempts share the 32 s of a SIP transaction (RFC 3261 §17.1.2).
            xmpp_attempt: seconds(section, "xmpp_attempt_seconds", 8, 30),
            fallback_on_timeout: section.value("fallback_on_timeout", true),
            fallback_on_not_listed: section.value("fallback_on_not_listed", true),
            ask_again: seconds(section, "ask_again_seconds", 600, 86_400),
            rate_per_node: rate(section, "rate_per_node", 50),
            rate_per_source: rate(section, "rate_per_source", 5),
            table_cap: section.number("table_cap", 1_000_000, 0..=100_000_000),
        }
    }
}

impl Telemetry {
    fn read(section: &mut Section<'_>) -> Self {
        let mut sample = section.value("sample", 1.0);
        if !(0.0..=1.0).contains(&sample) {
            section.fault("sample", format!("{sample} is not between 0 and 1"));
            sample = 1.0;
        }
        Self {
            otlp: section.optional::<HttpUrl>("otlp"),
            sample,
            log: section.value("log", Targets::new().with_default(tracing::Level::INFO)),
            format: section.value("format", LogFormat::Human),
            traces_url: section.optional("traces_url"),
        }
    }
}

impl Value for Domain {
    const KIND: Kind = Kind::Text;
    const EXPECTED: &'static str = "a domain such as \"corp.example\"";
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| format!("\"{text}\" is not a domain: {error}"))
    }
}

/// `auto`, or how the home server prepares addresses.
struct Names(Option<Preparation>);

impl Value for Names {
    const KIND: Kind = Kind::Text;
    const EXPECTED: &'static str = "auto, rfc3920, rfc3920-lenient or rfc7622";
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self(None)),
            text => match text.parse() {
                Ok(preparation) => Ok(Self(Some(preparation))),
                Err(_) => Err(format!("\"{text}\" is not {}", Self::EXPECTED)),
            },
        }
    }
}

impl Value for Dual {
    const KIND: Kind = Kind::Text;
    const EXPECTED: &'static str = "\"accept\" or \"refuse\"";
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "accept" => Ok(Self::Accept),
            "refuse" => Ok(Self::Refuse),
            _ => Err(format!("\"{text}\" is not \"accept\" or \"refuse\"")),
        }
    }
}

impl Value for MessageType {
    const KIND: Kind = Kind::Text;
    const EXPECTED: &'static str = "\"normal\" or \"chat\"";
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "normal" => Ok(Self::Normal),
            "chat" => Ok(Self::Chat),
            _ => Err(format!("\"{text}\" is not \"normal\" or \"chat\"")),
        }
    }
}

impl Value for LogFormat {
    const KIND: Kind = Kind::Text;
    const EXPECTED: &'static str = "\"human\" or \"json\"";
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(format!("\"{text}\" is not \"human\" or \"json\"")),
        }
    }
}

impl Value for Targets {
    const KIND: Kind = Kind::Text;
    const EXPECTED: &'static str = "a level such as \"info\", or a list of target=level";
    fn parse(text: &str) -> Result<Self, String> {
        // `Targets` would take a misspelt level for the name of a target.
        let known = |part: &str| {
            part.contains('=') || tracing_subscriber::filter::LevelFilter::from_str(part).is_ok()
        };
        let wrong = || format!("\"{text}\" is not a level or a list such as info,xcp_router=debug");
        if !text.split(',').all(|part| known(part.trim())) {
            return Err(wrong());
        }
        text.parse().map_err(|_| wrong())
    }
}

fn required<T: Value>(section: &mut Section<'_>, key: &'static str) -> Option<T> {
    if !section.says(key) {
        section.fault(key, format!("is missing: {}", T::EXPECTED));
    }
    section.optional(key)
}

fn seconds(section: &mut Section<'_>, key: &'static str, default: u64, most: u64) -> Duration {
    Duration::from_secs(section.number(key, default, 1..=most))
}

fn rate(section: &mut Section<'_>, key: &'static str, default: u32) -> u32 {
    let value = section.number(key, default.into(), 0..=1_000_000);
    u32::try_from(value).unwrap_or(default)
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn local_router() -> HttpUrl {
    HttpUrl(HostPort { host: Ipv4Addr::LOCALHOST.to_string(), port: 7400 })
}
