//! The XMPP Federation Connection Manager: connections, TLS, name resolution and the DNS responder
//! around `xmpp-cm-core`.

pub mod connection;
pub mod dns;
mod engine;
mod refusals;
pub mod resolve;
mod service;
mod shown;
pub mod tls;

pub use service::{ServeError, serve};
