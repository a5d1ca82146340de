//! The SIP side's brain: facts in, commands out.
//!
//! ```text
//! message ─▶ transactions ─▶ edge ─┬─ known ───────▶ forward ─▶ response back
//!                                  └─ unknown ─▶ submit ─▶ router ─┬─ outcome ──▶ answer
//!                                                  ▲               └─ attempt ─┬▶ forward
//!                                                  └──── accepted ◀────────────┤
//!                                                              packet of XMPP ─┴▶ deliver
//! ```
//! How to use it: give it every fact by its `handle_*`, with the time at which it was seen; after
//! each, take commands by [`Core::next_command`] until there is none; call
//! [`Core::handle_timeout`] when [`Core::poll_timeout`] says.

mod attempts;
mod deliver;
mod dialog;
mod forward;
mod forwarding;
mod hops;
mod life;
mod links;
mod overload;
mod refused;
mod requests;
mod responses;
mod stages;
mod standing;
mod stateless;
mod submissions;
mod usage;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openfed_proto::admission::Admission;
use openfed_proto::link::{FromCm, FromRouter, Held, Hello};
use openfed_proto::packet::PacketId;

use crate::cache::{NearCache, Usage};
use crate::command::{Arrival, Command, Fact, Hop, RouterId, Token};
use crate::config::Config;
use crate::edge::{Edge, Policy, Trust};
use crate::random::{Random, Table};
use crate::timer::Timers;
use crate::transaction::{ClientId, Event, ServerId, Transactions, response_hop};
use crate::wire::{Message, Rejected};

use attempts::Attempts;
use forward::{Forward, ForwardId};
use hops::NextHops;
use life::Life;
use links::Links;
use overload::{Control, Window};
use refused::Shown;
use requests::Request;
use standing::Standing;
use submissions::Submission;

/// What a look-up was for.
#[derive(Debug)]
enum Purpose {
    Forward(ForwardId),
    /// A message without a transaction: the ACK for a 2xx. Its Via is not written yet.
    Stateless(Box<Message>, Arrival),
    /// The addresses of a next hop, which may send SIP to us.
    Trust(String),
}

/// What a timer of the core is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Forward(ForwardId),
    Submission(PacketId),
    /// A response waits for the outcome of its packet, but not for ever.
    Held(ServerId),
    /// A dialog waits for a router's word, but not for ever.
    Asked(ServerId),
    Report,
    NextHops,
}

/// How much is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Received requests without final answer.
    pub requests: usize,
    /// Packets submitted to routers.
    pub submissions: usize,
    /// Requests being sent.
    pub forwards: usize,
    /// Server transactions.
    pub servers: usize,
    /// Client transactions.
    pub clients: usize,
}

/// The core. See the module for how to use it.
#[derive(Debug)]
pub struct Core {
    config: Config,
    random: Random,
    /// A moment on both clocks.
    started: (Instant, u64),
    life: Life,
    next_stage: u64,
    transactions: Transactions,
    timers: Timers<Due>,
    commands: VecDeque<Command>,
    /// What routers hold; the newest of it is the policy.
    held: Held<RouterId>,
    policy: Policy,
    cache: NearCache,
    usage: Usage,
    links: Links,
    requests: Table<ServerId, Request>,
    submissions: Table<PacketId, Submission>,
    /// Submissions that no router has.
    waiting: VecDeque<PacketId>,
    attempts: Attempts,
    forwards: Table<ForwardId, Forward>,
    by_client: Table<ClientId, ForwardId>,
    /// Messages of ours per destination URI; the first one is under way (S-110).
    serial: Table<Box<str>, VecDeque<ForwardId>>,
    resolving: Table<Token, Purpose>,
    next_hops: NextHops,
    standing: Standing,
    from_sockets: Admission,
    from_links: Admission,
    control: Control,
    window: Window,
    refused: Shown,
}

