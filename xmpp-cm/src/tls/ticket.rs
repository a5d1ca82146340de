//! A session ticket after each handshake, with which no session can be resumed.

use rustls::server::StoresServerSessions;

/// Streams live long: resumption would only cost memory for each minted certificate. So nothing is
/// kept of a session, and who shows its ticket gets a whole handshake.
///
/// COMPAT(jabberd2 with OpenSSL 3): when it has connected, an error stays in its TLS library, and the
/// next of its connections on which part of a record comes, breaks. What comes behind a handshake, and
/// is part of it, takes the error away: a ticket (RFC 8446 §4.6.1).
#[derive(Debug)]
pub(super) struct Forgetful;

impl StoresServerSessions for Forgetful {
    fn put(&self, _key: Vec<u8>, _value: Vec<u8>) -> bool {
        // Else no ticket would be sent.
        true
    }

    fn get(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        false
    }
}
