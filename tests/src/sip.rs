//! SIP messages as the test user agents write and read them; reading is `rsip`'s.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Instant;

use rsip::SipMessage;

use crate::{Failure, Result};

/// A SIP message that `rsip` could parse.
#[derive(Clone, Debug)]
pub struct Sip {
    /// Start line, without line end.
    pub start: String,
    /// Name and value of each header, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// When it came.
    pub at: Instant,
}

impl Sip {
    /// Reads a message.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let message = SipMessage::try_from(bytes).map_err(|error| {
            Failure::new(format!("rsip refuses {}: {error}", bytes.escape_ascii()))
        })?;
        let (headers, body) = match &message {
            SipMessage::Request(request) => (&request.headers, &request.body),
            SipMessage::Response(response) => (&response.headers, &response.body),
        };
        let headers = headers.iter().filter_map(|header| {
            let line = header.to_string();
            line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        });
        let text = String::from_utf8_lossy(bytes);
        Ok(Self {
            start: text.lines().next().unwrap_or_default().to_owned(),
            headers: headers.collect(),
            body: String::from_utf8_lossy(body).into_owned(),
            at: Instant::now(),
        })
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let same = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str())
    }

    /// All headers of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = self.headers.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str())
    }

    /// The method of a request; `SIP/2.0` for a response.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The Request-URI of a request.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status code of a response.
    pub fn status(&self) -> Option<u16> {
        let code = self.start.strip_prefix("SIP/2.0 ")?;
        code.split(' ').next()?.parse().ok()
    }

    /// The branch of the top Via: what a transaction is known by.
    pub fn branch(&self) -> Option<&str> {
        let (_, after) = self.header("Via")?.split_once("branch=")?;
        after.split([';', ',', ' ']).next()
    }

    /// The URI in a From or To header, without display name and parameters.
    pub fn address(&self, header: &str) -> Option<&str> {
        let value = self.header(header)?;
        match value.split_once('<') {
            Some((_, after)) => after.split('>').next(),
            None => value.split(';').next(),
        }
    }

    /// The answer to this request, with `extra` header lines (each ended by CRLF).
    pub fn answer(&self, status: u16, reason: &str, extra: &str) -> String {
        let mut text = format!("SIP/2.0 {status} {reason}\r\n");
        for (name, value) in &self.headers {
            let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
            if !copied.iter().any(|copied| copied.eq_ignore_ascii_case(name)) {
                continue;
            }
            let tag = if name.eq_ignore_ascii_case("To") && !value.contains(";tag=") {
                ";tag=answered"
            } else {
                ""
            };
            // Writing to a string cannot fail.
            let _ = write!(text, "{name}: {value}{tag}\r\n");
        }
        text + extra + "Content-Length: 0\r\n\r\n"
    }
}

/// A request to be sent by a test user agent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method.
    pub method: String,
    /// The Request-URI, which the To header has too.
    pub to: String,
    /// The URI of the From header.
    pub from: String,
    /// The Call-ID; every new request gets another one.
    pub call_id: String,
    /// More header lines, each ended by CRLF.
    pub extra: String,
    /// The body, of type text/plain unless `extra` says otherwise.
    pub body: String,
    /// If it belongs to a dialog: the peer's contact and tag.
    pub dialog: Option<(String, String)>,
}

impl Outgoing {
    /// A MESSAGE with a plain text.
    pub fn message(from: &str, to: &str, body: &str) -> Self {
        Self {
            method: "MESSAGE".to_owned(),
            to: to.to_owned(),
            from: from.to_owned(),
            call_id: unique(),
            extra: String::new(),
            body: body.to_owned(),
            dialog: None,
        }
    }

    /// A request of a dialog with `to`, whose contact is `contact`, over the proxy `by`.
    pub fn in_dialog(method: &str, from: &str, to: &str, contact: &str, by: SocketAddr) -> Self {
        Self {
            method: method.to_owned(),
            extra: format!("Route: <sip:{by};transport=udp;lr>\r\n"),
            dialog: Some((contact.to_owned(), "there".to_owned())),
            ..Self::message(from, to, "")
        }
    }

    /// The request on the wire, coming from `sent_by`.
    pub(crate) fn write(&self, sent_by: &str, branch: &str) -> String {
        let Self { method, to, from, call_id, extra, body, dialog } = self;
        let (target, tag) = match dialog {
            Some((contact, tag)) => (contact, format!(";tag={tag}")),
            None => (to, String::new()),
        };
        let typed = body.is_empty() || extra.contains("Content-Type:");
        let content = if typed { "" } else { "Content-Type: text/plain\r\n" };
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch={branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <{from}>;tag={branch}\r\nTo: <{to}>{tag}\r\n\
             Call-ID: {call_id}\r\nCSeq: 1 {method}\r\n{extra}{content}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// A text that no other call in this process returns.
pub(crate) fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
