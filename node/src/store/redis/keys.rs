//! Where what lies.

use openfed_proto::domain::Domain;

pub(super) const BUCKETS: u32 = 4_096;

pub(super) const VERSION: &str = "openfed:version";
pub(super) const CHANGES: &str = "openfed:changes";
pub(super) const SETTINGS: &str = "openfed:settings";
pub(super) const SCHEMA: &str = "openfed:schema";
pub(super) const ROUTES: &str = "openfed:routes";
pub(super) const BLOCKED: &str = "openfed:blocked";
pub(super) const PINNED: &str = "openfed:pinned";
pub(super) const UNPROVEN: &str = "openfed:unproven";
pub(super) const USERS: &str = "openfed:users";
pub(super) const TOKENS: &str = "openfed:tokens";

/// The hash that holds the row of `domain` (FNV-1a).
pub(super) fn bucket(domain: &Domain) -> String {
    let hash = domain
        .as_str()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    bucket_key(hash % BUCKETS)
}

pub(super) fn bucket_key(bucket: u32) -> String {
    format!("openfed:d:{bucket}")
}
