//! What routers tell this connection manager to do with packets, each done once and ended once.
//!
//! ```text
//! Attempt ─┬─ seen, running ─▶ one more who is told its end
//!          ├─ seen, ended ───▶ the same end again
//!          └─ new ─┬ Accept ─────────▶ submitted on to the local user
//!                  ├ Send, Discover ─┬▶ the request that waits here is forwarded
//!                  │                 └▶ a MESSAGE is made and delivered
//!                  └ others ─────────▶ not ours to do
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use openfed_proto::condition::Condition;
use openfed_proto::link::{Attempt, AttemptEnded, FromCm, Instruction};
use openfed_proto::packet::{
    Body, Cause, Ending, Failure, Hop, Outcome, Packet, PacketId, Protocol,
};
use openfed_proto::route::{Refusal as RouteRefusal, Use};

use super::Core;
use super::forward::Upstream;
use super::submissions::{Submission, busy, condition_of};
use crate::command::RouterId;
use crate::proxy::{self, NextHop};
use crate::random::{Seed, Table};
use crate::rule::Rule;
use crate::status::Refusal;
use crate::transaction::ServerId;

/// How long an ending is remembered, so that a repeated attempt is not done twice.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Attempts that are remembered at most; beyond that the oldest ended one is forgotten.
const MAX_REMEMBERED: usize = 200_000;
/// Attempts at a time; routers keep to the capacity of our greeting, unless there are many.
const MAX_RUNNING: usize = 50_000;
/// Routers that are told one ending.
const MAX_ASKERS: usize = 8;

/// One packet may be tried in several ways, each once.
pub(super) type AttemptKey = (PacketId, Instruction);

/// `Discover` and `Send` are one way: what one router discovers, the next one already knows when
/// the same packet comes to it over another link.
fn key_of(packet: PacketId, instruction: Instruction) -> AttemptKey {
    match instruction {
        Instruction::Discover => (packet, Instruction::Send),
        _ => (packet, instruction),
    }
}

#[derive(Debug)]
enum State {
    /// The hops of its packet, and the time that it had when it came.
    Running {
        hops: Vec<Hop>,
        remaining: Duration,
    },
    Ended(Outcome, Option<String>),
}

#[derive(Debug)]
struct Known {
    askers: Vec<(RouterId, u32)>,
    state: State,
}

/// The attempts of the last minute.
#[derive(Debug)]
pub(super) struct Attempts {
    /// Boxed, so that little moves when the table grows.
    known: Table<AttemptKey, Box<Known>>,
    ended: VecDeque<(Instant, AttemptKey)>,
    running: usize,
}

impl Attempts {
    pub(super) fn new(seed: Seed) -> Self {
        Attempts { known: Table::with_hasher(seed), ended: VecDeque::new(), running: 0 }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running > 0
    }

    /// Whether the attempt is here, or has ended here.
    pub(super) fn knows(&self, packet: PacketId, instruction: Instruction) -> bool {
        self.known.contains_key(&key_of(packet, instruction))
    }

    /// Whether the request of this packet was accepted here, and how that ended, if it has.
    pub(super) fn accepted(&self, packet: PacketId) -> Option<Option<&Outcome>> {
        match &self.known.get(&(packet, Instruction::Accept))?.state {
            State::Running { .. } => Some(None),
            State::Ended(outcome, _) => Some(Some(outcome)),
        }
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        while let Some((until, key)) = self.ended.front()
            && (*until <= now || self.known.len() > MAX_REMEMBERED)
        {
            self.known.remove(key);
            self.ended.pop_front();
        }
    }
}

