//! XMPP is asked again about domains whose row rests on no proof: in the background, few at a time,
//! never by a user's message.
//!
//! ```text
//! (from time to time) FindDue ─▶ Claiming ─▶ Probing ─┬─ reached ────▶ Settle: the row goes
//!                                   │                 ├─ absent ─────▶ Settle: proven from now on
//!                                   └─ another router └─ anything else: until it is due again
//! ```
//! What is due, and how often it was asked, the store knows. So routers share the work, each question
//! is asked by one of them, and it is asked again also when all have been restarted.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::fast::FixedState;
use openfed_proto::address::Address;
use openfed_proto::domain::Domain;
use openfed_proto::finding::{Finding, Ground, Settled};
use openfed_proto::link::{Attempt, AttemptEnded, Instruction};
use openfed_proto::packet::{
    Body, Conversation, Direction, Ending, MAX_HOPS, Original, Packet, PacketId, Protocol, Role,
    Source, TraceContext,
};

use crate::clock::Now;
use crate::command::{Command, Event};
use crate::core::{Life, Router};
use crate::decide::Decision;
use crate::deliveries::SLACK;
use crate::nodes::LinkId;

/// Questions under way at once.
const AT_ONCE: usize = 4;
/// While more are due than may be under way.
const PACE: Duration = Duration::from_secs(1);
/// How often the store is asked what is due, at the most seldom.
const LOOK: Duration = Duration::from_secs(60);
/// The longest time between two questions about one domain.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The store's own bound is 250 ms; the answer has to come back, too.
const STORE: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum State {
    /// The store is asked whether another router was faster.
    Claiming,
    /// An xmpp-cm looks.
    Probing(LinkId),
}

#[derive(Debug)]
struct Question {
    domain: Domain,
    state: State,
    until: Instant,
}

/// The questions under way.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    questions: BTreeMap<PacketId, Question>,
    look_at: Option<Instant>,
    /// The store had as many as were asked for.
    more: bool,
}

impl Asking {
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.questions.values().map(|question| question.until).chain(self.look_at).min()
    }
}

impl Router {
    /// What the store answered to a [`Command::FindDue`].
    pub fn handle_due(&mut self, due: Vec<(Domain, Ground)>, now: Now) {
        let room = AT_ONCE.saturating_sub(self.asking.questions.len());
        self.asking.more = due.len() >= room;
        for (domain, ground) in due.into_iter().take(room) {
            let known = self.asking.questions.values().any(|question| question.domain == domain);
            if !known {
                self.claim(domain, ground, now);
            }
        }
        self.settle(now);
    }

    /// Whether the question of a [`Command::Claim`] is ours.
    pub fn handle_claimed(&mut self, id: PacketId, ours: bool, now: Now) {
        match ours {
            true => self.probe(id, now),
            false => drop(self.asking.questions.remove(&id)),
        }
        self.settle(now);
    }

    /// Who asks needs a store and somebody who speaks XMPP; else it is left to others, or to later.
    pub(crate) fn keep_asking(&mut self, now: Now) {
        let may_ask = self.world(now).store_up
            && self.life == Life::Serving
            && self.config.federation
            && self.nodes.has(Role::XmppCm);
        let look = (self.config.ask_again / 4).clamp(PACE, LOOK);
        match (may_ask, self.asking.look_at) {
            (true, None) => self.asking.look_at = Some(now.after(look)),
            (true, Some(_)) => {}
            (false, _) => self.asking.look_at = None,
        }
    }

