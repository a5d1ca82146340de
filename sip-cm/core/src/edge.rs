//! What a request is, whose it is, and whether it is let in (rules §3 steps 1–4).
//!
//! ```text
//! for a registrar? ─▶ source trusted? ─▶ for us? ─▶ in a dialog? ─▶ sound? looping? ─▶ whose sides? ─▶ blocked? ─▶ known?
//! ```

use std::time::Instant;

use openfed_proto::address::Address;
use openfed_proto::domain::Domain;
use openfed_proto::link::Tables;
use openfed_proto::packet::Direction;
use openfed_proto::route::{DomainPattern, Refusal as RouteRefusal, RouteTable, Use};

use crate::cache::NearCache;
use crate::config::Config;
use crate::headers::{HeaderId, NameAddr};
use crate::proxy::loops::is_looping;
use crate::rule::Rule;
use crate::status::{ALLOW, Refusal};
use crate::transaction::is_in_dialog;
use crate::uri::{Host, Scheme, Uri};
use crate::wire::Message;

/// The tables as they were last pushed.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    pub(crate) routes: RouteTable,
    blocked: Vec<DomainPattern>,
    pinned: Vec<Domain>,
}

impl Policy {
    pub(crate) fn new(tables: Tables) -> Self {
        let Tables { routes, blocked, pinned, .. } = tables;
        Policy { routes: RouteTable::new(routes), blocked, pinned }
    }

    pub(crate) fn is_blocked(&self, domain: &Domain) -> bool {
        self.blocked.iter().any(|pattern| pattern.matches(domain))
    }
}

/// Who corresponds with whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parties {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) direction: Direction,
}

impl Parties {
    /// D of the rules.
    pub(crate) fn foreign(&self) -> &Domain {
        match self.direction {
            Direction::Inbound => self.from.domain(),
            Direction::Outbound | Direction::Internal => self.to.domain(),
        }
    }
}

/// What the source of a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nothing.
    Nobody,
    /// Bring what foreign domains say. Our users do not speak from there.
    NextHop,
    /// Speak for our users, too: one of `sip.trusted`.
    Operator,
}

/// Which way a request goes.
#[derive(Debug, PartialEq)]
pub(crate) enum Way {
    /// It is for this service itself.
    Us,
    /// It follows its dialog.
    Dialog { foreign: Option<Domain>, direction: Direction },
    /// Between a local and a foreign user; `known`, and as what, if no router need be asked.
    Correspondence { parties: Parties, known: Option<&'static str> },
}

/// What an edge looks at besides the request.
pub(crate) struct Edge<'a> {
    pub(crate) config: &'a Config,
    pub(crate) policy: &'a Policy,
    pub(crate) cache: &'a NearCache,
    pub(crate) now: Instant,
}

