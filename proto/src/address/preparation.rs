//! What an XMPP server makes of the addresses that it is given.
//!
//! Ours are prepared by RFC 7622. Nearly every XMPP server prepares by its predecessor, RFC 3920
//! (stringprep, RFC 3454): to it `straße` and `strasse` are one user, and whoever answers the one
//! writes to the other. So an address may only be given to a server that leaves it as it is.

use std::fmt;
use std::str::FromStr;

use stringprep::tables::unassigned_code_point;
use stringprep::{nameprep, nodeprep, resourceprep};

use super::{Address, Part};
use crate::domain::Domain;

/// How a server prepares addresses. The default is what is assumed of one that is not known yet:
/// what survives [`Preparation::Stored`] survives the others, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preparation {
    /// RFC 3920, letters that are newer than Unicode 3.2 are errors ("stored strings", RFC 3454
    /// §7): ejabberd.
    #[default]
    Stored,
    /// RFC 3920, newer letters stay as they are ("queries", RFC 3454 §7): Prosody.
    Queries,
    /// RFC 7622: as here.
    Precis,
}

/// What of an address a server would not leave as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncarried {
    /// The local part or the resource.
    #[error("the home server would make another address of the {0}")]
    Part(Part),
    /// The domain.
    #[error("the home server would make another address of the domain")]
    Domain,
}

impl Preparation {
    /// Whether the server leaves the address as it is.
    ///
    /// # Errors
    /// The first part that it would change or refuse.
    pub fn check(self, address: &Address) -> Result<(), Uncarried> {
        if !self.carries_domain(address.domain()) {
            return Err(Uncarried::Domain);
        }
        let leaves =
            |part: Option<&str>, profile| part.is_none_or(|text| self.leaves(text, profile));
        if !leaves(address.local(), Profile::Node) {
            return Err(Uncarried::Part(Part::Local));
        }
        if !leaves(address.resource(), Profile::Resource) {
            return Err(Uncarried::Part(Part::Resource));
        }
        Ok(())
    }

    /// Whether the server leaves the domain as it is, written as in JIDs.
    pub fn carries_domain(self, domain: &Domain) -> bool {
        self.leaves(&domain.to_unicode(), Profile::Name)
    }

    /// `text` is prepared by RFC 7622 already.
    fn leaves(self, text: &str, profile: Profile) -> bool {
        if self == Self::Precis || text.is_ascii() {
            return true;
        }
        if !text.contains(unassigned_code_point) {
            return profile.leaves(text);
        }
        // Which way the newer ones run is decided by other tables than those of Unicode 3.2.
        if self == Self::Stored || text.contains(is_newer_right_to_left) {
            return false;
        }
        let known = |c| if unassigned_code_point(c) { INERT } else { c };
        profile.leaves(&text.chars().map(known).collect::<String>())
    }
}

/// Stands for a character without mapping, composition and direction of its own.
const INERT: char = '\u{4e00}';

/// The blocks in which characters run from right to left by default (DerivedBidiClass.txt), so that
/// newer ones do, too.
fn is_newer_right_to_left(c: char) -> bool {
    let block = matches!(u32::from(c),
        0x590..=0x8ff | 0xfb1d..=0xfdff | 0xfe70..=0xfeff | 0x10800..=0x10fff | 0x1e800..=0x1efff);
    block && unassigned_code_point(c)
}

/// The three profiles of stringprep that RFC 3920 uses.
#[derive(Clone, Copy)]
enum Profile {
    Node,
    Name,
    Resource,
}

impl Profile {
    fn leaves(self, text: &str) -> bool {
        let prepared = match self {
            Self::Node => nodeprep(text),
            Self::Name => nameprep(text),
            Self::Resource => resourceprep(text),
        };
        prepared.is_ok_and(|prepared| prepared == text)
    }
}

/// As in settings.
impl fmt::Display for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stored => "rfc3920",
            Self::Queries => "rfc3920-lenient",
            Self::Precis => "rfc7622",
        })
    }
}

