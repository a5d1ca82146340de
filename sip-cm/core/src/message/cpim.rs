//! `message/cpim` (RFC 3862): an envelope with headers of its own around a MIME body. Only the
//! text in it goes on; who is who was decided by the SIP request.

use bytes::Bytes;
use bytestring::ByteString;
use memchr::memmem;

use super::transfer;
use crate::headers::MediaType;
use crate::status::Refusal;

/// What the envelope held.
pub(super) struct Inner {
    pub(super) kind: Option<MediaType>,
    pub(super) subject: Option<String>,
    pub(super) body: Bytes,
}

/// Opens the envelope: CPIM headers, empty line, MIME headers, empty line, body (RFC 3862 §2).
/// The body comes as its bytes are, whatever way they were written.
pub(super) fn unwrap(body: &Bytes) -> Result<Inner, Refusal> {
    let (envelope, rest) = split(body)?;
    let (mime, inner) = split(&rest)?;
    let kind = match header(&mime, "content-type") {
        Some(value) => Some(MediaType::parse(&ByteString::from(value)).ok_or(MALFORMED)?),
        None => None,
    };
    let packed = header(&mime, "content-encoding");
    if packed.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(Refusal::MediaType);
    }
    let body = transfer::decode(header(&mime, "content-transfer-encoding").as_deref(), &inner)?;
    Ok(Inner { kind, subject: header(&envelope, "subject").map(without_language), body })
}

const MALFORMED: Refusal = Refusal::Malformed("the CPIM envelope cannot be read");

fn split(bytes: &Bytes) -> Result<(String, Bytes), Refusal> {
    let (at, gap) = match memmem::find(bytes, b"\r\n\r\n") {
        Some(at) => (at, 4),
        // A block without any header is only its empty line.
        None if bytes.starts_with(b"\r\n") => (0, 2),
        None => (memmem::find(bytes, b"\n\n").ok_or(MALFORMED)?, 2),
    };
    let (at, gap) = if bytes.starts_with(b"\r\n") { (0, 2) } else { (at, gap) };
    let head = std::str::from_utf8(bytes.get(..at).unwrap_or_default()).map_err(|_| MALFORMED)?;
    Ok((head.to_owned(), bytes.slice(at + gap..)))
}

/// The value of a header, unfolded (RFC 5322 §2.2.3).
fn header(block: &str, name: &str) -> Option<String> {
    let mut lines = block.lines();
    let mut named = lines.by_ref().filter_map(|line| line.split_once(':'));
    let (_, first) = named.find(|(found, _)| found.trim_end().eq_ignore_ascii_case(name))?;
    let more = lines.take_while(|line| line.starts_with([' ', '\t']));
    Some(more.fold(first.trim().to_owned(), |value, line| value + " " + line.trim()))
}

/// `Subject:;lang=fr Bonjour` (RFC 3862 §2.3.1).
fn without_language(subject: String) -> String {
    match subject.strip_prefix(";lang=").and_then(|rest| rest.split_once(' ')) {
        Some((_, text)) => text.to_owned(),
        None => subject,
    }
}