impl Core {
    pub(super) fn on_attempt(&mut self, router: RouterId, attempt: Attempt, now: Instant) {
        let Attempt { packet, number, instruction } = attempt;
        let key = key_of(packet.id, instruction);
        if let Some(known) = self.attempts.known.get_mut(&key) {
            match &known.state {
                State::Running { .. } => {
                    known.askers.retain(|(asker, _)| *asker != router);
                    if known.askers.len() < MAX_ASKERS {
                        known.askers.push((router, number));
                    }
                }
                State::Ended(outcome, route) => {
                    let (outcome, route) = (outcome.clone(), route.clone());
                    self.tell_ended(router, AttemptEnded { outcome, number, route });
                }
            }
            return;
        }
        let admitted = self.from_links.admits(packet.original.protocol);
        if !admitted || self.attempts.running >= MAX_RUNNING {
            let outcome = Outcome::failed(packet.id, busy());
            return self.tell_ended(router, AttemptEnded { outcome, number, route: None });
        }
        let elsewhere = self.submissions.get(&packet.id).is_some_and(|s| !s.is_with(router));
        if instruction == Instruction::Accept && elsewhere {
            // Another router has the packet by now and may have taken it to the user itself.
            let gone = Failure::new(Condition::RemoteServerTimeout, Cause::Leaving);
            let outcome = Outcome::failed(packet.id, gone);
            return self.tell_ended(router, AttemptEnded { outcome, number, route: None });
        }
        let state = State::Running { hops: packet.hops.clone(), remaining: packet.remaining };
        let known = Known { askers: vec![(router, number)], state };
        self.attempts.known.insert(key, Box::new(known));
        self.attempts.running += 1;
        let attempt = Attempt { packet, number, instruction };
        if let Err(failure) = self.run_attempt(key, attempt, now) {
            self.end_attempt(key, Ending::Failed(failure), None, now);
        }
    }

    fn run_attempt(
        &mut self,
        key: AttemptKey,
        attempt: Attempt,
        now: Instant,
    ) -> Result<(), Failure> {
        let Attempt { packet, number, instruction } = attempt;
        if self.policy.is_blocked(packet.foreign()) {
            return Err(Refusal::Forbidden(Rule::BlockedDomain).failure());
        }
        let waits_here = self.submissions.get(&packet.id).map(|s| s.request);
        let purpose = match instruction {
            Instruction::Accept => return self.accept(key, waits_here, &packet, now),
            Instruction::Send => Use::Known,
            Instruction::Discover => Use::Discovery,
            Instruction::Reach | Instruction::Probe | Instruction::Home => {
                return Err(unmappable());
            }
        };
        match (waits_here, &packet.body) {
            (Some(request), _) => self.forward_waiting(key, request, &packet, purpose, now),
            (None, Body::Message(_)) => self.deliver(key, number, packet, purpose, now),
            // Its request was answered or cancelled in the meantime.
            (None, Body::Opaque { .. }) if packet.original.protocol == Protocol::Sip => {
                Err(Failure::new(Condition::RemoteServerTimeout, Cause::Leaving))
            }
            (None, Body::Opaque { .. }) => Err(unmappable()),
        }
    }

    /// An inbound request is accepted as SIP: on to the local user, and what becomes of it there
    /// is the end of this attempt.
    fn accept(
        &mut self,
        key: AttemptKey,
        waits_here: Option<ServerId>,
        packet: &Packet,
        now: Instant,
    ) -> Result<(), Failure> {
        let gone = Failure::new(Condition::RemoteServerTimeout, Cause::Leaving);
        let id = waits_here.ok_or(gone.clone())?;
        let request = self.requests.get(&id).ok_or(gone)?;
        if let Body::Message(message) = &packet.body {
            let body = Body::Message(message.clone());
            return self.submit(id, body, Some(packet), now).map_err(|refusal| refusal.failure());
        }
        if &*request.method != "OPTIONS" {
            return Err(unmappable());
        }
        // The answer itself is made when the packet's outcome comes.
        let taken = Ending::Delivered { by: Protocol::Sip, status: 200 };
        self.end_attempt(key, taken, None, now);
        Ok(())
    }

