//! Parts of a text as places in it.

/// Where a part of a text is, for those who hold the text: a part that shared its bytes would count
/// its holders anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: usize,
    length: usize,
}

impl Span {
    /// The place of `part`, which was taken out of `text`.
    pub(crate) fn of(part: &str, text: &str) -> Self {
        Self { start: part.as_ptr().addr().wrapping_sub(text.as_ptr().addr()), length: part.len() }
    }

    /// The part of the same text.
    pub(crate) fn within(self, text: &str) -> &str {
        text.get(self.start..self.start.saturating_add(self.length)).unwrap_or_default()
    }
}
