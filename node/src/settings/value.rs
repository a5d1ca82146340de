//! The kinds of values that settings hold, each read from one text.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use openfed_proto::domain::destination;
use openfed_proto::route::{DomainPattern, Transport};

use crate::store::RedisStore;

/// A TOML type that a [`Value`] is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Float,
    Boolean,
    Other,
}

/// Something a key can hold. `parse` says in plain words what is wrong and never repeats a secret.
pub(super) trait Value: Sized {
    const KIND: Kind;
    const EXPECTED: &'static str;
    fn parse(text: &str) -> Result<Self, String>;
}

macro_rules! plain {
    ($type:ty, $kind:expr, $expected:literal) => {
        impl Value for $type {
            const KIND: Kind = $kind;
            const EXPECTED: &'static str = $expected;
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!(concat!("\"{}\" is not ", $expected), text))
            }
        }
    };
}

plain!(String, Kind::Text, "a text");
plain!(PathBuf, Kind::Text, "a path");
plain!(bool, Kind::Boolean, "true or false");
plain!(u64, Kind::Integer, "a whole number");
plain!(f64, Kind::Float, "a number");
plain!(DomainPattern, Kind::Text, "a domain or *.domain");
plain!(SocketAddr, Kind::Text, "an address with port such as 127.0.0.1:5060");

/// A SIP listening address, written `udp:0.0.0.0:5060`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Listen {
    /// What is spoken there; `tls` needs `[sip.tls]`.
    pub transport: Transport,
    /// Where; port 0 lets the system choose (the chosen one is logged).
    pub address: SocketAddr,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.as_str(), self.address)
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not of the form udp|tcp|tls:ADDRESS:PORT");
        let (transport, address) = text.split_once(':').ok_or_else(wrong)?;
        let transport = Transport::parse(transport).ok_or_else(wrong)?;
        Ok(Self { transport, address: address.parse().map_err(|_| wrong())? })
    }
}

/// A range of IP addresses, written `10.0.0.0/8`; a bare address is a range of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Whether `address` lies in the range. An IPv4 address that arrives on an IPv6 socket
    /// (`::ffff:a.b.c.d`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_ipv4() != self.network.is_ipv4() {
            return false;
        }
        let host_bits = 128 - u32::from(self.prefix) - if address.is_ipv4() { 96 } else { 0 };
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        bits(address) & mask == bits(self.network) & mask
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// 127.0.0.0/8.
pub(super) fn loopback_range() -> Vec<Cidr> {
    vec![Cidr { network: IpAddr::from([127, 0, 0, 0]), prefix: 8 }]
}

/// This machine and private networks: RFC 1918, RFC 3927, RFC 4193, RFC 4291 §2.5.
pub(super) fn private_ranges() -> Vec<Cidr> {
    let v4 = [([127, 0, 0, 0], 8), ([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12)];
    let v4 = v4.into_iter().chain([([192, 168, 0, 0], 16), ([169, 254, 0, 0], 16)]);
    let v6 = [(Ipv6Addr::LOCALHOST, 128), (group(0xfc00), 7), (group(0xfe80), 10)];
    let v4 = v4.map(|(network, prefix)| Cidr { network: IpAddr::from(network), prefix });
    let v6 = v6.map(|(network, prefix)| Cidr { network: IpAddr::from(network), prefix });
    v4.chain(v6).collect()
}

fn group(first: u16) -> Ipv6Addr {
    Ipv6Addr::from([first, 0, 0, 0, 0, 0, 0, 0])
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not an address range such as 10.0.0.0/8");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network = address.parse::<IpAddr>().map_err(|_| wrong())?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |p| p.parse().map_err(|_| wrong()))?;
        if prefix > longest {
            return Err(wrong());
        }
        Ok(Self { network, prefix })
    }
}

/// A host name or IP address with a port, written `home.example:5269` or `[::1]:5269`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Host name, or an IP address (IPv6 without brackets).
    pub host: String,
    /// 1–65535.
    pub port: u16,
}

impl HostPort {
    /// The address if `host` is one, so that no name has to be resolved.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse().ok()?, self.port))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not of the form HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(v6) => {
                let v6 = v6.strip_suffix(']').ok_or_else(wrong)?;
                v6.parse::<Ipv6Addr>().map_err(|_| wrong())?.to_string()
            }
            None => host.to_ascii_lowercase(),
        };
        if let Some(fault) = destination::fault_of(&host) {
            return Err(format!("\"{text}\": {fault}"));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_v6 = host.contains(':') && text.starts_with('[');
        if host.is_empty() || !(is_v6 || host.chars().all(allowed)) {
            return Err(wrong());
        }
        Ok(Self { host, port })
    }
}

