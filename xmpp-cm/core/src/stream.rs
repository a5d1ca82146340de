//! One XML stream between two servers, either role, without I/O (RFC 6120 §4–§5, XEP-0220,
//! XEP-0288, XEP-0368, SASL EXTERNAL, XEP-0198).
//!
//! The owner feeds facts in (`handle_*`), then takes events out ([`Stream::next_event`]) until
//! there are none, and calls [`Stream::handle_timeout`] at [`Stream::poll_timeout`]. Everything
//! that the peer may do is answered here with the stream error that the RFC asks for; what is
//! left to the owner are questions that only it can answer: is the domain hosted, is the key ours,
//! how did the TLS handshake go.
//!
//! ```text
//!  responder:   Header ──header──▶ Decision ──accept_header──▶ Open ──starttls──▶ Handshake ─┐
//!                 ▲                                                                          │
//!                 └───────── handle_tls_established, SASL EXTERNAL (XEP-0178) ──────────────┘
//!
//!  initiator:   Header ──header──▶ Features ──▶ Open (Ready)
//!                 ▲                 │ └──starttls──▶ Proceed ──proceed──▶ Handshake ─┐
//!                 ├─────────────────│ handle_tls_established ────────────────────────┘
//!                 └──success── Sasl ◀──┘ ──failure──▶ Open (Ready)
//!
//!  both:        any ──close──▶ Closing ──footer, end of connection, deadline──▶ Closed
//!               any ──error──▶ Closed
//! ```
//!
//! In `Open` any number of pairs of domains is authenticated by dialback, in any order and while
//! stanzas of other pairs flow (XEP-0220 §2.6).

mod beginning;
mod event;
mod exchange;
mod external;
mod management;
mod name;
mod negotiation;
mod output;
mod pairs;
mod sending;
mod settings;
mod words;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

pub use event::{CloseReason, Direction, Event, Features, Phase, SendError, StreamError, Verdict};
pub use name::Name;
pub use openfed_proto::domain::Domain;
pub(crate) use pairs::Written;
pub use settings::{InitiatorConfig, ResponderConfig, Settings, Timing, Tls};
pub use xmpp_parsers::stanza_error::DefinedCondition as StanzaCondition;
pub use xmpp_parsers::stream_error::DefinedCondition as StreamCondition;

use crate::xml::{Item, Parser};
use beginning::Beginning;
use management::Management;
use negotiation::Version;
use pairs::Pairs;
use sending::Sending;

/// Where the stream stands; the diagram is at the head of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The peer's header is awaited; the initiator has sent its own.
    Header,
    /// Responder: the owner decides about the header.
    Decision(Version),
    /// Initiator: the features are awaited.
    Features,
    /// Initiator: `<starttls/>` is sent.
    Proceed,
    /// Initiator: `<auth/>` is sent; without SASL this is what is left.
    Sasl(Features),
    /// The owner does the TLS handshake; no byte of XML may come or go.
    Handshake,
    /// Dialback and stanzas.
    Open,
    /// Our footer is sent, the peer's is awaited.
    Closing,
    /// Nothing more.
    Closed,
}

#[derive(Debug)]
enum Role {
    Initiator,
    /// With the ids of the streams before and after STARTTLS, and after SASL.
    Responder {
        ids: [String; 3],
    },
}

/// One stream. See the head of this file.
#[derive(Debug)]
pub struct Stream {
    role: Role,
    state: State,
    phase: Phase,
    settings: Settings,
    parser: Parser,
    local: Option<Name>,
    remote: Option<Name>,
    id: String,
    /// The language that the peer's header says (RFC 6120 §4.7.4).
    lang: Option<String>,
    encrypted: bool,
    /// Responder: the peer's header says no version, so ours does not either (RFC 6120 §4.7.5).
    legacy: bool,
    /// Domains that the peer's certificate proves.
    certified: Vec<Domain>,
    /// It has proven the header's `from`; that is worth something from the next header on.
    proven: bool,
    pairs: Pairs,
    management: Option<Management>,
    sending: Option<Sending>,
    /// Responder: SASL succeeded just now.
    beginning: Option<Beginning>,
    /// Bytes that came while the owner decides about the header.
    held: Vec<u8>,
    out: String,
    /// Bytes that are out already.
    transmitted: u64,
    events: VecDeque<Event>,
    negotiation_ends: Option<Instant>,
    state_ends: Option<Instant>,
}

