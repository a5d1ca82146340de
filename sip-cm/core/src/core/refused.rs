//! Who was refused by which rule, for people to see: a flow at a router and a line in the log.
//!
//! A flood shows as its beginning: so many flows and lines in a while, the rest is only counted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use openfed_proto::domain::Domain;
use openfed_proto::link::{FromCm, Refused};
use openfed_proto::packet::{Direction, Ending, Outcome, TraceContext};

use super::Core;
use crate::command::{Command, Fact};
use crate::headers::NameAddr;
use crate::rule::Rule;
use crate::status::Refusal;
use crate::transaction::{ServerId, packet_id};
use crate::wire::Message;

/// The while in which these are counted.
const WHILE: Duration = Duration::from_secs(10);
/// Sources and rules that get a line.
const LINES: usize = 32;
/// Flows of each of them, and of all.
const FLOWS_EACH: u32 = 5;
const FLOWS: u32 = 30;

/// What was shown in this while.
#[derive(Debug, Default)]
pub(super) struct Shown {
    since: Option<Instant>,
    refused: BTreeMap<(IpAddr, Rule), u32>,
    flows: u32,
}

impl Shown {
    /// Another one. Whether it gets a line, and a flow.
    fn note(&mut self, source: IpAddr, rule: Rule, now: Instant) -> (bool, bool) {
        if self.since.is_none_or(|since| now >= since + WHILE) {
            *self = Shown { since: Some(now), ..Shown::default() };
        }
        let key = (source.to_canonical(), rule);
        let is_new = !self.refused.contains_key(&key);
        if is_new && self.refused.len() >= LINES {
            return (false, false);
        }
        let times = self.refused.entry(key).or_default();
        *times += 1;
        let flow = *times <= FLOWS_EACH && self.flows < FLOWS;
        self.flows += u32::from(flow);
        (is_new, flow)
    }
}

impl Core {
    /// The request is about to be answered with what this rule says.
    pub(super) fn show_refusal(&mut self, id: ServerId, rule: Rule, now: Instant) {
        let Some(request) = self.requests.get(&id) else { return };
        let source = request.arrival.source.ip();
        let (line, flow) = self.refused.note(source, rule, now);
        self.fact(Fact::Refused { source, rule, line });
        if flow && let Some(router) = self.links.first() {
            let Some(frame) = self.refused_flow(id, rule, now) else { return };
            let stage = self.requests.get(&id).map(|request| request.stage);
            let frame = Box::new(FromCm::Refused(Box::new(frame)));
            self.commands.push_back(Command::ToRouter { router, frame, stage });
        }
    }

    /// The flow of a request that no router has seen; none without a domain to show it under.
    fn refused_flow(&mut self, id: ServerId, rule: Rule, now: Instant) -> Option<Refused> {
        let message = &self.requests.get(&id)?.message;
        let (domain, direction) = self.shown_as(message)?;
        let packet = packet_id(message).unwrap_or_else(|| self.random.packet_id());
        let ending = Ending::Failed(Refusal::Forbidden(rule).failure());
        let hops = vec![self.hop("received", now), self.hop(rule.as_str(), now)];
        Some(Refused {
            outcome: Outcome { id: packet, ending, hops },
            domain,
            direction,
            trace: TraceContext::default(),
        })
    }

    /// The foreign domain, as far as the request names one, and from which side it is seen.
    fn shown_as(&self, request: &Message) -> Option<(Domain, Direction)> {
        let of = |address: NameAddr| Domain::parse(address.uri().host()?.name()?).ok();
        let from = request.from().ok().and_then(of);
        let uri = request.uri().and_then(Result::ok);
        let uri = uri.and_then(|uri| Domain::parse(uri.host()?.name()?).ok());
        let to = uri.or_else(|| request.to().ok().and_then(of));
        let is_local = |domain: &Domain| self.config.is_local(domain);
        match (from, to) {
            // Also where no side is ours: it is the sender who wants something of us.
            (Some(from), _) if !is_local(&from) => Some((from, Direction::Inbound)),
            (Some(_), Some(to)) if !is_local(&to) => Some((to, Direction::Outbound)),
            (Some(from), _) => Some((from, Direction::Internal)),
            (None, to) => to.map(|to| (to, Direction::Inbound)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    fn a_flood_shows_as_its_beginning() {
        let (mut shown, now) = (Shown::default(), Instant::now());
        let ip = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        let mut count = |sources: u32, each: u32, now: Instant| {
            let mut seen = (0, 0);
            for source in 0..sources {
                for _ in 0..each {
                    let (line, flow) = shown.note(ip(source), Rule::Source, now);
                    seen = (seen.0 + u32::from(line), seen.1 + u32::from(flow));
                }
            }
            seen
        };
        assert_eq!(count(1, 10_000, now), (1, FLOWS_EACH));
        assert_eq!(count(100_000, 1, now), (LINES as u32 - 1, FLOWS - FLOWS_EACH));
        assert_eq!(count(1, 3, now + WHILE), (1, 3), "later it begins anew");
        assert_eq!(shown.note(ip(0), Rule::Relay, now + WHILE), (true, true), "another rule");
    }
}