    /// The moment of [`Asking::next_timer`] has come.
    pub(crate) fn asking_due(&mut self, now: Now) {
        let overdue = |question: &Question| question.until <= now.instant;
        let asking = &mut self.asking.questions;
        let late: Vec<PacketId> =
            asking.iter().filter(|(_, it)| overdue(it)).map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| drop(self.question_over(id, now)));
        if self.asking.look_at.is_some_and(|at| at <= now.instant) {
            self.asking.look_at = None;
            let limit = AT_ONCE.saturating_sub(self.asking.questions.len());
            if limit > 0 {
                self.commands.push_back(Command::FindDue { now: now.unix_s(), limit });
            }
        }
    }

    /// The link is gone, and with it what was asked there.
    pub(crate) fn forget_questions(&mut self, link: LinkId) {
        let there = |state: &State| matches!(state, State::Probing(at) if *at == link);
        self.asking.questions.retain(|_, question| !there(&question.state));
    }

    fn claim(&mut self, domain: Domain, ground: Ground, now: Now) {
        let id = self.question_id(&domain, now);
        let doubled =
            self.config.ask_again.saturating_mul(1 << ground.asked.saturating_add(1).min(20));
        let longest = LONGEST.max(self.config.ask_again);
        let next = now.unix_s() + doubled.min(longest).as_secs().max(1);
        let due = ground.due;
        let until = now.after(STORE);
        self.commands.push_back(Command::Claim { id, domain: domain.clone(), due, next });
        let question = Question { domain, state: State::Claiming, until };
        self.asking.questions.insert(id, question);
    }

    /// Asks an xmpp-cm whether it reaches the domain. There is nothing to deliver.
    fn probe(&mut self, id: PacketId, now: Now) {
        let Some(question) = self.asking.questions.get(&id) else { return };
        let packet = self.question_packet(id, &question.domain, now);
        let chosen =
            packet.as_ref().map(|packet| self.nodes.pick(Role::XmppCm, packet.conversation, None));
        let (Some(packet), Some(Ok((link, ..)))) =
            (packet, chosen.map(|chosen| self.take_room(chosen)))
        else {
            // Nobody has time for it: it is due again.
            self.asking.questions.remove(&id);
            return;
        };
        let until = now.after(packet.remaining + SLACK);
        if let Some(question) = self.asking.questions.get_mut(&id) {
            question.state = State::Probing(link);
            question.until = until;
        }
        let attempt = Attempt { packet, number: 1, instruction: Instruction::Probe };
        self.commands.push_back(Command::Attempt { link, attempt, decision: Decision::Discover });
    }

    /// Whether this was the answer to a question of ours.
    pub(crate) fn question_answered(
        &mut self,
        link: LinkId,
        ended: &AttemptEnded,
        now: Now,
    ) -> bool {
        let id = ended.outcome.id;
        let Some(question) = self.asking.questions.get(&id) else { return false };
        if !matches!(question.state, State::Probing(at) if at == link) {
            return true;
        }
        let Some(domain) = self.question_over(id, now) else { return true };
        let settled = match &ended.outcome.ending {
            Ending::Delivered { .. } => Some(Settled::Reached),
            Ending::Failed(failure) if Finding::of(failure).is_proof() => Some(Settled::Absent),
            // A row that works is given up for a way that works, and for nothing else.
            Ending::Failed(_) => None,
        };
        if settled == Some(Settled::Reached) {
            self.memory.note_xmpp_worked(&domain, now.instant);
        }
        self.commands.push_back(Command::Event(Event::AskedAgain { settled }));
        if let Some(settled) = settled {
            self.commands.push_back(Command::Settle { domain, settled });
        }
        true
    }

    fn question_over(&mut self, id: PacketId, now: Now) -> Option<Domain> {
        let question = self.asking.questions.remove(&id)?;
        if let State::Probing(link) = question.state
            && let Some(node) = self.nodes.get_mut(link)
        {
            node.attempt_over();
        }
        if std::mem::take(&mut self.asking.more) {
            self.asking.look_at = self.asking.look_at.map(|at| at.min(now.after(PACE)));
        }
        Some(question.domain)
    }

    /// Never the same twice: xmpp-cms remember how a packet ended.
    fn question_id(&self, domain: &Domain, now: Now) -> PacketId {
        let hasher = FixedState::with_seed(self.config.seed);
        let hash = hasher.hash_one((&self.config.node, domain.as_str()));
        let mut id = [0; 16];
        id[..8].copy_from_slice(&hash.to_be_bytes());
        id[8..].copy_from_slice(&now.unix_us.to_be_bytes());
        PacketId(id)
    }

    /// From us to the domain, with nothing in it.
    fn question_packet(&self, id: PacketId, domain: &Domain, now: Now) -> Option<Packet> {
        let address = |domain: &Domain| Address::from_jid(domain.as_str()).ok();
        let (from, to) = (address(self.config.local.first()?)?, address(domain)?);
        Some(Packet {
            id,
            conversation: Conversation::between(&from, &to),
            direction: Direction::Outbound,
            from,
            to,
            body: Body::Opaque { kind: "question".to_owned() },
            original: Original { protocol: Protocol::Xmpp, bytes: Bytes::new() },
            trace: TraceContext::default(),
            hops: vec![openfed_proto::packet::Hop {
                node: self.config.node.clone(),
                role: Role::Router,
                verdict: "ask-again".to_owned(),
                at_us: now.unix_us,
            }],
            remaining: self.config.xmpp_budget,
            hops_left: MAX_HOPS,
            source: Source(0),
        })
    }
}
