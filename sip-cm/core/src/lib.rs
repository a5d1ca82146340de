//! SIP without I/O: messages, framing, digest answers; transactions, proxy and user agent on top.
//!
//! Nothing here reads a clock, a socket or a random source: they are arguments.

pub mod command;
pub mod digest;
pub mod framing;
pub mod headers;
pub mod uri;
pub mod wire;
