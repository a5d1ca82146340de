//! The router's service over real links, HTTP and an embedded store. The
//! connection managers are played by the test.

#![allow(clippy::unwrap_used, reason = "a scene that cannot go on has failed")]

mod access;
mod api;
mod browser;
mod disk;
mod edits;
mod hop;
mod sessions;
mod stage;
mod transfer;
mod watching;