impl Edge<'_> {
    /// Decides on a new request. `trust`: in its source.
    pub(crate) fn decide(&self, request: &Message, trust: Trust) -> Result<Way, Refusal> {
        let uri = request.uri().and_then(Result::ok).ok_or(MALFORMED_URI)?;
        if self.is_for_a_registrar(request, &uri) {
            return Err(Refusal::of_method(request.method().unwrap_or_default()));
        }
        if trust == Trust::Nobody {
            return Err(Refusal::Forbidden(Rule::Source));
        }
        if is_in_dialog(request) {
            return self.dialog(request, trust);
        }
        if self.is_for_us(request, &uri) {
            return Ok(Way::Us);
        }
        let out_of_hops = request.max_forwards().map_err(|_| MALFORMED)? == Some(0);
        if out_of_hops {
            // RFC 3261 §16.3 item 3: OPTIONS asks who is here.
            let options = request.method() == Some("OPTIONS");
            return if options { Ok(Way::Us) } else { Err(Refusal::TooManyHops) };
        }
        if is_looping(request, self.config) {
            return Err(Refusal::Loop);
        }
        let required = request.list(HeaderId::ProxyRequire).map_err(|_| MALFORMED)?;
        if !required.is_empty() {
            return Err(Refusal::Extension(required.join(", ")));
        }
        let parties = self.parties(request, &uri, trust)?;
        self.admit(&parties, &uri)?;
        let known = self.known(&parties, uri.user());
        let stays_sip = known.is_some() && parties.direction == Direction::Outbound;
        if is_secure(request, &uri) && !stays_sip {
            return Err(insecure(&uri));
        }
        Ok(Way::Correspondence { parties, known })
    }

    /// Whether it wants a registrar or a presence agent of ours. There is none, whoever asks, so
    /// the method is looked at first (RFC 3261 §8.2.1): to a client that was pointed here, any talk
    /// of trust would be misleading.
    fn is_for_a_registrar(&self, request: &Message, uri: &Uri) -> bool {
        let asks = matches!(request.method(), Some("REGISTER" | "PUBLISH"));
        let is_ours = |host: &Host| {
            let domain = host.name().and_then(|name| Domain::parse(name).ok());
            domain.is_some_and(|domain| self.config.is_local(&domain))
                || self.config.is_us(host, uri.port())
        };
        asks && !is_in_dialog(request) && uri.host().is_some_and(is_ours)
    }

    /// Whether the request is addressed to this service, not to a user behind it.
    fn is_for_us(&self, request: &Message, uri: &Uri) -> bool {
        let names_us = |uri: &Uri| uri.host().is_some_and(|h| self.config.is_us(h, uri.port()));
        if !names_us(uri) {
            return false;
        }
        // Some next hops write our address into the Request-URI and leave the user's in To.
        let to_names_user = request.to().is_ok_and(|to| {
            !names_us(to.uri()) && to.uri().host().is_some_and(|host| host.name().is_some())
        });
        uri.user().is_none() || !to_names_user
    }

    fn dialog(&self, request: &Message, trust: Trust) -> Result<Way, Refusal> {
        let side = |address: Result<NameAddr, _>| -> Result<Option<Domain>, Refusal> {
            let address = address.map_err(|_| MALFORMED)?;
            Ok(address.uri().host().and_then(|h| h.name()).and_then(|n| Domain::parse(n).ok()))
        };
        let sides = [side(request.from())?, side(request.to())?];
        let local = |domain: &Domain| self.config.is_local(domain);
        if !sides.iter().flatten().any(local) {
            return Err(Refusal::Forbidden(Rule::Relay));
        }
        let from_ours = sides.first().is_some_and(|from| from.as_ref().is_some_and(local));
        let foreign = sides.into_iter().flatten().find(|domain| !local(domain));
        if foreign.as_ref().is_some_and(|domain| self.policy.is_blocked(domain)) {
            return Err(Refusal::Forbidden(Rule::BlockedDomain));
        }
        if request.max_forwards().map_err(|_| MALFORMED)? == Some(0) {
            return Err(Refusal::TooManyHops);
        }
        if is_looping(request, self.config) {
            return Err(Refusal::Loop);
        }
        if from_ours && trust != Trust::Operator {
            return Err(Refusal::Forbidden(Rule::LocalSender));
        }
        let direction = if from_ours { Direction::Outbound } else { Direction::Inbound };
        Ok(Way::Dialog { foreign, direction })
    }

    fn parties(&self, request: &Message, uri: &Uri, trust: Trust) -> Result<Parties, Refusal> {
        // The Request-URI first: its scheme is what 416 is about (RFC 3261 §8.2.2.1).
        let named_us = uri.host().is_some_and(|host| self.config.is_us(host, uri.port()));
        let to = match named_us {
            true => {
                let to = request.to().map_err(|_| MALFORMED)?;
                address_of(to.uri(), "To names no user of a domain")?
            }
            false => address_of(uri, "the Request-URI names no user of a domain")?,
        };
        let from = request.from().map_err(|_| MALFORMED)?;
        if from.uri().host().is_none() {
            return Err(Refusal::Forbidden(Rule::SenderScheme));
        }
        let from = address_of(from.uri(), "From names no user of a domain")?;
        let ours = |address: &Address| self.config.is_local(address.domain());
        let direction = match (ours(&from), ours(&to)) {
            // Through a next hop the world reaches us: there a local sender is a false one.
            (true, _) if trust != Trust::Operator => {
                return Err(Refusal::Forbidden(Rule::LocalSender));
            }
            (true, false) => Direction::Outbound,
            (false, true) => Direction::Inbound,
            (true, true) if self.config.intradomain => Direction::Internal,
            (true, true) if !takes(request) => {
                return Err(Refusal::of_method(request.method().unwrap_or_default()));
            }
            (true, true) => return Err(Refusal::Forbidden(Rule::Intradomain)),
            (false, false) => return Err(Refusal::Forbidden(Rule::Relay)),
        };
        Ok(Parties { from, to, direction })
    }

    fn admit(&self, parties: &Parties, uri: &Uri) -> Result<(), Refusal> {
        let foreign = parties.foreign();
        if parties.direction == Direction::Internal {
            return Ok(());
        }
        if self.policy.is_blocked(foreign) {
            return Err(Refusal::Forbidden(Rule::BlockedDomain));
        }
        if !self.policy.routes.blocks(foreign) {
            return Ok(());
        }
        // A route for this very user may go past the block of its domain.
        let user = uri.user().filter(|_| parties.direction == Direction::Outbound);
        let open = user.is_some()
            && self.policy.routes.candidates(foreign, user, Use::Known, &mut |_| 0)
                != Err(RouteRefusal::Blocked);
        if open { Ok(()) } else { Err(Refusal::Forbidden(Rule::BlockedRoute)) }
    }

    fn known(&self, parties: &Parties, user: Option<&str>) -> Option<&'static str> {
        let foreign = parties.foreign();
        let routes = &self.policy.routes;
        // What is pinned to XMPP is the router's to decide, whatever else is known of it.
        if parties.direction == Direction::Internal || self.policy.pinned.contains(foreign) {
            return None;
        }
        let by_user = parties.direction == Direction::Outbound
            && routes.routes().iter().any(|route| {
                route.pattern.is_user() && !route.blocked && route.pattern.matches(foreign, user)
            });
        if routes.configures(foreign) || by_user {
            return Some("configured");
        }
        self.cache.knows(foreign, self.now).then_some("cached")
    }
}

