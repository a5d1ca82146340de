//! See ARCHITECTURE.md.

pub mod connection;
pub mod dns;
pub mod resolve;
pub mod tls;
