//! Packets on their way to a router and back: submitted, submitted again when a link is lost,
//! ended by their outcome or by their deadline.

use std::time::{Duration, Instant};

use openfed_proto::condition::Condition;
use openfed_proto::link::{FromCm, Instruction};
use openfed_proto::packet::{
    Body, Cause, Conversation, Direction, Ending, Failure, MAX_HOPS, Original, Outcome, Packet,
    PacketId, Protocol, Source, TraceContext,
};

use super::links::NoRouter;
use super::{Core, Due};
use crate::command::{Command, Fact, RouterId, StageEnd, StageId, StageKind};
use crate::headers::HeaderId;
use crate::status::{RETRY, Refusal};
use crate::transaction::{ServerId, packet_id};

/// What a router may take to answer a non-INVITE: our answer must leave before the sender's 32 s
/// are over, as later ones are not understood (RFC 4320 §4.2).
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// An INVITE may ring (Timer C, RFC 3261 §16.6 item 11, and some more).
const INVITE_WITHIN: Duration = Duration::from_secs(200);
/// What a packet may be late until it counts as lost.
const GRACE: Duration = Duration::from_secs(1);

/// A packet without outcome.
#[derive(Debug)]
pub(super) struct Submission {
    packet: Packet,
    /// The request that it was made of.
    pub(super) request: ServerId,
    /// The discovery that let it go on to the local user.
    accepted_in: Option<PacketId>,
    /// Who has it; `None` while no link is up.
    router: Option<RouterId>,
    since: Instant,
    stage: StageId,
}

impl Submission {
    /// Whether nobody has it.
    pub(super) fn is_orphan(&self) -> bool {
        self.router.is_none()
    }

    /// Whether this router has it.
    pub(super) fn is_with(&self, router: RouterId) -> bool {
        self.router == Some(router)
    }
}

impl Core {
    /// Makes a packet of a request and gives it to a router. `accepted`: the packet of the
    /// discovery that accepted the request.
    pub(super) fn submit(
        &mut self,
        request_id: ServerId,
        body: Body,
        accepted: Option<&Packet>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let packet = self.packet_of(request_id, body, accepted, now)?;
        let (id, conversation) = (packet.id, packet.conversation);
        let invite = self.requests.get(&request_id).is_some_and(|r| &*r.method == "INVITE");
        let router = match self.links.choose(conversation) {
            Ok(router) => router,
            Err(NoRouter::None) if !self.next_hops.are_known() => return Err(Refusal::Elsewhere),
            Err(NoRouter::None) => return Err(Refusal::Busy),
            Err(NoRouter::Full) => {
                self.window.narrow(self.submissions.len(), now);
                return Err(Refusal::Busy);
            }
        };
        if invite && accepted.is_none() {
            self.send_trying(request_id, now);
        }
        let Some(mut stage) = self.begin_under(StageKind::Submit, request_id) else {
            return Err(Refusal::Busy);
        };
        stage.packet = Some(id);
        stage.conversation = Some(conversation);
        let submission = Submission {
            router: Some(router),
            request: request_id,
            accepted_in: accepted.map(|packet| packet.id),
            since: now,
            stage: stage.id,
            packet,
        };
        self.fact(Fact::Began(stage));
        self.timers.set(now + submission.packet.remaining + GRACE, Due::Submission(id));
        let arrival = self.requests.get(&request_id).map(|request| &request.arrival);
        let again = arrival.is_some_and(|arrival| self.may_be_a_copy(arrival, now));
        self.send_submission(router, &submission, again, now);
        self.submissions.insert(id, submission);
        if accepted.is_none()
            && let Some(request) = self.requests.get_mut(&request_id)
        {
            request.submission = Some(id);
        }
        Ok(())
    }

    /// The packet of a request; its time and hops are what is left of `accepted`'s.
    fn packet_of(
        &mut self,
        id: ServerId,
        body: Body,
        accepted: Option<&Packet>,
        now: Instant,
    ) -> Result<Packet, Refusal> {
        let Some(request) = self.requests.get(&id) else { return Err(Refusal::Busy) };
        let Some(parties) = request.parties.clone() else { return Err(Refusal::NotFound) };
        let invite = &*request.method == "INVITE";
        let mut remaining = if invite { INVITE_WITHIN } else { ANSWER_WITHIN };
        // RFC 3428 §6: the sender of a MESSAGE may say until when it is worth delivering.
        if let (Body::Message(_), Ok(Some(seconds @ 1..))) =
            (&body, request.message.number(HeaderId::Expires))
        {
            remaining = remaining.min(Duration::from_secs(seconds.into()));
        }
        let original = Original { protocol: Protocol::Sip, bytes: request.message.to_bytes() };
        let source = match parties.direction {
            Direction::Inbound => Source::peer(request.arrival.source.ip()),
            Direction::Outbound | Direction::Internal => Source::user(&parties.from),
        };
        let packet_id = match packet_id(&request.message) {
            Some(id) if accepted.is_none() && !self.submissions.contains_key(&id) => id,
            _ => self.random.packet_id(),
        };
        Ok(Packet {
            id: packet_id,
            conversation: Conversation::between(&parties.from, &parties.to),
            direction: parties.direction,
            from: parties.from,
            to: parties.to,
            body,
            original,
            trace: TraceContext::default(),
            hops: vec![self.hop("received", now)],
            remaining: accepted.map_or(remaining, |packet| packet.remaining.min(remaining)),
            hops_left: accepted.map_or(MAX_HOPS, |packet| packet.hops_left.saturating_sub(1)),
            source,
        })
    }

