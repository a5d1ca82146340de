//! Names of domains as servers write them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use openfed_proto::address::Preparation;

use super::Domain;

/// A domain, and how it is written.
///
/// COMPAT(Prosody, ejabberd): they prepare names by nameprep alone. To them an A-label and the U-label
/// that it stands for are two domains, each with its own streams and dialback keys, though they are
/// one host (RFC 7622 §3.2.1). So towards a server a name is written as that server writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    domain: Domain,
    /// Written in A-labels, though there are U-labels for it.
    ascii: bool,
}

impl Name {
    /// A name as it stands in a header, in dialback or in a JID; `None` if it names no host.
    pub fn parse(text: &str) -> Option<Self> {
        let domain = Domain::parse(text).ok()?;
        let written = text.strip_suffix('.').unwrap_or(text);
        let ascii = written.eq_ignore_ascii_case(domain.as_str());
        Some(Self { domain, ascii: false }.spelled(ascii))
    }

    /// The host that it names.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// As it is written.
    pub fn written(&self) -> Cow<'_, str> {
        if self.ascii { Cow::Borrowed(self.domain.as_str()) } else { self.domain.to_unicode() }
    }

    /// As it is written where it is our own. One that servers of RFC 3920 would make another domain
    /// of is written as A-labels, so that at least our answers to it arrive there.
    pub(super) fn own(&self) -> Cow<'_, str> {
        match Preparation::Queries.carries_domain(self) {
            true => self.written(),
            false => Cow::Borrowed(self.as_str()),
        }
    }

    /// Whether there may be two ways to write it.
    pub(crate) fn has_forms(&self) -> bool {
        self.domain.as_str().contains("xn--")
    }

    /// Whether it is written in A-labels where U-labels would do.
    pub(crate) fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// The same host, written in A-labels or, as nearly everybody writes it, in U-labels.
    pub(crate) fn spelled(&self, ascii: bool) -> Self {
        let differs = || self.domain.to_unicode() != self.domain.as_str();
        Self { domain: self.domain.clone(), ascii: ascii && self.has_forms() && differs() }
    }
}

impl Deref for Name {
    type Target = Domain;

    fn deref(&self) -> &Domain {
        &self.domain
    }
}

impl From<Domain> for Name {
    fn from(domain: Domain) -> Self {
        Self { domain, ascii: false }
    }
}

impl From<&Domain> for Name {
    fn from(domain: &Domain) -> Self {
        domain.clone().into()
    }
}

impl From<&Self> for Name {
    fn from(name: &Self) -> Self {
        name.clone()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.domain.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_as_it_was_and_is_one_host() {
        for (text, written) in [
            ("corp.example", "corp.example"),
            ("Corp.Example.", "corp.example"),
            ("m\u{fc}nchen.example", "m\u{fc}nchen.example"),
            ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
            ("XN--MNCHEN-3YA.example.", "xn--mnchen-3ya.example"),
        ] {
            let name = Name::parse(text).unwrap();
            assert_eq!(name.written(), written, "{text}");
        }
        let (ascii, unicode) = ("xn--mnchen-3ya.example", "m\u{fc}nchen.example");
        let [ascii, unicode] = [ascii, unicode].map(|text| Name::parse(text).unwrap());
        assert_ne!(ascii, unicode);
        assert_eq!(ascii.domain(), unicode.domain());
        assert_eq!(ascii.spelled(false), unicode);
        assert_eq!(unicode.spelled(true), ascii);
        assert!(Name::parse("a b").is_none());
    }
}
