//! The rules of the edge (rules §3 steps 1–3), by the names under which people see them.

/// Why a sender may not send this here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The source is neither one of `sip.trusted` nor a next hop in service.
    Source,
    /// A source that may not speak for our users does.
    LocalSender,
    /// A next hop speaks for a domain below one of ours, which the operator has not configured.
    Subdomain,
    /// From is no `sip:` URI: nobody could answer.
    SenderScheme,
    /// To asks for `sips:`, and the way on is not TLS all along (S-044).
    Insecure,
    /// Both sides are ours, and `sip.intradomain` is off.
    Intradomain,
    /// No side is ours.
    Relay,
    /// The domain of a dialog is not known any more.
    Removed,
    /// The operator denies the domain.
    BlockedDomain,
    /// The operator denies the route.
    BlockedRoute,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 10] = [
        Rule::Source,
        Rule::LocalSender,
        Rule::Subdomain,
        Rule::SenderScheme,
        Rule::Insecure,
        Rule::Intradomain,
        Rule::Relay,
        Rule::Removed,
        Rule::BlockedDomain,
        Rule::BlockedRoute,
    ];

    /// For people: in a Warning, in the way of a flow, in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Source => "source is not trusted",
            Rule::LocalSender => "source may not send for local users",
            Rule::Subdomain => "domain is below a local one and not configured",
            Rule::SenderScheme => "From is no sip: address",
            Rule::Insecure => "To asks for sips:, which the way on does not have",
            Rule::Intradomain => "both users are local",
            Rule::Relay => "neither user is local",
            Rule::Removed => "domain is not known",
            Rule::BlockedDomain => "domain is blocked",
            Rule::BlockedRoute => "route is blocked",
        }
    }

    /// For metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Rule::Source => "source",
            Rule::LocalSender => "local-sender",
            Rule::Subdomain => "subdomain",
            Rule::SenderScheme => "sender-scheme",
            Rule::Insecure => "insecure",
            Rule::Intradomain => "intradomain",
            Rule::Relay => "relay",
            Rule::Removed => "removed",
            Rule::BlockedDomain => "blocked-domain",
            Rule::BlockedRoute => "blocked-route",
        }
    }

    /// Whether the operator has said so, for this very domain or route.
    pub(crate) fn is_block(self) -> bool {
        matches!(self, Rule::BlockedDomain | Rule::BlockedRoute)
    }

    /// Whether it would not have been broken from another source.
    pub(crate) fn is_about_source(self) -> bool {
        matches!(self, Rule::Source | Rule::LocalSender | Rule::Subdomain)
    }
}
