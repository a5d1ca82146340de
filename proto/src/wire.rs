//! The generated messages, and their only door: conversion to and from the
//! types of this crate. Nothing else looks at generated types.

#![allow(missing_docs, clippy::all, clippy::pedantic)]

use std::fmt;

use thiserror::Error;

mod link;
mod packet;

/// The generated messages of package `openfed.v1`.
#[allow(unreachable_pub)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/openfed.v1.rs"));
}

/// What carries texts, user parts or secrets shows nothing of them.
macro_rules! redacted {
    ($($name:ident),+) => {$(
        impl fmt::Debug for v1::$name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )+};
}
redacted!(Address, Credentials, Text, Html, Original);

/// Why a frame from the other end was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    #[error("field {0} is missing")]
    Missing(&'static str),
    #[error("field {0} has a value this version does not know")]
    Unknown(&'static str),
    #[error("field {0} is malformed")]
    Malformed(&'static str),
}

fn required<T>(field: Option<T>, name: &'static str) -> Result<T, WireError> {
    field.ok_or(WireError::Missing(name))
}

#[cfg(test)]
mod tests;