    /// The request that the packet was made of waits here: it goes on as it came.
    fn forward_waiting(
        &mut self,
        key: AttemptKey,
        id: ServerId,
        packet: &Packet,
        purpose: Use,
        now: Instant,
    ) -> Result<(), Failure> {
        let gone = || Failure::new(Condition::RemoteServerTimeout, Cause::Leaving);
        let request = self.requests.get(&id).ok_or_else(gone)?;
        if request.forward.is_some() {
            // One way at a time: the answer that is being waited for is the answer.
            return Err(busy());
        }
        let refused = |refusal: Refusal| refusal.failure();
        let base = proxy::unrouted(&request.message, &self.config).map_err(refused)?;
        let uri = request.message.uri().and_then(Result::ok);
        let user = uri.as_ref().and_then(|uri| uri.user_decoded().ok().flatten());
        let next_hops = self
            .next_hops_for(packet.foreign(), user.as_deref(), purpose, false)
            .map_err(refused)?;
        let upstream = Upstream { request: Some(id), attempt: Some(key) };
        self.start_forward(upstream, base, next_hops, now).map_err(refused)
    }

    /// The next hops that static routes give for `user` at `domain`. `secure`: only over TLS
    /// (E-38).
    pub(super) fn next_hops_for(
        &mut self,
        domain: &openfed_proto::domain::Domain,
        user: Option<&str>,
        purpose: Use,
        secure: bool,
    ) -> Result<Vec<NextHop>, Refusal> {
        let random = &mut self.random;
        let mut pick = |n| random.below(n);
        let routes = self.policy.routes.candidates(domain, user, purpose, &mut pick);
        let mut hops: Vec<NextHop> = match routes {
            Ok(routes) => routes.into_iter().map(NextHop::of_route).collect(),
            Err(RouteRefusal::Blocked) => return Err(Refusal::Forbidden(Rule::BlockedRoute)),
            Err(RouteRefusal::OutOfService) => return Err(Refusal::OutOfService),
        };
        if secure {
            hops.retain(|hop| hop.transport == Some(openfed_proto::route::Transport::Tls));
        }
        if hops.is_empty() { Err(Refusal::Scheme) } else { Ok(hops) }
    }

    /// What is left of the time that the attempt's packet has.
    pub(super) fn attempt_time(&self, key: AttemptKey) -> Option<Duration> {
        match &self.attempts.known.get(&key)?.state {
            State::Running { remaining, .. } => Some(*remaining),
            State::Ended(..) => None,
        }
    }

    /// Ends an attempt, once; everybody who asked is told.
    pub(super) fn end_attempt(
        &mut self,
        key: AttemptKey,
        ending: Ending,
        route: Option<String>,
        now: Instant,
    ) {
        let verdict = condition_of(&ending).map_or("delivered", |c| c.as_str());
        let hop = self.hop(verdict, now);
        let Some(known) = self.attempts.known.get_mut(&key) else { return };
        let State::Running { hops, .. } = &mut known.state else { return };
        let mut hops = std::mem::take(hops);
        hops.push(hop);
        let outcome = Outcome { id: key.0, ending, hops };
        let askers = std::mem::take(&mut known.askers);
        known.state = State::Ended(outcome.clone(), route.clone());
        self.attempts.running -= 1;
        self.attempts.ended.push_back((now + REMEMBERED, key));
        for (router, number) in askers {
            let (outcome, route) = (outcome.clone(), route.clone());
            self.tell_ended(router, AttemptEnded { outcome, number, route });
        }
        let orphan = self.submissions.get(&key.0).is_some_and(Submission::is_orphan);
        if key.1 == Instruction::Accept && orphan {
            self.on_outcome(outcome, now);
        }
    }

    fn tell_ended(&mut self, router: RouterId, ended: AttemptEnded) {
        if !self.links.is_up(router) {
            // Whoever takes the packet over asks again, and is told then.
            return;
        }
        self.tell_router(router, FromCm::Ended(ended));
        if let Some(credit) = self.links.finished(router) {
            self.tell_router(router, FromCm::Credit(credit));
        }
    }
}

/// It has no meaning in SIP, or is not ours to do.
pub(super) fn unmappable() -> Failure {
    Failure::new(Condition::FeatureNotImplemented, Cause::Unmappable)
}
