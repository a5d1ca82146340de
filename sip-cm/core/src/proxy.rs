//! What RFC 3261 §16 tells a proxy to change in a request and in a response, and nothing else.
//!
//! ```text
//! request in ─▶ unrouted (§16.4, Max-Forwards) ─▶ next_hop (§16.6.7)
//!            ─▶ outgoing (Record-Route, Via) ─▶ out          response in ─▶ Via off ─▶ back
//! ```

pub(crate) mod loops;

#[cfg(test)]
mod tests;

use bytestring::ByteString;
use openfed_proto::route::{StaticRoute, Transport};

use crate::command::{Arrival, Hop};
use crate::config::{Config, default_port};
use crate::headers::{HeaderId, NameAddr};
use crate::status::Refusal;
use crate::uri::{Scheme, Uri};
use crate::wire::Message;

/// A place to send to, before its name is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NextHop {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    /// `None`: look SRV records up (RFC 3263).
    pub(crate) port: Option<u16>,
    pub(crate) transport: Option<Transport>,
    /// Pattern of the static route, if one led here.
    pub(crate) route: Option<String>,
    pub(crate) credentials: Option<openfed_proto::route::Credentials>,
}

impl NextHop {
    /// Where a static route leads.
    pub(crate) fn of_route(route: &StaticRoute) -> Self {
        let host = route.next_hop.trim_matches(['[', ']']).to_owned();
        // An address has no SRV records: 0 is its default port.
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        let port = match route.port {
            0 if is_address => Some(default_port(route.transport)),
            0 => None,
            port => Some(port),
        };
        NextHop {
            host,
            port,
            transport: Some(route.transport),
            route: Some(route.pattern.to_string()),
            credentials: route.credentials.clone(),
        }
    }

    /// Where a Route or a Request-URI in a dialog leads (RFC 3263 §4).
    fn of_uri(uri: &Uri) -> Result<Self, Refusal> {
        let host = uri.host().ok_or(Refusal::Scheme)?;
        let named = uri.params().value("transport").and_then(Transport::parse);
        let secure = uri.scheme() == Scheme::Sips;
        let transport = if secure { Some(Transport::Tls) } else { named };
        let host_text = host.to_string().trim_matches(['[', ']']).to_owned();
        let default = transport.map_or(5060, default_port);
        let port = uri.port().or(host.ip().map(|_| default));
        Ok(NextHop { host: host_text, port, transport, route: None, credentials: None })
    }

    /// The address, if no name has to be looked up.
    pub(crate) fn address(&self) -> Option<Hop> {
        let address = (self.host.parse::<std::net::IpAddr>().ok()?, self.port?).into();
        let transport = self.transport.unwrap_or(Transport::Udp);
        Some(Hop { transport, address, flow: None, name: None })
    }
}

/// The request as it leaves, but for Record-Route and Via: our own Route values are gone (RFC 3261
/// §16.4), Max-Forwards is one less, and an `im:` or `pres:` URI is the `sip:` URI of the same user.
pub(crate) fn unrouted(request: &Message, config: &Config) -> Result<Message, Refusal> {
    let malformed = |_| Refusal::Malformed("a header cannot be read");
    let mut message = request.clone();
    let is_us = |uri: &Uri| uri.host().is_some_and(|host| config.is_us(host, uri.port()));
    let uri = message.uri().and_then(Result::ok);
    // Next hops speak SIP, and need not know more (RFC 3428 §5, S-018).
    if let Some(sip) = uri.as_ref().and_then(Uri::as_sip) {
        message.set_uri(&sip);
    }
    if uri.is_some_and(|uri| uri.is_loose_router() && is_us(&uri)) {
        undo_strict_route(&mut message).map_err(malformed)?;
    }
    let recorded = crate::transaction::is_in_dialog(&message);
    let routes = message.addresses(HeaderId::Route).map_err(malformed)?;
    let ours = |(at, route): (usize, &NameAddr)| match recorded {
        // What is below our own record is another's: a proxy of our domain may have recorded itself.
        true if at > 0 => at < 2 && is_us(route.uri()),
        _ => is_us(route.uri()) || config.is_our_domain(route.uri()),
    };
    let count = routes.iter().enumerate().take_while(|route| ours(*route)).count();
    for _ in 0..count {
        message.pop_route().map_err(malformed)?;
    }
    message.decrement_max_forwards().map_err(|_| Refusal::TooManyHops)?;
    Ok(message)
}