impl Core {
    /// A core without links, tables and traffic. `unix_us`: wall time at `now`, in microseconds.
    #[must_use]
    pub fn new(config: Config, mut random: Random, now: Instant, unix_us: u64) -> Self {
        let seed = random.seed();
        Core {
            transactions: Transactions::new(config.max_transactions, seed),
            cache: NearCache::new(seed),
            usage: Usage::new(seed),
            links: Links::new(config.capacity),
            requests: Table::with_hasher(seed),
            submissions: Table::with_hasher(seed),
            waiting: VecDeque::new(),
            attempts: Attempts::new(seed),
            forwards: Table::with_hasher(seed),
            by_client: Table::with_hasher(seed),
            serial: Table::with_hasher(seed),
            resolving: Table::with_hasher(seed),
            next_hops: NextHops::new(seed),
            standing: Standing::new(seed),
            from_sockets: Admission::new(overload::SOCKETS),
            from_links: Admission::default(),
            control: Control::default(),
            window: Window::OPEN,
            refused: Shown::default(),
            config,
            random,
            started: (now, unix_us),
            life: Life::Serving,
            next_stage: 0,
            timers: Timers::new(),
            commands: VecDeque::new(),
            held: Held::default(),
            policy: Policy::default(),
        }
    }

    /// A datagram arrived.
    pub fn handle_datagram(&mut self, bytes: Bytes, arrival: Arrival, now: Instant) {
        match Message::parse(bytes) {
            Ok(message) => self.handle_message(message, arrival, Duration::ZERO, now),
            Err(rejected) => self.handle_rejected(&rejected, arrival, now),
        }
    }

    /// A message arrived, and has waited so long for its turn.
    pub fn handle_message(
        &mut self,
        mut message: Message,
        arrival: Arrival,
        waited: Duration,
        now: Instant,
    ) {
        if !message.is_request() {
            // Answers overtake what waits, and so say nothing about how long it does.
            self.on_response(message, now);
            return self.settle(now);
        }
        self.from_sockets.note(waited, now);
        if message.mark_source(arrival.source).is_ok() {
            self.on_request(message, arrival, now);
        } else {
            self.fact(Fact::Discarded { reason: "Via cannot be read" });
        }
        self.settle(now);
    }

    /// Something arrived that is no acceptable message; it is answered if it can be.
    pub fn handle_rejected(&mut self, rejected: &Rejected, arrival: Arrival, now: Instant) {
        match rejected.answer(arrival.source) {
            Some(answer) if self.trust_in(&arrival) != Trust::Nobody => {
                let hop = response_hop(&answer, &arrival);
                self.transactions.send_stateless(answer.to_bytes(), hop);
            }
            _ => self.fact(Fact::Discarded { reason: "malformed" }),
        }
        self.settle(now);
    }

    /// The answer to a [`Command::Resolve`]: where to send to, best first; nothing if the name
    /// leads nowhere.
    pub fn handle_resolved(&mut self, token: Token, hops: Vec<Hop>, now: Instant) {
        match self.resolving.remove(&token) {
            Some(Purpose::Forward(id)) => self.on_forward_resolved(id, hops, now),
            Some(Purpose::Stateless(message, arrival)) => {
                if let Some(hop) = hops.into_iter().next() {
                    self.send_stateless(&message, &arrival, hop);
                }
            }
            Some(Purpose::Trust(host)) => {
                self.next_hops.learn(&host, hops.iter().map(|hop| hop.address.ip()));
                self.note_known();
            }
            None => {}
        }
        self.settle(now);
    }

    /// A [`Command::Send`] could not be carried out: no connection, or it broke before the
    /// message was written.
    pub fn handle_send_failed(&mut self, token: Token, now: Instant) {
        self.transactions.send_failed(token);
        self.settle(now);
    }

    /// A link is up: both sides have greeted.
    pub fn handle_link_up(&mut self, router: RouterId, hello: &Hello, now: Instant) {
        self.links.up(router, hello);
        if self.life != Life::Serving {
            self.tell_router(router, FromCm::Leaving(Duration::ZERO));
        }
        self.resubmit(now);
        self.settle(now);
    }

    /// A link is lost; what it had in flight goes over another one.
    pub fn handle_link_down(&mut self, router: RouterId, now: Instant) {
        self.links.down(router);
        let tables = self.held.forget(router).cloned();
        self.obey(tables, now);
        self.orphan_submissions(router);
        self.resubmit(now);
        self.ask_elsewhere(router, now);
        self.settle(now);
    }

