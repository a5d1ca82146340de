//! Received requests, from their arrival to their one final response.
//!
//! ```text
//! New ─▶ Way ─┬─ Us ─────────────▶ answered
//!             ├─ Dialog ─────────▶ forwarded ──────────────┐
//!             └─ Correspondence ─┬▶ forwarded (known) ─────┼─▶ answered
//!                                └▶ submitted ─▶ outcome ──┘
//! ```

use std::time::Instant;

use bytestring::ByteString;
use openfed_proto::condition::Condition;
use openfed_proto::packet::{Body, Cause, Direction, Ending, Failure, PacketId};
use openfed_proto::route::Use;

use super::Core;
use super::forward::{ForwardId, Upstream};
use super::standing::Doubt;
use crate::command::{Arrival, Fact, Parent, Stage, StageEnd, StageId, StageKind};
use crate::edge::{Parties, Way};
use crate::headers::HeaderId;
use crate::message;
use crate::proxy;
use crate::status::{Answer, Refusal};
use crate::transaction::{Arrived, ServerId};
use crate::wire::Message;

/// A received request without final response.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) message: Message,
    pub(super) arrival: Arrival,
    pub(super) method: ByteString,
    /// Who corresponds; `None` in dialogs and for requests to this service.
    pub(super) parties: Option<Parties>,
    pub(super) stage: StageId,
    /// As what its domain is known, if no router was asked.
    known: Option<&'static str>,
    /// The packet that was made of it.
    pub(super) submission: Option<PacketId>,
    pub(super) forward: Option<ForwardId>,
    /// The final response of a forwarded request whose packet has no outcome yet.
    pub(super) held: Option<Message>,
}

impl Request {
    /// Whether the recipient is one device, not a user (S-028, S-029).
    fn is_for_one_device(&self) -> bool {
        self.parties.as_ref().is_none_or(|parties| parties.to.is_full())
    }
}

impl Core {
    pub(super) fn on_request(&mut self, message: Message, arrival: Arrival, now: Instant) {
        if self.is_waking(&arrival, now) {
            return self.fact(Fact::Unready);
        }
        let Some(message) = self.admit(message, &arrival, now) else { return };
        match self.transactions.receive_request(&message, &arrival, now) {
            Arrived::Retransmission => {}
            Arrived::Ack => self.on_ack(&message, &arrival, now),
            Arrived::Cancel { own, meant } => self.on_cancel(&message, own, meant, now),
            Arrived::New(id) => self.on_new_request(id, message, arrival, now),
            Arrived::Full => {
                if let Some(key) = self.transactions.new_key(&message) {
                    self.turn_away(key, &Refusal::Busy, &message, &arrival, now);
                }
            }
        }
    }

