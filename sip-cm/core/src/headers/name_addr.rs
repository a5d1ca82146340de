//! From, To, Contact, Route, …: an optional display name, a URI, parameters (RFC 3261 §20.10).

use super::list::Scan;
use super::{HeaderId, Params};
use crate::uri::Uri;
use crate::wire::WireError;
use bytestring::ByteString;

/// `"Display" <sip:a@b;uri-param>;param` or `sip:a@b;param`.
///
/// In the form without brackets every `;`, and every `?`, ends the URI: parameters belong to the
/// header (RFC 3261 §20).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr {
    text: ByteString,
    display: ByteString,
    uri: Uri,
    params: Params,
}

impl NameAddr {
    /// Reads one value of header `of`, which is only named in errors.
    ///
    /// # Errors
    /// [`WireError::Value`] naming `of`.
    pub fn parse(text: &ByteString, of: HeaderId) -> Result<Self, WireError> {
        let bad = || WireError::Value(of);
        let trimmed = text.trim();
        let (display, uri, rest) = match find_plain(trimmed, b'<') {
            Some(open) => {
                let (display, tail) = trimmed.split_at_checked(open).ok_or_else(bad)?;
                let (uri, rest) =
                    tail.get(1..).and_then(|tail| tail.split_once('>')).ok_or_else(bad)?;
                (display.trim(), uri, rest.trim())
            }
            None => {
                let end = trimmed.find(';').unwrap_or(trimmed.len());
                let (uri, rest) = trimmed.split_at_checked(end).ok_or_else(bad)?;
                // RFC 3261 §20.10: a URI with a comma, question mark or semicolon needs brackets.
                if uri.contains(['?', ',']) {
                    return Err(bad());
                }
                ("", uri.trim(), rest)
            }
        };
        if !is_display_name(display) {
            return Err(bad());
        }
        let params = Params::new(text.slice_ref(rest));
        if !params.is_sound() {
            return Err(bad());
        }
        Ok(Self {
            display: text.slice_ref(display),
            uri: Uri::parse(&text.slice_ref(uri)).map_err(|_| bad())?,
            params,
            text: text.slice_ref(trimmed),
        })
    }

    /// Writes an address with brackets: `"Display" <uri>`.
    #[must_use]
    pub fn write(display: Option<&str>, uri: &Uri) -> String {
        match display {
            Some(display) => {
                let escaped = display.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{escaped}\" <{uri}>")
            }
            None => format!("<{uri}>"),
        }
    }

    /// The whole value as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The display name without quotes and escapes.
    #[must_use]
    pub fn display_name(&self) -> Option<String> {
        let quoted = self.display.strip_prefix('"').and_then(|d| d.strip_suffix('"'));
        let Some(quoted) = quoted else {
            return Some(self.display.to_string()).filter(|d| !d.is_empty());
        };
        let mut escaped = false;
        let kept = quoted.chars().filter(|c| {
            escaped = *c == '\\' && !escaped;
            !escaped
        });
        Some(kept.collect())
    }

    /// The URI.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The header parameters (not those of the URI).
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The `tag` parameter (RFC 3261 §19.3).
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }
}

/// The position of `wanted` outside quoted strings.
fn find_plain(text: &str, wanted: u8) -> Option<usize> {
    let mut scan = Scan::Plain;
    for (at, byte) in text.bytes().enumerate() {
        if scan == Scan::Plain && byte == wanted {
            return Some(at);
        }
        scan = scan.after(byte);
    }
    None
}

/// RFC 3261 §25.1: tokens and white space, or one quoted string.
///
/// Non-ASCII text and punctuation outside quotes are taken from peers that send them, except where
/// they would make the value ambiguous.
fn is_display_name(display: &str) -> bool {
    if let Some(rest) = display.strip_prefix('"') {
        let mut scan = Scan::Quoted;
        return rest.bytes().enumerate().all(|(at, byte)| {
            scan = scan.after(byte);
            (scan == Scan::Plain) == (at + 1 == rest.len())
        }) && !rest.is_empty();
    }
    !display.contains(['"', '<', '>', ',', ';', '@', ':', '\\'])
}
