//! SIP, SIPS, im, pres and tel URIs, and any other absolute URI as opaque text (RFC 3261 §19.1, §25).
//!
//! A [`Uri`] keeps its text as written and knows where its parts are; nothing is decoded until
//! asked for. Comparison by RFC 3261 §19.1.4 is [`Uri::is_equivalent`]; `==` compares the text.

mod compare;
mod escape;
mod host;

#[cfg(test)]
mod tests;

pub(crate) use escape::hex_value;
pub use escape::{percent_decode, percent_encode_user};
pub use host::Host;
pub(crate) use host::host_port_within;

use crate::headers::{Params, Span};
use bytestring::ByteString;

/// Longest URI that is looked into, in bytes (a longer Request-URI is answered 414).
pub const MAX_URI: usize = 1024;

/// Why a text is no URI that we can work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Longer than [`MAX_URI`].
    #[error("URI too long")]
    TooLong,
    /// No scheme, or one with wrong characters.
    #[error("bad URI scheme")]
    Scheme,
    /// Wrong characters or escapes in user or password, or more than one `@`.
    #[error("bad user part")]
    User,
    /// Neither a host name, an IPv4 address nor an IPv6 address in brackets.
    #[error("bad host")]
    Host,
    /// Not a number up to 65,535.
    #[error("bad port")]
    Port,
    /// Wrong characters in parameters, headers, or an opaque URI.
    #[error("bad character in URI")]
    Character,
}

/// The kinds of URI that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`: TLS on every hop, never downgraded (RFC 5630).
    Sips,
    /// `im:` and `pres:` (RFC 3860, RFC 3859): a user, in whatever protocol; for us the one whom
    /// `sip:` names (S-018).
    Abstract,
    /// `tel:` (RFC 3966)
    Tel,
    /// Any other; passed as it is.
    Other,
}

/// A URI as written, with the places of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    text: ByteString,
    scheme: Scheme,
    user: Option<Span>,
    password: Option<Span>,
    host: Option<Host>,
    port: Option<u16>,
    params: Params,
    headers: ByteString,
}

impl Uri {
    /// Reads a URI without brackets around it.
    ///
    /// # Errors
    /// [`UriError`] says which part is wrong.
    pub fn parse(text: &ByteString) -> Result<Self, UriError> {
        if text.len() > MAX_URI {
            return Err(UriError::TooLong);
        }
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let alpha = scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        if !alpha || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
            return Err(UriError::Scheme);
        }
        if rest.bytes().any(|b| b <= b' ' || b == 0x7f || b"<>\"".contains(&b)) {
            return Err(UriError::Character);
        }
        let scheme = match scheme {
            s if s.eq_ignore_ascii_case("sip") => Scheme::Sip,
            s if s.eq_ignore_ascii_case("sips") => Scheme::Sips,
            s if s.eq_ignore_ascii_case("im") || s.eq_ignore_ascii_case("pres") => Scheme::Abstract,
            s if s.eq_ignore_ascii_case("tel") => Scheme::Tel,
            _ => Scheme::Other,
        };
        let bare = Self {
            text: text.clone(),
            scheme,
            user: None,
            password: None,
            host: None,
            port: None,
            params: Params::default(),
            headers: ByteString::new(),
        };
        match scheme {
            Scheme::Sip | Scheme::Sips | Scheme::Abstract => bare.with_sip_parts(text, rest),
            Scheme::Tel => {
                let (number, run) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
                if number.is_empty() {
                    return Err(UriError::User);
                }
                let params = Params::new(text.slice_ref(run));
                Ok(Self { user: Some(Span::of(number, text)), params, ..bare })
            }
            Scheme::Other if rest.is_empty() => Err(UriError::Character),
            Scheme::Other => Ok(bare),
        }
    }

    /// Writes `sip:user@host:port`, escaping what the user part may not hold as it is.
    ///
    /// # Errors
    /// [`UriError::Host`] if `host` is no host.
    pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Result<Self, UriError> {
        let user = user.map(|user| percent_encode_user(user) + "@").unwrap_or_default();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Self::parse(&format!("sip:{user}{host}{port}").into())
    }

    fn with_sip_parts(self, text: &ByteString, rest: &str) -> Result<Self, UriError> {
        let (user, password, rest) = match rest.split_once('@') {
            None => (None, None, rest),
            Some((info, rest)) => {
                let (user, password) = match info.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (info, None),
                };
                let sound = !user.is_empty() && escape::is_user(user);
                if !sound || !password.is_none_or(escape::is_user) || rest.contains('@') {
                    return Err(UriError::User);
                }
                (Some(Span::of(user, text)), password.map(|it| Span::of(it, text)), rest)
            }
        };
        let (rest, headers) = rest.split_once('?').unwrap_or((rest, ""));
        let (hostport, run) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
        let (host, port) = host_port_within(text, hostport)?;
        if !escape::has_sound_escapes(run) || !escape::has_sound_escapes(headers) {
            return Err(UriError::Character);
        }
        Ok(Self {
            user,
            password,
            host: Some(host),
            port,
            params: Params::new(text.slice_ref(run)),
            headers: text.slice_ref(headers),
            ..self
        })
    }

    /// The URI as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URI as written, sharing its bytes.
    #[must_use]
    pub fn text(&self) -> &ByteString {
        &self.text
    }

    /// Which kind of URI this is.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// `sip:` or `sips:`.
    #[must_use]
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user part with its escapes; of a tel URI the number.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.map(|user| user.within(&self.text))
    }

    /// The user part without escapes.
    ///
    /// # Errors
    /// [`UriError::User`] if the decoded bytes are not UTF-8 (S-012: never decoded lossily).
    pub fn user_decoded(&self) -> Result<Option<String>, UriError> {
        self.user().map(|u| percent_decode(u).ok_or(UriError::User)).transpose()
    }

    /// The password with its escapes (RFC 3261 §19.1.1 advises against it; it only passes).
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.map(|password| password.within(&self.text))
    }

    /// The host; `None` unless `sip:`, `sips:`, `im:` or `pres:`.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// The port, if written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The URI parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// What follows `?`, as written: `name=value&…`.
    #[must_use]
    pub fn headers(&self) -> &str {
        &self.headers
    }

    /// Whether the URI names a loose router (RFC 3261 §19.1.1 `lr`).
    #[must_use]
    pub fn is_loose_router(&self) -> bool {
        self.params.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("lr")
                || percent_decode(name).is_some_and(|name| name.eq_ignore_ascii_case("lr"))
        })
    }

    /// The same user as a `sip:` URI, if this is an `im:` or a `pres:` one.
    #[must_use]
    pub fn as_sip(&self) -> Option<String> {
        let (_, rest) = self.text.split_once(':').filter(|_| self.scheme == Scheme::Abstract)?;
        Some(format!("sip:{rest}"))
    }

    /// Whether both URIs name the same resource (RFC 3261 §19.1.4, E-15; tel: RFC 3966 §4).
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> bool {
        compare::equivalent(self, other)
    }
}

impl std::fmt::Display for Uri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
