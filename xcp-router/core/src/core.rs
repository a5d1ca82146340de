//! The contract with the world: facts in, commands out.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use openfed_proto::admission::Admission;
use openfed_proto::domain::Domain;
use openfed_proto::link::{FromCm, FromRouter, Hello};
use openfed_proto::packet::{Conversation, Direction, PacketId, Role};

use crate::answers;
use crate::asking::Asking;
use crate::clock::Now;
use crate::command::{Command, InsertResult, StoreFact};
use crate::config::Config;
use crate::decide::World;
use crate::deliveries::Deliveries;
use crate::discovery::Discoveries;
use crate::domains::Domains;
use crate::endings::Endings;
use crate::explain::{self, Explanation};
use crate::following::Following;
use crate::memory::Memory;
use crate::nodes::{LinkId, NodeView, Nodes};
use crate::rates::{Bucket, Rates};
use crate::usage::Usage;

/// How often uses are flushed and memories swept.
const SWEEP: Duration = Duration::from_secs(1);
/// Flows shown per second of packets that simply went through.
const SHOWN: u32 = 100;

/// Whether new packets are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Serving,
    /// Managers were told to go elsewhere, by the operator's word.
    Drained,
    /// Not any more: the process ends.
    Ending,
}

/// The router's decisions and all their state.
///
/// Every accepted packet ends in exactly one [`Command::Finished`]; nothing is
/// kept about it for longer than a minute after that. After each call, take
/// commands with [`Router::next_command`] until there is none, in order.
#[derive(Debug)]
pub struct Router {
    pub(crate) config: Config,
    pub(crate) domains: Domains,
    pub(crate) nodes: Nodes,
    pub(crate) deliveries: Deliveries,
    pub(crate) discoveries: Discoveries,
    pub(crate) asking: Asking,
    pub(crate) memory: Memory,
    pub(crate) endings: Endings,
    pub(crate) rates: Rates,
    pub(crate) usage: Usage,
    pub(crate) shown: Bucket,
    pub(crate) store_up: bool,
    pub(crate) life: Life,
    pub(crate) table_full: bool,
    pub(crate) xmpp_missing: bool,
    /// Packets to be routed before the current call returns, in order.
    pub(crate) ready: VecDeque<PacketId>,
    /// Packets whose instance is being asked for.
    pub(crate) recalling: BTreeSet<(Conversation, PacketId)>,
    pub(crate) following: Following,
    pub(crate) commands: VecDeque<Command>,
    pub(crate) next_sweep: Option<Instant>,
    pub(crate) admission: Admission,
}

impl Router {
    /// A router that knows nothing yet: it waits for a
    /// [`StoreFact::Snapshot`] and answers unknown domains with a temporary
    /// failure until then.
    pub fn new(config: Config) -> Self {
        let seed = config.seed;
        Router {
            domains: Domains::new(seed),
            nodes: Nodes::default(),
            deliveries: Deliveries::new(seed),
            discoveries: Discoveries::new(seed),
            asking: Asking::default(),
            memory: Memory::new(seed),
            endings: Endings::new(seed),
            rates: Rates::new(config.rows_per_second, config.rows_per_source, seed),
            usage: Usage::new(seed),
            shown: Bucket::new(SHOWN),
            store_up: false,
            life: Life::Serving,
            table_full: false,
            xmpp_missing: false,
            ready: VecDeque::new(),
            recalling: BTreeSet::new(),
            following: Following::default(),
            commands: VecDeque::new(),
            next_sweep: None,
            admission: Admission::default(),
            config,
        }
    }

    /// A connection manager greeted. `address` is where it comes from, for
    /// people. A newer link of the same node replaces the older one.
    pub fn handle_link_up(&mut self, link: LinkId, hello: Hello, address: String, now: Now) {
        self.link_up(link, hello, address, now);
        self.settle(now);
    }

    /// The link is gone: what was on it goes on elsewhere.
    pub fn handle_link_down(&mut self, link: LinkId, now: Now) {
        self.link_down(link, now);
        self.settle(now);
    }

    /// A frame arrived over the link, and has waited so long for its turn.
    pub fn handle_frame(&mut self, link: LinkId, frame: FromCm, waited: Duration, now: Now) {
        self.admission.note(waited, now.instant);
        match frame {
            FromCm::Submit { packet, accepted_in, again, kept } => {
                self.submit(link, packet, (accepted_in, again, kept), now);
            }
            FromCm::Recalled { packet, instruction, known } => {
                self.recalled(link, packet, (instruction, known), now);
            }
            FromCm::Acknowledged(packets) => self.acknowledged(link, packets, now),
            FromCm::Ended(ended) => self.attempt_ended(link, ended, now),
            FromCm::Credit(packets) => {
                if let Some(link) = self.nodes.get_mut(link) {
                    link.refill(packets);
                }
            }
            FromCm::Usage(uses) => uses.into_iter().for_each(|used| self.usage.add(used)),
            FromCm::Refused(refused) => self.refused(*refused, now),
            FromCm::Leaving(_) => self.link_leaving(link, true),
            FromCm::Serving => self.link_leaving(link, false),
            FromCm::Ask(domain) => self.answer_question(link, domain, now),
            FromCm::Astray(stanza) => self.pass_on(link, &stanza),
            FromCm::Streams { streams, total } => self.streams(link, streams, total),
            FromCm::Tried { number, steps } => self.tried(link, number, steps),
            // The greeting is the link driver's; a second one changes nothing.
            FromCm::Hello(_) => {}
        }
        self.settle(now);
    }

