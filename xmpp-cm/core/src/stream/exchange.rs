//! On the open stream: dialback in all its roles (XEP-0220), stanzas, the peer's stream errors.

use std::time::Instant;

use minidom::Element;

use super::pairs::{Full, Standing, Written};
use super::words::{addressed, answered, key_of, read_verdict, with_verdict, written};
use super::{
    CloseReason, Direction, Domain, Event, Name, Phase, Role, SendError, State, Stream,
    StreamCondition, StreamError, Verdict,
};
use crate::dialback::Secret;
use crate::stanza::{Attributes, set};
use crate::xml::{Glimpse, ns};

/// How much of a peer's error text is kept, in bytes.
const MAX_ERROR_TEXT: usize = 256;

impl Stream {
    /// A complete top-level element on the open (or closing) stream.
    pub(super) fn handle_element(&mut self, element: Element, now: Instant) {
        let name = element.name();
        if name == "error" && element.has_ns(ns::STREAM) {
            return self.handle_error(&element);
        }
        let responder = matches!(self.role, Role::Responder { .. });
        let counts = !responder && element.has_ns(ns::MANAGEMENT);
        if self.state == State::Closing && !element.has_ns(ns::CLIENT) && !counts {
            return;
        }
        if responder && name == "starttls" && element.has_ns(ns::TLS) {
            return self.handle_starttls();
        }
        if self.needs_tls() {
            let error = StreamError::new(StreamCondition::PolicyViolation);
            return self.fail(error.with_text("TLS is required"));
        }
        match name {
            "auth" if responder && element.has_ns(ns::SASL) => self.handle_auth(&element, now),
            _ if element.has_ns(ns::MANAGEMENT) => match self.role {
                Role::Responder { .. } => self.handle_management(&element, now),
                Role::Initiator => self.handle_count(&element),
            },
            "bidi" if element.has_ns(ns::BIDI) => self.handle_bidi(),
            "result" | "verify" if element.has_ns(ns::DIALBACK) => {
                self.handle_dialback(&element, now);
            }
            "message" | "presence" | "iq" if element.has_ns(ns::CLIENT) => match self.role {
                Role::Initiator => {
                    self.heard_stanza();
                    match element.attr("type") {
                        Some("error") => self.push(Event::Bounced(element)),
                        _ => self.push(Event::Ignored),
                    }
                }
                Role::Responder { .. } => self.handle_stanza(element, now),
            },
            _ => self.handle_stray(StreamCondition::UnsupportedStanzaType),
        }
    }

    /// A stanza in a namespace in which servers do not speak (RFC 6120 §4.8.2).
    pub(super) fn handle_misplaced(&mut self) {
        self.handle_stray(StreamCondition::InvalidNamespace);
    }

    /// Something that has no place on this stream. One that we opened goes on: what we said on it
    /// may be good, and to end it would leave that in doubt.
    ///
    /// COMPAT(ejabberd): it answers what it cannot read on the stream that it came on.
    /// COMPAT(Vysper): it answers there too, in `jabber:client`.
    fn handle_stray(&mut self, condition: StreamCondition) {
        match (&self.role, self.state) {
            (Role::Initiator, State::Open) => self.push(Event::Ignored),
            (_, State::Closing) => {}
            _ => self.fail_with(condition),
        }
    }

