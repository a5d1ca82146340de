//! SIP messages as text: enough to write a request, read an answer, answer a request.

use std::fmt::Write;
use std::net::SocketAddr;

/// A request outside a dialog.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Request-URI and To.
    pub(crate) to: &'a str,
    pub(crate) from: &'a str,
    /// Plain text; empty is no body.
    pub(crate) text: &'a str,
}

/// A request as it was written, with what its answer is known by.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) octets: Vec<u8>,
    branch: String,
}

impl Request<'_> {
    /// The request with fresh identifiers, as sent from `local` (RFC 3261 §8.1.1).
    pub(crate) fn write(&self, transport: &str, local: SocketAddr) -> Sent {
        let Self { method, to, from, text } = self;
        let branch = format!("z9hG4bK{:032x}", rand::random::<u128>());
        let (tag, call) = (rand::random::<u64>(), rand::random::<u128>());
        let mut head = format!(
            "{method} {to} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {local};branch={branch};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <{from}>;tag={tag:016x}\r\n\
             To: <{to}>\r\n\
             Call-ID: {call:032x}\r\n\
             CSeq: 1 {method}\r\n"
        );
        if !text.is_empty() {
            head.push_str("Content-Type: text/plain;charset=utf-8\r\n");
        }
        // Writing to a String cannot fail.
        let _ = write!(head, "Content-Length: {}\r\n\r\n{text}", text.len());
        Sent { octets: head.into_bytes(), branch }
    }
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    start: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Message {
    /// Reads a message; `None` if it is not SIP.
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(octets);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next().filter(|start| start.contains("SIP/2.0"))?;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if let (true, Some((_, value))) = (line.starts_with([' ', '\t']), headers.last_mut()) {
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((full_name(name.trim()), value.trim().to_owned()));
        }
        Some(Self { start: start.to_owned(), headers, body: body.to_owned() })
    }

    /// The request's method; `None` for an answer.
    pub(crate) fn method(&self) -> Option<&str> {
        self.start.split(' ').next().filter(|word| *word != "SIP/2.0")
    }

    /// The answer's status; `None` for a request.
    pub(crate) fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// Status and reason phrase of an answer, for people.
    pub(crate) fn status_line(&self) -> &str {
        self.start.strip_prefix("SIP/2.0 ").unwrap_or(&self.start)
    }

    /// The first header of that name (its long form).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// What is after the headers.
    pub(crate) fn body(&self) -> &str {
        &self.body
    }

    /// The branch of the topmost Via.
    pub(crate) fn branch(&self) -> Option<&str> {
        let (_, branch) = self.header("Via")?.split_once("branch=")?;
        branch.split([';', ',', ' ']).next()
    }

    /// Whether this is the final answer to what was sent.
    pub(crate) fn is_final_for(&self, sent: &Sent) -> bool {
        self.status().is_some_and(|status| status >= 200)
            && self.branch() == Some(sent.branch.as_str())
    }

    /// The answer to this request; `None` if it is none, or an ACK (RFC 3261 §8.2.6.2).
    pub(crate) fn answer(&self, status: u16, reason: &str) -> Option<Vec<u8>> {
        self.method().filter(|method| *method != "ACK")?;
        let mut answer = format!("SIP/2.0 {status} {reason}\r\n");
        for (name, value) in &self.headers {
            let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
            if !copied.iter().any(|copied| copied.eq_ignore_ascii_case(name)) {
                continue;
            }
            let untagged = name.eq_ignore_ascii_case("To") && !value.contains(";tag=");
            let tag = if untagged { ";tag=openfed" } else { "" };
            answer.push_str(&format!("{name}: {value}{tag}\r\n"));
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        Some(answer.into_bytes())
    }
}

/// Compact names in full (RFC 3261 §7.3.3).
fn full_name(name: &str) -> String {
    match name {
        "v" | "V" => "Via",
        "f" | "F" => "From",
        "t" | "T" => "To",
        "i" | "I" => "Call-ID",
        name => name,
    }
    .to_owned()
}
