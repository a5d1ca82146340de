//! Answers to a next hop's digest challenge (RFC 3261 §22, RFC 7616, RFC 8760; E-13).
//!
//! The hashes are rsip's: `rsip::services::DigestGenerator`. It is handed text that this module
//! has read, because rsip's own challenge parser refuses `SHA-256` and `qop="auth,auth-int"`, and
//! its URI parser takes the user part for a host. What it computes wrongly is not asked of it:
//! `-sess` algorithms and `auth-int` are passed over.

#[cfg(test)]
mod tests;

use crate::headers::{Header, HeaderId, split_list};
use crate::wire::Message;
use bytestring::ByteString;
use rsip::headers::auth::{Algorithm, AuthQop};
use rsip::services::DigestGenerator;
use std::fmt::Write as _;

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes the secret.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(secret)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Who we are towards one next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The digest user name.
    pub username: String,
    /// Its secret.
    pub password: Password,
    /// The only realm that gets an answer; `None`: any.
    pub realm: Option<String>,
}

/// Why a challenge stays unanswered: the 401 or 407 then is the next hop's final word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No Digest challenge for our realm, or none that can be read.
    #[error("no digest challenge for our realm")]
    NoChallenge,
    /// Only algorithms, qop values or methods that cannot be computed.
    #[error("no supported digest algorithm, qop or method")]
    Unsupported,
    /// The next hop has seen our answer and asks again without `stale`: the secret is wrong.
    #[error("credentials were refused")]
    Refused,
}

/// The realms that one request was answered for at one next hop.
#[derive(Debug, Default)]
pub struct Answered(Vec<(HeaderId, String)>);

/// Writes the answer to the challenge in `response` (401 or 407) into `request`. The sender's own
/// credentials for that realm, which were of no use, give way to it; those for other realms stay
/// (RFC 3261 §22.3). `answered`: what it was answered for here before.
///
/// Of several challenges the strongest is taken: SHA-256 before MD5 (RFC 8760 §2.4). `cnonce` is a
/// fresh random token. The caller gives the request a new branch and CSeq number (RFC 3261 §22.2).
///
/// # Errors
/// [`Unanswered`]; the request is then as it was.
pub fn authorize(
    request: &mut Message,
    response: &Message,
    credentials: &Credentials,
    cnonce: &str,
    answered: &mut Answered,
) -> Result<(), Unanswered> {
    let (challenge_id, answer_id) = match response.code() {
        Some(401) => (HeaderId::WwwAuthenticate, HeaderId::Authorization),
        Some(407) => (HeaderId::ProxyAuthenticate, HeaderId::ProxyAuthorization),
        _ => return Err(Unanswered::NoChallenge),
    };
    let mut challenges: Vec<Challenge> = response
        .headers_of(challenge_id)
        .filter_map(|header| Challenge::parse(&header.text().ok()?))
        .filter(|c| credentials.realm.as_ref().is_none_or(|realm| *realm == c.realm))
        .collect();
    if challenges.is_empty() {
        return Err(Unanswered::NoChallenge);
    }
    challenges.retain(Challenge::is_supported);
    challenges.sort_by_key(|c| c.algorithm().map_or(0, strength));
    let challenge = challenges.pop().ok_or(Unanswered::Unsupported)?;
    let place = (answer_id, challenge.realm.clone());
    if !challenge.stale && answered.0.contains(&place) {
        return Err(Unanswered::Refused);
    }
    let value = challenge.answer(request, credentials, cnonce)?;
    request.remove_lines(|header| {
        header.id() == answer_id && realm_of(header).as_ref() == Some(&challenge.realm)
    });
    request.push(answer_id.name(), &value);
    answered.0.push(place);
    Ok(())
}

/// One `Digest` challenge. Strings are as written between their quotes.
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm_name: Option<String>,
    /// The qop values offered; empty: RFC 2069 style, without qop.
    qop: Vec<String>,
    stale: bool,
}

