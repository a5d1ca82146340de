//! What blocking, unblocking and removing a route will do, said before it is done (rules §1).

use crate::console::model::{Route, State, thousands};

pub(super) fn block(route: &Route, known: usize) -> Vec<String> {
    if !route.predefined {
        return vec![format!(
            "Messages that match {} are refused (403 in SIP, policy-violation in XMPP), unless a \
             more specific route matches that is not blocked. They do not fall through to shorter \
             patterns.",
            route.pattern
        )];
    }
    let stay = match known {
        0 => "No domain is known so far.".to_owned(),
        1 => "The one SIP domain that is known keeps flowing".to_owned(),
        _ => format!("The {} SIP domains that are known keep flowing", thousands(known as u64)),
    };
    let stay = if known == 0 {
        stay
    } else {
        format!("{stay}: by a route of its own, or by {}.", hop(route))
    };
    vec![
        "Discovery ends: a domain that is not known yet is tried over XMPP only, and no new row \
         appears in SIP Federation. A discovery that is under way ends as not allowed."
            .to_owned(),
        stay,
    ]
}

fn hop(route: &Route) -> String {
    if route.next_hop.is_empty() { "no next hop yet".to_owned() } else { route.target() }
}

pub(super) fn unblock(route: &Route) -> Vec<String> {
    if !route.predefined {
        return vec![format!("Messages that match {} go to {} again.", route.pattern, hop(route))];
    }
    vec![
        "Open federation begins: a message to or from a domain that nobody configured is tried \
         over XMPP first. Where XMPP finds no server, it goes by SIP."
            .to_owned(),
        format!(
            "It is sent to {}. Each domain for which that works once is remembered in SIP \
             Federation.",
            hop(route)
        ),
    ]
}

pub(super) fn remove(route: &Route) -> Vec<String> {
    vec![format!(
        "The route {} to {} is removed. What it matched goes by the next shorter pattern that \
         matches, at last by .*.",
        route.pattern,
        hop(route)
    )]
}

/// What would keep the wish from having its effect.
pub(super) fn warning(route: &Route, action: &str) -> Option<String> {
    let open = Route { blocked: false, ..route.clone() };
    match (action, open.state()) {
        ("unblock", State::OutOfService) if route.next_hop.is_empty() => Some(
            "It has no next hop yet. Enter Next Hop, Next Hop Port and Protocol Type first."
                .to_owned(),
        ),
        ("unblock", State::OutOfService) => {
            Some("It is out of service, and stays so until Service is switched on.".to_owned())
        }
        _ => None,
    }
}
