//! Percent escapes (RFC 3261 §19.1.2).

use std::fmt::Write as _;

/// Decodes all escapes; `None` if an escape is broken or the result is not UTF-8.
#[must_use]
pub fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = hex_value(bytes.next()?)?;
                let low = hex_value(bytes.next()?)?;
                out.push(high * 16 + low);
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// Escapes a decoded user part: what RFC 3261 §25.1 `user` does not allow becomes `%HH` (S-019).
#[must_use]
pub fn percent_encode_user(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for byte in user.bytes() {
        if is_unreserved(byte) || b"&=+$,;?/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Whether `text` may stand as a user or password part.
///
/// `#` is forbidden there by RFC 3261, but passes: COMPAT(telephone systems): feature codes such
/// as `*72#` are sent unescaped.
pub(super) fn is_user(text: &str) -> bool {
    let allowed = |b: u8| is_unreserved(b) || b"&=+$,;?/#%".contains(&b);
    text.bytes().all(allowed) && has_sound_escapes(text)
}

/// Whether each `%` is followed by two hexadecimal digits.
pub(super) fn has_sound_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|tail| {
        let mut tail = tail.bytes();
        let mut hex = || tail.next().is_some_and(|b| b.is_ascii_hexdigit());
        hex() && hex()
    })
}

/// The value of a hexadecimal digit.
pub(crate) fn hex_value(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|v| u8::try_from(v).ok())
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}
