//! Which addresses the home servers carry (see [`Preparation`]), and how that is found out.
//!
//! ```text
//!   Unknown ──stream up──▶ Asked(SharpS) ──"ss"──▶ Asked(Newer) ──it stays──▶ Known(Queries)
//!                            │ ▲                     └──refused──▶ Known(Stored)
//!                            │ └──next stream up, no answer so far
//!                            ├──"ß"──▶ Known(Precis)
//!                            └──something else──▶ Known(Stored)
//! ```
//!
//! The question is an iq for a user that cannot exist. Its answer bears the address as the server
//! prepared it; ejabberd's bears it as it was written, which the upper-case letter tells.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use openfed_proto::address::{Address, Preparation};
use openfed_proto::condition::Condition;
use openfed_proto::domain::Domain;
use openfed_proto::packet::Failure;

use crate::core::Settings;
use crate::error;

/// What a server is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// ß: by RFC 3920 it is ss.
    SharpS,
    /// A letter of Unicode 6.0, small.
    Newer,
}

impl Question {
    /// The letters as they are asked; the first tells whether the answer was prepared.
    fn asked(self) -> &'static str {
        match self {
            Self::SharpS => "Aß",
            Self::Newer => "Aԧ",
        }
    }
}

#[derive(Debug)]
enum State {
    Unknown,
    Asked { question: Question, id: String, rest: String },
    Known(Preparation),
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It answers nothing of ours.
    Nothing,
    /// The next question.
    Ask(Question),
    /// Now it is known.
    Known(Preparation),
}

/// How long it is believed that a home server does not find a kind of name.
const UNFOUND: Duration = Duration::from_secs(60);

/// How each home server prepares addresses, and what names it does not look up at our responder.
#[derive(Debug)]
pub(crate) struct Names {
    homes: BTreeMap<Domain, State>,
    ask: bool,
    /// Home server and kind of name ([`Domain::special_use`]), and until when that is believed.
    unfound: BTreeMap<(Domain, &'static str), Instant>,
}

impl Names {
    pub(crate) fn new(settings: &Settings) -> Self {
        let state = |home| settings.names.get(home).map_or(State::Unknown, |it| State::Known(*it));
        let homes = settings.homes.iter().map(|home| (home.clone(), state(home))).collect();
        Self { homes, ask: settings.ask_names, unfound: BTreeMap::new() }
    }

    /// Whether what is said between the two comes to the home server as what it is. Where there is
    /// none, nothing is changed.
    pub(crate) fn check(
        &self,
        home: &Domain,
        (from, to): (&Address, &Address),
        now: Instant,
    ) -> Result<(), Failure> {
        let Some(state) = self.homes.get(home) else { return Ok(()) };
        let preparation = match state {
            State::Known(preparation) => *preparation,
            _ => Preparation::default(),
        };
        if let Some(kind) = self.is_unfound(home, from.domain(), now) {
            return Err(unfound(kind));
        }
        for (who, address) in [("recipient", to), ("sender", from)] {
            if let Err(uncarried) = preparation.check(address) {
                let failure = error::refused(Condition::JidMalformed);
                return Err(failure.with_text(format!("{who}: {uncarried}")));
            }
        }
        Ok(())
    }

    /// Whether the home server is known not to find such a name; as what.
    fn is_unfound(&self, home: &Domain, name: &Domain, now: Instant) -> Option<&'static str> {
        let kind = name.special_use()?;
        let until = self.unfound.get(&(home.clone(), kind))?;
        (now < *until).then_some(kind)
    }

    /// The home server did not find a name; what its sender is told, if it is one of those that many
    /// resolvers do not ask about.
    pub(crate) fn miss(&mut self, home: &Domain, name: &Domain, now: Instant) -> Option<Failure> {
        let kind = name.special_use().filter(|_| self.homes.contains_key(home))?;
        self.unfound.insert((home.clone(), kind), now + UNFOUND);
        Some(unfound(kind))
    }

    /// What an operator is told of a domain, at each home server: how that prepares addresses if it
    /// is its own, else whether it carries the name.
    pub(crate) fn tell(
        &self,
        domain: &Domain,
        now: Instant,
    ) -> Vec<(Domain, Result<String, String>)> {
        if let Some(state) = self.homes.get(domain) {
            let told = match state {
                State::Known(preparation) => format!("it prepares addresses by {preparation}"),
                _ => format!("not asked yet; {} is assumed", Preparation::default()),
            };
            return vec![(domain.clone(), Ok(told))];
        }
        let (special, name) = (domain.special_use(), Address::from_domain(domain.clone()));
        let one = |home: &Domain| {
            let own = Address::from_domain(home.clone());
            match (self.check(home, (&name, &own), now), special) {
                (Err(failure), _) => Some(Err(failure.text.unwrap_or_default())),
                (Ok(()), Some(_)) => Some(Ok("delivered, if it asks openfed for this name".into())),
                (Ok(()), None) => None,
            }
        };
        self.homes.keys().filter_map(|home| Some((home.clone(), one(home)?))).collect()
    }