/// RFC 3261 §16.4: a strict router before us put our Record-Route into the Request-URI and the
/// real one at the end of Route.
fn undo_strict_route(message: &mut Message) -> Result<(), crate::wire::WireError> {
    let mut routes = message.addresses(HeaderId::Route)?;
    if let Some(last) = routes.pop() {
        message.set_uri(last.uri().as_str());
        set_routes(message, &routes);
    }
    Ok(())
}

fn set_routes(message: &mut Message, routes: &[NameAddr]) {
    message.remove(HeaderId::Route);
    for route in routes.iter().rev() {
        message.push_front(HeaderId::Route, route.as_str());
    }
}

/// Where a request in a dialog goes, after [`unrouted`]; a strict router there gets what it
/// expects (RFC 3261 §16.6 item 6).
pub(crate) fn next_hop(message: &mut Message) -> Result<NextHop, Refusal> {
    let malformed = Refusal::Malformed("the route cannot be read");
    let mut routes = message.addresses(HeaderId::Route).map_err(|_| malformed.clone())?;
    let uri = message.uri().and_then(Result::ok).ok_or(malformed)?;
    let Some(first) = routes.first().cloned() else { return NextHop::of_uri(&uri) };
    if !first.uri().is_loose_router() {
        routes.remove(0);
        let last = NameAddr::parse(&format!("<{uri}>").into(), HeaderId::Route);
        routes.extend(last);
        message.set_uri(first.uri().as_str());
        set_routes(message, &routes);
    }
    // 416 is about the Request-URI alone.
    NextHop::of_uri(first.uri()).map_err(|_| Refusal::Malformed("the route cannot be read"))
}

/// Whether a 2xx to the request makes a dialog, so that we must stay on its way. Methods that we
/// do not know may make one.
fn may_make_dialog(method: &str) -> bool {
    !matches!(
        method,
        "MESSAGE"
            | "OPTIONS"
            | "REGISTER"
            | "PUBLISH"
            | "INFO"
            | "ACK"
            | "CANCEL"
            | "BYE"
            | "PRACK"
    )
}

/// The request with our Record-Route and Via for this hop.
pub(crate) fn outgoing(
    base: &Message,
    config: &Config,
    came_by: Transport,
    hop: &Hop,
    branch: &str,
) -> Message {
    let mut message = base.clone();
    let new_dialog = !crate::transaction::is_in_dialog(base);
    if new_dialog && may_make_dialog(base.method().unwrap_or_default()) {
        if came_by != hop.transport {
            message.push_record_route(&record_route(config, came_by));
        }
        message.push_record_route(&record_route(config, hop.transport));
    }
    message.push_via(&via(config, hop.transport, branch));
    message
}

fn record_route(config: &Config, transport: Transport) -> String {
    let (host, port) = own_address(config, transport);
    format!("<sip:{host}:{port};transport={};lr>", transport.as_str())
}

/// Our Via on `transport` (RFC 3261 §18.1.1, RFC 3581).
pub(crate) fn via(config: &Config, transport: Transport, branch: &str) -> String {
    let (host, port) = own_address(config, transport);
    let name = transport.as_str().to_ascii_uppercase();
    format!("SIP/2.0/{name} {host}:{port};branch={branch};rport")
}

fn own_address(config: &Config, transport: Transport) -> (String, u16) {
    match config.listener(transport) {
        Some(listener) => (listener.advertised.0.to_string(), listener.advertised.1),
        None => ("localhost.invalid".to_owned(), default_port(transport)),
    }
}

/// Whether `hop` is where the request came from: it would only come back.
pub(crate) fn is_origin(request: &Message, arrival: &Arrival, hop: &Hop) -> bool {
    if hop.address == arrival.source {
        return true;
    }
    // A peer that connects to us listens where its Via says.
    let via = request.top_via().ok();
    let port = via.as_ref().and_then(|via| via.port()).unwrap_or(default_port(arrival.transport));
    let names_itself = via.is_some_and(|via| via.host().ip() == Some(arrival.source.ip()));
    names_itself && hop.address.ip() == arrival.source.ip() && hop.address.port() == port
}

/// A name for certificates: the next hop's, not that of an SRV target (RFC 5922 §4).
pub(crate) fn certificate_name(next_hop: &NextHop) -> Option<ByteString> {
    Some(next_hop.host.as_str().into())
}
