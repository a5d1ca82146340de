//! Scenes with the router's core alone: the connection managers and the store
//! are played by the test, time is a number.

#![allow(clippy::unwrap_used, reason = "a scene that cannot go on has failed")]

mod asking;
mod discovery;
mod fallback;
mod finding;
mod known;
mod links;
mod operator;
mod random;
mod recall;
mod scene;
mod store;
mod taken;
mod trials;
