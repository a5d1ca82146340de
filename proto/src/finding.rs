//! Why a domain was not reached over XMPP, as far as that was found out: what a discovered row rests
//! on.

use crate::packet::{Cause, Failure};

/// What was found when XMPP did not reach a domain. [`Finding::Absent`] alone is a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// DNS says that there is no such service: NXDOMAIN, no records, SRV target "." (RFC 6120 §3.2).
    Absent,
    /// There may be a server, but all its addresses refused the connection.
    Refused,
    /// No answer in time, or the connection ended before there was one.
    Silent,
    /// DNS failed or did not answer.
    DnsFault,
    /// The server that answered does not serve the domain (host-unknown, host-gone).
    HostUnknown,
    /// It is not listed where only listed domains may go (XMPP default-deny).
    NotListed,
    /// Nobody asked: XMPP federation is off, or no xmpp-cm is linked.
    NotAsked,
    /// An xmpp-cm of an older version did not tell.
    Untold,
}

impl Finding {
    /// Every finding once.
    pub const ALL: [Self; 8] = [
        Self::Absent,
        Self::Refused,
        Self::Silent,
        Self::DnsFault,
        Self::HostUnknown,
        Self::NotListed,
        Self::NotAsked,
        Self::Untold,
    ];

    /// What a failure says about its domain. One that names no finding, or one that this program
    /// does not know, proves nothing.
    pub fn of(failure: &Failure) -> Self {
        match (failure.finding, failure.cause) {
            (Some(finding), _) => finding,
            (None, Cause::Unreachable | Cause::Outage) => Self::Silent,
            (None, Cause::HostUnknown) => Self::HostUnknown,
            (None, Cause::NotListed) => Self::NotListed,
            (None, _) => Self::Untold,
        }
    }

    /// Whether it proves that the domain has no XMPP service; else nothing is known.
    pub fn is_proof(self) -> bool {
        self == Self::Absent
    }

    /// The name in API, files and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::DnsFault => "dns-fault",
            Self::HostUnknown => "host-unknown",
            Self::NotListed => "not-listed",
            Self::NotAsked => "not-asked",
            Self::Untold => "untold",
        }
    }

    /// The finding of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|finding| finding.as_str() == name)
    }

    /// For people, after "XMPP did not reach it:".
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Absent => "DNS says that there is no XMPP service",
            Self::Refused => "all addresses refused the connection",
            Self::Silent => "nobody answered in time",
            Self::DnsFault => "DNS failed or did not answer",
            Self::HostUnknown => "the server that answered does not serve it",
            Self::NotListed => "it is not listed for XMPP",
            Self::NotAsked => "XMPP was not asked",
            Self::Untold => "an older xmpp-cm did not say why",
        }
    }
}

/// Why a discovered row is there, and what becomes of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Of the XMPP attempt that led to the row, or that came after it.
    pub finding: Finding,
    /// How often XMPP was asked again since.
    pub asked: u32,
    /// When XMPP is asked next, in seconds since the Unix epoch; 0: not any more.
    pub due: u64,
}

impl Ground {
    /// Of a row that appears now; what is not proven is asked again at `due`.
    pub fn new(finding: Finding, due: u64) -> Self {
        Self { finding, asked: 0, due: if finding.is_proof() { 0 } else { due } }
    }
}

/// What came of asking XMPP again, where that changes the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// XMPP answered: the row goes.
    Reached,
    /// DNS proves by now that there is no XMPP service.
    Absent,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Condition;

    #[test]
    fn only_what_dns_says_in_so_many_words_is_a_proof() {
        let told = |cause, finding| {
            let failure = Failure::new(Condition::RemoteServerNotFound, cause);
            Finding::of(&Failure { finding, ..failure })
        };
        assert!(told(Cause::NotFound, Some(Finding::Absent)).is_proof());
        // As xmpp-cms of older versions say it, for NXDOMAIN and for a refused connection alike.
        assert_eq!(told(Cause::NotFound, None), Finding::Untold);
        assert_eq!(told(Cause::Unreachable, None), Finding::Silent);
        assert_eq!(told(Cause::Unreachable, Some(Finding::DnsFault)), Finding::DnsFault);
        assert_eq!(told(Cause::HostUnknown, None), Finding::HostUnknown);
        assert_eq!(told(Cause::NotListed, None), Finding::NotListed);
        let proofs = Finding::ALL.into_iter().filter(|finding| finding.is_proof());
        assert_eq!(proofs.collect::<Vec<_>>(), [Finding::Absent]);
    }

    #[test]
    fn every_finding_is_known_by_its_name() {
        for finding in Finding::ALL {
            assert_eq!(Finding::parse(finding.as_str()), Some(finding));
        }
        assert_eq!(Finding::parse("something new"), None);
    }
}