    /// A frame arrived on a link, and has waited so long for its turn.
    pub fn handle_frame(
        &mut self,
        router: RouterId,
        frame: FromRouter,
        waited: Duration,
        now: Instant,
    ) {
        self.from_links.note(waited, now);
        match frame {
            // A second greeting changes nothing: packets are in flight by now.
            FromRouter::Hello(_) => {}
            FromRouter::Attempt(attempt) => self.on_attempt(router, attempt, now),
            FromRouter::Outcome(outcome) => self.on_word(router, outcome, now),
            FromRouter::Credit(packets) => {
                self.links.refill(router, packets);
                self.resubmit(now);
            }
            FromRouter::Tables(tables) => {
                let tables = self.held.learn(router, tables).cloned();
                self.obey(tables, now);
            }
            FromRouter::Verdict { domain, sip, lease } => self.on_verdict(domain, sip, lease, now),
            FromRouter::Invalidate(domains) => self.cache.invalidate(domains.as_deref()),
            FromRouter::Leaving(_) => self.links.set_leaving(router, true),
            FromRouter::Serving => {
                self.links.set_leaving(router, false);
                self.resubmit(now);
            }
            FromRouter::Drain(on) => self.drain(on),
            // XMPP is no language of ours.
            FromRouter::Astray(_)
            | FromRouter::ListStreams
            | FromRouter::Taken { .. }
            | FromRouter::Undelivered { .. } => {}
            FromRouter::Recall { packet, instruction } => {
                let known = self.attempts.knows(packet, instruction);
                self.tell_router(router, FromCm::Recalled { packet, instruction, known });
            }
            // Done beside the core: no packet is involved.
            FromRouter::Try(_) => {}
        }
        self.settle(now);
    }

    /// To be called at the time that [`Core::poll_timeout`] gives, or any time after.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.transactions.handle_timeout(now);
        while let Some(due) = self.timers.due(now) {
            match due {
                Due::Forward(id) => self.forward_due(id, now),
                Due::Submission(id) => self.submission_due(id, now),
                Due::Held(id) => self.release_held(id, now),
                Due::Asked(id) => self.verdict_due(id, now),
                Due::Report => self.report_usage(now),
                Due::NextHops => self.follow_next_hops(now),
            }
        }
        self.settle(now);
    }

    /// When [`Core::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.timers.next(), self.transactions.poll_timeout()].into_iter().flatten().min()
    }

    /// What to do next.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// How much is under way.
    #[must_use]
    pub fn load(&self) -> Load {
        let (servers, clients) = self.transactions.open();
        Load {
            requests: self.requests.len(),
            submissions: self.submissions.len(),
            forwards: self.forwards.len(),
            servers,
            clients,
        }
    }

    /// Whether everything that was accepted has been answered.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.submissions.is_empty() && !self.attempts.is_running()
    }

    /// Lets transactions tell what happened until nothing more does, then hands out what they
    /// send.
    fn settle(&mut self, now: Instant) {
        loop {
            while let Some(event) = self.transactions.next_event() {
                match event {
                    Event::TimedOut(id) => self.on_silence(id, now),
                    Event::Unsent(id) => self.on_no_answer(id, now),
                    Event::ClientGone(id) => self.on_client_gone(id),
                    Event::TryingDue(id) => self.send_trying(id, now),
                    Event::ServerGone(id) => self.on_server_gone(id, now),
                }
            }
            while let Some(send) = self.transactions.next_send() {
                self.commands.push_back(Command::Send(send));
            }
            if !self.transactions.has_events() {
                break;
            }
        }
        self.attempts.forget_old(now);
    }

    fn edge(&self, now: Instant) -> Edge<'_> {
        Edge { config: &self.config, policy: &self.policy, cache: &self.cache, now }
    }

    fn tell_router(&mut self, router: RouterId, frame: FromCm) {
        let frame = Box::new(frame);
        self.commands.push_back(Command::ToRouter { router, frame, stage: None });
    }

    fn fact(&mut self, fact: Fact) {
        self.commands.push_back(Command::Fact(fact));
    }
}