/// The text names no preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither rfc3920 nor rfc3920-lenient nor rfc7622")]
pub struct UnknownPreparation;

impl FromStr for Preparation {
    type Err = UnknownPreparation;

    fn from_str(text: &str) -> Result<Self, UnknownPreparation> {
        let all = [Self::Stored, Self::Queries, Self::Precis];
        all.into_iter().find(|it| it.to_string() == text).ok_or(UnknownPreparation)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STORED: Preparation = Preparation::Stored;
    const QUERIES: Preparation = Preparation::Queries;

    fn check(preparation: Preparation, jid: &str) -> Result<(), Uncarried> {
        preparation.check(&Address::from_jid(jid).unwrap())
    }

    #[test]
    fn what_rfc_3920_turns_into_another_user_is_not_carried() {
        for local in ["straße", "STRAẞE", "λόγος", "क्\u{200d}ष", "क्\u{200c}ष", "نامه\u{200c}ای"]
        {
            let jid = format!("{local}@far.example");
            let wrong = Err(Uncarried::Part(Part::Local));
            assert_eq!(check(STORED, &jid), wrong, "{local}");
            assert_eq!(check(QUERIES, &jid), wrong, "{local}");
            assert_eq!(check(Preparation::Precis, &jid), Ok(()), "{local}");
        }
    }

    #[test]
    fn the_same_letters_in_a_domain_are_another_domain() {
        for domain in ["straße.example", "λόγος.example", "xn--strae-oqa.example"] {
            let jid = format!("bob@{domain}");
            assert_eq!(check(QUERIES, &jid), Err(Uncarried::Domain), "{domain}");
            assert_eq!(check(Preparation::Precis, &jid), Ok(()), "{domain}");
        }
    }

    #[test]
    fn what_is_the_same_in_both_is_carried() {
        for jid in [
            "bob@far.example/desk",
            "Müller@münchen.example/Büro",
            "İx@far.example",
            "ｆｕｌｌ@far.example",
            "e\u{301}@far.example",
            "שלום@far.example",
            "a\\20b@far.example",
            "bob@ａｂｃ。example",
            "bob@far.example/Straße",
        ] {
            assert_eq!(check(STORED, jid), Ok(()), "{jid}");
        }
    }

    #[test]
    fn newer_letters_are_carried_where_they_are_no_errors() {
        // Cyrillic of Unicode 6.0, Bengali of 4.1, Malayalam of 5.1.
        for local in ["ԧx", "উৎসব", "അവൻ"] {
            let jid = format!("{local}@far.example");
            assert_eq!(check(STORED, &jid), Err(Uncarried::Part(Part::Local)), "{local}");
            assert_eq!(check(QUERIES, &jid), Ok(()), "{local}");
        }
        let (beside, right_to_left) = ("ԧß@far.example", "ߊߋ@far.example");
        assert!(check(QUERIES, beside).is_err(), "ß is ss also beside a newer letter");
        assert!(check(QUERIES, right_to_left).is_err(), "N'Ko runs from right to left");
    }

    #[test]
    fn a_resource_that_would_be_normalised_is_not_carried() {
        let wrong = Err(Uncarried::Part(Part::Resource));
        assert_eq!(check(STORED, "bob@far.example/ﬁ™"), wrong);
    }

    #[test]
    fn names_in_settings() {
        for preparation in [STORED, QUERIES, Preparation::Precis] {
            assert_eq!(preparation.to_string().parse(), Ok(preparation));
        }
        assert_eq!("prosody".parse::<Preparation>(), Err(UnknownPreparation));
    }

    proptest! {
        /// What nothing is known of is asked least of.
        #[test]
        fn what_the_strictest_carries_all_carry(local in "\\PC{1,8}") {
            if let Ok(address) = Address::from_jid_parts(Some(&local), "far.example", None)
                && STORED.check(&address).is_ok()
            {
                prop_assert_eq!(QUERIES.check(&address), Ok(()));
                let prepared = nodeprep(address.local().unwrap()).unwrap();
                prop_assert_eq!(&*prepared, address.local().unwrap());
            }
        }
    }
}
