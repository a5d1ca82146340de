//! Messages of our own making (RFC 3261 §8.1.1, §8.2.6).

use super::{Message, StartLine};
use crate::headers::HeaderId;
use bytes::Bytes;

impl Message {
    /// A request with nothing but its start line; headers are pushed in the order they shall have.
    ///
    /// `method` and `uri` lose white space and control characters.
    #[must_use]
    pub fn request(method: &str, uri: &str) -> Self {
        let method: String = method.chars().filter(|c| c.is_ascii_graphic()).collect();
        let start = StartLine::Request { method: method.into(), uri: "".into() };
        let mut message = Self::empty(start, Bytes::new());
        message.set_uri(uri);
        message
    }

    /// A response with the Via values, From, To, Call-ID and CSeq of `request`, in its order
    /// (RFC 3261 §8.2.6.2), and Timestamp on a 100 (§8.2.6.1); `Content-Length: 0`.
    ///
    /// The request's top Via is copied as it stands: see [`Message::mark_source`]. Everything but
    /// a 100 needs [`Message::set_to_tag`].
    #[must_use]
    pub fn response_to(request: &Self, code: u16, reason: &str) -> Self {
        let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let start_raw = Bytes::from(format!("SIP/2.0 {code} {reason}"));
        let start = StartLine::Response { code, reason: Bytes::from(reason) };
        let mut message = Self::empty(start, start_raw);
        let copied = |id: HeaderId| {
            use HeaderId::{CSeq, CallId, From, Timestamp, To, Via};
            matches!(id, Via | From | To | CallId | CSeq) || (code == 100 && id == Timestamp)
        };
        message.headers.extend(request.headers.iter().filter(|h| copied(h.id())).cloned());
        message.set_body(None, Bytes::new());
        message
    }

    fn empty(start: StartLine, start_raw: Bytes) -> Self {
        Self { source: None, start, start_raw, headers: Vec::with_capacity(16), body: Bytes::new() }
    }
}

/// The reason phrase of a status code that we may answer with (RFC 3261 §21 and its extensions).
#[must_use]
pub fn reason_phrase(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        423 => "Interval Too Brief",
        440 => "Max-Breadth Exceeded",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => match code / 100 {
            1 => "Progress",
            2 => "OK",
            3 => "Redirection",
            4 => "Bad Request",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}
