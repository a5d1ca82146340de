//! Links come and go; packets stay.

use std::time::Duration;

use bytes::Bytes;
use openfed_proto::domain::Domain;
use openfed_proto::link::{FromRouter, Hello, STREAMS_SHOWN, StreamView};
use openfed_proto::packet::{Ending, Role};

use crate::answers;
use crate::clock::Now;
use crate::command::{Command, Event};
use crate::core::Router;
use crate::decide::known;
use crate::deliveries::{Delivery, State};
use crate::nodes::{Link, LinkId};

impl Router {
    pub(crate) fn link_up(&mut self, id: LinkId, hello: Hello, address: String, now: Now) {
        if hello.role == Role::Router {
            let reason = "a router attaches to no router";
            return self.commands.push_back(Command::Close { link: id, reason });
        }
        // A link that replaces one is news before the old one is known to be dead.
        if let Some(old) = self.nodes.of(&hello.node).map(|link| link.id) {
            self.commands.push_back(Command::Close { link: old, reason: "a newer link is up" });
            self.link_down(old, now);
        }
        let (node, role, epoch) = (hello.node.clone(), hello.role, hello.epoch);
        self.commands.push_back(Command::Event(Event::NodeUp {
            node: node.clone(),
            role,
            address: address.clone(),
        }));
        let Self { config, nodes, .. } = self;
        nodes.insert(Link::new(id, hello, address, now.unix_us, config.capacity, config.seed));
        if self.domains.is_loaded() {
            self.send(id, FromRouter::Tables(self.domains.tables().clone()));
            // What changed while it was away was told to nobody.
            self.send(id, FromRouter::Invalidate(None));
        }
        if self.is_draining() {
            self.send(id, FromRouter::Leaving(Duration::ZERO));
        }
        self.welcome_back(id, &node, epoch, now);
    }

    /// What a node left behind when its link was lost: outcomes it has not
    /// got, packets it still waits for, attempts that only it can make.
    fn welcome_back(&mut self, link: LinkId, node: &str, epoch: u64, now: Now) {
        self.settle_endings(link, node, epoch);
        let same_life =
            |delivery: &Delivery| *delivery.source.node == *node && delivery.source.epoch == epoch;
        for id in self.deliveries.pick(same_life) {
            self.deliveries.change(id, |delivery| {
                delivery.source.link = Some(link);
                delivery.source.charged = false;
            });
        }
        let parked = |delivery: &Delivery| matches!(&delivery.state, State::Parked { running, .. } if *running.node == *node);
        for id in self.deliveries.pick(parked) {
            self.node_is_back(id, link, now);
        }
        let died = |delivery: &Delivery| {
            matches!(delivery.state, State::Unacknowledged { .. })
                && *delivery.source.node == *node
                && delivery.source.epoch != epoch
        };
        for id in self.deliveries.pick(died) {
            self.finish(id, Ending::Failed(answers::leaving()), now);
        }
    }

    pub(crate) fn settle_endings(&mut self, link: LinkId, node: &str, epoch: u64) {
        for frame in self.endings.settle(node, epoch) {
            self.send(link, frame);
        }
    }

    pub(crate) fn link_down(&mut self, id: LinkId, now: Now) {
        let Some(link) = self.nodes.remove(id) else { return };
        let node = link.node.to_string();
        self.commands.push_back(Command::Event(Event::NodeDown { node, role: link.role }));
        for source in self.deliveries.iter_mut_sources() {
            source.link.take_if(|link| *link == id);
        }
        let lost = self.deliveries.pick(
            |delivery| matches!(&delivery.state, State::Attempting { link, .. } if *link == id),
        );
        for packet in lost {
            self.attempt_lost(packet, now);
        }
        self.recalls_lost(id, now);
        self.taken_lost(link.taken, now);
        self.forget_questions(id);
    }

    /// A manager takes nothing new, or takes it again.
    pub(crate) fn link_leaving(&mut self, id: LinkId, leaving: bool) {
        let Some(link) = self.nodes.get_mut(id) else { return };
        if std::mem::replace(&mut link.draining, leaving) != leaving {
            let (node, role) = (link.node.to_string(), link.role);
            let event = match leaving {
                true => Event::NodeLeaving { node, role },
                false => Event::NodeServing { node, role },
            };
            self.commands.push_back(Command::Event(event));
        }
    }

    /// A manager tells of its streams, for whoever looks.
    pub(crate) fn streams(&mut self, link: LinkId, mut streams: Vec<StreamView>, total: u32) {
        let Some(node) = self.nodes.get(link).map(|link| link.node.to_string()) else { return };
        streams.truncate(STREAMS_SHOWN);
        self.commands.push_back(Command::Streams { node, streams, total });
    }

    pub(crate) fn send(&mut self, link: LinkId, frame: FromRouter) {
        self.commands.push_back(Command::Send { link, frame });
    }

    /// Sends the tables to everybody.
    pub(crate) fn push_tables(&mut self) {
        self.tell_all(&FromRouter::Tables(self.domains.tables().clone()));
    }

    pub(crate) fn tell_all(&mut self, frame: &FromRouter) {
        for link in self.nodes.iter() {
            self.commands.push_back(Command::Send { link: link.id, frame: frame.clone() });
        }
    }

    /// Tells everybody that `domain` is a SIP domain now.
    pub(crate) fn announce(&mut self, domain: &Domain, now: Now) {
        let lease = self.config.lease;
        for link in self.nodes.iter_mut() {
            link.forgot(Some(domain));
            link.should_tell(domain, now.instant, lease);
            let frame = FromRouter::Verdict { domain: domain.clone(), sip: true, lease };
            self.commands.push_back(Command::Send { link: link.id, frame });
        }
    }

    /// Tells one manager whether `domain` is known. Before the table is loaded nobody is denied, and
    /// nothing is said of a domain below one of ours, for which only the operator's word counts.
    pub(crate) fn answer_question(&mut self, id: LinkId, domain: Domain, now: Now) {
        let loaded = self.domains.is_loaded();
        if !loaded && self.config.is_below_local(&domain) {
            return;
        }
        let sip = !loaded || known(&self.config, &self.domains, &domain).is_some();
        let lease = if loaded { self.config.lease } else { Duration::ZERO };
        if let Some(link) = self.nodes.get_mut(id)
            && sip
            && loaded
        {
            link.should_tell(&domain, now.instant, lease);
        }
        self.send(id, FromRouter::Verdict { domain, sip, lease });
    }

    /// An answer looks for who asked: one of the other instances of the manager that got it.
    pub(crate) fn pass_on(&mut self, from: LinkId, answer: &Bytes) {
        let Some(role) = self.nodes.get_mut(from).map(|link| link.role) else { return };
        for link in self.nodes.iter().filter(|link| link.role == role && link.id != from) {
            let frame = FromRouter::Astray(answer.clone());
            self.commands.push_back(Command::Send { link: link.id, frame });
        }
    }

    /// Makes everybody forget these domains; all of them, if `None`.
    pub(crate) fn invalidate(&mut self, domains: Option<Vec<Domain>>) {
        for link in self.nodes.iter_mut() {
            match &domains {
                Some(domains) => domains.iter().for_each(|domain| link.forgot(Some(domain))),
                None => link.forgot(None),
            }
            let frame = FromRouter::Invalidate(domains.clone());
            self.commands.push_back(Command::Send { link: link.id, frame });
        }
    }
}