    /// E-45: a stanza is taken from whom it says it is, to where it may go, or not at all.
    fn handle_stanza(&mut self, stanza: Element, now: Instant) {
        if self.state == State::Closing && self.management.is_some() && !is_answer(&stanza) {
            // The peer keeps what we have not acknowledged in our last words, and bounces it. An
            // answer it does not bounce, and somebody waits for that.
            return;
        }
        if self.pairs.is_empty() {
            return self.fail_with(StreamCondition::NotAuthorized);
        }
        let Attributes { from: Some(from), to: Some(to), .. } = Attributes::of(&stanza) else {
            return self.fail_with(StreamCondition::ImproperAddressing);
        };
        let (from, to) = (jid_domain(from), jid_domain(to));
        // Nearly always the names are in canonical form already, and need no preparation.
        if self.pairs.may_receive(from, to) {
            return self.take(stanza, now);
        }
        let (Some(from), to) = (Name::parse(from), Name::parse(to)) else {
            return self.fail_with(StreamCondition::ImproperAddressing);
        };
        let Some(to) = to else {
            return self.misaddressed(&from, stanza, StreamCondition::ImproperAddressing);
        };
        match self.pairs.standing(&from, &to) {
            Standing::Allowed => self.take(stanza, now),
            Standing::Nobody => self.fail_with(StreamCondition::NotAuthorized),
            Standing::WrongSender => self.fail_with(StreamCondition::InvalidFrom),
            // COMPAT(Prosody): it sends the answers to all pairs of one stream where the first of
            // them gets its own. Who sends them is proven; nobody but who asked takes them.
            Standing::WrongRecipient if is_answer(&stanza) => self.take(stanza, now),
            Standing::WrongRecipient => {
                self.misaddressed(&from, stanza, StreamCondition::HostUnknown);
            }
        }
    }

    /// Who sends it is proven, but to whom it goes is not what the stream is for: the owner says
    /// whether that ends the stream.
    fn misaddressed(&mut self, from: &Domain, stanza: Element, condition: StreamCondition) {
        match self.pairs.heard_by(from).cloned() {
            Some(local) => {
                self.turned_away();
                let remote = from.clone();
                self.push(Event::Misaddressed { local, remote, stanza, condition });
            }
            None => self.fail_with(condition),
        }
    }

