//! What must be known of a request to turn it away, found without reading the rest of it: under
//! overload, what refusing costs is taken from those who are served.

use crate::headers::{HeaderId, Via};
use bytes::Bytes;
use bytestring::ByteString;
use std::net::SocketAddr;

/// Lines of a request that its response repeats; one with more is read in full.
const REPEATED: usize = 16;

/// A request outside of dialogs, looked at.
#[derive(Debug)]
pub(crate) struct Glance<'a> {
    pub(crate) method: &'a str,
    /// Of the Request-URI.
    pub(crate) host: &'a str,
    /// The topmost.
    pub(crate) via: Via,
    to: &'a str,
    /// From, Call-ID, CSeq and the Via lines below the topmost one, as they came.
    repeated: Vec<&'a str>,
}

impl<'a> Glance<'a> {
    /// Looks at a datagram. `None` if it is no whole request, belongs to a dialog or may do so, or
    /// has anything that needs a closer look: then it is to be read in full.
    pub(crate) fn at(bytes: &'a Bytes) -> Option<Self> {
        let mut lines = Lines(bytes);
        let (method, host) = request_line(lines.next()?)?;
        let (mut via, mut to) = (None, None);
        let mut counts = [(HeaderId::From, 0), (HeaderId::CallId, 0), (HeaderId::CSeq, 0)];
        let mut repeated = Vec::with_capacity(REPEATED);
        for line in lines.by_ref() {
            let (name, value) = line.split_once(':')?;
            match HeaderId::of(name.trim_ascii_end().as_bytes()) {
                _ if repeated.len() == REPEATED || line.starts_with([' ', '\t']) => return None,
                HeaderId::Via if via.is_none() => via = Some(only_via(bytes, value)?),
                HeaderId::To if to.is_none() && !mentions(value, "tag") => to = Some(line),
                HeaderId::To => return None,
                HeaderId::Via => repeated.push(line),
                id => {
                    let counted = counts.iter_mut().find(|(counted, _)| *counted == id);
                    let Some((_, count)) = counted else { continue };
                    *count += 1;
                    repeated.push(line);
                }
            }
        }
        let once = counts.iter().all(|(_, count)| *count == 1);
        (once && lines.are_whole()).then_some(())?;
        Some(Self { method, host, via: via?, to: to?, repeated })
    }

    /// The final response that repeats what it must (RFC 3261 §8.2.6.2), the source marked.
    pub(crate) fn response(
        &self,
        (code, reason): (u16, &str),
        headers: &[(&'static str, String)],
        tag: &str,
        source: SocketAddr,
    ) -> Vec<u8> {
        let marked = self.via.marked(source);
        let via = marked.as_deref().unwrap_or(self.via.as_str());
        let mut text = String::with_capacity(512);
        let mut line = |parts: &[&str]| {
            parts.iter().for_each(|part| text.push_str(part));
            text.push_str("\r\n");
        };
        line(&["SIP/2.0 ", &code.to_string(), " ", reason]);
        line(&["Via: ", via]);
        self.repeated.iter().for_each(|repeated| line(&[repeated]));
        line(&[self.to.trim_end(), ";tag=", tag]);
        headers.iter().for_each(|(name, value)| line(&[name, ": ", value]));
        line(&["Content-Length: 0"]);
        line(&[]);
        text.into_bytes()
    }
}

/// The lines of a head, up to the empty line or to what is none.
struct Lines<'a>(&'a [u8]);

impl Lines<'_> {
    /// Whether the empty line is there, so that all lines before it were given.
    fn are_whole(&self) -> bool {
        self.0.starts_with(b"\r\n")
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let end = memchr::memchr2(b'\r', b'\n', self.0).filter(|end| *end > 0)?;
        let (line, rest) = self.0.split_at_checked(end)?;
        let line = std::str::from_utf8(line).ok()?;
        self.0 = rest.strip_prefix(b"\r\n")?;
        Some(line)
    }
}

/// Method and host of a request line with a plain `sip:` URI.
fn request_line(line: &str) -> Option<(&str, &str)> {
    let (method, rest) = line.split_once(' ')?;
    let uri = rest.strip_suffix(" SIP/2.0")?.strip_prefix("sip:")?;
    let (_, host) = uri.split_once('@')?;
    let end = host.find([':', ';', '?']).unwrap_or(host.len());
    let host = host.get(..end)?;
    let plain = !host.is_empty() && !host.contains(['@', '[', ' ']);
    (plain && method.bytes().all(crate::headers::is_token)).then_some((method, host))
}

/// A line with one value that asks for nothing but its own response (RFC 7339 §4 asks for more).
fn only_via(bytes: &Bytes, value: &str) -> Option<Via> {
    let value = value.trim_ascii();
    if memchr::memchr2(b',', b'"', value.as_bytes()).is_some() {
        return None;
    }
    let text = ByteString::try_from(bytes.slice_ref(value.as_bytes())).ok()?;
    Via::of(text).ok().filter(|via| via.params().get("oc").is_none())
}

fn mentions(value: &str, word: &str) -> bool {
    value.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}
