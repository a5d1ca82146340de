//! The way of an answer up: provisional and final responses, silence, challenges, CANCEL
//! (RFC 3261 §16.7–§16.10, RFC 4320).

use std::time::{Duration, Instant};

use openfed_proto::packet::Ending;
use openfed_proto::route::Transport;

use super::forward::{Address, Failed, Forward, ForwardId, Made, State, Upstream};
use super::forwarding::TIMER_C;
use super::{Core, Due};
use crate::command::Command;
use crate::digest::{Credentials, Password, authorize};
use crate::headers::HeaderId;
use crate::status::{Refusal, ending_of};
use crate::transaction::{ClientId, ServerId, TIMEOUT, cancel_of, is_in_dialog};
use crate::wire::Message;

/// How long a final response waits for the outcome of its packet.
const HELD: Duration = Duration::from_secs(1);
/// Challenges that one next hop may make: the first, and a stale nonce.
const MAX_CHALLENGES: u8 = 2;

impl Core {
    pub(super) fn on_response(&mut self, message: Message, now: Instant) {
        let Some(client) = self.transactions.receive_response(&message, now) else { return };
        let Some(id) = self.by_client.get(&client).copied() else { return };
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        let code = message.code().unwrap_or_default();
        if let Some(hop) = forward.current.clone().filter(|_| code != 503) {
            self.note_next_hop(&hop, true);
        }
        match code {
            0..200 => self.on_provisional(id, message, now),
            200..300 => self.on_success(id, message, now),
            _ => self.on_failure(id, client, message, now),
        }
    }

    fn on_provisional(&mut self, id: ForwardId, message: Message, now: Instant) {
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        let State::Sent { client, rings, since, give_up } = forward.state else { return };
        let invite = forward.is_invite();
        // A non-INVITE that is being worked on may take all the time there is.
        let patient = if invite { now + TIMER_C } else { forward.deadline };
        let until = if forward.cancelled { give_up } else { patient };
        forward.state = State::Sent { client, rings: true, since, give_up: until };
        if invite {
            if forward.cancelled && !rings {
                self.send_cancel(id, now);
            } else {
                if forward.upstream.attempt.is_none() && !forward.cancelled {
                    forward.deadline = until;
                }
                self.timers.set(forward.deadline.min(until), Due::Forward(id));
            }
        }
        // 100 is between neighbours; others than 100 have no place in non-INVITEs (RFC 4320).
        if let (true, Some(request)) = (invite && message.code() != Some(100), self.request_of(id))
            && let Some(response) = self.without_our_via(id, message)
        {
            self.transactions.respond(request, &response, now);
        }
    }

    fn on_success(&mut self, id: ForwardId, message: Message, now: Instant) {
        let Some(forward) = self.forwards.get(&id) else { return };
        let ending = ending_of(forward.base.method().unwrap_or_default(), &message);
        let invite = forward.is_invite();
        let response = self.without_our_via(id, message);
        if !invite {
            let Some(forward) = self.forwards.remove(&id) else { return };
            return self.over(id, forward, response, ending, now);
        }
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        let Upstream { request, attempt } = forward.upstream;
        let (told, route) = (forward.told(), forward.route());
        let first = std::mem::replace(&mut forward.state, State::Answered) != State::Answered;
        forward.upstream.attempt = None;
        // Each copy of a 2xx to an INVITE goes back at once, whoever else has to be told.
        if let (Some(request), Some(response)) = (request, &response) {
            self.transactions.respond(request, response, now);
        }
        if !first {
            return;
        }
        let code = response.as_ref().and_then(Message::code);
        self.note_over(told, code, &ending, now);
        if let Some(key) = attempt {
            self.end_attempt(key, ending, route, now);
        }
        if let Some(request) = request {
            if let Some(kept) = self.requests.get_mut(&request) {
                kept.forward = None;
            }
            self.drop_request(request, code, None, None, now);
        }
    }

