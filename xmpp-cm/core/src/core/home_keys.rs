//! The home servers' certificates, by which they are known again.
//!
//! What a home server shows at its configured address is its certificate, whoever signed it: what
//! dialback believes is told over the same connection. Whoever connects to us with the same one, and
//! so with its key, is that home server. It is let in by SASL EXTERNAL, because some servers do stream
//! management (XEP-0198) only then (COMPAT(Prosody): not after dialback).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use openfed_proto::domain::Domain;

use super::conn::{Dialed, Side};
use super::onward::Search;
use super::{ConnId, Core, Target};
use crate::peers::Pair;

/// SHA-256 of a certificate.
pub type Fingerprint = [u8; 32];

/// Certificates of one home server that are remembered: behind one address there may be several.
const PER_HOME: usize = 8;
/// A certificate that was not seen for so long may have been given up.
const REMEMBERED: Duration = Duration::from_secs(86_400);

#[derive(Debug, Default)]
pub(super) struct HomeKeys {
    seen: BTreeMap<Domain, VecDeque<(Instant, Fingerprint)>>,
    /// Home servers that we have connected to once, whatever came of it.
    asked: BTreeSet<Domain>,
    /// Streams whose headers wait until their home server has shown its certificate.
    waiting: Vec<(ConnId, Domain)>,
}

impl HomeKeys {
    fn learn(&mut self, home: &Domain, certificate: Fingerprint, now: Instant) {
        let seen = self.seen.entry(home.clone()).or_default();
        seen.retain(|(_, other)| *other != certificate);
        seen.push_back((now, certificate));
        if seen.len() > PER_HOME {
            seen.pop_front();
        }
    }

    fn awaits(&self, home: &Domain) -> bool {
        self.waiting.iter().any(|(_, it)| it == home)
    }

    /// Whose certificate it is.
    fn holders(&self, certificate: Fingerprint, now: Instant) -> Vec<Domain> {
        let fresh = |at: Instant| now.saturating_duration_since(at) < REMEMBERED;
        let holds = |seen: &VecDeque<(Instant, Fingerprint)>| {
            seen.iter().any(|(at, other)| *other == certificate && fresh(*at))
        };
        self.seen.iter().filter(|(_, seen)| holds(seen)).map(|(home, _)| home.clone()).collect()
    }
}

impl Core {
    /// A header may be accepted. One of a home server that we have not met since the start waits
    /// until we have: its first stream is worth as much as the later ones.
    pub(super) fn accept_header(
        &mut self,
        conn: ConnId,
        (from, to): (Option<Domain>, Domain),
        now: Instant,
    ) {
        if let Some(home) = from
            && let Ok(target @ Target::Home(_)) = self.domains.judge_claim(&home, &to)
        {
            let first = self.home_keys.asked.insert(home.clone());
            let pair = Pair::new(&to, &home);
            let asks =
                first && self.connection(&pair, &target, None, Search::default(), now).is_some();
            if asks || self.home_keys.awaits(&home) {
                return self.home_keys.waiting.push((conn, home));
            }
        }
        if let Some(stream) = self.stream(conn) {
            stream.accept_header(now);
            self.dirty.insert(conn);
        }
    }

    /// A peer showed this certificate in a TLS handshake.
    pub(super) fn look_at_certificate(
        &mut self,
        conn: ConnId,
        certificate: Option<Fingerprint>,
        now: Instant,
    ) {
        if let Some(home) = self.dialed_home(conn) {
            if let Some(certificate) = certificate {
                self.home_keys.learn(&home, certificate, now);
                self.note_dialed(conn, now);
            }
            self.home_is_met(&home, now);
        } else if let Some(certificate) = certificate
            && self.conns.get(&conn).is_some_and(|conn| conn.is_accepted())
        {
            let domains = self.home_keys.holders(certificate, now);
            if let Some(stream) = self.stream(conn) {
                stream.certify(domains);
            }
        }
    }

    /// The connection shows no certificate any more.
    pub(super) fn home_key_is_late(&mut self, conn: ConnId, now: Instant) {
        self.home_keys.waiting.retain(|(waiting, _)| *waiting != conn);
        if let Some(home) = self.dialed_home(conn) {
            self.home_is_met(&home, now);
        }
    }

    pub(super) fn home_is_met(&mut self, home: &Domain, now: Instant) {
        self.home_keys.asked.insert(home.clone());
        let (met, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.home_keys.waiting).into_iter().partition(|(_, it)| it == home);
        self.home_keys.waiting = waiting;
        for (conn, _) in met {
            if let Some(stream) = self.stream(conn) {
                stream.accept_header(now);
                self.dirty.insert(conn);
            }
        }
    }

    pub(super) fn dialed_home(&self, conn: ConnId) -> Option<Domain> {
        match &self.conns.get(&conn)?.side {
            Side::Dialed(Dialed { target: Target::Home(home), .. }) => Some(home.clone()),
            _ => None,
        }
    }
}
