//! Percent escapes of SIP URIs (RFC 3261 §25.1, S-008, S-012, S-019).

use super::{AddressError, Part};

/// Where in a URI a text stands; each place leaves other characters bare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `user` = unreserved / escaped / user-unreserved.
    User,
    /// `pvalue` = unreserved / escaped / param-unreserved.
    Parameter,
}

impl Place {
    fn part(self) -> Part {
        match self {
            Self::User => Part::Local,
            Self::Parameter => Part::Resource,
        }
    }

    fn is_bare(self, octet: u8) -> bool {
        octet.is_ascii_alphanumeric()
            || b"-_.!~*'()".contains(&octet)
            || match self {
                Self::User => b"&=+$,;?/".contains(&octet),
                Self::Parameter => b"[]/:&+$".contains(&octet),
            }
    }

    /// Senders forget to escape what has no meaning in a URI (`#`, `|`, umlauts); that is read as
    /// it stands. What would move the borders of the URI's parts is refused.
    fn moves_borders(self, octet: u8) -> bool {
        octet <= b' '
            || octet == 0x7f
            || b"\"<>@".contains(&octet)
            || match self {
                Self::User => octet == b':',
                Self::Parameter => b";?=".contains(&octet),
            }
    }
}

/// The text that was meant. Each escape is decoded once.
pub(super) fn decode(text: &str, place: Place) -> Result<String, AddressError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [octet, tail @ ..] = rest {
        if place.moves_borders(*octet) {
            return Err(AddressError::SipSyntax(place.part()));
        }
        if *octet != b'%' {
            octets.push(*octet);
            rest = tail;
            continue;
        }
        let [high, low, tail @ ..] = tail else {
            return Err(AddressError::SipSyntax(place.part()));
        };
        let (Some(high), Some(low)) = (hex_value(*high), hex_value(*low)) else {
            return Err(AddressError::SipSyntax(place.part()));
        };
        octets.push(high << 4 | low);
        rest = tail;
    }
    String::from_utf8(octets).map_err(|_| AddressError::NotUtf8(place.part()))
}

/// The text as it may stand in a URI; legal characters stay bare (S-007).
pub(super) fn encode(text: &str, place: Place) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut uri = String::with_capacity(text.len());
    for octet in text.bytes() {
        if place.is_bare(octet) {
            uri.push(char::from(octet));
        } else {
            uri.push('%');
            uri.push(char::from(HEX[usize::from(octet >> 4)]));
            uri.push(char::from(HEX[usize::from(octet & 15)]));
        }
    }
    uri
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