impl Stream {
    /// A stream over a connection that we opened; its header is the first event.
    pub fn initiator(config: InitiatorConfig, now: Instant) -> Self {
        let mut stream = Self::new(Role::Initiator, config.settings, now);
        stream.local = Some(config.local);
        stream.remote = Some(config.remote);
        stream.write_header();
        stream
    }

    /// A stream over a connection that a peer opened. `random` makes the stream ids, of which a
    /// peer must not be able to guess the next (RFC 6120 §4.7.3).
    pub fn responder(
        config: ResponderConfig,
        random: &mut dyn FnMut() -> u64,
        now: Instant,
    ) -> Self {
        let mut id = || format!("{:016x}{:016x}", random(), random());
        let ids = [id(), id(), id()];
        let mut stream = Self::new(Role::Responder { ids }, config.settings, now);
        stream.next_id();
        stream
    }

    fn new(role: Role, settings: Settings, now: Instant) -> Self {
        Self {
            role,
            state: State::Header,
            phase: Phase::Header,
            parser: new_parser(&settings),
            local: None,
            remote: None,
            id: String::new(),
            lang: None,
            encrypted: settings.encrypted,
            legacy: false,
            certified: Vec::new(),
            proven: false,
            management: None,
            sending: None,
            beginning: None,
            pairs: Pairs::new(settings.max_pairs),
            held: Vec::new(),
            out: String::new(),
            transmitted: 0,
            events: VecDeque::new(),
            negotiation_ends: Some(now + settings.timing.negotiation),
            state_ends: Some(now + settings.timing.header),
            settings,
        }
    }