const MALFORMED: Refusal = Refusal::Malformed("a header cannot be read");
const MALFORMED_URI: Refusal = Refusal::Malformed("the Request-URI cannot be read");

/// Whether a local user ever takes such a request.
fn takes(request: &Message) -> bool {
    let method = request.method().unwrap_or_default();
    ALLOW.split(", ").any(|allowed| allowed == method)
}

/// S-044: what asks for `sips:` on either address.
pub(crate) fn is_secure(request: &Message, uri: &Uri) -> bool {
    let to_is = request.to().is_ok_and(|to| to.uri().scheme() == Scheme::Sips);
    uri.scheme() == Scheme::Sips || to_is
}

/// Why `sips:` is refused: by the Request-URI if that has it, which is what 416 is about.
pub(crate) fn insecure(uri: &Uri) -> Refusal {
    match uri.scheme() {
        Scheme::Sips => Refusal::Scheme,
        _ => Refusal::Forbidden(Rule::Insecure),
    }
}

/// The address of a `sip:`, `sips:`, `im:` or `pres:` URI; everything else is no URI for us (S-026).
fn address_of(uri: &Uri, malformed: &'static str) -> Result<Address, Refusal> {
    let Some(host) = uri.host() else { return Err(Refusal::Scheme) };
    let gr = uri.params().get("gr").map(Option::unwrap_or_default);
    let host = host.name().ok_or(Refusal::Malformed(malformed))?;
    let user = uri.user().unwrap_or_default();
    Address::from_sip(user, host, gr).map_err(|_| Refusal::Malformed(malformed))
}
