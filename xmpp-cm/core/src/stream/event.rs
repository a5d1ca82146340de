//! What a stream tells its owner.

use bytes::Bytes;
use minidom::Element;
use xmpp_parsers::stanza_error::DefinedCondition as StanzaCondition;
use xmpp_parsers::stream_error::DefinedCondition as StreamCondition;

use super::{Domain, Name};

/// Something for the owner to do or to know. Events come in the order in which they have to be
/// acted upon: a [`Event::Transmit`] before [`Event::StartTls`] is sent in the clear.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Write these bytes.
    Transmit(Bytes),
    /// Begin the TLS handshake on this connection, then say how it went with
    /// `handle_tls_established` or `handle_tls_failed`.
    StartTls {
        /// The initiator verifies the peer as this domain; the responder shows the certificate
        /// of this domain, because servers send no SNI with STARTTLS.
        domain: Domain,
    },
    /// Responder: a valid header came. Answer with `accept_header` or `refuse_header`; until then
    /// nothing else is read.
    Opened {
        /// The domain that the peer says it speaks for; it may wait until after TLS.
        from: Option<Domain>,
        /// The domain that the peer wants to reach: is it hosted here?
        to: Domain,
        /// The id of the stream.
        id: String,
    },
    /// Initiator: everything before authentication is done.
    Ready(Features),
    /// The peer asks to speak for `from` towards `to` (XEP-0220, receiving server). Have the key
    /// verified by `from`'s authoritative server, then `answer_dialback`.
    DialbackRequested {
        /// The originating domain, claimed by the peer.
        from: Name,
        /// The receiving domain: is it hosted here?
        to: Name,
        /// The id of this stream, a part of what the key was made from.
        id: String,
        /// The key to be verified.
        key: String,
    },
    /// The peer asks whether a key is ours (XEP-0220, authoritative server). Check it with
    /// [`crate::dialback::Secret::verify`], then `answer_verify`.
    DialbackVerifyRequested {
        /// The receiving domain that asks.
        from: Name,
        /// The originating domain: ours, if the key is right.
        to: Name,
        /// The id of the stream between originating and receiving server.
        id: String,
        /// The key that the receiving server was given.
        key: String,
    },
    /// The answer to our `request_dialback` (XEP-0220, originating server).
    DialbackResult {
        /// Our domain.
        local: Name,
        /// The peer's.
        remote: Name,
        /// What the receiving server found.
        verdict: Verdict,
    },
    /// The answer to our `request_verify` (XEP-0220, receiving server).
    DialbackVerified {
        /// Our domain, the receiving one.
        local: Name,
        /// The originating domain, for which the peer is authoritative.
        remote: Name,
        /// The id of the stream in question.
        id: String,
        /// What the authoritative server said.
        verdict: Verdict,
    },
    /// Stanzas may flow between the two domains from now on.
    Authenticated {
        /// Our domain.
        local: Name,
        /// The peer's.
        remote: Name,
        /// Who may send.
        direction: Direction,
    },
    /// The peer wants stanzas in both directions on this stream (XEP-0288).
    BidiEnabled,
    /// A stanza between an authenticated pair of domains, in `jabber:client`.
    Stanza(Element),
    /// Initiator: an error came back on the stream itself. It can only be for something that we
    /// said on this stream: the peer speaks for nobody here.
    Bounced(Element),
    /// Initiator: the peer said something that has no place on a stream of ours. It counts for
    /// nothing.
    Ignored,
    /// A stanza from a domain that the peer may speak for, to none that it may speak to. If the
    /// owner does not take it, the stream ends with this condition (`close_with_error`).
    Misaddressed {
        /// A domain of ours that the peer may speak to for `remote`.
        local: Domain,
        /// The domain that sends.
        remote: Domain,
        /// The stanza.
        stanza: Element,
        /// What is wrong with it.
        condition: StreamCondition,
    },
    /// The same under stream management (XEP-0198), with its number: the peer keeps it until
    /// [`super::Stream::handled`] was called for that one and all before it.
    Counted(Element, u64),
    /// Initiator: the peer has so many of the stanzas that were sent ([`super::Stream::sent`]).
    Arrived(u64),
    /// Initiator: it does not count them after all.
    Uncounted,
    /// The stream is over. Nothing follows; write what was to be transmitted and close.
    Closed(CloseReason),
}

/// Which way stanzas of a pair of domains may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the peer to us.
    Inbound,
    /// From us to the peer.
    Outbound,
    /// Both, by XEP-0288.
    Both,
}

/// What an initiator knows when negotiation is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// The stream runs over TLS.
    pub encrypted: bool,
    /// Dialback was announced. Servers before XMPP 1.0 announce nothing and do it all the same.
    pub dialback: bool,
    /// Dialback errors are understood (XEP-0220 §2.4).
    pub dialback_errors: bool,
    /// SASL EXTERNAL was offered (XEP-0178), and not done, or in vain.
    pub external: bool,
    /// The peer counts what it gets (XEP-0198).
    pub management: bool,
    /// XEP-0288 was offered.
    pub bidi: bool,
}

/// The outcome of a dialback question.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The key is right.
    Valid,
    /// The key is wrong.
    Invalid,
    /// It could not be found out (XEP-0220 §2.4), e.g. `item-not-found` for a domain that is not
    /// hosted, `remote-server-not-found`, `remote-server-timeout`.
    Error(StanzaCondition),
}

/// A stream error (RFC 6120 §4.9), ours or the peer's.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{condition}")]
pub struct StreamError {
    /// The defined condition; `undefined-condition` if the peer's was none of the RFC's.
    pub condition: StreamCondition,
    /// Descriptive text. A peer's text is foreign text, cut to 256 bytes.
    pub text: Option<String>,
}

impl StreamError {
    /// An error with a condition alone.
    pub fn new(condition: StreamCondition) -> Self {
        Self { condition, text: None }
    }

    /// Adds a text for the people at the other end.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }
}

/// How far a stream had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No valid header of the peer yet.
    Header,
    /// A header, but features or TLS were not through.
    Negotiation,
    /// Negotiated; no pair of domains authenticated.
    Ready,
    /// At least one pair authenticated.
    Authenticated,
}

/// Why a stream ended.
#[derive(Debug, Clone, PartialEq)]
pub enum CloseReason {
    /// The peer sent a stream error.
    Remote(StreamError),
    /// We sent a stream error.
    Local(StreamError),
    /// The connection ended without a footer.
    Eof(Phase),
    /// The peer was too slow.
    Deadline(Phase),
    /// STARTTLS was refused, or the handshake failed.
    TlsFailed,
    /// The peer sent its footer first.
    ClosedByPeer(Phase),
    /// We closed, and the peer agreed or had its time to.
    Done,
}

/// Why an outgoing stanza was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The stream is not open for stanzas, or no longer.
    #[error("stream is not open")]
    NotOpen,
    /// The pair of domains may not send on this stream.
    #[error("domains are not authenticated on this stream")]
    NotAuthenticated,
    /// `from` or `to` is missing or no JID.
    #[error("improper addressing")]
    ImproperAddressing,
}
