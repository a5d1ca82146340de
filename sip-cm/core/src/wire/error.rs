//! Why a message is refused, what to answer, and whether it can be answered at all.

use super::Message;
use crate::headers::HeaderId;
use crate::random::stateless_tag;
use std::borrow::Cow;
use std::net::SocketAddr;

/// What is wrong with a message. The peer's fault in every case; no retry helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first line is neither a request line nor a status line.
    #[error("malformed start line: {0}")]
    StartLine(&'static str),
    /// Another protocol version than SIP/2.0.
    #[error("SIP version not supported")]
    Version,
    /// The Request-URI is longer than we look into.
    #[error("Request-URI too long")]
    UriTooLong,
    /// The Request-URI is malformed.
    #[error("malformed Request-URI")]
    RequestUri,
    /// The message is longer than [`super::MAX_MESSAGE`].
    #[error("message too large")]
    TooLarge,
    /// More header lines or Via values than the limits allow.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// A header line is malformed or longer than [`super::MAX_HEADER_LINE`].
    #[error("malformed header line: {0}")]
    HeaderLine(&'static str),
    /// A header that every message needs is absent.
    #[error("missing {}", .0.name())]
    Missing(HeaderId),
    /// A header that may be there once is there twice.
    #[error("repeated {}", .0.name())]
    Repeated(HeaderId),
    /// A header's value is malformed or out of range.
    #[error("malformed {}", .0.name())]
    Value(HeaderId),
    /// CSeq and start line name different methods.
    #[error("CSeq method does not match")]
    MethodMismatch,
    /// Content-Length is absent on a stream, repeated, negative or no number.
    #[error("{0} Content-Length")]
    ContentLength(&'static str),
    /// Fewer bytes arrived than Content-Length or the head's empty line promise.
    #[error("truncated message")]
    Truncated,
}

impl WireError {
    /// The status code and reason phrase that tell the sender (RFC 3261 §21.4).
    #[must_use]
    pub fn status(&self) -> (u16, Cow<'static, str>) {
        match self {
            Self::Version => (505, Cow::Borrowed("Version Not Supported")),
            Self::UriTooLong => (414, Cow::Borrowed("Request-URI Too Long")),
            Self::TooLarge => (513, Cow::Borrowed("Message Too Large")),
            other => {
                let text = other.to_string();
                let mut reason = String::with_capacity(text.len());
                let mut first = true;
                for c in text.chars() {
                    reason.push(if first { c.to_ascii_uppercase() } else { c });
                    first = false;
                }
                (400, Cow::Owned(reason))
            }
        }
    }
}

/// A message that was refused, with as much of it as could be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct Rejected {
    /// What was wrong first.
    pub error: WireError,
    pub(super) partial: Option<Box<Message>>,
}

impl Rejected {
    /// The response for the sender, with `source` marked in the top Via. No transaction remembers
    /// it, so our tag is made of the request: each copy gets the same (RFC 3261 §8.2.7).
    ///
    /// It goes to `source`, over what the message came by: the Via may be what is wrong. It repeats
    /// what the request has of From, To, Call-ID and CSeq (§8.2.6.2). `None` if there is nothing to
    /// answer: a response, an ACK (§17), or a request without a Via, by which alone its sender would
    /// know the answer.
    #[must_use]
    pub fn answer(&self, source: SocketAddr) -> Option<Message> {
        let mut request = self.partial.as_deref()?.clone();
        if request.method().is_none_or(|method| method == "ACK") {
            return None;
        }
        request.header(HeaderId::Via)?;
        let tag = stateless_tag(request.headers().iter().map(|header| header.line().as_ref()));
        request.keep_first_of_each();
        // A Via that cannot be read goes back as it came: the answer is sent to `source` itself.
        let _ = request.mark_source(source);
        let (code, reason) = self.error.status();
        let mut response = Message::response_to(&request, code, &reason);
        response.set_to_tag(&tag);
        Some(response)
    }
}

impl Rejected {
    /// Why a stream can no longer be followed; `bytes` are read only for the answer.
    pub(crate) fn from_broken_stream(error: WireError, bytes: bytes::Bytes) -> Self {
        let partial = match Message::parse(bytes) {
            Ok(message) => Some(Box::new(message)),
            Err(rejected) => rejected.partial,
        };
        Self { error, partial }
    }

    /// Whether the frame's length itself is in doubt, so that what follows it must not be read.
    pub(crate) fn loses_the_frame(&self) -> bool {
        matches!(
            self.error,
            WireError::ContentLength(_)
                | WireError::Truncated
                | WireError::TooLarge
                | WireError::HeaderLine(_)
                | WireError::TooMany("header lines")
                | WireError::StartLine(_)
        )
    }
}
