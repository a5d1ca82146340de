//! Which way a packet goes: the table of rules §3, in one place. The same
//! function serves the traffic and the operator's question "what would happen".

use std::time::Instant;

use openfed_proto::domain::Domain;
use openfed_proto::packet::{Cause, Direction, Failure};

use crate::answers;
use crate::config::Config;
use crate::domains::{Domains, Known};
use crate::memory::Memory;

/// What was decided about a packet, in the words of spans, flows and hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decision {
    /// Both sides are ours.
    Local,
    /// The operator named the domain.
    Configured,
    /// The domain was discovered before.
    Cached,
    /// Unknown: XMPP is tried.
    Discover,
    /// Unknown and not reached over XMPP: SIP is tried.
    Fallback,
    /// The operator denied it.
    Blocked,
    /// A rule refuses it.
    Refused,
}

impl Decision {
    /// The name in spans, flows and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Local => "local",
            Decision::Configured => "configured",
            Decision::Cached => "cached",
            Decision::Discover => "discover",
            Decision::Fallback => "fallback",
            Decision::Blocked => "blocked",
            Decision::Refused => "refused",
        }
    }
}

/// Where a packet goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the local user's home server.
    Home,
    /// To a known SIP domain.
    Send,
    /// To a domain that speaks XMPP; not a discovery.
    Reach,
    /// Back to the sip-cm it came in at, which lets it go on; not a discovery.
    Accept,
    /// First attempt of a discovery: XMPP.
    TryXmpp,
    /// Second attempt of a discovery: SIP; and E, which is answered if that fails.
    TrySip(Failure),
    /// Nowhere.
    Stop(Failure),
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) domain: &'a Domain,
    /// The other side's domain, if there is one to check.
    pub(crate) other: Option<&'a Domain>,
    pub(crate) direction: Direction,
    pub(crate) came_by_xmpp: bool,
    pub(crate) by_xmpp: bool,
    pub(crate) by_sip: bool,
    /// Why XMPP did not reach the domain for this very packet.
    pub(crate) xmpp: Option<&'a Failure>,
    pub(crate) accepted: Accepted,
}

/// Whether a discovery has let the packet in (its `accepted_in`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It names none.
    No,
    /// It runs here.
    Running,
    /// It ended here: its sender has been answered.
    Over,
    /// It is not known here: another router's, whose link was lost.
    Elsewhere,
}

/// One look at the state, told to a [`Witness`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    DomainBlocked,
    BothLocal,
    PinnedToXmpp,
    RouteBlocked,
    InTable(Option<Known>),
    AcceptedInDiscovery,
    StoreAnswers,
    XmppAvailable,
    SpeaksXmpp,
    FailedJustNow,
    InFallbackSet,
    MappableToSip,
    OpenRouteOpen,
}

/// Listens to the questions that were asked on the way to a decision.
pub(crate) type Witness<'w> = &'w mut dyn FnMut(Rule, bool);

/// The state a decision depends on.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) config: &'a Config,
    pub(crate) domains: &'a Domains,
    pub(crate) memory: &'a Memory,
    pub(crate) xmpp_linked: bool,
    pub(crate) store_up: bool,
    pub(crate) now: Instant,
}

type Verdict = (Decision, Way);