    fn on_new_request(&mut self, id: ServerId, message: Message, arrival: Arrival, now: Instant) {
        let trust = self.trust_in(&arrival);
        let too_many = self.requests.len() >= self.config.max_requests;
        let way = match self.edge(now).decide(&message, trust) {
            Ok(way) if self.refuses(&way) => Err(Refusal::Elsewhere),
            Err(Refusal::Forbidden(rule))
                if rule.is_about_source() && !self.next_hops.are_known() =>
            {
                Err(Refusal::Elsewhere)
            }
            Ok(_) if too_many => Err(Refusal::Busy),
            way => way,
        };
        let method: ByteString = message.method().unwrap_or_default().into();
        let call_id = message.call_id().unwrap_or_default();
        let parent = Parent::None { may_discover: false };
        let mut stage = self.begin(StageKind::Receive, parent, method.clone(), call_id);
        let (parties, known) = match &way {
            Ok(Way::Correspondence { parties, known }) => (Some(parties.clone()), *known),
            _ => (None, None),
        };
        if let Some(parties) = &parties {
            stage.domain = Some(parties.foreign().clone());
            stage.parent = Parent::None { may_discover: known.is_none() };
        }
        let request = Request {
            message,
            arrival,
            method,
            parties,
            stage: stage.id,
            known,
            submission: None,
            forward: None,
            held: None,
        };
        self.fact(Fact::Began(stage));
        self.requests.insert(id, request);
        let done = match way {
            Ok(Way::Us) => self.answer_for_us(id, now),
            Ok(Way::Dialog { foreign, direction }) => {
                self.follow_if_standing(id, foreign, direction, now)
            }
            Ok(Way::Correspondence { parties, known }) => self.correspond(id, parties, known, now),
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = done {
            self.refuse(id, &refusal, now);
        }
    }

    /// A router knows the domain: the operator has configured it.
    pub(super) fn go_on_as_configured(
        &mut self,
        id: ServerId,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(request) = self.requests.get_mut(&id) else { return Ok(()) };
        let Some(parties) = request.parties.clone() else { return self.follow_dialog(id, now) };
        let known = Some("configured");
        request.known = known;
        self.correspond(id, parties, known, now)
    }

    fn correspond(
        &mut self,
        id: ServerId,
        parties: Parties,
        known: Option<&'static str>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(request) = self.requests.get(&id) else { return Ok(()) };
        let is_message = &*request.method == "MESSAGE";
        if known.is_none()
            && parties.direction == Direction::Inbound
            && self.is_for_subdomain(parties.foreign(), &request.arrival)
        {
            return self.ask(id, parties.foreign().clone(), Doubt::Subdomain, now);
        }
        if parties.direction == Direction::Outbound {
            if known.is_some() {
                return self.forward_known(id, &parties, now);
            }
            let body = match message::read(&request.message) {
                Ok(message) if is_message => Body::Message(message),
                _ => opaque(&request.method),
            };
            return self.submit(id, body, None, now);
        }
        if is_message {
            let body = self.read_for_user(id, &request.message)?;
            return self.submit(id, Body::Message(body), None, now);
        }
        if known.is_none() && parties.direction == Direction::Inbound {
            let body = opaque(&request.method);
            return self.submit(id, body, None, now);
        }
        self.answer_for_user(id, now)
    }

    /// Reads a MESSAGE that is for a local user: here its SIP ends, so what we do not support is
    /// refused here (E-03, E-04).
    fn read_for_user(
        &self,
        id: ServerId,
        request: &Message,
    ) -> Result<openfed_proto::packet::Message, Refusal> {
        if self.transactions.is_merged(request, id) {
            return Err(Refusal::Merged);
        }
        let malformed = |_| Refusal::Malformed("a header cannot be read");
        let required = request.list(HeaderId::Require).map_err(malformed)?;
        if !required.is_empty() {
            return Err(Refusal::Extension(required.join(", ")));
        }
        message::read(request)
    }

    /// Answers a request other than MESSAGE on behalf of a local user, who is not on SIP.
    pub(super) fn answer_for_user(&mut self, id: ServerId, now: Instant) -> Result<(), Refusal> {
        let Some(request) = self.requests.get(&id) else { return Ok(()) };
        if &*request.method == "OPTIONS" {
            self.answer(id, &Answer::capabilities(), None, now);
            return Ok(());
        }
        Err(Refusal::of_method(&request.method))
    }

    fn answer_for_us(&mut self, id: ServerId, now: Instant) -> Result<(), Refusal> {
        match self.requests.get(&id).map(|request| &*request.method) {
            Some("MESSAGE") => Err(Refusal::NotFound),
            _ => self.answer_for_user(id, now),
        }
    }

    fn forward_known(
        &mut self,
        id: ServerId,
        parties: &Parties,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(request) = self.requests.get(&id) else { return Ok(()) };
        let base = proxy::unrouted(&request.message, &self.config)?;
        let uri = request.message.uri().and_then(Result::ok);
        let user = uri.as_ref().and_then(|uri| uri.user_decoded().ok().flatten());
        let secure = uri.as_ref().is_some_and(|uri| crate::edge::is_secure(&request.message, uri));
        let domain = parties.foreign().clone();
        let next_hops = self.next_hops_for(&domain, user.as_deref(), Use::Known, secure);
        let next_hops = next_hops.map_err(|refusal| match (refusal, uri) {
            (Refusal::Scheme, Some(uri)) => crate::edge::insecure(&uri),
            (refusal, _) => refusal,
        })?;
        let upstream = Upstream { request: Some(id), attempt: None };
        self.start_forward(upstream, base, next_hops, now)
    }

    /// CANCEL is answered here; what it means is done to the INVITE (RFC 3261 §9.2, §16.10).
    fn on_cancel(
        &mut self,
        message: &Message,
        own: ServerId,
        meant: Option<ServerId>,
        now: Instant,
    ) {
        let tag = self.random.token();
        let answer = if meant.is_some() { Answer::ok() } else { Refusal::NoDialog.answer() };
        self.transactions.respond(own, &answer.to_message(message, &tag), now);
        let Some(id) = meant else { return };
        let Some(request) = self.requests.get(&id) else { return };
        let under_way = request.forward.is_some_and(|forward| self.cancel_forward(forward, now));
        if !under_way {
            self.answer(id, &Answer::cancelled(), None, now);
        }
    }

    pub(super) fn refuse(&mut self, id: ServerId, refusal: &Refusal, now: Instant) {
        let decision = match refusal {
            Refusal::Forbidden(rule) => {
                self.show_refusal(id, *rule, now);
                if rule.is_block() { "blocked" } else { "refused" }
            }
            _ => "refused",
        };
        self.answer(id, &refusal.answer(), Some(decision), now);
    }

    /// Sends the final response that is ours to make.
    pub(super) fn answer(
        &mut self,
        id: ServerId,
        answer: &Answer,
        decision: Option<&'static str>,
        now: Instant,
    ) {
        let Some(request) = self.requests.get(&id) else { return };
        let tag = self.random.token();
        if answer.status == 482 {
            self.next_hops.note_loop(&tag);
        }
        let response = answer.to_message(&request.message, &tag);
        self.close_request(id, &response, answer.condition.clone(), decision, now);
    }

    /// The same by the outcome of its packet.
    pub(super) fn answer_outcome(&mut self, id: ServerId, ending: &Ending, now: Instant) {
        let Some(request) = self.requests.get(&id) else { return };
        let to_user = request.parties.as_ref().is_some_and(|p| p.direction == Direction::Inbound);
        let unmappable = |failure: &Failure| failure.cause == Cause::Unmappable;
        match ending {
            // An accepted request that ends here is answered as one of a known domain is.
            Ending::Delivered { .. } if to_user && &*request.method == "OPTIONS" => {
                self.answer(id, &Answer::capabilities(), None, now);
            }
            Ending::Failed(failure) if to_user && unmappable(failure) => {
                self.answer(id, &Refusal::of_method(&request.method).answer(), None, now);
            }
            ending => {
                let answer = Answer::of_ending(ending, request.is_for_one_device());
                let answer = answer.fit_for(&request.method);
                self.answer(id, &answer, None, now);
            }
        }
    }

    /// Sends the final response and lets go of all that worked on it.
    pub(super) fn close_request(
        &mut self,
        id: ServerId,
        response: &Message,
        condition: Option<Condition>,
        decision: Option<&'static str>,
        now: Instant,
    ) {
        self.transactions.respond(id, response, now);
        let status = response.code();
        let failed = status.filter(|code| *code >= 300).map(Condition::from_sip_status);
        self.drop_request(id, status, condition.or(failed), decision, now);
    }

    /// Ends the request's stage; its packet and its forwarding go on alone, if there are any.
    pub(super) fn drop_request(
        &mut self,
        id: ServerId,
        status: Option<u16>,
        condition: Option<Condition>,
        decision: Option<&'static str>,
        now: Instant,
    ) {
        let Some(request) = self.requests.remove(&id) else { return };
        if let Some(packet) = request.submission {
            self.drop_submission(packet);
        }
        if let Some(forward) = request.forward {
            self.detach_forward(forward, now);
        }
        let (id, kind, decision) = (request.stage, StageKind::Receive, decision.or(request.known));
        self.end(StageEnd { id, kind, status, condition, decision });
    }

    /// RFC 4320 §4.1; an INVITE got its 100 at once.
    pub(super) fn send_trying(&mut self, id: ServerId, now: Instant) {
        if let Some(request) = self.requests.get(&id) {
            let trying = Message::response_to(&request.message, 100, "Trying");
            self.transactions.respond(id, &trying, now);
        }
    }

    /// The request's transaction is over. If it has no answer, none can be given any more.
    pub(super) fn on_server_gone(&mut self, id: ServerId, now: Instant) {
        self.drop_request(id, None, Some(Condition::RemoteServerTimeout), None, now);
    }

    /// The span of a stage that belongs to a request hangs on the request's.
    pub(super) fn begin_under(&mut self, kind: StageKind, id: ServerId) -> Option<Stage> {
        let request = self.requests.get(&id)?;
        let (method, parent) = (request.method.clone(), Parent::Stage(request.stage));
        let call_id = request.message.call_id().unwrap_or_default();
        let domain = request.parties.as_ref().map(|parties| parties.foreign().clone());
        Some(Stage { domain, ..self.begin(kind, parent, method, call_id) })
    }
}

fn opaque(method: &str) -> Body {
    Body::Opaque { kind: method.to_owned() }
}
