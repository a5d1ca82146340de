//! The tools with which openfed is tested live: real servers as child processes, a DNS server, a
//! trace collector, a SIP user agent and an XMPP client, each on a piece of loopback of its own.
//!
//! A test is a [`scene::play`]: it is given a [`place::Place`], starts what it needs there, and waits
//! for events with a deadline. When it fails, the logs of everything that it started are printed;
//! whatever happens, every process that it started is gone at the end.

pub mod agent;
pub mod baresip;
pub mod browser;
pub mod certificates;
pub mod collector;
pub mod containers;
pub mod dns;
pub mod ejabberd;
pub mod http;
pub mod jabberd2;
pub mod kamailio;
pub mod load;
pub mod openfed;
pub mod outside;
pub mod place;
pub mod process;
pub mod proof;
pub mod prosody;
pub mod redis;
pub mod scene;
pub mod second;
pub mod seen;
pub mod sentinel;
pub mod sim;
pub mod sip;
pub mod sip_peer;
pub mod sip_tcp;
pub mod sipp;
pub mod traffic;
pub mod world;
pub mod xmpp_client;
pub mod xmpp_typist;

pub use scene::{Failure, Result};