    fn on_failure(&mut self, id: ForwardId, client: ClientId, message: Message, now: Instant) {
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        if forward.client() != Some(client) {
            return;
        }
        let code = message.code().unwrap_or_default();
        if matches!(code, 401 | 407)
            && !forward.cancelled
            && self.answer_challenge(id, &message, now)
        {
            return;
        }
        // RFC 3261 §16.7: 503 is about the next hop, and so is a request that it sent back to us.
        let came_back = code == 482 && self.next_hops.passes_our_refusal(&message);
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        if (code == 503 || came_back) && !forward.cancelled {
            if code == 503
                && let Some(hop) = forward.current.clone()
            {
                self.note_next_hop(&hop, false);
            }
            if let Some(forward) = self.forwards.get_mut(&id) {
                forward.failed = Failed::Response(Box::new(message));
            }
            return self.advance(id, now);
        }
        let invite = forward.is_invite();
        let ending = ending_of(forward.base.method().unwrap_or_default(), &message);
        let response = if code == 408 && !invite {
            // RFC 4320 §4.2: a 408 tells a non-INVITE client nothing that it does not know.
            let Some(forward) = self.forwards.remove(&id) else { return };
            let response = self.rewritten(&forward, &message, 504);
            return self.over(id, forward, response, ending, now);
        } else {
            self.without_our_via(id, message)
        };
        let Some(forward) = self.forwards.remove(&id) else { return };
        self.over(id, forward, response, ending, now);
    }

    /// The response as the peer gets it: without our Via, with the CSeq that it knows. `None` for
    /// a request of ours.
    fn without_our_via(&self, id: ForwardId, mut message: Message) -> Option<Message> {
        let forward = self.forwards.get(&id)?;
        if matches!(forward.made, Made::Here { .. }) {
            return None;
        }
        message.pop_via().ok()?;
        message.header(HeaderId::Via)?;
        if let Some(cseq) = &forward.peer_cseq {
            message.set(HeaderId::CSeq, cseq);
        }
        Some(message)
    }

    fn request_of(&self, id: ForwardId) -> Option<ServerId> {
        self.forwards.get(&id)?.upstream.request
    }

    /// Sends the request again with the route's credentials (E-13); `false` if there is nothing
    /// to answer with, so that the challenge is the next hop's last word.
    fn answer_challenge(&mut self, id: ForwardId, challenge: &Message, now: Instant) -> bool {
        let cnonce = self.random.token();
        let Some(forward) = self.forwards.get_mut(&id) else { return false };
        let Some(route) = forward.current.as_ref().and_then(|hop| hop.credentials.clone()) else {
            return false;
        };
        let credentials = Credentials {
            username: route.username,
            password: Password::new(route.password),
            realm: None,
        };
        if forward.challenges >= MAX_CHALLENGES {
            return false;
        }
        let before = forward.base.clone();
        let answered = &mut forward.answered;
        if authorize(&mut forward.base, challenge, &credentials, &cnonce, answered).is_err() {
            return false;
        }
        forward.unanswered.get_or_insert_with(|| Box::new(before));
        forward.challenges += 1;
        // A dialog counts on from its numbers, which both ends must agree on.
        if !forward.is_invite()
            && !is_in_dialog(&forward.base)
            && let Ok(cseq) = forward.base.cseq()
        {
            forward.peer_cseq.get_or_insert_with(|| cseq.to_string());
            let next = format!("{} {}", cseq.number.saturating_add(1), cseq.method);
            forward.base.set(HeaderId::CSeq, &next);
        }
        if let Some(hop) = forward.sent_to.clone() {
            forward.addresses.push_front(Address { hop, tcp_failed: true });
        }
        self.advance(id, now);
        true
    }

    /// Silence, or the request could not even be sent.
    pub(super) fn on_no_answer(&mut self, client: ClientId, now: Instant) {
        let Some(id) = self.by_client.get(&client).copied() else { return };
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        if forward.client() != Some(client) {
            return;
        }
        forward.failed = Failed::Refused(Refusal::Unreachable);
        if let Some(hop) = forward.current.clone() {
            self.note_next_hop(&hop, false);
        }
        self.advance(id, now);
    }

    /// Silence: the connection may be dead though it is open.
    pub(super) fn on_silence(&mut self, client: ClientId, now: Instant) {
        if let Some(id) = self.by_client.get(&client).copied() {
            self.suspect(id);
        }
        self.on_no_answer(client, now);
    }

    /// A request got no answer where it was sent to. The shell knows whether anything else came
    /// back on that connection.
    fn suspect(&mut self, id: ForwardId) {
        let Some(forward) = self.forwards.get(&id) else { return };
        if let (State::Sent { since, .. }, Some(to)) = (forward.state, forward.sent_to.clone())
            && to.transport != Transport::Udp
        {
            self.commands.push_back(Command::Suspect { to, since });
        }
    }