    /// Whether the server of this domain is still to be asked.
    pub(crate) fn wonders(&self, home: &Domain) -> bool {
        self.ask && self.homes.get(home).is_some_and(|it| !matches!(it, State::Known(_)))
    }

    /// A question goes to a server under `id`: the local part to ask about. `rest` makes it one
    /// that nobody has.
    pub(crate) fn asked(
        &mut self,
        home: &Domain,
        question: Question,
        (id, rest): (String, String),
    ) -> String {
        let local = format!("{}{rest}", question.asked());
        self.homes.insert(home.clone(), State::Asked { question, id, rest });
        local
    }

    /// An iq came from a user of a home server: whether it could not make an address of what was
    /// asked, and the local part that it speaks of.
    pub(crate) fn answered(
        &mut self,
        home: &Domain,
        id: &str,
        malformed: bool,
        local: &str,
    ) -> Next {
        let Some(state) = self.homes.get_mut(home) else { return Next::Nothing };
        let State::Asked { question, id: ours, rest } = &*state else { return Next::Nothing };
        if id != ours {
            return Next::Nothing;
        }
        let said = local.strip_suffix(rest.as_str()).filter(|_| !malformed);
        let preparation = match (question, said) {
            (Question::SharpS, Some("ass")) => return Next::Ask(Question::Newer),
            (Question::SharpS, Some("aß")) => Preparation::Precis,
            (Question::Newer, Some("aԧ")) => Preparation::Queries,
            _ => Preparation::Stored,
        };
        *state = State::Known(preparation);
        Next::Known(preparation)
    }
}

/// What a sender is told whom the home server does not find.
fn unfound(kind: &str) -> Failure {
    let failure = error::refused(Condition::NotAllowed);
    failure
        .with_text(format!("sender: the home server does not ask openfed for such names ({kind})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Domain {
        Domain::parse("corp.example").unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a scene needs some instant to count from")]
    fn now() -> Instant {
        Instant::now()
    }

    fn names() -> Names {
        Names::new(&Settings { ask_names: true, ..Settings::new("test", [home()]) })
    }

    fn ask(names: &mut Names, question: Question) -> String {
        names.asked(&home(), question, ("q1".to_owned(), "77".to_owned()))
    }

    #[test]
    fn each_kind_of_server_is_told_by_its_answers() {
        for (answers, preparation) in [
            (vec![(false, "ass77"), (false, "aԧ77")], Preparation::Queries),
            (vec![(false, "ass77"), (true, "Aԧ77")], Preparation::Stored),
            (vec![(false, "aß77")], Preparation::Precis),
            (vec![(false, "Aß77")], Preparation::Stored),
            (vec![(true, "Aß77")], Preparation::Stored),
            (vec![(false, "")], Preparation::Stored),
        ] {
            let mut names = names();
            assert_eq!(ask(&mut names, Question::SharpS), "Aß77");
            let mut next = Next::Nothing;
            for (malformed, local) in answers {
                next = names.answered(&home(), "q1", malformed, local);
                if next == Next::Ask(Question::Newer) {
                    assert_eq!(ask(&mut names, Question::Newer), "Aԧ77");
                }
            }
            assert_eq!(next, Next::Known(preparation));
            assert!(!names.wonders(&home()));
        }
    }

    #[test]
    fn nobody_else_can_answer() {
        let mut names = names();
        assert_eq!(names.answered(&home(), "q1", false, "aß77"), Next::Nothing, "nothing asked");
        ask(&mut names, Question::SharpS);
        let other = Domain::parse("other.example").unwrap();
        assert_eq!(names.answered(&other, "q1", false, "aß77"), Next::Nothing);
        assert_eq!(names.answered(&home(), "q2", false, "aß77"), Next::Nothing);
        assert!(names.wonders(&home()));
    }

    #[test]
    fn until_it_is_known_the_least_is_assumed() {
        let (bob, alice) = ("bob@far.example", "alice@corp.example");
        let check = |names: &Names, from: &str, to: &str| {
            let (from, to) = (Address::from_jid(from).unwrap(), Address::from_jid(to).unwrap());
            names.check(&home(), (&from, &to), now())
        };
        let mut names = names();
        assert_eq!(check(&names, bob, alice), Ok(()));
        for (from, to, who) in [
            ("ԧ@far.example", alice, "sender"),
            (bob, "straße@corp.example", "recipient"),
            ("bob@faß.example", alice, "sender"),
        ] {
            let failure = check(&names, from, to).unwrap_err();
            assert_eq!(failure.condition, Condition::JidMalformed);
            let text = failure.text.unwrap();
            assert!(text.starts_with(who) && text.contains("the home server"), "{text}");
        }
        ask(&mut names, Question::SharpS);
        names.answered(&home(), "q1", false, "aß77");
        assert_eq!(check(&names, "straße@far.example", alice), Ok(()));
        let elsewhere = Domain::parse("b.example").unwrap();
        let address = Address::from_jid("straße@b.example").unwrap();
        assert_eq!(names.check(&elsewhere, (&address, &address), now()), Ok(()), "no home server");
    }
}
