//! What an owner may set for a stream.

use std::time::Duration;

use super::Name;
use crate::xml::Limits;

/// Whether STARTTLS is used (RFC 6120 §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// No stream without TLS. An initiator tries even when it is not offered (RFC 7590 §3.1).
    Required,
    /// TLS if the peer can.
    Opportunistic,
    /// Neither offered nor asked for.
    Never,
}

/// How long the peer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// For a header, after connecting and again after TLS.
    pub header: Duration,
    /// Initiator: until [`Event::Ready`]. Responder: until the first pair is authenticated,
    /// counted again from every key that the peer has verified.
    pub negotiation: Duration,
    /// For the peer's footer after ours.
    pub close: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            negotiation: Duration::from_secs(30),
            close: Duration::from_secs(5),
        }
    }
}

/// What both roles can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Use of STARTTLS.
    pub tls: Tls,
    /// The connection is under TLS from its first byte (XEP-0368).
    pub encrypted: bool,
    /// Initiator: we show a certificate, so that SASL EXTERNAL is done where it is offered.
    pub external: bool,
    /// Responder: offer stanzas in both directions (XEP-0288) once there is TLS.
    pub bidi: bool,
    /// Limits of the peer's XML.
    pub limits: Limits,
    /// Bytes of one top-level element as long as no pair is authenticated.
    pub unauthenticated_bytes: usize,
    /// Pairs of domains on one stream, authenticated or asked about.
    pub max_pairs: usize,
    /// How long the peer may take.
    pub timing: Timing,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tls: Tls::Opportunistic,
            encrypted: false,
            external: false,
            bidi: true,
            limits: Limits::default(),
            unauthenticated_bytes: 16_384,
            max_pairs: 1_024,
            timing: Timing::default(),
        }
    }
}

/// For a stream that we open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitiatorConfig {
    /// Our domain, `from` of the header.
    pub local: Name,
    /// The domain to reach, `to` of the header.
    pub remote: Name,
    /// The rest.
    pub settings: Settings,
}

/// For a stream that a peer opens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponderConfig {
    /// The rest.
    pub settings: Settings,
}
