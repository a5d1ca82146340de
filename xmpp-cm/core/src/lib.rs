//! XMPP server-to-server federation without I/O: streams, dialback, peers, stanzas.
//! Bytes, facts and the time come in, bytes and events go out. See ARCHITECTURE.md.

mod attempts;
mod content;
pub mod core;
pub mod dialback;
mod error;
mod fence;
mod home;
mod iq;
mod knowledge;
mod message;
mod names;
mod peers;
pub mod policy;
mod resource;
mod routers;
mod stanza;
pub mod stream;
pub mod xml;
