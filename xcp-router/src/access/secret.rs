//! Secrets, and what is kept of them.

use ring::digest as sha;

/// Letters and digits that are not taken for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// SHA-256 in hexadecimal. What is digested here is random and long: it needs no slow hash.
pub(crate) fn digest(secret: &str) -> String {
    hex(sha::digest(&sha::SHA256, secret.as_bytes()).as_ref())
}

/// So many random bytes, in hexadecimal.
pub(crate) fn random_hex<const BYTES: usize>() -> String {
    let mut bytes = [0_u8; BYTES];
    rand::fill(&mut bytes);
    hex(&bytes)
}

/// A password of 100 random bits that can be typed.
pub(crate) fn one_time_password() -> String {
    let mut bytes = [0_u8; 20];
    rand::fill(&mut bytes);
    let letters = bytes.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    let groups: Vec<String> = letters.chunks(5).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha_256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest("abc"), expected);
    }

    #[test]
    fn a_one_time_password_can_be_typed_and_does_not_come_twice() {
        let (one, two) = (one_time_password(), one_time_password());
        assert_ne!(one, two);
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [5; 4]);
        assert!(one.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)), "{one}");
        assert_ne!(random_hex::<32>(), random_hex::<32>());
    }
}