    pub(super) fn on_client_gone(&mut self, client: ClientId) {
        let Some(id) = self.by_client.remove(&client) else { return };
        let answered = self.forwards.get(&id).is_some_and(|f| f.state == State::Answered);
        if answered {
            self.forwards.remove(&id);
        }
    }

    /// A timer of a forwarded request: the current address is too slow, or all are.
    pub(super) fn forward_due(&mut self, id: ForwardId, now: Instant) {
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        let over = now >= forward.deadline;
        match forward.state {
            State::Answered => {}
            State::Sent { client, rings, give_up, .. } if over || now >= give_up => {
                if rings && forward.is_invite() && !forward.cancelled {
                    // Timer C: it must not ring on when nobody listens any more.
                    return self.stop_ringing(id, now);
                }
                self.transactions.forget(client);
                self.by_client.remove(&client);
                self.suspect(id);
                let Some(forward) = self.forwards.get_mut(&id) else { return };
                if over {
                    forward.next_hops.clear();
                    forward.addresses.clear();
                }
                forward.failed = Failed::Refused(Refusal::Unreachable);
                if let Some(hop) = forward.current.clone() {
                    self.note_next_hop(&hop, false);
                }
                self.advance(id, now);
            }
            State::Queued | State::Resolving if over => {
                forward.next_hops.clear();
                forward.addresses.clear();
                self.advance(id, now);
            }
            State::Sent { .. } | State::Queued | State::Resolving => {}
        }
    }

    /// The INVITE's time is over while it rings: it is cancelled, and the peer is told 408.
    fn stop_ringing(&mut self, id: ForwardId, now: Instant) {
        self.cancel_forward(id, now);
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        let upstream =
            std::mem::replace(&mut forward.upstream, Upstream { request: None, attempt: None });
        let ending = Ending::Failed(Refusal::Unreachable.failure());
        match (upstream.attempt, upstream.request) {
            (Some(key), _) => self.end_attempt(key, ending, None, now),
            (None, Some(request)) => self.answer_outcome(request, &ending, now),
            (None, None) => {}
        }
    }

    /// Passes a CANCEL on. `false` if the request is not on its way, so that there is nothing to
    /// wait for.
    pub(super) fn cancel_forward(&mut self, id: ForwardId, now: Instant) -> bool {
        let Some(forward) = self.forwards.get_mut(&id) else { return false };
        if forward.cancelled {
            return true;
        }
        let State::Sent { client, rings, since, .. } = forward.state else { return false };
        forward.cancelled = true;
        // RFC 3261 §9.1: the 487 comes, or nothing at all.
        let give_up = now + TIMEOUT;
        forward.deadline = give_up;
        forward.state = State::Sent { client, rings, since, give_up };
        self.timers.set(give_up, Due::Forward(id));
        // Before a provisional response a CANCEL could overtake its INVITE.
        if rings {
            self.send_cancel(id, now);
        }
        true
    }

    fn send_cancel(&mut self, id: ForwardId, now: Instant) {
        let client = self.forwards.get(&id).and_then(Forward::client);
        let sent = client.and_then(|client| self.transactions.sent_invite(client));
        if let Some((cancel, hop)) = sent.map(|(invite, hop)| (cancel_of(invite), hop.clone())) {
            self.transactions.request(&cancel, hop, now);
        }
    }

    /// The request that waited for it is answered otherwise: nobody waits for the response.
    pub(super) fn detach_forward(&mut self, id: ForwardId, now: Instant) {
        let Some(forward) = self.forwards.get_mut(&id) else { return };
        forward.upstream.request = None;
        if forward.is_invite() && forward.state != State::Answered {
            self.cancel_forward(id, now);
        }
    }

    /// A native final response waits for the word of the router that its packet has ended: the
    /// sender's next request must find the domain known.
    pub(super) fn hold(&mut self, id: ServerId, response: Message, now: Instant) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.held = Some(response);
        if request.submission.is_none() {
            return self.release_held(id, now);
        }
        self.timers.set(now + HELD, Due::Held(id));
    }

    pub(super) fn release_held(&mut self, id: ServerId, now: Instant) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        if let Some(response) = request.held.take() {
            self.close_request(id, &response, None, None, now);
        }
    }
}
