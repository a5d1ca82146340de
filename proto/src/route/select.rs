//! Which static routes carry a request, in which order (rules §1).

use std::cmp::Reverse;

use super::{Pattern, StaticRoute};
use crate::domain::Domain;

/// What a request may use the open route for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The domain is known: `.*` carries it even while blocked.
    Known,
    /// The domain is being discovered: `.*` must be open.
    Discovery,
}

/// Why no route carries a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The most specific match is blocked: 403, `policy-violation`.
    Blocked,
    /// What matches is out of service or has no next hop: 503,
    /// a `service-unavailable`-class error.
    OutOfService,
}

/// All static routes, most specific first.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<StaticRoute>,
}

impl RouteTable {
    pub fn new(mut routes: Vec<StaticRoute>) -> Self {
        routes.sort_by_key(|route| (Reverse(route.pattern.specificity()), route.priority));
        RouteTable { routes }
    }

    pub fn routes(&self) -> &[StaticRoute] {
        &self.routes
    }

    /// The pre-defined route `.*`, once the tables have arrived.
    pub fn open_route(&self) -> Option<&StaticRoute> {
        self.routes.iter().rev().find(|route| route.is_open_route())
    }

    /// OPEN of the rules: new domains may be discovered.
    pub fn is_open(&self) -> bool {
        self.open_route().is_some_and(StaticRoute::is_open)
    }

    /// Whether a specific, unblocked domain route makes `domain` a configured one.
    pub fn configures(&self, domain: &Domain) -> bool {
        self.most_specific(domain).is_some_and(|route| !route.blocked)
    }

    /// Whether the most specific domain route of `domain`, other than `.*`, is blocked.
    pub fn blocks(&self, domain: &Domain) -> bool {
        self.most_specific(domain).is_some_and(|route| route.blocked)
    }

    fn most_specific(&self, domain: &Domain) -> Option<&StaticRoute> {
        let first = self.routes.iter().find(|route| {
            !route.is_open_route()
                && !route.pattern.is_user()
                && route.pattern.matches(domain, None)
        })?;
        let level = |route: &&StaticRoute| route.pattern == first.pattern;
        self.routes.iter().filter(level).find(|route| !route.blocked).or(Some(first))
    }

    /// The routes to try for `user` at `domain`, in order. `pick(n)` returns a
    /// random number below n; it decides among equal priorities by weight.
    pub fn candidates(
        &self,
        domain: &Domain,
        user: Option<&str>,
        purpose: Use,
        pick: &mut dyn FnMut(u32) -> u32,
    ) -> Result<Vec<&StaticRoute>, Refusal> {
        let matching: Vec<&StaticRoute> =
            self.routes.iter().filter(|route| route.pattern.matches(domain, user)).collect();
        let mut chosen = Vec::new();
        for level in matching.chunk_by(|a, b| a.pattern == b.pattern) {
            let usable: Vec<&StaticRoute> =
                level.iter().copied().filter(|route| may_carry(route, purpose)).collect();
            if usable.is_empty() && level.iter().all(|route| refuses(route, purpose)) {
                return if chosen.is_empty() { Err(Refusal::Blocked) } else { Ok(chosen) };
            }
            for equals in usable.chunk_by(|a, b| a.priority == b.priority) {
                chosen.extend(by_weight(equals.to_vec(), pick));
            }
            if level.iter().any(|route| !route.allow_less_specific) {
                break;
            }
        }
        if chosen.is_empty() { Err(Refusal::OutOfService) } else { Ok(chosen) }
    }
}

fn may_carry(route: &StaticRoute, purpose: Use) -> bool {
    route.can_carry() && (!route.blocked || (route.is_open_route() && purpose == Use::Known))
}

fn refuses(route: &StaticRoute, purpose: Use) -> bool {
    route.blocked && (route.pattern != Pattern::Open || purpose == Use::Discovery)
}

/// Weighted choice without replacement: what failed is taken out.
fn by_weight<'a>(
    mut rest: Vec<&'a StaticRoute>,
    pick: &mut dyn FnMut(u32) -> u32,
) -> Vec<&'a StaticRoute> {
    let mut order = Vec::with_capacity(rest.len());
    while rest.len() > 1 {
        let total = rest.iter().map(|route| u32::from(route.weight.max(1))).sum();
        let mut at = pick(total).min(total - 1);
        let index = rest
            .iter()
            .position(|route| {
                let weight = u32::from(route.weight.max(1));
                let found = at < weight;
                at = at.saturating_sub(weight);
                found
            })
            .unwrap_or(0);
        order.push(rest.remove(index));
    }
    order.extend(rest);
    order
}

#[cfg(test)]
mod tests;
