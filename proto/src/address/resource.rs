//! The resource: RFC 7622 §3.4, the OpaqueString profile of RFC 8265 §4.2.

use std::sync::Arc;

use precis_core::profile::{PrecisFastInvocation, stabilize};
use precis_profiles::OpaqueString;

use super::{AddressError, MAX_PART_OCTETS, Part};

/// Prepares a resource.
pub(super) fn prepare(text: &str) -> Result<Arc<str>, AddressError> {
    if text.is_empty() {
        return Err(AddressError::Empty(Part::Resource));
    }
    if text.len() > MAX_PART_OCTETS {
        return Err(AddressError::TooLong(Part::Resource));
    }
    if text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Ok(Arc::from(text));
    }
    let prepared = stabilize(text, |s| OpaqueString::enforce(s))
        .map_err(|_| AddressError::Characters(Part::Resource))?;
    if prepared.len() > MAX_PART_OCTETS {
        return Err(AddressError::TooLong(Part::Resource));
    }
    Ok(Arc::from(prepared))
}