/// What a DNS responder answers with: one address, or all addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DnsAnswer {
    /// Always this one.
    Address(IpAddr),
    /// Those that this host name has at the time, in lower case.
    Name(String),
}

impl fmt::Display for DnsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for DnsAnswer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(fault) = destination::fault_of(text) {
            return Err(format!("\"{text}\": {fault}"));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            // Container engines make names with underscores.
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            (1..=63).contains(&label.len()) && label.chars().all(allowed)
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err(format!("\"{text}\" is neither an IP address nor a host name"));
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

/// Where a proxy is: a range of addresses, or all addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ProxySource {
    /// Whatever comes from there.
    Range(Cidr),
    /// Those that this host name has at the time.
    Name(String),
}

impl FromStr for ProxySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(range) = text.parse() {
            return Ok(Self::Range(range));
        }
        match text.parse() {
            Ok(DnsAnswer::Name(name)) => Ok(Self::Name(name)),
            _ => Err(format!("\"{text}\" is neither an address range nor a host name")),
        }
    }
}

/// The address of one of our services or of a collector, written `http://host:port`. Links and
/// traces travel without TLS: they belong on a private network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl(pub HostPort);

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text is not repeated: a user might have put a password into it.
        let rest = text.strip_prefix("http://").ok_or("expected http://HOST:PORT")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        rest.parse().map(Self).map_err(|_| "expected http://HOST:PORT and nothing more".to_owned())
    }
}

/// The address of a page about one trace, with `{trace}` where the trace's id belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracesUrl(String);

impl TracesUrl {
    /// The page about this trace.
    pub fn of(&self, trace: &str) -> String {
        self.0.replace("{trace}", trace)
    }
}

impl FromStr for TracesUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A link of any other scheme could be a script.
        let is_web = text.starts_with("http://") || text.starts_with("https://");
        let fits = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        match is_web && fits && text.contains("{trace}") {
            true => Ok(Self(text.to_owned())),
            false => Err("expected http:// or https:// and {trace} in its place".to_owned()),
        }
    }
}

/// Where the shared state is kept. `Debug` and `Display` leave user name and password out.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `embedded:PATH`: a directory of this machine, for one process alone.
    Embedded(PathBuf),
    /// `redis://`, `rediss://` (TLS) or one of these with `+sentinel`, with all that the operator
    /// wrote.
    Redis(String),
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(path) => write!(f, "embedded:{}", path.display()),
            Self::Redis(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("redis", ""));
                let shown = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
                let shown = shown.split(['?', '#']).next().unwrap_or_default();
                write!(f, "{scheme}://{shown}")
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("embedded:").filter(|path| !path.is_empty()) {
            return Ok(Self::Embedded(path.into()));
        }
        let schemes = ["redis://", "rediss://", "redis+sentinel://", "rediss+sentinel://"];
        if !schemes.iter().any(|scheme| text.starts_with(scheme)) {
            return Err("expected embedded:PATH, redis://HOST:PORT/DB, rediss://… or \
                        redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB"
                .to_owned());
        }
        if RedisStore::can_use(text) {
            return Ok(Self::Redis(text.to_owned()));
        }
        Err(match text.contains("+sentinel://") {
            true => "this names no sentinels (redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB)",
            false => "this is not a usable Redis address (redis://HOST:PORT/DB)",
        }
        .to_owned())
    }
}

macro_rules! text {
    ($($type:ty => $expected:literal),* $(,)?) => {$(
        impl Value for $type {
            const KIND: Kind = Kind::Text;
            const EXPECTED: &'static str = $expected;
            fn parse(text: &str) -> Result<Self, String> {
                text.parse()
            }
        }
    )*};
}

text! {
    Listen => "a text such as \"udp:0.0.0.0:5060\"",
    Cidr => "a text such as \"10.0.0.0/8\"",
    DnsAnswer => "an IP address or a host name",
    HostPort => "a text such as \"host.example:5269\"",
    ProxySource => "a text such as \"10.0.0.0/8\" or \"front\"",
    HttpUrl => "a text such as \"http://127.0.0.1:7400\"",
    TracesUrl => "a text such as \"http://jaeger:16686/trace/{trace}\"",
    StoreUrl => "a text such as \"embedded:./openfed-data\"",
}