impl Challenge {
    fn parse(text: &ByteString) -> Option<Self> {
        let (scheme, rest) = text.split_once([' ', '\t'])?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let params = split_list(&text.slice_ref(rest)).collect::<Vec<_>>();
        let find = |wanted: &str| {
            params.iter().find_map(|param| {
                let (name, value) = param.split_once('=')?;
                let value = value.trim();
                let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
                name.trim().eq_ignore_ascii_case(wanted).then(|| bare.unwrap_or(value).to_owned())
            })
        };
        let qop = find("qop").unwrap_or_default();
        Some(Self {
            realm: find("realm")?,
            nonce: find("nonce")?,
            opaque: find("opaque"),
            algorithm_name: find("algorithm"),
            qop: qop.split(',').map(|q| q.trim().to_owned()).filter(|q| !q.is_empty()).collect(),
            stale: find("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    fn algorithm(&self) -> Option<Algorithm> {
        match self.algorithm_name.as_deref() {
            None => Some(Algorithm::Md5),
            Some(name) if name.eq_ignore_ascii_case("MD5") => Some(Algorithm::Md5),
            Some(name) if name.eq_ignore_ascii_case("SHA-256") => Some(Algorithm::Sha256),
            Some(_) => None,
        }
    }

    fn is_supported(&self) -> bool {
        let has_auth = self.qop.iter().any(|qop| qop.eq_ignore_ascii_case("auth"));
        self.algorithm().is_some() && (self.qop.is_empty() || has_auth)
    }

    fn answer(
        &self,
        request: &Message,
        credentials: &Credentials,
        cnonce: &str,
    ) -> Result<String, Unanswered> {
        let (method, uri) = match request.start() {
            crate::wire::StartLine::Request { method, uri } => (method, uri),
            crate::wire::StartLine::Response { .. } => return Err(Unanswered::Unsupported),
        };
        // rsip reads methods in any letter case; SIP knows them in one (RFC 3261 §7.1).
        let known = rsip::Method::all().into_iter().find(|known| known.to_string() == **method);
        let known = known.ok_or(Unanswered::Unsupported)?;
        let qop = AuthQop::Auth { cnonce: cnonce.to_owned(), nc: 1 };
        let username = credentials.username.replace('\\', "\\\\").replace('"', "\\\"");
        let response = DigestGenerator {
            username: &username,
            password: &credentials.password.0,
            nonce: &self.nonce,
            uri: &verbatim(uri),
            realm: &self.realm,
            method: &known,
            qop: (!self.qop.is_empty()).then_some(&qop),
            algorithm: self.algorithm().ok_or(Unanswered::Unsupported)?,
        }
        .compute();
        let mut value = format!(
            "Digest username=\"{username}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\"",
            self.realm, self.nonce
        );
        if let Some(algorithm) = &self.algorithm_name {
            let _ = write!(value, ", algorithm={algorithm}");
        }
        if !self.qop.is_empty() {
            let _ = write!(value, ", qop=auth, nc=00000001, cnonce=\"{cnonce}\"");
        }
        if let Some(opaque) = &self.opaque {
            let _ = write!(value, ", opaque=\"{opaque}\"");
        }
        Ok(value)
    }
}

fn strength(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Sha256 => 2,
        _ => 1,
    }
}

/// The realm that credentials are for, if they can be read.
fn realm_of(credentials: &Header) -> Option<String> {
    Challenge::parse(&credentials.text().ok()?).map(|it| it.realm)
}

/// An `rsip::Uri` that prints exactly `text`.
///
/// COMPAT(rsip 0.4): what it parses it may print differently, and the hash is over the text.
fn verbatim(text: &str) -> rsip::Uri {
    let host = rsip::Host::Domain(text.into());
    rsip::Uri { host_with_port: rsip::HostWithPort { host, port: None }, ..Default::default() }
}
