//! The way of a forwarded request down: candidates, look-ups, sending, failover (RFC 3261 §16.6,
//! RFC 3263 §4.3, rules §1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use openfed_proto::condition::Condition;
use openfed_proto::packet::{Cause, Ending, Failure};
use openfed_proto::route::Transport;

use super::forward::{Address, Failed, Forward, ForwardId, Made, State, Told, Upstream};
use super::submissions::condition_of;
use super::{Core, Due, Purpose};
use crate::command::{Command, Fact, Hop, StageEnd, StageKind, Token};
use crate::digest::Answered;
use crate::message;
use crate::proxy::{self, NextHop};
use crate::rule::Rule;
use crate::status::{Answer, Refusal, ending_of};
use crate::wire::Message;

/// All ways together may take this long for a non-INVITE: our answer must leave in time.
const ALL_WAYS: Duration = Duration::from_secs(31);
/// What a silent address gets at least, before the next one is tried.
const PATIENCE: Duration = Duration::from_secs(4);
/// Timer C (RFC 3261 §16.6 item 11): more than three minutes.
pub(super) const TIMER_C: Duration = Duration::from_secs(185);
/// The end of an attempt must reach the router before the packet's time is over.
const MARGIN: Duration = Duration::from_millis(500);
/// RFC 3261 §18.1.1: larger requests go over a congestion-controlled transport.
const MAX_UDP: usize = 1_300;

impl Core {
    /// Sends a received request on. `base`: as it leaves, but for Record-Route and Via.
    pub(super) fn start_forward(
        &mut self,
        upstream: Upstream,
        base: Message,
        next_hops: Vec<NextHop>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(request) = upstream.request.and_then(|id| self.requests.get(&id)) else {
            return Err(Refusal::Busy);
        };
        if !self.transactions.has_room() {
            return Err(Refusal::Busy);
        }
        let hash = proxy::loops::routing_hash(&request.message);
        let origin = crate::transaction::origin(&request.message);
        let made = Made::There { arrival: request.arrival, hash, origin };
        let domain = request.parties.as_ref().map(|parties| parties.foreign().clone());
        let invite = &*request.method == "INVITE";
        if let Some(id) = upstream.request.filter(|_| invite && upstream.attempt.is_none()) {
            self.send_trying(id, now);
        }
        let stage = upstream.request.and_then(|id| self.begin_under(StageKind::Forward, id));
        let Some(mut stage) = stage else { return Err(Refusal::Busy) };
        stage.packet = upstream.attempt.map(|(packet, _)| packet);
        let time = match upstream.attempt.and_then(|key| self.attempt_time(key)) {
            Some(remaining) => remaining.saturating_sub(MARGIN),
            None if invite => TIMER_C,
            None => ALL_WAYS,
        };
        let forward = Forward {
            upstream,
            made,
            tries: 0,
            base,
            peer_cseq: None,
            domain,
            next_hops: next_hops.into(),
            current: None,
            addresses: VecDeque::new(),
            sent_to: None,
            state: State::Resolving,
            failed: Failed::Refused(Refusal::Unreachable),
            challenges: 0,
            answered: Answered::default(),
            unanswered: None,
            cancelled: false,
            deadline: now + time,
            stage: stage.id,
            kind: stage.kind,
        };
        self.fact(Fact::Began(stage));
        let id = self.keep_forward(forward);
        if let Some(request) = upstream.request.and_then(|id| self.requests.get_mut(&id)) {
            request.forward = Some(id);
        }
        self.advance(id, now);
        Ok(())
    }

    pub(super) fn keep_forward(&mut self, forward: Forward) -> ForwardId {
        let id = ForwardId(self.transactions.fresh_id());
        self.timers.set(forward.deadline, Due::Forward(id));
        self.forwards.insert(id, forward);
        id
    }

    /// Goes on to the next address or next hop; the last failure is the end.
    pub(super) fn advance(&mut self, id: ForwardId, now: Instant) {
        loop {
            let Some(forward) = self.forwards.get_mut(&id) else { return };
            if let Some(address) = forward.addresses.pop_front() {
                if self.send_forward(id, address, now) {
                    return;
                }
                continue;
            }
            let Some(next) = forward.next_hops.pop_front().filter(|_| !forward.cancelled) else {
                return self.fail_forward(id, now);
            };
            forward.forget_answers();
            forward.current = Some(next.clone());
            if let Some(hop) = next.address() {
                forward.addresses.push_back(Address { hop, tcp_failed: false });
                continue;
            }
            forward.state = State::Resolving;
            let token = Token(self.transactions.fresh_id());
            self.resolving.insert(token, Purpose::Forward(id));
            let (host, port, transport) = (next.host, next.port, next.transport);
            return self.commands.push_back(Command::Resolve { token, host, port, transport });
        }
    }

    pub(super) fn on_forward_resolved(&mut self, id: ForwardId, hops: Vec<Hop>, now: Instant) {
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        if forward.state != State::Resolving {
            return;
        }
        let found = !hops.is_empty();
        let addresses = hops.into_iter().map(|hop| Address { hop, tcp_failed: false });
        forward.addresses = addresses.collect();
        if let Some(current) = forward.current.clone() {
            if found {
                let ips = forward.addresses.iter().map(|address| address.hop.address.ip());
                self.next_hops.learn(&current.host, ips.collect::<Vec<_>>().into_iter());
            } else {
                self.note_next_hop(&current, false);
            }
        }
        self.advance(id, now);
    }