    fn send_submission(
        &mut self,
        router: RouterId,
        submission: &Submission,
        again: bool,
        now: Instant,
    ) {
        let mut packet = submission.packet.clone();
        let passed = now.saturating_duration_since(submission.since);
        packet.remaining = packet.remaining.saturating_sub(passed);
        let accepted_in = submission.accepted_in;
        let frame = Box::new(FromCm::Submit { packet, accepted_in, again, kept: false });
        self.commands.push_back(Command::ToRouter { router, frame, stage: Some(submission.stage) });
    }

    /// A router says that a packet has ended. The failure of a router that lost the packet to
    /// another one is not the last word.
    pub(super) fn on_word(&mut self, router: RouterId, outcome: Outcome, now: Instant) {
        let failed = matches!(outcome.ending, Ending::Failed(_));
        let elsewhere = |it: &Submission| !it.is_orphan() && !it.is_with(router);
        if failed && self.submissions.get(&outcome.id).is_some_and(elsewhere) {
            return;
        }
        self.on_outcome(outcome, now);
    }

    /// A packet has ended. A second outcome of it is nobody's any more.
    pub(super) fn on_outcome(&mut self, outcome: Outcome, now: Instant) {
        let under_way = self.submissions.len();
        let Some(submission) = self.submissions.remove(&outcome.id) else { return };
        self.window.note(&outcome.ending, under_way, now);
        self.end_submission(&submission, &outcome.ending);
        if let Some(discovery) = submission.accepted_in {
            let key = (discovery, Instruction::Accept);
            return self.end_attempt(key, outcome.ending, None, now);
        }
        let Some(request) = self.requests.get_mut(&submission.request) else { return };
        request.submission = None;
        let word_of_remote = match &outcome.ending {
            Ending::Delivered { .. } => true,
            Ending::Failed(failure) => failure.cause == Cause::Remote,
        };
        match request.held.take() {
            // The next hop's own words say more than what we would make of them.
            Some(response) if word_of_remote => {
                let condition = condition_of(&outcome.ending);
                self.close_request(submission.request, &response, condition, None, now);
            }
            _ => self.answer_outcome(submission.request, &outcome.ending, now),
        }
    }

    fn end_submission(&mut self, submission: &Submission, ending: &Ending) {
        let status = match ending {
            Ending::Delivered { status, .. } => Some(*status),
            Ending::Failed(_) => None,
        };
        self.end(StageEnd {
            id: submission.stage,
            kind: StageKind::Submit,
            status,
            condition: condition_of(ending),
            decision: None,
        });
    }

    /// The packet's time is over and no router said so.
    pub(super) fn submission_due(&mut self, id: PacketId, now: Instant) {
        if self.submissions.contains_key(&id) {
            let failure = Failure::new(Condition::RemoteServerTimeout, Cause::Unreachable);
            self.on_outcome(Outcome::failed(id, failure), now);
        }
    }

    /// The packet's request is answered: its outcome is of no more interest.
    pub(super) fn drop_submission(&mut self, id: PacketId) {
        if let Some(submission) = self.submissions.remove(&id) {
            let failure = Failure::new(Condition::RecipientUnavailable, Cause::Remote);
            self.end_submission(&submission, &Ending::Failed(failure));
        }
    }

    /// The link that had these packets is lost: they wait, in the order in which they came.
    pub(super) fn orphan_submissions(&mut self, lost: RouterId) {
        let mut orphans: Vec<(Instant, StageId, PacketId)> = Vec::new();
        for (id, submission) in &mut self.submissions {
            if submission.router == Some(lost) {
                submission.router = None;
                orphans.push((submission.since, submission.stage, *id));
            }
        }
        orphans.sort_unstable();
        self.waiting.extend(orphans.into_iter().map(|(.., id)| id));
    }

    /// Gives waiting packets to other routers, with their own ids: who saw them before, drops
    /// them.
    pub(super) fn resubmit(&mut self, now: Instant) {
        while let Some(id) = self.waiting.pop_front() {
            // An accepted request is on its way to the user as a packet of its own, whose end is
            // also the end of this one; given to another router, it would arrive twice.
            match self.attempts.accepted(id).map(Option::<&Outcome>::cloned) {
                Some(Some(outcome)) => {
                    self.on_outcome(outcome, now);
                    continue;
                }
                Some(None) => continue,
                None => {}
            }
            let Some(mut submission) = self.submissions.remove(&id) else { continue };
            let chosen = self.links.choose(submission.packet.conversation);
            if let Ok(router) = chosen {
                submission.router = Some(router);
                self.send_submission(router, &submission, true, now);
            }
            self.submissions.insert(id, submission);
            if chosen.is_err() {
                return self.waiting.push_front(id);
            }
        }
    }
}

/// A failure's condition.
pub(super) fn condition_of(ending: &Ending) -> Option<Condition> {
    match ending {
        Ending::Delivered { .. } => None,
        Ending::Failed(failure) => Some(failure.condition.clone()),
    }
}

/// What a request is told that nobody here can take now.
pub(super) fn busy() -> Failure {
    Failure::new(Condition::ResourceConstraint, Cause::Busy).retry_after(RETRY)
}