    /// News from the store.
    pub fn handle_store(&mut self, fact: StoreFact, now: Now) {
        self.store_fact(fact, now);
        self.settle(now);
    }

    /// What became of a [`Command::Insert`]. Late results are welcome.
    pub fn handle_inserted(&mut self, id: PacketId, result: InsertResult, now: Now) {
        self.inserted(id, result, now);
        self.settle(now);
    }

    /// The end begins: the connection managers are told to go elsewhere, new
    /// packets are refused, those on their way get `grace`.
    pub fn handle_shutdown(&mut self, grace: Duration, now: Now) {
        self.life = Life::Ending;
        self.tell_all(&FromRouter::Leaving(grace));
        self.settle(now);
    }

    /// The operator takes a node out, or back in: this router, or a manager that is linked to it.
    /// Returns whether there is such a node. A manager says itself when it has done so.
    pub fn handle_drain(&mut self, node: &str, on: bool, now: Now) -> bool {
        let known = if node == self.config.node {
            self.drain(on);
            true
        } else if let Some(link) = self.nodes.of(node).map(|link| link.id) {
            self.send(link, FromRouter::Drain(on));
            true
        } else {
            false
        };
        self.settle(now);
        known
    }

    /// An operator wants to see the streams of all xmpp-cm; gives the names of those that are asked.
    /// Each tells them with [`Command::Streams`].
    pub fn handle_list_streams(&mut self) -> Vec<String> {
        let asked = self.nodes.iter().filter(|link| link.role == Role::XmppCm);
        let asked: Vec<_> = asked.map(|link| (link.id, link.node.to_string())).collect();
        for (link, _) in &asked {
            self.send(*link, FromRouter::ListStreams);
        }
        asked.into_iter().map(|(_, node)| node).collect()
    }

    /// Managers go to other routers; what still comes is still routed.
    fn drain(&mut self, on: bool) {
        let (life, frame) = match (self.life, on) {
            (Life::Serving, true) => (Life::Drained, FromRouter::Leaving(Duration::ZERO)),
            (Life::Drained, false) => (Life::Serving, FromRouter::Serving),
            _ => return,
        };
        self.life = life;
        self.tell_all(&frame);
    }

    /// The moment of [`Router::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(id) = self.deliveries.due(now.instant) {
            self.delivery_due(id, now);
            self.route_ready(now);
        }
        self.taken_due(now);
        self.asking_due(now);
        if self.next_sweep.is_some_and(|at| at <= now.instant) {
            self.next_sweep = None;
            self.memory.sweep(now.instant);
            self.endings.sweep(now.instant);
            self.rates.sweep(now.instant);
            self.flush_usage();
        }
        self.settle(now);
    }

    /// When [`Router::handle_timeout`] is to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let taken = self.next_taken();
        [self.deliveries.next_timer(), self.next_sweep, taken, self.asking.next_timer()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next thing to do; `None` when all is done for now.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// What would happen now to a message to or from `domain`, and why.
    pub fn explain(&self, domain: &Domain, direction: Direction, now: Now) -> Explanation {
        explain::explain(&self.world(now), domain, direction)
    }

    /// The linked connection managers.
    pub fn nodes(&self) -> Vec<NodeView> {
        self.nodes.views()
    }

    /// Whether it can route and is not taken out: the store was read at least once. If the
    /// store goes away later, what is known goes on, so that stays true.
    pub fn is_ready(&self) -> bool {
        self.domains.is_loaded() && self.life == Life::Serving
    }

    /// Whether the operator has taken it out, or it is about to end.
    pub fn is_draining(&self) -> bool {
        self.life != Life::Serving
    }

    /// Packets on their way.
    pub fn in_flight(&self) -> usize {
        self.deliveries.len()
    }

    /// Rows of the domain table.
    pub fn rows(&self) -> usize {
        self.domains.len()
    }

    /// Everything that is kept for a limited time, counted: zero a minute and
    /// a bit after the last packet, except for ten minutes of XMPP memory.
    pub fn remembered(&self) -> usize {
        self.memory.len()
            + self.endings.len()
            + self.rates.len()
            + self.usage.len()
            + self.discoveries.len()
    }

    pub(crate) fn world(&self, now: Now) -> World<'_> {
        World {
            config: &self.config,
            domains: &self.domains,
            memory: &self.memory,
            xmpp_linked: self.nodes.has(Role::XmppCm),
            store_up: self.store_up && self.domains.is_loaded(),
            now: now.instant,
        }
    }

    /// Ends a call: routes what became ready, says what changed.
    pub(crate) fn settle(&mut self, now: Now) {
        self.route_ready(now);
        self.check_xmpp();
        self.keep_asking(now);
        if self.usage.is_full() || self.life == Life::Ending {
            self.flush_usage();
        }
        let idle = self.memory.is_empty()
            && self.endings.is_empty()
            && self.rates.is_empty()
            && self.usage.is_empty();
        if !idle && self.next_sweep.is_none() {
            self.next_sweep = Some(now.after(SWEEP));
        }
    }

    fn flush_usage(&mut self) {
        if !self.usage.is_empty() {
            self.commands.push_back(Command::Touch(self.usage.take()));
        }
    }

    /// Open federation needs XMPP federation beside it, and health says so.
    fn check_xmpp(&mut self) {
        let missing = self.config.require_xmpp
            && self.domains.routes().is_open()
            && !(self.config.federation && self.nodes.has(Role::XmppCm));
        if missing != self.xmpp_missing {
            self.xmpp_missing = missing;
            let problem = missing.then_some(answers::NEEDS_XMPP);
            self.commands.push_back(Command::Health { part: "open federation", problem });
        }
    }
}
