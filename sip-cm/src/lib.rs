//! The SIP Federation Connection Manager: sockets, TLS and name resolution around `sip-cm-core`.

mod engine;
mod lookup;
pub mod resolve;
mod service;
mod stages;
pub mod tls;
pub mod transport;
mod trial;

pub use service::{ServeError, serve};
