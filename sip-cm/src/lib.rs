//! The SIP Federation Connection Manager: sockets, TLS and name resolution around `sip-cm-core`.

pub mod resolve;
pub mod tls;
pub mod transport;
