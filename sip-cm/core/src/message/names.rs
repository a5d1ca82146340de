//! Names of messages: thread ⇄ Call-ID and id ⇄ branch, both there and back (S-099, S-101, S-112).

use std::fmt::Write as _;

use crate::random::COOKIE;
use crate::uri::percent_decode;

/// Begins a Call-ID that holds a thread in percent-encoding. No plain one begins so, as `%` is
/// encoded, too.
const ENCODED: &str = "%-";
/// The longest id that goes into a branch, encoded, in bytes.
const MAX_ID: usize = 128;
/// Hexadecimal digits that make a branch of ours unique.
const UNIQUE: usize = 16;

/// A Call-ID that says the thread: itself, if it is one already (RFC 3261 §25.1 `callid`).
pub(super) fn call_id_of_thread(thread: &str) -> String {
    let is_plain = |b: u8| is_word(b) && b != b'%';
    let mut words = thread.splitn(2, '@');
    let plain = words.all(|word| !word.is_empty() && word.bytes().all(is_plain));
    if plain { thread.to_owned() } else { format!("{ENCODED}{}", encode(thread, is_plain)) }
}

/// The thread that a Call-ID says; XML cannot hold less than a Call-ID can.
pub(super) fn thread_of_call_id(call_id: &str) -> String {
    call_id.strip_prefix(ENCODED).and_then(percent_decode).unwrap_or_else(|| call_id.to_owned())
}

/// A branch that is unique and says the id.
pub(super) fn branch_of_id(unique: &str, id: Option<&str>) -> String {
    let encoded = id.map(|id| encode(id, |b| is_token(b) && b != b'%')).unwrap_or_default();
    let encoded = if encoded.len() <= MAX_ID { encoded } else { String::new() };
    format!("{COOKIE}{unique}.{encoded}")
}

/// The id that a branch says: all of it, unless another gateway like us made it.
pub(super) fn id_of_branch(branch: &str) -> String {
    let rest = branch.strip_prefix(COOKIE).unwrap_or(branch);
    let ours = rest.split_at_checked(UNIQUE).and_then(|(unique, id)| {
        let unique = unique.bytes().all(|b| b.is_ascii_hexdigit());
        id.strip_prefix('.').filter(|id| unique && !id.is_empty())
    });
    ours.and_then(percent_decode).unwrap_or_else(|| rest.to_owned())
}

fn encode(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// RFC 3261 §25.1 `word`.
fn is_word(byte: u8) -> bool {
    is_token(byte) || b"()<>:\\\"/[]?{}".contains(&byte)
}

/// RFC 3261 §25.1 `token`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}