impl World<'_> {
    /// Decides by the first rule that applies.
    pub(crate) fn decide(&self, ask: &Question<'_>, witness: Witness<'_>) -> Verdict {
        let mut holds = |rule, answer| {
            witness(rule, answer);
            answer
        };
        let blocked = |domain| self.domains.is_blocked(domain);
        if holds(Rule::DomainBlocked, blocked(ask.domain) || ask.other.is_some_and(blocked)) {
            return (Decision::Blocked, Way::Stop(answers::blocked()));
        }
        if holds(Rule::BothLocal, ask.direction == Direction::Internal) {
            return (Decision::Local, if ask.by_xmpp { Way::Home } else { Way::Accept });
        }
        if holds(Rule::PinnedToXmpp, self.domains.is_pinned(ask.domain)) {
            return pinned(ask);
        }
        if holds(Rule::RouteBlocked, self.domains.routes().blocks(ask.domain)) {
            return (Decision::Blocked, Way::Stop(answers::blocked()));
        }
        let known = known(self.config, self.domains, ask.domain);
        if holds(Rule::InTable(known), known.is_some()) {
            return known_domain(ask, known);
        }
        if ask.accepted != Accepted::No {
            return self.accepted(ask, witness);
        }
        if !holds(Rule::StoreAnswers, self.store_up) {
            return (Decision::Refused, Way::Stop(answers::store_down()));
        }
        self.unknown_domain(ask, witness)
    }

    /// A request that a sip-cm lets go on, because a discovery told it to.
    fn accepted(&self, ask: &Question<'_>, witness: Witness<'_>) -> Verdict {
        let granted = match ask.accepted {
            Accepted::Running => true,
            Accepted::Elsewhere => self.store_up && self.domains.routes().is_open(),
            Accepted::Over | Accepted::No => false,
        };
        witness(Rule::AcceptedInDiscovery, granted);
        match granted {
            true => (Decision::Fallback, Way::Home),
            false => (Decision::Refused, Way::Stop(answers::not_allowed())),
        }
    }

    fn unknown_domain(&self, ask: &Question<'_>, witness: Witness<'_>) -> Verdict {
        // A packet visits the XMPP side at most once, and E is good for 5 s.
        let remembered = self.memory.xmpp_failure(ask.domain, self.now);
        if let Some(failure) = ask.xmpp.or(remembered) {
            return self.after_xmpp(ask, failure.clone(), witness);
        }
        let available = self.config.federation && self.xmpp_linked;
        witness(Rule::XmppAvailable, available);
        if !available {
            return match self.config.require_xmpp {
                true => (Decision::Refused, Way::Stop(answers::no_xmpp(ask.direction))),
                false => self.after_xmpp(ask, answers::not_found(), witness),
            };
        }
        let speaks = ask.came_by_xmpp && ask.direction == Direction::Inbound
            || self.memory.speaks_xmpp(ask.domain, self.now);
        witness(Rule::SpeaksXmpp, speaks);
        match speaks {
            true => self.speaks_xmpp(ask),
            false => (Decision::Discover, Way::TryXmpp),
        }
    }

    /// The domain speaks XMPP and has no row (rules §3, step 8).
    pub(crate) fn speaks_xmpp(&self, ask: &Question<'_>) -> Verdict {
        match ask.direction {
            Direction::Outbound if ask.by_xmpp => (Decision::Discover, Way::Reach),
            Direction::Outbound => (Decision::Refused, Way::Stop(answers::unmappable())),
            _ if ask.came_by_xmpp => (Decision::Local, Way::Home),
            _ if !self.config.accept_dual => (Decision::Refused, Way::Stop(answers::not_allowed())),
            _ => (Decision::Discover, if ask.by_xmpp { Way::Home } else { Way::Accept }),
        }
    }

    /// XMPP did not reach the domain, for the reason E (steps 9 and 10).
    fn after_xmpp(&self, ask: &Question<'_>, e: Failure, witness: Witness<'_>) -> Verdict {
        let mut holds = |rule, answer| {
            witness(rule, answer);
            answer
        };
        if !holds(Rule::InFallbackSet, self.allows_fallback(ask.domain, &e))
            || !holds(Rule::MappableToSip, ask.by_sip)
        {
            return (Decision::Discover, Way::Stop(e));
        }
        if !holds(Rule::OpenRouteOpen, self.domains.routes().is_open()) {
            // A closed feature is invisible: the sender gets what XMPP said.
            return match ask.direction {
                Direction::Inbound => (Decision::Refused, Way::Stop(answers::not_allowed())),
                _ => (Decision::Discover, Way::Stop(e)),
            };
        }
        let failed = match ask.direction {
            Direction::Outbound => self.memory.sip_failure(ask.domain, self.now),
            Direction::Inbound | Direction::Internal => None,
        };
        witness(Rule::FailedJustNow, failed.is_some());
        match failed {
            Some(answer) => (Decision::Fallback, Way::Stop(answer.clone())),
            None => (Decision::Fallback, Way::TrySip(e)),
        }
    }

    /// The fallback set. Never after what the remote side said, nor where SIP
    /// would be a downgrade, nor because of our own trouble.
    pub(crate) fn allows_fallback(&self, domain: &Domain, e: &Failure) -> bool {
        match e.cause {
            Cause::NotFound | Cause::HostUnknown => true,
            Cause::NotListed => self.config.fallback_on_not_listed,
            // An outage must not turn a domain into SIP for ever.
            Cause::Unreachable => {
                self.config.fallback_on_timeout && !self.memory.speaks_xmpp(domain, self.now)
            }
            Cause::Remote
            | Cause::Denied
            | Cause::Untrusted
            | Cause::Busy
            | Cause::Leaving
            | Cause::Outage
            | Cause::Policy
            | Cause::Unmappable => false,
        }
    }
}

/// Why `domain` counts as a SIP domain, if it does. A row that appeared by correspondence before a
/// domain above or below it became ours does not count (rules §2): whoever speaks for a name below
/// ours would be taken for us.
pub(crate) fn known(config: &Config, domains: &Domains, domain: &Domain) -> Option<Known> {
    let known = domains.known(domain);
    known.filter(|known| *known != Known::Discovered || config.may_have_row(domain))
}

/// XMPP only, never SIP. What XMPP says is the answer.
fn pinned(ask: &Question<'_>) -> Verdict {
    let stop = |failure| (Decision::Configured, Way::Stop(failure));
    match (ask.direction, ask.xmpp) {
        (Direction::Inbound, _) if ask.came_by_xmpp => (Decision::Configured, Way::Home),
        (Direction::Inbound, _) => (Decision::Refused, Way::Stop(answers::not_allowed())),
        (_, Some(failure)) => stop(failure.clone()),
        (_, None) if ask.by_xmpp => (Decision::Configured, Way::Reach),
        (_, None) => stop(answers::unmappable()),
    }
}

fn known_domain(ask: &Question<'_>, known: Option<Known>) -> Verdict {
    let decision = match known {
        Some(Known::Discovered) => Decision::Cached,
        _ => Decision::Configured,
    };
    let way = match ask.direction {
        Direction::Inbound if ask.by_xmpp => Way::Home,
        Direction::Inbound => Way::Accept,
        _ if ask.by_sip => Way::Send,
        _ => Way::Stop(answers::not_for_sip()),
    };
    (decision, way)
}
