//! SIP without I/O: messages, framing, digest answers; transactions, proxy and user agent on top.
//!
//! Nothing here reads a clock, a socket or a random source: they are arguments.

mod cache;
pub mod command;
pub mod config;
pub mod core;
pub mod digest;
mod edge;
pub mod framing;
pub mod headers;
mod message;
mod proxy;
pub mod random;
pub mod rule;
mod status;
mod timer;
mod transaction;
pub mod uri;
pub mod wire;
