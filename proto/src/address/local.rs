//! The local part: preparation, and its way from and to a SIP user.

use std::borrow::Cow;
use std::sync::Arc;

use precis_core::profile::{PrecisFastInvocation, Rules, stabilize};
use precis_profiles::UsernameCaseMapped;

use super::escape::{escape, unescape};
use super::{AddressError, MAX_PART_OCTETS, Part};

/// What RFC 7622 §3.3.1 forbids beyond PRECIS.
const RESERVED: [char; 8] = ['"', '&', '\'', '/', ':', '<', '>', '@'];

/// Prepares a JID's local part (RFC 7622 §3.3, RFC 8265 §3.3).
pub(super) fn from_jid(text: &str) -> Result<Arc<str>, AddressError> {
    if text.is_empty() {
        return Err(AddressError::Empty(Part::Local));
    }
    // Checked before and after: preparation of a long text is work, and it may lengthen it.
    if text.len() > MAX_PART_OCTETS {
        return Err(AddressError::TooLong(Part::Local));
    }
    let prepared = prepare(text)?;
    if prepared.contains(RESERVED) {
        return Err(AddressError::Reserved);
    }
    if prepared.len() > MAX_PART_OCTETS {
        return Err(AddressError::TooLong(Part::Local));
    }
    Ok(Arc::from(prepared))
}

/// Makes a local part of a SIP user that is already percent-decoded (S-013, S-014).
///
/// The mappings of PRECIS come before the escapes, so that a full-width `＠` is escaped as the `@`
/// that it becomes. The escaped text must then survive preparation unchanged: in `>` + U+0301 the
/// accent would otherwise melt into the `e` of `\3e`.
pub(super) fn from_sip_user(user: &str) -> Result<Arc<str>, AddressError> {
    if user.len() > MAX_PART_OCTETS {
        return Err(AddressError::TooLong(Part::Local));
    }
    let mapped = map(user)?;
    if mapped.starts_with(' ') || mapped.ends_with(' ') {
        return Err(AddressError::SpaceAtEdge);
    }
    let escaped = escape(&mapped);
    let local = from_jid(&escaped)?;
    if *local != *escaped { Err(AddressError::NotMappable) } else { Ok(local) }
}

/// The SIP user, not yet percent-encoded, of a prepared local part (S-017). All ten sequences are
/// undone; a text that [`from_sip_user`] could not have produced is refused.
pub(super) fn to_sip_user(local: &str) -> Result<String, AddressError> {
    let plain = unescape(local);
    match from_sip_user(&plain) {
        Ok(back) if *back == *local => Ok(plain),
        _ => Err(AddressError::NotMappable),
    }
}

/// PRECIS enforcement, until nothing changes any more (RFC 8264 §7).
fn prepare(text: &str) -> Result<Cow<'_, str>, AddressError> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(lower(text));
    }
    stabilize(text, |s| UsernameCaseMapped::enforce(s))
        .map_err(|_| AddressError::Characters(Part::Local))
}

/// The mappings of the profile without its character check: width, case, NFC (RFC 8265 §3.3.1).
pub(super) fn map(text: &str) -> Result<Cow<'_, str>, AddressError> {
    if text.is_ascii() {
        return Ok(lower(text));
    }
    let profile = UsernameCaseMapped::new();
    stabilize(text, |s| {
        let s = profile.width_mapping_rule(s)?;
        let s = profile.case_mapping_rule(s)?;
        profile.normalization_rule(s)
    })
    .map_err(|_| AddressError::Characters(Part::Local))
}

/// Most local parts: ASCII needs no tables.
fn lower(ascii: &str) -> Cow<'_, str> {
    if ascii.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(ascii.to_ascii_lowercase())
    } else {
        Cow::Borrowed(ascii)
    }
}