    /// Sends to one address; `false` if the request must not go there.
    fn send_forward(&mut self, id: ForwardId, address: Address, now: Instant) -> bool {
        let Address { mut hop, tcp_failed } = address;
        let refusal = self.forwards.get(&id).and_then(|forward| self.must_not_go(forward, &hop));
        let Some(forward) = self.forwards.get_mut(&id) else { return true };
        if let Some(refusal) = refusal {
            forward.failed = Failed::Refused(refusal);
            return false;
        }
        if hop.transport == Transport::Tls && hop.name.is_none() {
            hop.name = forward.current.as_ref().and_then(proxy::certificate_name);
        }
        forward.tries += 1;
        let branch = forward.branch(&hop);
        let came_by = match &forward.made {
            Made::There { arrival, .. } => arrival.transport,
            Made::Here { .. } => hop.transport,
        };
        let mut ready = proxy::outgoing(&forward.base, &self.config, came_by, &hop, &branch);
        if matches!(forward.made, Made::Here { .. }) && message::check_size(&ready).is_err() {
            self.forward_too_large(id, now);
            return true;
        }
        if hop.transport == Transport::Udp && !tcp_failed && ready.to_bytes().len() > MAX_UDP {
            forward.addresses.push_front(Address { hop: hop.clone(), tcp_failed: true });
            hop.transport = Transport::Tcp;
            ready = proxy::outgoing(&forward.base, &self.config, came_by, &hop, &branch);
        }
        let left = forward.deadline.saturating_duration_since(now);
        let give_up = match forward.ways_left() {
            0 => forward.deadline,
            ways => now + (left / (ways + 1)).max(PATIENCE).min(left),
        };
        forward.sent_to = Some(hop.clone());
        let client = self.transactions.request(&ready, hop, now);
        forward.state = State::Sent { client, rings: false, since: now, give_up };
        self.by_client.insert(client, id);
        if give_up < forward.deadline {
            self.timers.set(give_up, Due::Forward(id));
        }
        true
    }

    /// Why a request must not be sent there.
    fn must_not_go(&self, forward: &Forward, hop: &Hop) -> Option<Refusal> {
        let Made::There { arrival, .. } = &forward.made else {
            return self.config.is_own_listener(hop).then_some(Refusal::Loop);
        };
        if proxy::is_origin(&forward.base, arrival, hop) || self.config.is_own_listener(hop) {
            return Some(Refusal::Loop);
        }
        let in_dialog = forward.domain.is_none();
        (in_dialog && self.would_relay(arrival, hop)).then_some(Refusal::Forbidden(Rule::Relay))
    }

    fn forward_too_large(&mut self, id: ForwardId, now: Instant) {
        let Some(forward) = self.forwards.remove(&id) else { return };
        let failure = Failure::new(Condition::PolicyViolation, Cause::Policy)
            .with_text("the message is too long for this network");
        self.over(id, forward, None, Ending::Failed(failure), now);
    }

    /// No way is left.
    fn fail_forward(&mut self, id: ForwardId, now: Instant) {
        let Some(mut forward) = self.forwards.remove(&id) else { return };
        let failed = std::mem::replace(&mut forward.failed, Failed::Refused(Refusal::Unreachable));
        match failed {
            Failed::Response(response) => {
                let ending = ending_of(forward.base.method().unwrap_or_default(), &response);
                // The 503 of one next hop says nothing about the next request (RFC 3261 §16.7).
                let code = if response.code() == Some(503) { 500 } else { 482 };
                let answer = self.rewritten(&forward, &response, code);
                self.over(id, forward, answer, ending, now);
            }
            Failed::Refused(refusal) => {
                let ending = Ending::Failed(refusal.failure());
                if forward.upstream.attempt.is_none()
                    && let Some(request) = forward.upstream.request
                {
                    self.note_over(forward.told(), None, &ending, now);
                    return self.refuse(request, &refusal, now);
                }
                self.over(id, forward, None, ending, now);
            }
        }
    }

    /// A final response of ours in the place of one that must not go back as it is.
    pub(super) fn rewritten(
        &mut self,
        forward: &Forward,
        response: &Message,
        code: u16,
    ) -> Option<Message> {
        let request = self.requests.get(&forward.upstream.request?)?;
        let tag = self.random.token();
        Some(Answer::instead(code, response.retry_after()).to_message(&request.message, &tag))
    }

    /// The request has its final answer, native or by its ending; who waits for it is told.
    /// `forward` is no longer in the table.
    pub(super) fn over(
        &mut self,
        id: ForwardId,
        forward: Forward,
        response: Option<Message>,
        ending: Ending,
        now: Instant,
    ) {
        let status = response.as_ref().and_then(Message::code);
        self.note_over(forward.told(), status, &ending, now);
        let Upstream { request, attempt } = forward.upstream;
        let route = forward.route();
        if let Some(request) = request {
            if let Some(kept) = self.requests.get_mut(&request) {
                kept.forward = None;
            }
            match (response, attempt) {
                (Some(response), None) => {
                    let condition = condition_of(&ending);
                    self.close_request(request, &response, condition, None, now);
                }
                (Some(response), Some(_)) => self.hold(request, response, now),
                (None, None) => self.answer_outcome(request, &ending, now),
                // The router decides what a failure of ours means.
                (None, Some(_)) => {}
            }
        }
        if let Some(key) = attempt {
            self.end_attempt(key, ending, route, now);
        }
        if let Made::Here { uri, .. } = &forward.made {
            self.next_in_line(uri, id, now);
        }
    }

    /// The facts and counts of an end.
    pub(super) fn note_over(
        &mut self,
        told: Told,
        status: Option<u16>,
        ending: &Ending,
        now: Instant,
    ) {
        let condition = condition_of(ending);
        if let Some(domain) = told.direct {
            self.count_use(&domain, condition.as_ref(), now);
        }
        let (id, kind) = (told.stage, told.kind);
        self.end(StageEnd { id, kind, status, condition, decision: None });
    }
}
