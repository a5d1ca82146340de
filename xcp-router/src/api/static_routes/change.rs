//! From a request's body to a route that can stand (rules §1).

use openfed_node::settings::Settings;
use openfed_proto::domain::Host;
use openfed_proto::route::{Credentials, Pattern, StaticRoute, Transport};
use serde_json::{Map, Value};

use crate::api::fields::Fields;
use crate::api::problem::Problem;

/// What a request's fields are put onto.
#[derive(Clone, Copy)]
pub(super) enum Base<'a> {
    /// A new route; missing fields are at their defaults.
    New,
    /// This one, but missing fields go back to their defaults.
    Replaced(&'a StaticRoute),
    /// This one; missing fields stay.
    Changed(&'a StaticRoute),
}

impl Base<'_> {
    pub(super) fn old(&self) -> Option<&StaticRoute> {
        match self {
            Base::New => None,
            Base::Replaced(old) | Base::Changed(old) => Some(old),
        }
    }

    /// The route with the values that missing fields have.
    fn start(&self) -> StaticRoute {
        match self {
            Base::New => StaticRoute::new(Pattern::Open, ""),
            Base::Changed(old) => (*old).clone(),
            Base::Replaced(old) => {
                let defaults = match old.is_open_route() {
                    true => StaticRoute::predefined(),
                    false => StaticRoute::new(old.pattern.clone(), ""),
                };
                StaticRoute { id: old.id, version: old.version, ..defaults }
            }
        }
    }
}

/// Reads all fields; every fault is reported.
pub(super) fn read(
    body: Map<String, Value>,
    base: Base<'_>,
    settings: &Settings,
) -> Result<StaticRoute, Problem> {
    let mut fields = Fields::new(body);
    let mut route = base.start();
    read_pattern(&mut fields, &mut route, base);
    simple_fields(&mut fields, &mut route);
    next_hop(&mut fields, &mut route, settings);
    credentials(&mut fields, &mut route, base);
    open_route(&mut fields, &route, base);
    fields.ignore(&["id", "predefined"]);
    fields.finish(route)
}

/// Pattern and type belong together; neither ever changes for `.*`.
fn read_pattern(fields: &mut Fields, route: &mut StaticRoute, base: Base<'_>) {
    let was_user = base.old().is_some_and(|old| old.pattern.is_user());
    let is_user = match fields.text("type").as_deref() {
        None => was_user,
        Some("domain") => false,
        Some("user") => true,
        Some(_) => fields.wrong("type", "must be domain or user").unwrap_or(was_user),
    };
    let text = fields.text("pattern");
    let retyped = base.old().is_some() && is_user != was_user;
    let text = match (text, base) {
        (Some(text), _) => text,
        (None, Base::New) => return fields.error("pattern", "is missing"),
        (None, _) if retyped => route.pattern.to_string(),
        (None, _) => return,
    };
    let parsed = if is_user { Pattern::user(&text) } else { Pattern::domain(&text) };
    match (parsed, base.old()) {
        (Err(error), _) => fields.error("pattern", error.to_string()),
        (Ok(pattern), Some(old)) if old.is_open_route() && pattern != old.pattern => {
            let field = if retyped { "type" } else { "pattern" };
            fields.error(field, "cannot be changed for the open route .*");
        }
        (Ok(Pattern::Open), Some(old)) if !old.is_open_route() => {
            fields.error("pattern", "the open route .* exists already, exactly once");
        }
        (Ok(pattern), _) => route.pattern = pattern,
    }
}

