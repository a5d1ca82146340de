//! The language openfed's services speak: packets and their outcomes,
//! conditions, addresses, static routes and the frames of a link.
//!
//! Pure: no I/O, no clock, no protocol knowledge beyond names and errors.

pub mod address;
pub mod admission;
pub mod condition;
pub mod domain;
pub mod finding;
pub mod link;
pub mod packet;
pub mod route;
#[doc(hidden)]
pub mod wire;
