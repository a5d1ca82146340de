//! Text of a body: its character set, and what XML can hold (S-106).

use crate::status::{CHARSETS, Refusal};

/// Decodes a text body. Never lossy: what is not in its charset is refused (S-012).
pub(super) fn decode(charset: Option<&str>, body: &[u8]) -> Result<String, Refusal> {
    let charset = charset.unwrap_or("utf-8").to_ascii_lowercase();
    let malformed = Refusal::Malformed("the text is not in its character set");
    let text = match charset.as_str() {
        "utf-8" | "utf8" => String::from_utf8(body.to_vec()).map_err(|_| malformed)?,
        "us-ascii" | "ascii" if body.is_ascii() => body.iter().map(|b| char::from(*b)).collect(),
        "us-ascii" | "ascii" => return Err(malformed),
        // The first 256 code points of Unicode are ISO 8859-1.
        "iso-8859-1" | "latin1" => body.iter().map(|b| char::from(*b)).collect(),
        _ => return Err(Refusal::Encoding(CHARSETS)),
    };
    Ok(legal(&text))
}

/// The text without what XML 1.0 §2.2 cannot hold, its line ends as XML reads them (§2.11).
pub(super) fn legal(text: &str) -> String {
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    unix.chars().filter(|c| is_xml(*c)).collect()
}

fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