/// Fields whose values stand for themselves.
fn simple_fields(fields: &mut Fields, route: &mut StaticRoute) {
    if let Some(description) = fields.note("description") {
        route.description = description;
    }
    if let Some(port) = fields.number("port", 0) {
        route.port = port;
    }
    if let Some(name) = fields.text("protocol") {
        match Transport::parse(&name) {
            Some(transport) => route.transport = transport,
            None => fields.error("protocol", "must be tcp, udp or tls"),
        }
    }
    if let Some(priority) = fields.number("priority", 1) {
        route.priority = priority;
    }
    if let Some(weight) = fields.number("weight", 1) {
        route.weight = weight;
    }
    if let Some(allow) = fields.flag("allow_less_specific") {
        route.allow_less_specific = allow;
    }
    if let Some(in_service) = fields.flag("in_service") {
        route.in_service = in_service;
    }
    if let Some(blocked) = fields.flag("blocked") {
        route.blocked = blocked;
    }
    // Not given: the current version is meant.
    if let Some(version) = fields.value("version") {
        match version.as_u64() {
            Some(version) => route.version = version,
            None => fields.error("version", "must be a whole number"),
        }
    }
}

/// An address or a name; only a blocked `.*` can do without.
fn next_hop(fields: &mut Fields, route: &mut StaticRoute, settings: &Settings) {
    if let Some(text) = fields.text("next_hop") {
        let text = text.trim();
        match Host::parse_destination(text) {
            _ if text.is_empty() => route.next_hop.clear(),
            Ok(host) => route.next_hop = host.to_string().trim_matches(['[', ']']).to_owned(),
            Err(error) => return fields.error("next_hop", error.to_string()),
        }
    }
    if route.next_hop.is_empty() && !route.is_open_route() {
        fields.error("next_hop", "is missing");
    }
    if is_ours(route, settings) {
        fields.error("next_hop", "is our own listener: requests would go round in a circle");
    }
}

/// Whether the next hop is a listener of ours, as far as the settings tell.
fn is_ours(route: &StaticRoute, settings: &Settings) -> bool {
    let Ok(Host::Ip(ip)) = Host::parse(&route.next_hop) else { return false };
    settings.sip.listen.iter().any(|listen| {
        let everywhere = listen.address.ip().is_unspecified() && ip.is_loopback();
        listen.transport == route.transport
            && listen.address.port() == route.port
            && (listen.address.ip() == ip || everywhere)
    })
}

/// The password is never shown; left out, it stays as it was.
fn credentials(fields: &mut Fields, route: &mut StaticRoute, base: Base<'_>) {
    let named = fields.names("credentials");
    let object = match fields.value("credentials") {
        None if named => return route.credentials = None,
        None => return,
        Some(Value::Object(object)) => object,
        Some(_) => return fields.error("credentials", "must be an object or null"),
    };
    let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some(username) = text("username").filter(|name| !name.is_empty()) else {
        return fields.error("credentials", "need a username");
    };
    let old = base.old().and_then(|old| old.credentials.as_ref());
    let kept = old.filter(|old| old.username == username).map(|old| old.password.clone());
    match text("password").or(kept) {
        Some(password) => route.credentials = Some(Credentials { username, password }),
        None => fields.error("credentials", "need a password for this username"),
    }
}

/// `.*` is only unblocked when it is known where to, by which port and how.
fn open_route(fields: &mut Fields, route: &StaticRoute, base: Base<'_>) {
    if !route.is_open_route() || base.old().is_none() {
        return;
    }
    // Defaults are no choice: the first next hop comes with its port and protocol.
    let never_set = base.old().is_some_and(|old| old.next_hop.is_empty());
    let fresh = matches!(base, Base::Replaced(_)) || never_set;
    let needs_all = !route.blocked || (never_set && !route.next_hop.is_empty());
    if !needs_all {
        return;
    }
    if route.next_hop.is_empty() {
        fields.error("next_hop", "is needed before the open route is unblocked");
    }
    if fresh && !fields.names("port") {
        let message = "is needed with the next hop; 0 looks the next hop's SRV records up";
        fields.error("port", message);
    }
    if fresh && !fields.names("protocol") {
        fields.error("protocol", "is needed with the next hop: tcp, udp or tls");
    }
}
