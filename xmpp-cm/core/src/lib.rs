//! XMPP server-to-server federation without I/O: streams, dialback, peers, stanzas.
//! Bytes, facts and the time come in, bytes and events go out. See ARCHITECTURE.md.

pub mod core;
pub mod dialback;
pub mod policy;
pub mod stream;
pub mod xml;
