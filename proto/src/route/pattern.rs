//! Patterns: which destinations a static route or a block list entry means.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::domain::Domain;

/// Destination Pattern of a static route (rules §1). Labels of domain patterns
/// stand reversed, as on the operator's page: `.com.example` is `example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `.*`: every domain.
    Open,
    /// `.com.example`: this domain only.
    Exact(Domain),
    /// `.com.example.*`: this domain and every subdomain.
    Subtree(Domain),
    /// Route type user: the user part of the Request-URI, `4930*` or `reception`.
    User { text: String, prefix: bool },
}

/// Why a pattern was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    #[error("a domain pattern begins with a dot and has its labels reversed, as in .com.example")]
    NoLeadingDot,
    #[error("'*' may only be the last label of a domain pattern")]
    StarInside,
    #[error("'*' may only be the last character of a user pattern")]
    UserStarInside,
    #[error("a user pattern must not be empty")]
    EmptyUser,
    #[error("'{0}' is not a domain name")]
    Domain(String),
}

impl Pattern {
    /// A pattern of route type domain. `*` is accepted as the name of `.*`.
    pub fn domain(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        if text == "*" || text == ".*" {
            return Ok(Pattern::Open);
        }
        let reversed = text.strip_prefix('.').ok_or(PatternError::NoLeadingDot)?;
        match reversed.strip_suffix(".*") {
            Some(reversed) => reverse(reversed).map(Pattern::Subtree),
            None => reverse(reversed).map(Pattern::Exact),
        }
    }

    /// A pattern of route type user.
    pub fn user(text: &str) -> Result<Self, PatternError> {
        let (text, prefix) = match text.trim().strip_suffix('*') {
            Some(text) => (text, true),
            None => (text.trim(), false),
        };
        if text.contains('*') {
            return Err(PatternError::UserStarInside);
        }
        if text.is_empty() {
            return Err(PatternError::EmptyUser);
        }
        Ok(Pattern::User { text: text.to_owned(), prefix })
    }

    /// Whether the pattern is of route type user.
    pub fn is_user(&self) -> bool {
        matches!(self, Pattern::User { .. })
    }

    /// Whether a request to `user` at `domain` is meant. Never matches across labels.
    pub fn matches(&self, domain: &Domain, user: Option<&str>) -> bool {
        match self {
            Pattern::Open => true,
            Pattern::Exact(own) => own == domain,
            Pattern::Subtree(own) => domain.is_within(own),
            Pattern::User { text, prefix: true } => {
                user.is_some_and(|user| user.starts_with(text.as_str()))
            }
            Pattern::User { text, prefix: false } => user == Some(text),
        }
    }

    /// Order of selection: more literal labels first, exact before wildcard,
    /// `.*` last. A user pattern names a person, which is more specific than
    /// any domain; longer ones first.
    pub fn specificity(&self) -> (u8, usize, bool) {
        match self {
            Pattern::Open => (0, 0, false),
            Pattern::Exact(domain) => (1, domain.labels().count(), true),
            Pattern::Subtree(domain) => (1, domain.labels().count(), false),
            Pattern::User { text, prefix } => (2, text.len(), !prefix),
        }
    }
}

fn reverse(labels: &str) -> Result<Domain, PatternError> {
    if labels.contains('*') {
        return Err(PatternError::StarInside);
    }
    let name = labels.rsplit('.').collect::<Vec<_>>().join(".");
    Domain::parse(&name).map_err(|_| PatternError::Domain(name))
}

fn write_reversed(f: &mut fmt::Formatter<'_>, domain: &Domain) -> fmt::Result {
    domain.as_str().rsplit('.').try_for_each(|label| write!(f, ".{label}"))
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Open => f.write_str(".*"),
            Pattern::Exact(domain) => write_reversed(f, domain),
            Pattern::Subtree(domain) => {
                write_reversed(f, domain)?;
                f.write_str(".*")
            }
            Pattern::User { text, prefix } => {
                f.write_str(text)?;
                f.write_str(if *prefix { "*" } else { "" })
            }
        }
    }
}

/// An entry of the list of blocked domains: `example.com`, or `*.example.com`
/// for every subdomain and the domain itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DomainPattern {
    Exact(Domain),
    Subtree(Domain),
}

impl DomainPattern {
    /// Whether `domain` is meant.
    pub fn matches(&self, domain: &Domain) -> bool {
        match self {
            DomainPattern::Exact(own) => own == domain,
            DomainPattern::Subtree(own) => domain.is_within(own),
        }
    }
}

impl FromStr for DomainPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (name, kind): (_, fn(Domain) -> Self) = match text.trim().strip_prefix("*.") {
            Some(name) => (name, DomainPattern::Subtree),
            None => (text.trim(), DomainPattern::Exact),
        };
        Domain::parse(name).map(kind).map_err(|_| PatternError::Domain(name.to_owned()))
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DomainPattern::Exact(domain) => f.write_str(domain.as_str()),
            DomainPattern::Subtree(domain) => write!(f, "*.{}", domain.as_str()),
        }
    }
}
