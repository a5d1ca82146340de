//! What went wrong, in XMPP's words, and how SIP says the same (RFC 6120 §8.3.3, RFC 7247 §7).

mod sip;

use std::fmt;

pub use sip::reason_phrase;

/// A stanza error condition (RFC 6120 §8.3.3). It is also the word for every failure inside
/// openfed, whichever protocol it came from.
///
/// `Debug` and `Display` print the condition's name only: a new address names a user.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Condition {
    /// The sender sent what cannot be processed.
    BadRequest,
    /// A resource or session of the same name exists.
    Conflict,
    /// The recipient does not do this.
    FeatureNotImplemented,
    /// The sender lacks the permission.
    Forbidden,
    /// The recipient is no longer here; perhaps at the given new address (a URI).
    Gone(Option<String>),
    /// A fault of the server.
    InternalServerError,
    /// No such user or item.
    ItemNotFound,
    /// An address violates the rules for addresses.
    JidMalformed,
    /// The recipient understands but does not accept it.
    NotAcceptable,
    /// Nobody may do this.
    NotAllowed,
    /// Credentials are missing or wrong.
    NotAuthorized,
    /// A local policy forbids it.
    PolicyViolation,
    /// The recipient cannot be reached just now.
    RecipientUnavailable,
    /// Try the given other address (a URI) this time.
    Redirect(Option<String>),
    /// Registration is required first.
    RegistrationRequired,
    /// The remote domain does not exist or cannot be resolved.
    RemoteServerNotFound,
    /// The remote domain exists but does not answer.
    RemoteServerTimeout,
    /// Not enough capacity now.
    ResourceConstraint,
    /// The service is not offered here.
    ServiceUnavailable,
    /// A subscription is required first.
    SubscriptionRequired,
    /// None of the others.
    UndefinedCondition,
    /// Understood, but out of order now.
    UnexpectedRequest,
}

impl Condition {
    /// The element's name in `urn:ietf:params:xml:ns:xmpp-stanzas`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Conflict => "conflict",
            Self::FeatureNotImplemented => "feature-not-implemented",
            Self::Forbidden => "forbidden",
            Self::Gone(_) => "gone",
            Self::InternalServerError => "internal-server-error",
            Self::ItemNotFound => "item-not-found",
            Self::JidMalformed => "jid-malformed",
            Self::NotAcceptable => "not-acceptable",
            Self::NotAllowed => "not-allowed",
            Self::NotAuthorized => "not-authorized",
            Self::PolicyViolation => "policy-violation",
            Self::RecipientUnavailable => "recipient-unavailable",
            Self::Redirect(_) => "redirect",
            Self::RegistrationRequired => "registration-required",
            Self::RemoteServerNotFound => "remote-server-not-found",
            Self::RemoteServerTimeout => "remote-server-timeout",
            Self::ResourceConstraint => "resource-constraint",
            Self::ServiceUnavailable => "service-unavailable",
            Self::SubscriptionRequired => "subscription-required",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnexpectedRequest => "unexpected-request",
        }
    }

    /// The condition of that name, without a new address; `None` for an unknown name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "bad-request" => Self::BadRequest,
            "conflict" => Self::Conflict,
            "feature-not-implemented" => Self::FeatureNotImplemented,
            "forbidden" => Self::Forbidden,
            "gone" => Self::Gone(None),
            "internal-server-error" => Self::InternalServerError,
            "item-not-found" => Self::ItemNotFound,
            "jid-malformed" => Self::JidMalformed,
            "not-acceptable" => Self::NotAcceptable,
            "not-allowed" => Self::NotAllowed,
            "not-authorized" => Self::NotAuthorized,
            "policy-violation" => Self::PolicyViolation,
            "recipient-unavailable" => Self::RecipientUnavailable,
            "redirect" => Self::Redirect(None),
            "registration-required" => Self::RegistrationRequired,
            "remote-server-not-found" => Self::RemoteServerNotFound,
            "remote-server-timeout" => Self::RemoteServerTimeout,
            "resource-constraint" => Self::ResourceConstraint,
            "service-unavailable" => Self::ServiceUnavailable,
            "subscription-required" => Self::SubscriptionRequired,
            "undefined-condition" => Self::UndefinedCondition,
            "unexpected-request" => Self::UnexpectedRequest,
            _ => return None,
        })
    }

    /// Every condition once, `gone` and `redirect` without a new address.
    pub fn all() -> [Self; 22] {
        [
            Self::BadRequest,
            Self::Conflict,
            Self::FeatureNotImplemented,
            Self::Forbidden,
            Self::Gone(None),
            Self::InternalServerError,
            Self::ItemNotFound,
            Self::JidMalformed,
            Self::NotAcceptable,
            Self::NotAllowed,
            Self::NotAuthorized,
            Self::PolicyViolation,
            Self::RecipientUnavailable,
            Self::Redirect(None),
            Self::RegistrationRequired,
            Self::RemoteServerNotFound,
            Self::RemoteServerTimeout,
            Self::ResourceConstraint,
            Self::ServiceUnavailable,
            Self::SubscriptionRequired,
            Self::UndefinedCondition,
            Self::UnexpectedRequest,
        ]
    }

    /// The `type` that goes with the condition (RFC 6120 §8.3.3). Where the RFC allows two, the
    /// one that does not invite a resend of the same; `undefined-condition` is `cancel`.
    pub fn error_type(&self) -> ErrorType {
        match self {
            Self::Forbidden
            | Self::NotAuthorized
            | Self::RegistrationRequired
            | Self::SubscriptionRequired => ErrorType::Auth,
            Self::BadRequest
            | Self::JidMalformed
            | Self::NotAcceptable
            | Self::PolicyViolation
            | Self::Redirect(_)
            | Self::UnexpectedRequest => ErrorType::Modify,
            Self::RecipientUnavailable | Self::RemoteServerTimeout | Self::ResourceConstraint => {
                ErrorType::Wait
            }
            Self::Conflict
            | Self::FeatureNotImplemented
            | Self::Gone(_)
            | Self::InternalServerError
            | Self::ItemNotFound
            | Self::NotAllowed
            | Self::RemoteServerNotFound
            | Self::ServiceUnavailable
            | Self::UndefinedCondition => ErrorType::Cancel,
        }
    }

    /// The new address that came with `gone` or `redirect`.
    pub fn new_address(&self) -> Option<&str> {
        match self {
            Self::Gone(address) | Self::Redirect(address) => address.as_deref(),
            _ => None,
        }
    }
}

/// What the sender may do about an error (RFC 6120 §8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Retry after giving credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Go on: it was only a warning.
    Continue,
    /// Retry after changing what was sent.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorType {
    /// The value of the error element's `type` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }

    /// The type of that name; `None` for an unknown name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "auth" => Self::Auth,
            "cancel" => Self::Cancel,
            "continue" => Self::Continue,
            "modify" => Self::Modify,
            "wait" => Self::Wait,
            _ => return None,
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
