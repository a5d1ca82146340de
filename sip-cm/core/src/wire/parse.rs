//! Bytes → message, limits first (RFC 3261 §7, §16.3, §18.3).

use super::limits::content_length;
use super::salvage::head_as_meant;
use super::{
    MAX_HEADER_LINE, MAX_HEADER_LINES, MAX_MESSAGE, MAX_VIA_VALUES, Message, Rejected, StartLine,
    WireError,
};
use crate::headers::{Header, HeaderId, split_ranges};
use crate::uri::{MAX_URI, UriError};
use bytes::Bytes;
use bytestring::ByteString;
use std::ops::Range;

impl Message {
    /// Reads one datagram, or one frame of a stream, without copying it.
    ///
    /// Bytes beyond Content-Length are left out; without Content-Length the body is the rest (E-09).
    /// Besides the syntax of the lines it is checked what every user of a message needs: Via, From,
    /// To, Call-ID and CSeq are there, once, and readable; CSeq and Max-Forwards are in range; a
    /// SIP Request-URI is well formed. All other headers pass unread.
    ///
    /// # Errors
    /// [`Rejected`], from which the answer for the sender is made.
    pub fn parse(bytes: Bytes) -> Result<Self, Rejected> {
        let bytes = bytes.slice(stray_bytes(&bytes)..);
        if bytes.is_empty() {
            return Err(Rejected { error: WireError::StartLine("empty"), partial: None });
        }
        let mut reader = Reader::new(bytes.clone());
        reader.read_head();
        reader.read_body();
        if reader.error.is_none() {
            reader.error = reader.message.check().err();
        }
        match reader.error {
            None => Ok(reader.message),
            Some(error) => {
                let read = reader.message;
                // A line that cannot be read may hold another one, the top Via not the least.
                let by_line = matches!(error, WireError::StartLine(_) | WireError::HeaderLine(_));
                let partial = if !by_line && read.has_what_answers_repeat() {
                    Some(read)
                } else {
                    head_as_meant(&bytes).or(Some(read))
                };
                Err(Rejected { error, partial: partial.map(Box::new) })
            }
        }
    }

    /// RFC 3261 §8.2.6.2.
    fn has_what_answers_repeat(&self) -> bool {
        let repeated =
            [HeaderId::Via, HeaderId::From, HeaderId::To, HeaderId::CallId, HeaderId::CSeq];
        self.is_request() && repeated.iter().all(|id| self.header(*id).is_some())
    }

    /// What RFC 3261 §8.1.1 and §16.3 ask of every message.
    fn check(&self) -> Result<(), WireError> {
        let mut vias = 0;
        let mut seen = [
            (HeaderId::From, 0),
            (HeaderId::To, 0),
            (HeaderId::CallId, 0),
            (HeaderId::CSeq, 0),
            (HeaderId::MaxForwards, 0),
        ];
        for header in &self.headers {
            if header.id() == HeaderId::Via {
                vias += split_ranges(header.value()).count();
            } else if let Some((_, count)) = seen.iter_mut().find(|(id, _)| *id == header.id()) {
                *count += 1;
            }
        }
        if vias > MAX_VIA_VALUES {
            return Err(WireError::TooMany("Via values"));
        }
        if vias == 0 {
            return Err(WireError::Missing(HeaderId::Via));
        }
        for (id, count) in seen {
            match count {
                0 if id != HeaderId::MaxForwards => return Err(WireError::Missing(id)),
                0 | 1 => {}
                _ => return Err(WireError::Repeated(id)),
            }
        }
        self.top_via()?;
        self.from()?;
        self.to()?;
        self.call_id()?;
        self.max_forwards()?;
        let cseq = self.cseq()?;
        if self.method().is_some_and(|method| method != &*cseq.method) {
            return Err(WireError::MethodMismatch);
        }
        match self.uri() {
            // RFC 3261 §19.1.1: escaped headers have no place in a Request-URI.
            Some(Ok(uri)) if !uri.headers().is_empty() => Err(WireError::RequestUri),
            None | Some(Ok(_)) => Ok(()),
            Some(Err(UriError::TooLong)) => Err(WireError::UriTooLong),
            Some(Err(_)) => Err(WireError::RequestUri),
        }
    }
}

/// Reads on after the first error, so that the sender can be answered.
struct Reader {
    message: Message,
    rest: Bytes,
    error: Option<WireError>,
}

impl Reader {
    fn new(bytes: Bytes) -> Self {
        let start = StartLine::Response { code: 0, reason: Bytes::new() };
        let message = Message {
            source: None,
            start,
            start_raw: Bytes::new(),
            headers: Vec::with_capacity(16),
            body: Bytes::new(),
        };
        let error = (bytes.len() > MAX_MESSAGE).then_some(WireError::TooLarge);
        Self { message, rest: bytes, error }
    }

    fn fail(&mut self, error: WireError) {
        self.error.get_or_insert(error);
    }

    fn read_head(&mut self) {
        let source = self.rest.clone();
        let mut end = 0;
        for (number, line) in lines(&source).enumerate() {
            end = line.end;
            if number > MAX_HEADER_LINES {
                self.fail(WireError::TooMany("header lines"));
                return;
            }
            let raw = source.slice(line);
            if number == 0 {
                self.read_start(raw);
            } else {
                self.read_header(raw);
            }
        }
        match source.get(end..end + 4) {
            Some(b"\r\n\r\n") => self.rest = source.slice(end + 4..),
            _ => {
                self.fail(WireError::Truncated);
                self.rest = Bytes::new();
            }
        }
        if self.error.is_none() {
            self.message.source = Some(source);
        }
    }

