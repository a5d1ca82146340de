//! Typed views on demand. Absent optional headers are `None`, never an error.

use super::{Message, StartLine, WireError};
use crate::headers::{
    CSeq, HeaderId, MediaType, NameAddr, Via, WallTime, parse_date, parse_u32, split_list,
};
use crate::uri::{Uri, UriError};
use bytestring::ByteString;

impl Message {
    /// The Request-URI; `None` for a response.
    #[must_use]
    pub fn uri(&self) -> Option<Result<Uri, UriError>> {
        match &self.start {
            StartLine::Request { uri, .. } => Some(Uri::parse(uri)),
            StartLine::Response { .. } => None,
        }
    }

    /// The value of the first header of this identity as one line of text.
    ///
    /// # Errors
    /// [`WireError::Value`] if it is not UTF-8.
    pub fn text(&self, id: HeaderId) -> Result<Option<ByteString>, WireError> {
        self.header(id).map(crate::headers::Header::text).transpose()
    }

    /// All values of a header that may be joined by commas, over all its lines, in order.
    ///
    /// # Errors
    /// [`WireError::Value`] if a line is not UTF-8 or a place between commas is empty.
    pub fn list(&self, id: HeaderId) -> Result<Vec<ByteString>, WireError> {
        let mut values = Vec::new();
        for header in self.headers_of(id) {
            let text = header.text()?;
            for value in split_list(&text) {
                if value.is_empty() && !text.is_empty() {
                    return Err(WireError::Value(id));
                }
                if !value.is_empty() {
                    values.push(value);
                }
            }
        }
        Ok(values)
    }

    /// Whether a list header such as Require or Supported holds `token`, any letter case.
    #[must_use]
    pub fn has_token(&self, id: HeaderId, token: &str) -> bool {
        self.list(id).is_ok_and(|values| values.iter().any(|v| v.eq_ignore_ascii_case(token)))
    }

    /// The topmost Via value.
    ///
    /// # Errors
    /// [`WireError::Missing`], [`WireError::Value`], [`WireError::Version`].
    pub fn top_via(&self) -> Result<Via, WireError> {
        let header = self.header(HeaderId::Via).ok_or(WireError::Missing(HeaderId::Via))?;
        Via::of(header.first_value()?)
    }

    /// All Via values, topmost first.
    ///
    /// # Errors
    /// As [`Message::top_via`].
    pub fn vias(&self) -> Result<Vec<Via>, WireError> {
        self.list(HeaderId::Via)?.iter().map(Via::parse).collect()
    }

    /// From.
    ///
    /// # Errors
    /// [`WireError::Missing`], [`WireError::Value`].
    pub fn from(&self) -> Result<NameAddr, WireError> {
        self.address(HeaderId::From)
    }

    /// To.
    ///
    /// # Errors
    /// [`WireError::Missing`], [`WireError::Value`].
    pub fn to(&self) -> Result<NameAddr, WireError> {
        self.address(HeaderId::To)
    }

    /// The one address in header `id`, such as Refer-To.
    ///
    /// # Errors
    /// [`WireError::Missing`], [`WireError::Value`].
    pub fn address(&self, id: HeaderId) -> Result<NameAddr, WireError> {
        NameAddr::parse(&self.text(id)?.ok_or(WireError::Missing(id))?, id)
    }

    /// All addresses of a list header: Route, Record-Route, Path, Contact.
    ///
    /// # Errors
    /// [`WireError::Value`]; for `Contact: *` too, see [`Message::is_contact_star`].
    pub fn addresses(&self, id: HeaderId) -> Result<Vec<NameAddr>, WireError> {
        self.list(id)?.iter().map(|value| NameAddr::parse(value, id)).collect()
    }

    /// `Contact: *`, which removes all bindings (RFC 3261 §10.2.2).
    #[must_use]
    pub fn is_contact_star(&self) -> bool {
        self.header(HeaderId::Contact).is_some_and(|header| header.value() == b"*")
    }

    /// Call-ID.
    ///
    /// # Errors
    /// [`WireError::Missing`]; [`WireError::Value`] if it is empty or has white space.
    pub fn call_id(&self) -> Result<ByteString, WireError> {
        let id = self.text(HeaderId::CallId)?.ok_or(WireError::Missing(HeaderId::CallId))?;
        if id.is_empty() || id.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(WireError::Value(HeaderId::CallId));
        }
        Ok(id)
    }

    /// CSeq.
    ///
    /// # Errors
    /// [`WireError::Missing`], [`WireError::Value`].
    pub fn cseq(&self) -> Result<CSeq, WireError> {
        CSeq::parse(&self.text(HeaderId::CSeq)?.ok_or(WireError::Missing(HeaderId::CSeq))?)
    }

    /// Max-Forwards, 0–255.
    ///
    /// # Errors
    /// [`WireError::Value`].
    pub fn max_forwards(&self) -> Result<Option<u8>, WireError> {
        let bad = WireError::Value(HeaderId::MaxForwards);
        let number = self.number(HeaderId::MaxForwards)?;
        number.map(|n| u8::try_from(n).map_err(|_| bad)).transpose()
    }

    /// The number in Expires, Min-Expires, Content-Length, Max-Breadth, ….
    ///
    /// # Errors
    /// [`WireError::Value`] unless it is a decimal number below 2^32.
    pub fn number(&self, id: HeaderId) -> Result<Option<u32>, WireError> {
        let Some(text) = self.text(id)? else { return Ok(None) };
        parse_u32(&text).map(Some).ok_or(WireError::Value(id))
    }

    /// Retry-After in seconds; comment and parameters are left out (RFC 3261 §20.33).
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        let text = self.text(HeaderId::RetryAfter).ok()??;
        parse_u32(text.split([';', '(', ' ']).next()?)
    }

    /// Content-Type.
    ///
    /// # Errors
    /// [`WireError::Value`].
    pub fn content_type(&self) -> Result<Option<MediaType>, WireError> {
        let Some(text) = self.text(HeaderId::ContentType)? else { return Ok(None) };
        MediaType::parse(&text).map(Some).ok_or(WireError::Value(HeaderId::ContentType))
    }

    /// Date.
    ///
    /// # Errors
    /// [`WireError::Value`] unless it is an RFC 3261 §20.17 date in GMT.
    pub fn date(&self) -> Result<Option<WallTime>, WireError> {
        let Some(text) = self.text(HeaderId::Date)? else { return Ok(None) };
        parse_date(&text).map(Some).ok_or(WireError::Value(HeaderId::Date))
    }
}
