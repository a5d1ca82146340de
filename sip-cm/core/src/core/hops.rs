//! What is known of the next hops: their addresses, which may send SIP to us, and whether they
//! answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use openfed_proto::link::Tables;
use openfed_proto::route::Transport;

use super::{Core, Due, Purpose};
use crate::command::{Arrival, Command, Fact, Token};
use crate::edge::{Policy, Trust};
use crate::proxy::NextHop;
use crate::random::{Seed, Table};
use crate::wire::Message;

/// Refusals of ours that are known again when a next hop passes them back.
const MAX_LOOPS: usize = 256;
/// How often the names of next hops are looked up again.
const LOOK_UP_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct NextHops {
    by_host: BTreeMap<String, Vec<IpAddr>>,
    addresses: Table<IpAddr, ()>,
    down: BTreeSet<(String, &'static str)>,
    looked_up: Option<Instant>,
    /// Tables have come, and all names in them were looked up once.
    known: bool,
    /// To tags of the requests that came back and were refused for it, oldest first.
    loops: VecDeque<String>,
}

impl NextHops {
    pub(super) fn new(seed: Seed) -> Self {
        NextHops {
            by_host: BTreeMap::new(),
            addresses: Table::with_hasher(seed),
            down: BTreeSet::new(),
            looked_up: None,
            known: false,
            loops: VecDeque::new(),
        }
    }

    /// A request that had come back was refused with this To tag.
    pub(super) fn note_loop(&mut self, tag: &str) {
        if self.loops.len() >= MAX_LOOPS {
            self.loops.pop_front();
        }
        self.loops.push_back(tag.to_owned());
    }

    /// Whether a 482 is our own refusal, passed on by the hop that had sent the request back.
    pub(super) fn passes_our_refusal(&self, response: &Message) -> bool {
        let tag = response.to().ok().and_then(|to| to.tag().map(str::to_owned));
        tag.is_some_and(|tag| self.loops.contains(&tag))
    }

    /// Whether it can be said who is none of them: not before the first tables.
    pub(super) fn are_known(&self) -> bool {
        self.known
    }

    /// Whether a next hop in service has this address.
    pub(super) fn are_at(&self, ip: IpAddr) -> bool {
        self.addresses.contains_key(&ip.to_canonical())
    }

    /// The addresses of a next hop; what was known stays, if nothing is known now.
    pub(super) fn learn(&mut self, host: &str, ips: impl Iterator<Item = IpAddr>) {
        let found: Vec<IpAddr> = ips.map(|ip| ip.to_canonical()).collect();
        if let Some(known) = self.by_host.get_mut(host)
            && !found.is_empty()
        {
            *known = found;
            self.index();
        }
    }

    /// Keeps only these hosts.
    fn keep(&mut self, hosts: &BTreeSet<String>) {
        self.by_host.retain(|host, _| hosts.contains(host));
        for host in hosts {
            let literal = host.parse::<IpAddr>().ok();
            self.by_host
                .entry(host.clone())
                .or_insert_with(|| literal.iter().map(IpAddr::to_canonical).collect());
        }
        self.down.retain(|(host, _)| hosts.contains(host));
        self.index();
    }

    fn index(&mut self) {
        self.addresses.clear();
        self.addresses.extend(self.by_host.values().flatten().map(|ip| (*ip, ())));
    }
}

impl Core {
    /// What the source of a message may do.
    pub(super) fn trust_in(&self, arrival: &Arrival) -> Trust {
        let ip = arrival.source.ip();
        match self.next_hops.are_at(ip) {
            _ if self.config.trusted.contains(ip) => Trust::Operator,
            true => Trust::NextHop,
            false => Trust::Nobody,
        }
    }

    /// Takes tables into force, if there are others.
    pub(super) fn obey(&mut self, tables: Option<Tables>, now: Instant) {
        let Some(tables) = tables else { return };
        self.policy = Policy::new(tables);
        self.follow_next_hops(now);
    }

    /// Learns the next hops of the routes in service, and keeps their addresses fresh.
    pub(super) fn follow_next_hops(&mut self, now: Instant) {
        let in_service = self.policy.routes.routes().iter().filter(|route| route.can_carry());
        let hops: Vec<NextHop> = in_service.map(NextHop::of_route).collect();
        let hosts: BTreeSet<String> = hops.iter().map(|hop| hop.host.clone()).collect();
        self.next_hops.keep(&hosts);
        let mut asked = BTreeSet::new();
        for hop in hops.into_iter().filter(|hop| hop.host.parse::<IpAddr>().is_err()) {
            if asked.insert(hop.host.clone()) {
                let token = Token(self.transactions.fresh_id());
                self.resolving.insert(token, Purpose::Trust(hop.host.clone()));
                let (host, port, transport) = (hop.host, hop.port, hop.transport);
                self.commands.push_back(Command::Resolve { token, host, port, transport });
            }
        }
        self.note_known();
        let is_over = self.next_hops.looked_up.is_none_or(|at| now >= at + LOOK_UP_EVERY);
        if !asked.is_empty() && is_over {
            self.next_hops.looked_up = Some(now);
            self.timers.set(now + LOOK_UP_EVERY, Due::NextHops);
        }
    }

    /// A name may have been the last one to be looked up for the first time.
    pub(super) fn note_known(&mut self) {
        let is_asked = |purpose: &Purpose| matches!(purpose, Purpose::Trust(_));
        let known = self.next_hops.known || !self.resolving.values().any(is_asked);
        self.next_hops.known = known;
    }

    /// A next hop answered, or did not; a change is told.
    pub(super) fn note_next_hop(&mut self, hop: &NextHop, answers: bool) {
        if hop.route.is_none() {
            return;
        }
        let transport = hop.transport.unwrap_or(Transport::Udp);
        let key = (hop.host.clone(), transport.as_str());
        let next_hop = hop.host.clone();
        if answers {
            if self.next_hops.down.remove(&key) {
                self.fact(Fact::HopUp { next_hop, transport });
            }
        } else if self.next_hops.down.insert(key) {
            self.fact(Fact::HopDown { next_hop, transport });
        }
    }
}
