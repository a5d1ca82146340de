//! Parameters `;name=value;flag` of headers and URIs (RFC 3261 §25.1 `generic-param`).

use super::list::{Scan, plain_until};
use bytestring::ByteString;

/// A run of parameters, as written, starting at its first `;` or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params(ByteString);

impl Params {
    /// Takes a run of parameters.
    #[must_use]
    pub fn new(text: ByteString) -> Self {
        Self(text)
    }

    /// The run as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// See [`ParamsRef::iter`].
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.borrowed().iter()
    }

    /// See [`ParamsRef::get`].
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.borrowed().get(name)
    }

    /// See [`ParamsRef::value`].
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.borrowed().value(name)
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.borrowed().is_sound()
    }

    fn borrowed(&self) -> ParamsRef<'_> {
        ParamsRef(&self.0)
    }
}

/// A run of parameters within a text that somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamsRef<'a>(&'a str);

impl<'a> ParamsRef<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The run as written.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Names and values in order, white space around them removed, quotes kept.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        pieces(self.0).filter(|piece| !piece.is_empty()).map(name_and_value)
    }

    /// The value of `name`, any letter case: `Some(None)` is a flag without a value.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Option<&'a str>> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of `name` if it has one, without the quotes of a quoted string.
    #[must_use]
    pub fn value(self, name: &str) -> Option<&'a str> {
        let value = self.get(name)??;
        Some(value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value))
    }

    /// Whether each place between semicolons is `token`, `token=value` or `token="…"`, and no comma
    /// begins another value.
    pub(crate) fn is_sound(self) -> bool {
        if self.0.trim().is_empty() {
            return true;
        }
        let Some(run) = self.0.trim_start().strip_prefix(';') else { return false };
        pieces(run).all(|piece| {
            let (name, value) = name_and_value(piece);
            let named = !name.is_empty() && name.bytes().all(super::is_token);
            named && value.is_none_or(|value| !value.is_empty() && is_closed(value))
        })
    }
}

fn name_and_value(piece: &str) -> (&str, Option<&str>) {
    match piece.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (piece, None),
    }
}

fn is_closed(value: &str) -> bool {
    let ends_plain = value.bytes().fold(Scan::Plain, Scan::after) == Scan::Plain;
    ends_plain && plain_until(value.as_bytes(), b',') == value.len()
}

fn pieces(run: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(run);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = plain_until(text.as_bytes(), b';');
        rest = text.get(end + 1..);
        text.get(..end).map(str::trim)
    })
}