    fn read_start(&mut self, line: Bytes) {
        if let Some(strange) = stray_byte(&line) {
            self.fail(WireError::StartLine(strange));
        }
        match read_start_line(&line) {
            (Some(start), error) => {
                self.message.start = start;
                if let Some(error) = error {
                    self.fail(error);
                }
            }
            (None, error) => self.fail(error.unwrap_or(WireError::StartLine("unreadable"))),
        }
        self.message.start_raw = line;
    }

    fn read_header(&mut self, line: Bytes) {
        if line.len() > MAX_HEADER_LINE {
            return self.fail(WireError::HeaderLine("too long"));
        }
        if let Some(strange) = stray_byte(&line) {
            return self.fail(WireError::HeaderLine(strange));
        }
        match Header::parse(line) {
            Ok(header) => self.message.headers.push(header),
            Err(error) => self.fail(error),
        }
    }

    fn read_body(&mut self) {
        let length = match content_length(
            self.message.headers_of(HeaderId::ContentLength).map(Header::value),
        ) {
            Ok(length) => length.unwrap_or(self.rest.len()),
            Err(error) => return self.fail(error),
        };
        if length > self.rest.len() {
            return self.fail(WireError::Truncated);
        }
        let excess = self.rest.len() - length;
        self.message.body = self.rest.slice(..length);
        if let Some(source) = &mut self.message.source {
            source.truncate(source.len() - excess);
        }
    }
}

/// The lines of a head, folded ones as one, without their final CRLF, up to the empty line.
pub(super) fn lines(head: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next;
        let mut from = start;
        let end = loop {
            let Some(at) = memchr::memchr(b'\n', head.get(from..)?) else { break head.len() };
            let line_feed = from + at;
            let ended = at + from > start && head.get(line_feed - 1) == Some(&b'\r');
            // The next line begins with white space: this one goes on (RFC 3261 §7.3.1).
            let folded = matches!(head.get(line_feed + 1), Some(b' ' | b'\t')) && start > 0;
            // The empty line ends the head whatever the body begins with.
            if ended && (!folded || line_feed == start + 1) {
                break line_feed - 1;
            }
            from = line_feed + 1;
        };
        next = end + 2;
        (end > start).then_some(start..end)
    })
}

/// What readers disagree on, if a line has it: a CR or LF that is no fold, or a NUL that is not
/// quoted (RFC 3261 §25.1, `quoted-pair`).
fn stray_byte(line: &[u8]) -> Option<&'static str> {
    memchr::memchr3_iter(b'\r', b'\n', 0, line).find_map(|at| {
        let (before, after) = (at.checked_sub(1).and_then(|at| line.get(at)), line.get(at + 1));
        let (stray, name) = match line.get(at) {
            Some(0) => (before != Some(&b'\\'), "NUL"),
            Some(b'\r') => (after != Some(&b'\n'), "stray CR or LF"),
            _ => {
                let fold = before == Some(&b'\r') && matches!(after, Some(b' ' | b'\t'));
                (!fold, "stray CR or LF")
            }
        };
        stray.then_some(name)
    })
}

/// How many bytes before a message are none of it: line breaks, and the NULs and blanks with which
/// some peers keep a way open.
fn stray_bytes(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match bytes.get(at..).unwrap_or_default() {
            [b'\r', b'\n', ..] => at += 2,
            [0 | b' ' | b'\t' | b'\n', ..] => at += 1,
            _ => return at,
        }
    }
}

/// The start line, or as much of it as an answer needs, and what is wrong with it.
pub(super) fn read_start_line(line: &Bytes) -> (Option<StartLine>, Option<WireError>) {
    if line.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"SIP/")) {
        return match read_status_line(line) {
            Ok(start) => (Some(start), None),
            Err(error) => (None, Some(error)),
        };
    }
    let Ok(text) = ByteString::try_from(line.clone()) else {
        return (None, Some(WireError::StartLine("not UTF-8")));
    };
    let Some((method, rest)) = text.split_once(' ') else {
        return (None, Some(WireError::StartLine("no space")));
    };
    if method.is_empty() || !method.bytes().all(crate::headers::is_token) {
        return (None, Some(WireError::StartLine("bad method")));
    }
    let (uri, version) = rest.rsplit_once(' ').unwrap_or((rest, ""));
    let start = StartLine::Request { method: text.slice_ref(method), uri: text.slice_ref(uri) };
    (Some(start), request_line_error(uri, version))
}

fn request_line_error(uri: &str, version: &str) -> Option<WireError> {
    let is_sip = version.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("SIP/"));
    if !is_sip {
        return Some(WireError::StartLine("no SIP version at its end"));
    }
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Some(WireError::Version);
    }
    if uri.len() > MAX_URI {
        return Some(WireError::UriTooLong);
    }
    let strange = |b: u8| b <= b' ' || b == 0x7f || b"<>\"".contains(&b);
    (uri.is_empty() || uri.bytes().any(strange)).then_some(WireError::RequestUri)
}

fn read_status_line(line: &Bytes) -> Result<StartLine, WireError> {
    let rest = match line.get(..8) {
        Some(version) if version.eq_ignore_ascii_case(b"SIP/2.0 ") => line.slice(8..),
        _ => return Err(WireError::Version),
    };
    let bad = WireError::StartLine("bad status code");
    let digits = rest.get(..3).and_then(|d| std::str::from_utf8(d).ok()).ok_or(bad.clone())?;
    let code = crate::headers::parse_u32(digits).and_then(|code| u16::try_from(code).ok());
    let code = code.filter(|code| (100..700).contains(code)).ok_or(bad.clone())?;
    let reason = match rest.get(3) {
        None => Bytes::new(),
        Some(b' ') => rest.slice(4..),
        Some(_) => return Err(bad),
    };
    if reason.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        return Err(WireError::StartLine("control character"));
    }
    Ok(StartLine::Response { code, reason })
}
