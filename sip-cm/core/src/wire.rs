//! The SIP message, lossless (RFC 3261 §7).
//!
//! ```text
//! bytes ──Message::parse──▶ Message ──typed views, edits──▶ Message ──to_bytes──▶ bytes
//!             └─Rejected──answer()──▶ response for the sender, if enough was readable
//! ```
//! Start line, header lines and body are slices of the received bytes. What nobody edits is
//! written byte for byte as it came: unknown methods, URI schemes, headers, reason phrases, folded
//! lines, binary bodies. An untouched message is its own input.

mod build;
mod edit;
mod error;
mod glance;
mod limits;
mod parse;
mod salvage;
mod view;

#[cfg(test)]
mod tests;

pub use build::reason_phrase;
pub use error::{Rejected, WireError};
pub(crate) use glance::Glance;
pub use limits::{
    MAX_HEADER_LINE, MAX_HEADER_LINES, MAX_MESSAGE, MAX_VIA_VALUES, body_length_of_head,
};

use std::borrow::Cow;

use crate::headers::{Header, HeaderId};
use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

/// A request's or a response's first line.
#[derive(Clone, PartialEq, Eq)]
pub enum StartLine {
    /// `METHOD uri SIP/2.0`; both as written.
    Request {
        /// Case-sensitive; any token.
        method: ByteString,
        /// Any scheme; parse with [`crate::uri::Uri::parse`] or [`Message::uri`].
        uri: ByteString,
    },
    /// `SIP/2.0 code reason`.
    Response {
        /// 100–699.
        code: u16,
        /// As written; may be empty, may be no UTF-8.
        reason: Bytes,
    },
}

/// A SIP request or response.
#[derive(Clone)]
pub struct Message {
    /// The whole message as received, as long as nothing was edited.
    source: Option<Bytes>,
    start: StartLine,
    start_raw: Bytes,
    headers: Vec<Header>,
    body: Bytes,
}

impl Message {
    /// The first line, taken apart.
    #[must_use]
    pub fn start(&self) -> &StartLine {
        &self.start
    }

    /// Whether this is a request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(self.start, StartLine::Request { .. })
    }

    /// The method of a request; of a response `None` (its CSeq has it).
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match &self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The status code of a response.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match &self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { code, .. } => Some(*code),
        }
    }

    /// The reason phrase of a response; what is no UTF-8 in it is replaced.
    #[must_use]
    pub fn reason(&self) -> Option<Cow<'_, str>> {
        match &self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { reason, .. } => Some(String::from_utf8_lossy(reason)),
        }
    }

    /// All header lines in order.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// The first header line of this identity.
    #[must_use]
    pub fn header(&self, id: HeaderId) -> Option<&Header> {
        self.headers.iter().find(|header| header.id() == id)
    }

    /// The first header line of this name: for headers without an identity.
    #[must_use]
    pub fn header_named(&self, name: &str) -> Option<&Header> {
        self.headers.iter().find(|header| header.is_named(name))
    }

    /// All header lines of this identity, in order.
    pub fn headers_of(&self, id: HeaderId) -> impl Iterator<Item = &Header> {
        self.headers.iter().filter(move |header| header.id() == id)
    }

    /// The body, any bytes.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The message as it goes on the wire; of an untouched message the received bytes themselves.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if let Some(source) = &self.source {
            return source.clone();
        }
        let lines: usize = self.headers.iter().map(|header| header.line().len() + 2).sum();
        let mut out = BytesMut::with_capacity(self.start_raw.len() + lines + self.body.len() + 4);
        out.put_slice(&self.start_raw);
        out.put_slice(b"\r\n");
        for header in &self.headers {
            out.put_slice(header.line());
            out.put_slice(b"\r\n");
        }
        out.put_slice(b"\r\n");
        out.put_slice(&self.body);
        out.freeze()
    }
}

impl std::fmt::Debug for Message {
    /// Method or code and sizes only: URIs, header values and bodies are private.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Message");
        match &self.start {
            StartLine::Request { method, .. } => out.field("method", method),
            StartLine::Response { code, .. } => out.field("code", code),
        };
        out.field("headers", &self.headers.len()).field("body", &self.body.len()).finish()
    }
}

impl std::fmt::Debug for StartLine {
    /// Without the URI, whose user part is private.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request { method, .. } => write!(f, "{method} …"),
            Self::Response { code, .. } => write!(f, "{code} …"),
        }
    }
}
