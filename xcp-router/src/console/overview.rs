//! Overview: is open federation active, what works badly, how much goes which way.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use openfed_proto::packet::Role;

use super::Console;
use super::frame::{Frame, Refusal, show};
use super::model::{Items, Node, Route, moment_of, thousands};
use super::nodes;
use super::visitor::Visitor;
use crate::now;
use crate::traffic::Way;

/// Failing domains that are shown.
const FAILING: usize = 12;

/// Something without which open federation is not active.
struct Check {
    name: &'static str,
    holds: bool,
    words: String,
}

struct Counts {
    sip: String,
    cap: String,
    pinned: String,
    blocked: String,
    routes: String,
}

/// What went one way.
struct Rate {
    name: &'static str,
    words: &'static str,
    last: String,
    before: String,
}

struct Failing {
    domain: String,
    condition: String,
    at: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    checks: Vec<Check>,
    counts: Counts,
    problems: Vec<(&'static str, String)>,
    ways: Vec<Rate>,
    failing: Vec<Failing>,
    nodes: Vec<Node>,
}

impl Page {
    fn missing(&self) -> usize {
        self.checks.iter().filter(|check| !check.holds).count()
    }

    fn missing_words(&self) -> String {
        match self.missing() {
            1 => "One of its preconditions is missing.".to_owned(),
            count => format!("{count} of its preconditions are missing."),
        }
    }
}

pub(super) async fn page(
    State(console): State<Console>,
    visitor: Visitor,
) -> Result<Response, Refusal> {
    let route: Route = console.0.backend.get(&visitor, "/static-routes/0").await?;
    let routes: Items<Route> = console.0.backend.get(&visitor, "/static-routes").await?;
    let nodes = nodes::all(&console, &visitor).await?;
    let views = &console.0.views;
    let (sip, pinned, blocked) = views
        .catalogue
        .read(|listing| (listing.names.len(), listing.pinned.len(), listing.blocked.len()));
    let counts = Counts {
        sip: thousands(sip as u64),
        cap: thousands(views.settings.discovery.table_cap),
        pinned: thousands(pinned as u64),
        blocked: thousands(blocked as u64),
        routes: thousands(routes.items.len() as u64),
    };
    let failing = views.insight.traffic.failing(FAILING).into_iter().map(|own| Failing {
        domain: own.domain.to_string(),
        condition: own.condition,
        at: moment_of(own.at_us),
    });
    Ok(show(&Page {
        frame: Frame::new(&console, &visitor, "/"),
        checks: checks(&console, &route, &nodes),
        counts,
        problems: views.health.problems().into_iter().collect(),
        ways: rates(&console),
        failing: failing.collect(),
        nodes,
    }))
}

/// The preconditions of open federation, in the order in which an operator sees to them.
fn checks(console: &Console, route: &Route, nodes: &[Node]) -> Vec<Check> {
    let settings = &console.0.views.settings;
    let linked = |role: Role| nodes.iter().any(|node| node.role == role.as_str() && !node.draining);
    let (xmpp, required) = (linked(Role::XmppCm), settings.discovery.require_xmpp);
    let words = match (settings.xmpp.federation, xmpp, required) {
        (true, true, _) => "It is tried first for every unknown domain.",
        (_, _, false) => {
            "It is off or not linked, which the settings allow (discovery.require_xmpp)."
        }
        (false, ..) => "It is off: set xmpp.federation = true in the settings.",
        (true, false, true) => "No xmpp-cm that serves is linked to this router.",
    };
    let check = |name, holds, yes: String, no: &str| Check {
        name,
        holds,
        words: if holds { yes } else { no.to_owned() },
    };
    vec![
        Check {
            name: "XMPP federation",
            holds: (settings.xmpp.federation && xmpp) || !required,
            words: words.to_owned(),
        },
        check(
            "SIP",
            linked(Role::SipCm),
            "A sip-cm is linked.".to_owned(),
            "No sip-cm that serves is linked to this router.",
        ),
        check(
            "Next hop",
            !route.next_hop.is_empty(),
            format!("The open route .* leads to {}.", route.target()),
            "The open route .* has no next hop, port and protocol yet.",
        ),
        check(
            "In service",
            route.in_service,
            "Service of .* is on.".to_owned(),
            "Service of .* is off: domains without a route of their own get 503.",
        ),
        check(
            "Unblocked",
            !route.blocked,
            "Block Route of .* is off.".to_owned(),
            "Block Route of .* is on: no new domain is let in; known ones keep flowing.",
        ),
    ]
}

fn rates(console: &Console) -> Vec<Rate> {
    let (last, before) = console.0.views.insight.traffic.minutes(now().unix_us);
    let ways = Way::ALL.into_iter().zip(last.into_iter().zip(before));
    let rate = |(way, (last, before))| {
        let (name, words) = words(way);
        Rate { name, words, last: thousands(last), before: thousands(before) }
    };
    ways.map(rate).collect()
}

fn words(way: Way) -> (&'static str, &'static str) {
    match way {
        Way::Straight => {
            ("SIP, at sip-cm alone", "To and from known domains, without asking a router.")
        }
        Way::Known => ("SIP, known domain", "The router knew the domain."),
        Way::Discovered => ("SIP, discovered", "XMPP found no server; the open route carried it."),
        Way::Xmpp => ("XMPP", "Delivered to a foreign XMPP server."),
        Way::Home => ("To local users", "Delivered to a user of the home server."),
        Way::Refused => ("Refused", "By a rule, or by a block of an operator."),
        Way::Failed => ("Failed", "Not delivered; the sender was told why."),
    }
}
