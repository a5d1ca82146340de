//! Trials: an operator wants to see whether a domain can be reached, and managers look.

use openfed_proto::domain::Domain;
use openfed_proto::link::{FromRouter, NextHop, TRIAL_STEPS, Trial, TrialStep};
use openfed_proto::packet::Role;
use openfed_proto::route::StaticRoute;

use crate::command::Command;
use crate::core::Router;
use crate::nodes::LinkId;

/// One way to a domain, and who looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayTried {
    /// Of the manager that speaks the way's protocol.
    pub role: Role,
    /// `None`: nobody of that role is linked, or no route leads there.
    pub node: Option<String>,
    /// The static route whose next hop is tried.
    pub route: Option<String>,
}

impl Router {
    /// Has the domain tried over XMPP, and over SIP by its most specific static route that has a
    /// next hop, blocked or not: one wants to know before one unblocks it. Each manager tells what
    /// it found with [`Command::Tried`]. No packet is involved, and nothing is remembered.
    pub fn handle_try(&mut self, number: u64, domain: &Domain) -> Vec<WayTried> {
        let xmpp = Trial { number, domain: domain.clone(), hop: None };
        let mut ways = vec![self.have_tried(Role::XmppCm, None, xmpp)];
        if !self.config.is_local(domain) {
            let leads = |route: &&StaticRoute| {
                !route.next_hop.is_empty() && route.pattern.matches(domain, None)
            };
            let route = self.domains.routes().routes().iter().find(leads);
            let way = match route.map(|route| (route.pattern.to_string(), next_hop(route))) {
                Some((pattern, hop)) => {
                    let trial = Trial { number, domain: domain.clone(), hop: Some(hop) };
                    self.have_tried(Role::SipCm, Some(pattern), trial)
                }
                None => WayTried { role: Role::SipCm, node: None, route: None },
            };
            ways.push(way);
        }
        ways
    }

    fn have_tried(&mut self, role: Role, route: Option<String>, trial: Trial) -> WayTried {
        let fit = self.nodes.iter().find(|link| link.role == role && !link.draining);
        let found = fit.map(|link| (link.id, link.node.to_string()));
        if let Some((link, _)) = found {
            self.send(link, FromRouter::Try(trial));
        }
        WayTried { role, node: found.map(|(_, node)| node), route }
    }

    /// A manager tells what it found, for whoever looks.
    pub(crate) fn tried(&mut self, link: LinkId, number: u64, mut steps: Vec<TrialStep>) {
        let Some(node) = self.nodes.get(link).map(|link| link.node.to_string()) else { return };
        steps.truncate(TRIAL_STEPS);
        self.commands.push_back(Command::Tried { node, number, steps });
    }
}

fn next_hop(route: &StaticRoute) -> NextHop {
    let StaticRoute { next_hop, port, transport, .. } = route;
    NextHop { host: next_hop.clone(), port: *port, transport: *transport }
}
