//! CSeq (RFC 3261 §20.16).

use super::HeaderId;
use crate::wire::WireError;
use bytestring::ByteString;

/// Sequence number and method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// Less than 2^31 (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// As written; methods are case-sensitive.
    pub method: ByteString,
}

impl CSeq {
    /// Reads `4711 INVITE`.
    ///
    /// # Errors
    /// [`WireError::Value`] unless it is a number below 2^31, white space and a token.
    pub fn parse(text: &ByteString) -> Result<Self, WireError> {
        let bad = WireError::Value(HeaderId::CSeq);
        let (number, method) = text.split_once([' ', '\t']).ok_or(bad.clone())?;
        let number = super::parse_u32(number).filter(|n| *n < 1 << 31).ok_or(bad.clone())?;
        let method = method.trim();
        if method.is_empty() || !method.bytes().all(super::is_token) {
            return Err(bad);
        }
        Ok(Self { number, method: text.slice_ref(method) })
    }
}

impl std::fmt::Display for CSeq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}