    /// Looks at the message that comes next without reading it: from whom it is and to whom. `None`
    /// if it has to be read.
    pub(crate) fn glimpse<'a>(&self, input: &'a [u8]) -> Option<(Glimpse<'a>, Domain, Domain)> {
        if self.state != State::Open || self.beginning.is_some() {
            return None;
        }
        let glimpse = self.parser.glimpse(input)?;
        let Attributes { from: Some(from), to: Some(to), .. } = glimpse.attributes else {
            return None;
        };
        let (from, to) = self.pairs.receiving(jid_domain(from), jid_domain(to))?;
        Some((glimpse, from.clone(), to.clone()))
    }

    fn handle_dialback(&mut self, element: &Element, now: Instant) {
        let domain = |name: &str| element.attr(name).and_then(Name::parse);
        let id = element.attr("id");
        let names = (domain("from"), domain("to"));
        let bad = element.name() == "verify" && (names.0.is_none() || names.1.is_none());
        if let (true, Role::Initiator, Some(id)) = (bad, &self.role, id) {
            return self.handle_verified(None, id, Verdict::Invalid);
        }
        let (Some(from), Some(to)) = names else {
            return self.handle_stray(StreamCondition::ImproperAddressing);
        };
        match (element.name(), read_verdict(element), id) {
            ("result", Ok(None), _) => {
                self.handle_key((from, to), key_of(element), written(element))
            }
            ("result", Ok(Some(verdict)), _) => self.handle_result(to, from, verdict),
            ("verify", Ok(None), Some(id)) => {
                let (id, key) = (id.to_owned(), key_of(element));
                self.pairs.question(&from, &to, &id, written(element));
                self.negotiation_ends =
                    self.negotiation_ends.map(|_| now + self.settings.timing.negotiation);
                self.push(Event::DialbackVerifyRequested { from, to, id, key });
            }
            ("verify", Ok(Some(verdict)), Some(id)) => {
                self.handle_verified(Some((to, from)), id, verdict);
            }
            ("verify", Err(()), Some(id)) => self.handle_verified(None, id, Verdict::Invalid),
            _ => self.handle_stray(StreamCondition::BadFormat),
        }
    }

    /// Receiving server: the peer sent a key.
    fn handle_key(&mut self, (from, to): (Name, Name), key: String, written: Written) {
        if matches!(self.role, Role::Initiator) {
            return self.handle_stray(StreamCondition::UnsupportedStanzaType);
        }
        match self.pairs.ask(&from, &to, written) {
            Ok(true) => {
                let id = self.id.clone();
                self.push(Event::DialbackRequested { from, to, id, key });
            }
            // The answer to the first one answers both.
            Ok(false) => {}
            Err(Full) => self.fail_with(StreamCondition::ResourceConstraint),
        }
    }

    /// Originating server: the peer's answer to our key.
    fn handle_result(&mut self, local: Name, remote: Name, verdict: Verdict) {
        let Some((local, remote)) = self.pairs.take_result(&local, &remote) else {
            return self.handle_stray(StreamCondition::InvalidFrom);
        };
        let pair = (local.clone(), remote.clone());
        let valid = verdict == Verdict::Valid;
        self.push(Event::DialbackResult { local, remote, verdict });
        if valid {
            self.pairs.authenticate_outbound(&pair.0, &pair.1);
            self.authenticated(pair, Direction::Outbound);
        }
    }

    /// Receiving server: what the authoritative server says. An answer that does not fit ends a
    /// question about that stream and nothing else, for no key was said to be good.
    fn handle_verified(&mut self, names: Option<(Name, Name)>, id: &str, verdict: Verdict) {
        let Some((local, remote)) = self.pairs.take_verify(id, names.as_ref()) else {
            return self.handle_stray(StreamCondition::InvalidFrom);
        };
        let fits = names.is_some_and(|(to, from)| *to == *local && *from == *remote);
        let verdict = if fits { verdict } else { Verdict::Invalid };
        self.push(Event::DialbackVerified { local, remote, id: id.to_owned(), verdict });
    }

    pub(super) fn authenticated(&mut self, (local, remote): (Name, Name), direction: Direction) {
        self.phase = Phase::Authenticated;
        self.negotiation_ends = None;
        self.parser.set_element_bytes(self.settings.limits.element_bytes);
        self.push(Event::Authenticated { local, remote, direction });
    }

    /// Originating server: asks the peer to let us speak for `local` to `remote`.
    ///
    /// # Errors
    /// The stream is not open, or has too many pairs already.
    pub fn request_dialback(
        &mut self,
        local: &Name,
        remote: &Name,
        secret: &Secret,
    ) -> Result<(), SendError> {
        self.check_open()?;
        self.pairs.expect_result(local, remote).map_err(|Full| SendError::NotOpen)?;
        let mut element = addressed("result", local, remote);
        element.append_text(secret.key(remote, local, &self.id));
        self.write(&element);
        Ok(())
    }

    /// Receiving server: the names of [`Event::DialbackRequested`] as they were written.
    pub(crate) fn asked_as(&self, from: &Name, to: &Name) -> Option<Written> {
        self.pairs.asked_as(from, to).cloned()
    }

    /// Receiving server: answers [`Event::DialbackRequested`]. With [`Verdict::Valid`] the peer
    /// may send from `from` to `to`.
    pub fn answer_dialback(&mut self, from: &Name, to: &Name, verdict: &Verdict) {
        if self.check_open().is_err() {
            return;
        }
        let Some(written) = self.pairs.answer(from, to) else { return };
        self.write(&with_verdict(answered("result", &written), verdict));
        if *verdict == Verdict::Valid {
            let direction = self.pairs.authenticate_inbound(to, from);
            self.authenticated((to.clone(), from.clone()), direction);
        }
    }

    /// Receiving server: asks the peer, `remote`'s authoritative server, whether `key` is good
    /// for the stream `id` from `remote` to `local`.
    ///
    /// # Errors
    /// The stream is not open, or has too many questions open already.
    pub fn request_verify(
        &mut self,
        local: &Name,
        remote: &Name,
        id: &str,
        key: &str,
    ) -> Result<(), SendError> {
        let written = [remote.written().into_owned(), local.written().into_owned()];
        self.request_verify_as(&written, (local, remote), id, key)
    }

    /// The same in the names that the key was sent for: it may be made of them as they were written.
    pub(crate) fn request_verify_as(
        &mut self,
        written: &Written,
        (local, remote): (&Name, &Name),
        id: &str,
        key: &str,
    ) -> Result<(), SendError> {
        self.check_open()?;
        self.pairs.expect_verify(local, remote, id).map_err(|Full| SendError::NotOpen)?;
        let mut element = answered("verify", written);
        set(&mut element, "id", id);
        element.append_text(key);
        self.write(&element);
        Ok(())
    }

    /// Authoritative server: answers [`Event::DialbackVerifyRequested`]; `from`, `to` and `id`
    /// as they stood there.
    pub fn answer_verify(&mut self, from: &Name, to: &Name, id: &str, verdict: &Verdict) {
        if self.check_open().is_err() {
            return;
        }
        let mut element = match self.pairs.questioned(from, to, id) {
            Some(written) => answered("verify", &written),
            None => addressed("verify", to, from),
        };
        set(&mut element, "id", id);
        self.write(&with_verdict(element, verdict));
    }

    /// Sends a stanza between a pair of domains that may send here. In `jabber:client` or
    /// `jabber:server`, as it is at hand.
    ///
    /// # Errors
    /// The stanza was not taken, and the stream is as before.
    pub fn send(&mut self, stanza: &Element) -> Result<(), SendError> {
        self.check_open()?;
        let Attributes { from: Some(from), to: Some(to), .. } = Attributes::of(stanza) else {
            return Err(SendError::ImproperAddressing);
        };
        let (from, to) = (jid_domain(from), jid_domain(to));
        if !self.pairs.may_send(from, to) {
            let (Some(from), Some(to)) = (Name::parse(from), Name::parse(to)) else {
                return Err(SendError::ImproperAddressing);
            };
            if !self.pairs.may_send(from.as_str(), to.as_str()) {
                return Err(SendError::NotAuthenticated);
            }
        }
        self.write(stanza);
        self.wrote_stanza();
        Ok(())
    }

    /// Sends a stanza that is written out already, between a pair of domains that may send here.
    ///
    /// # Errors
    /// The stanza was not taken, and the stream is as before.
    pub(crate) fn send_text(
        &mut self,
        local: &Domain,
        remote: &Domain,
        text: &str,
    ) -> Result<(), SendError> {
        self.check_open()?;
        if !self.pairs.may_send(local.as_str(), remote.as_str()) {
            return Err(SendError::NotAuthenticated);
        }
        self.out.push_str(text);
        self.wrote_stanza();
        Ok(())
    }

    fn check_open(&self) -> Result<(), SendError> {
        if self.state == State::Open { Ok(()) } else { Err(SendError::NotOpen) }
    }

    /// The peer ends the stream with an error; it is answered with the footer alone
    /// (RFC 6120 §4.9.1.1).
    pub(super) fn handle_error(&mut self, element: &Element) {
        if self.state != State::Closing {
            self.write_footer();
        }
        let mut condition = StreamCondition::UndefinedCondition;
        let mut text = None;
        for child in element.children().filter(|child| child.has_ns(ns::STREAM_ERRORS)) {
            if child.name() == "text" {
                text = Some(cut(&child.text()));
            } else if let Ok(known) = StreamCondition::try_from(child.clone()) {
                condition = known;
            }
        }
        self.end(CloseReason::Remote(StreamError { condition, text }));
    }
}

/// Whether a stanza asks nothing: it may only end what was asked here.
fn is_answer(stanza: &Element) -> bool {
    match stanza.attr("type") {
        Some("error") => true,
        Some("result") => stanza.name() == "iq",
        _ => false,
    }
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_ERROR_TEXT);
    text.get(..end).unwrap_or_default().to_owned()
}

/// The domain of a JID in text form (RFC 7622 §3.1): between the first `@`, if one stands before
/// the resource, and the first `/`.
fn jid_domain(jid: &str) -> &str {
    let bare = jid.split_once('/').map_or(jid, |(bare, _)| bare);
    bare.split_once('@').map_or(bare, |(_, domain)| domain)
}