    /// Bytes from the peer, split anyhow.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        let mut input = bytes;
        while self.handle_next(&mut input, now) {}
    }

    /// Takes bytes up to the end of the next item. False if all are taken, or none is wanted.
    pub(crate) fn handle_next(&mut self, input: &mut &[u8], now: Instant) -> bool {
        match self.state {
            State::Closed => return false,
            State::Decision(_) => {
                self.hold(std::mem::take(input));
                return false;
            }
            // Plain text after the last word before TLS was put there by someone else.
            State::Handshake => {
                if !input.is_empty() {
                    self.end(CloseReason::TlsFailed);
                }
                return false;
            }
            _ => {}
        }
        match self.parser.next(input) {
            Ok(Some(item)) => self.handle_item(item, now),
            Ok(None) => return false,
            Err(error) => self.fail(StreamError::new(error.condition).with_text(error.text)),
        }
        true
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.held.len() + bytes.len() > self.settings.unauthenticated_bytes {
            return self.fail(StreamError::new(StreamCondition::PolicyViolation));
        }
        self.held.extend_from_slice(bytes);
    }

    fn handle_item(&mut self, item: Item, now: Instant) {
        match (self.state, item) {
            (State::Header, Item::Header(header)) => self.handle_header(&header, now),
            (_, Item::Header(_)) => self.fail(StreamError::new(StreamCondition::BadFormat)),
            (State::Features | State::Proceed | State::Sasl(_), Item::Element(element)) => {
                self.handle_negotiation(&element, now);
            }
            (_, Item::Element(element)) => self.handle_element(element, now),
            (_, Item::Misplaced) => self.handle_misplaced(),
            (State::Closing, Item::Footer) => self.end(CloseReason::Done),
            (_, Item::Footer) => {
                self.write_footer();
                self.end(CloseReason::ClosedByPeer(self.phase));
            }
        }
    }

    /// The handshake that [`Event::StartTls`] asked for succeeded: the stream starts again.
    pub fn handle_tls_established(&mut self, now: Instant) {
        if self.state != State::Handshake {
            return;
        }
        self.encrypted = true;
        self.restart(now);
        if matches!(self.role, Role::Initiator) {
            self.write_header();
        }
    }

    /// The next thing from the peer is a header.
    fn restart(&mut self, now: Instant) {
        self.parser = new_parser(&self.settings);
        self.state = State::Header;
        self.state_ends = Some(now + self.settings.timing.header);
        self.next_id();
    }

    /// The handshake failed.
    pub fn handle_tls_failed(&mut self) {
        self.end(CloseReason::TlsFailed);
    }

    /// The connection ended or broke.
    pub fn handle_closed(&mut self) {
        match self.state {
            State::Closing => self.end(CloseReason::Done),
            State::Handshake => self.end(CloseReason::TlsFailed),
            _ => self.end(CloseReason::Eof(self.phase)),
        }
    }

    /// Time has passed; see [`Stream::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.go_on_beginning(now);
        self.answer_at_last(now);
        if self.poll_timeout().is_none_or(|at| now < at) {
            return;
        }
        match self.state {
            State::Closing => self.end(CloseReason::Done),
            _ => {
                self.write_error(&StreamError::new(StreamCondition::ConnectionTimeout));
                self.end(CloseReason::Deadline(self.phase));
            }
        }
    }

    /// When [`Stream::handle_timeout`] has to be called, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            State::Closing => self.state_ends,
            _ => {
                let beginning = self.beginning.as_ref().map(Beginning::due);
                let ends = [self.state_ends, self.negotiation_ends, beginning, self.answer_by()];
                ends.into_iter().flatten().min()
            }
        }
    }

    /// The next thing that the owner has to do or to know.
    pub fn next_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        self.acknowledge();
        self.ask_count();
        self.flush();
        self.events.pop_front()
    }

    /// Ends the stream properly: our footer goes out, what the peer still sends is still taken.
    /// False if it had ended before.
    pub fn close(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closing | State::Closed => return false,
            State::Handshake => self.end(CloseReason::Done),
            _ => {
                self.open_for_last_words();
                self.release_early();
                self.acknowledge_for_good();
                self.ask_count();
                self.write_footer();
                self.state = State::Closing;
                self.state_ends = Some(now + self.settings.timing.close);
            }
        }
        true
    }

    /// Ends the stream with a stream error.
    pub fn close_with_error(&mut self, error: StreamError) {
        self.fail(error);
    }

    /// The id of the stream, empty as long as the peer has not given it one.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The language of what the peer says without naming one.
    pub fn lang(&self) -> Option<&str> {
        self.lang.as_deref()
    }

    /// The domains of the header, ours first, once they are known.
    pub fn domains(&self) -> (Option<&Domain>, Option<&Domain>) {
        (self.local.as_deref(), self.remote.as_deref())
    }

    /// Whether the stream runs over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether a stanza of ours may go from `local` to `remote` on this stream.
    pub fn may_send(&self, local: &Domain, remote: &Domain) -> bool {
        self.state == State::Open && self.pairs.may_send(local.as_str(), remote.as_str())
    }

    /// The pairs of domains that the peer may send stanzas between here: its own domain, then ours.
    pub(crate) fn inbound(&self) -> impl Iterator<Item = (&Domain, &Domain)> {
        self.pairs.inbound()
    }

    /// Whether what comes in is answered on this stream, too (XEP-0288).
    pub fn is_bidi(&self) -> bool {
        self.pairs.is_bidi()
    }

    /// How many bytes it has said so far, over the whole connection.
    pub fn said(&self) -> u64 {
        self.transmitted.saturating_add(length(&self.out))
    }

    /// How far the stream has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    fn next_id(&mut self) {
        self.id = match &mut self.role {
            Role::Initiator => String::new(),
            Role::Responder { ids } => {
                ids.rotate_left(1);
                ids[2].clone()
            }
        };
    }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn new_parser(settings: &Settings) -> Parser {
    let mut parser = Parser::new(settings.limits);
    parser.set_element_bytes(settings.unauthenticated_bytes);
    parser
}
