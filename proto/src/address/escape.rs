//! XEP-0106: how a JID's local part holds characters that JIDs reserve (S-009, S-013, E-56).

/// The ten sequences: the character and the two digits after the backslash.
const SEQUENCES: [(char, &str); 10] = [
    (' ', "20"),
    ('"', "22"),
    ('&', "26"),
    ('\'', "27"),
    ('/', "2f"),
    (':', "3a"),
    ('<', "3c"),
    ('>', "3e"),
    ('@', "40"),
    ('\\', "5c"),
];

/// Escapes a lower-case text. A backslash is escaped only where it would read as an escape.
pub(super) fn escape(plain: &str) -> String {
    let mut local = String::with_capacity(plain.len());
    for (at, c) in plain.char_indices() {
        let after = &plain[at + c.len_utf8()..];
        match SEQUENCES.iter().find(|(special, _)| *special == c) {
            Some(('\\', _)) if sequence_at(after).is_none() => local.push('\\'),
            Some((_, digits)) => {
                local.push('\\');
                local.push_str(digits);
            }
            None => local.push(c),
        }
    }
    local
}

/// Undoes [`escape`], each sequence once, from left to right.
pub(super) fn unescape(local: &str) -> String {
    let mut plain = String::with_capacity(local.len());
    let mut rest = local;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        match sequence_at(after) {
            Some((special, tail)) => {
                plain.push(special);
                rest = tail;
            }
            None => {
                plain.push('\\');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// The special character that a backslash before `after` would mean, and the text after it.
fn sequence_at(after: &str) -> Option<(char, &str)> {
    SEQUENCES.iter().find_map(|(special, digits)| Some((*special, after.strip_prefix(digits)?)))
}
