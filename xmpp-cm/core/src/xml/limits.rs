//! What one stream may make us hold.

/// See the head of this file. Bytes are bytes on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nesting below the stream, the top-level element counted as 1.
    pub depth: usize,
    /// Bytes of one top-level element. See [`super::Parser::set_element_bytes`].
    pub element_bytes: usize,
    /// Elements inside one top-level element, itself included.
    pub elements: usize,
    /// Attributes and namespace declarations of one element.
    pub attributes: usize,
    /// Bytes of one element or attribute name with its prefix.
    pub name_bytes: usize,
    /// Bytes of one attribute value; also the size of the parser's buffer.
    pub attribute_bytes: usize,
    /// Bytes of the XML declaration and the stream header.
    pub header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            element_bytes: 262_144,
            elements: 10_000,
            attributes: 64,
            name_bytes: 256,
            attribute_bytes: 32_768,
            header_bytes: 8_192,
        }
    }
}
