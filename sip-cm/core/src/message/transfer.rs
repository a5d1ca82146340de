//! Transfer encodings of MIME (RFC 2045 §6): how the bytes of a body are written.
//!
//! SIP carries bytes as they are, so nobody needs one; but a part of an envelope that was made for
//! mail may have one, and some senders give one to the whole body.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use crate::status::{Refusal, TRANSFER_ENCODINGS};
use crate::uri::hex_value;

/// What makes up for padding that is left out, or is short.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes that `written` stands for. `encoding` is the value of Content-Transfer-Encoding.
/// Never lossy: what is not in its encoding is refused.
pub(super) fn decode(encoding: Option<&str>, written: &Bytes) -> Result<Bytes, Refusal> {
    // RFC 2045 §5.1: a comment may stand behind it.
    let name = encoding.map(|it| it.split(['(', ';']).next().unwrap_or_default().trim());
    match name.map(str::to_ascii_lowercase).as_deref() {
        None | Some("7bit" | "8bit" | "binary") => Ok(written.clone()),
        Some("base64") => from_base64(written),
        Some("quoted-printable") => from_quoted_printable(written),
        Some(_) => Err(Refusal::Encoding(TRANSFER_ENCODINGS)),
    }
}

/// RFC 2045 §6.8. Line breaks are no part of it.
fn from_base64(written: &[u8]) -> Result<Bytes, Refusal> {
    let text: Vec<u8> = written.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let malformed = |_| Refusal::Malformed("the body is not in base64 as it says");
    BASE64.decode(text).map(Bytes::from).map_err(malformed)
}

/// RFC 2045 §6.7.
fn from_quoted_printable(written: &[u8]) -> Result<Bytes, Refusal> {
    let malformed = Refusal::Malformed("the body is not in quoted-printable as it says");
    let mut out = Vec::with_capacity(written.len());
    for line in written.split_inclusive(|byte| *byte == b'\n') {
        // Item 3: white space at the end of a line was added on the way.
        let content = line.trim_ascii_end();
        let end = if line.ends_with(b"\r\n") { 2 } else { usize::from(line.ends_with(b"\n")) };
        let is_whole = unescape(content, &mut out).ok_or_else(|| malformed.clone())?;
        if is_whole {
            out.extend_from_slice(line.get(line.len() - end..).unwrap_or_default());
        }
    }
    Ok(out.into())
}

/// Writes what one line stands for; `false` if it goes on in the next one (item 5), `None` if it
/// cannot be read.
fn unescape(line: &[u8], out: &mut Vec<u8>) -> Option<bool> {
    let mut rest = line;
    while let Some(at) = memchr::memchr(b'=', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match escape {
            [_] => return Some(false),
            [_, high, low, rest @ ..] => {
                out.push(hex_value(*high)? * 16 + hex_value(*low)?);
                rest
            }
            _ => return None,
        };
    }
    out.extend_from_slice(rest);
    Some(true)
}
