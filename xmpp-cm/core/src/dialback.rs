//! Dialback keys (XEP-0185): a key proves that whoever sent it may speak for the domain, because
//! only a server that shares our secret can make it. Nothing has to be remembered per stream, and
//! any instance with the same secret can answer for any other.

use ring::{digest, hmac};

use crate::stream::Domain;

/// The secret behind all dialback keys of one operator.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Makes the key of the keys from at least 16 bytes that nobody else knows.
    pub fn new(secret: &[u8]) -> Self {
        let hashed = hex(digest::digest(&digest::SHA256, secret).as_ref());
        Self(hmac::Key::new(hmac::HMAC_SHA256, hashed.as_bytes()))
    }

    /// The key that `originating` sends to `receiving` on the stream with this id.
    pub fn key(&self, receiving: &Domain, originating: &Domain, stream_id: &str) -> String {
        hex(hmac::sign(&self.0, &message(receiving, originating, stream_id)).as_ref())
    }

    /// Whether `key` is the one of [`Secret::key`]; takes the same time for every wrong key of the
    /// right length.
    pub fn verify(
        &self,
        receiving: &Domain,
        originating: &Domain,
        stream_id: &str,
        key: &str,
    ) -> bool {
        let Some(tag) = unhex(key) else { return false };
        hmac::verify(&self.0, &message(receiving, originating, stream_id), &tag).is_ok()
    }
}

fn message(receiving: &Domain, originating: &Domain, stream_id: &str) -> Vec<u8> {
    format!("{receiving} {originating} {stream_id}").into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    out
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits?;
    if digits.len() % 2 != 0 {
        return None;
    }
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, d| byte << 4 | d)).collect())
}

#[cfg(test)]
mod tests;
