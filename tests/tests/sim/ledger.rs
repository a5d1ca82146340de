//! Who wrote what, what arrived, and what was answered: the promises of honest delivery, checked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openfed_tests::sim::sip_peer::Note;
use openfed_tests::sim::{LOCAL, NEXT_HOP, OFFICE, Sim, Step};

/// Everything that a scene lets people write.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sip: BTreeMap<Note, &'static str>,
    xmpp: BTreeSet<Note>,
    /// Of users of other XMPP servers, with the domain.
    foreign: BTreeMap<Note, String>,
    count: u32,
}

/// What became of it, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Balance {
    pub(super) delivered: usize,
    /// Answered with a failure and not delivered.
    pub(super) failed: usize,
    /// Delivered, but nobody could know: the answer got lost for good.
    pub(super) unsure: usize,
}

impl Ledger {
    fn number(&mut self) -> String {
        self.count += 1;
        format!("{:05}", self.count)
    }

    /// A SIP user of the office writes to a foreign domain.
    pub(super) fn sip_out(&mut self, sim: &mut Sim, later: Duration, who: u64, domain: &str) {
        let (from, to) = (format!("office{who}@{LOCAL}"), format!("bob{who}@{domain}"));
        self.sip(sim, later, OFFICE, &from, &to);
    }

    /// Somebody of a foreign domain writes by SIP to a local user.
    pub(super) fn sip_in(&mut self, sim: &mut Sim, later: Duration, who: u64, domain: &str) {
        let (from, to) = (format!("bob{who}@{domain}"), format!("alice{who}@{LOCAL}"));
        self.sip(sim, later, NEXT_HOP, &from, &to);
    }

    fn sip(&mut self, sim: &mut Sim, later: Duration, peer: &'static str, from: &str, to: &str) {
        let note = Note::new(from, to, self.number());
        self.sip.insert(note.clone(), peer);
        sim.at(later, Step::Sip(peer, note));
    }

    /// A user of the home server writes to a foreign domain.
    pub(super) fn xmpp_out(&mut self, sim: &mut Sim, later: Duration, who: u64, domain: &str) {
        let (from, to) = (format!("alice{who}@{LOCAL}"), format!("bob{who}@{domain}"));
        let note = Note::new(&from, &to, self.number());
        self.xmpp.insert(note.clone());
        sim.at(later, Step::Xmpp(LOCAL, note));
    }

    /// Users of another XMPP server write to local users, all at once.
    pub(super) fn xmpp_in(
        &mut self,
        sim: &mut Sim,
        later: Duration,
        domain: &'static str,
        many: u64,
    ) {
        for who in 0..many {
            let (from, to) = (format!("bob{who}@{domain}"), format!("alice{who}@{LOCAL}"));
            let note = Note::new(&from, &to, self.number());
            self.foreign.insert(note.clone(), domain.to_owned());
            sim.at(later, Step::Xmpp(domain, note));
        }
    }

    /// Everything that was written arrived once or was answered with a failure; nothing was said
    /// to have arrived that did not; nothing overtook anything in its conversation.
    #[track_caller]
    pub(super) fn check(&self, sim: &mut Sim) -> Balance {
        let mut got = sim.peer(NEXT_HOP).got.clone();
        got.extend(sim.home().got.clone());
        let mut last: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        let mut arrived = BTreeSet::new();
        for note in &got {
            assert!(arrived.insert(note), "arrived twice: {note:?}");
            let before = last.insert((&note.from, &note.to), &note.text);
            assert!(before.is_none_or(|it| *it < *note.text), "overtook {before:?}: {note:?}");
        }
        let mut balance = Balance::default();
        let mut count = |is_delivered: bool, is_failed: bool| match (is_delivered, is_failed) {
            (true, false) => balance.delivered += 1,
            (false, true) => balance.failed += 1,
            (true, true) => balance.unsure += 1,
            (false, false) => panic!("neither delivered nor answered"),
        };
        let mut answered = BTreeMap::new();
        for peer in [OFFICE, NEXT_HOP] {
            answered.extend(sim.peer(peer).answers().into_iter().map(|it| (it.note.clone(), it)));
        }
        for note in self.sip.keys() {
            let answer = answered.get(note).unwrap_or_else(|| panic!("never ended: {note:?}"));
            let is_good = match *answer.finals {
                [] => false,
                [code] => code < 300,
                _ => panic!("more than one final answer: {answer:?}"),
            };
            let is_delivered = arrived.contains(note);
            assert!(is_delivered || !is_good, "answered 2xx, not delivered: {answer:?}");
            count(is_delivered, !is_good);
        }
        let errors = sim.home().errors.clone();
        let told: BTreeSet<&str> = errors.iter().map(|(id, ..)| id.as_str()).collect();
        assert_eq!(told.len(), errors.len(), "one error each: {errors:?}");
        for note in &self.xmpp {
            let (is_delivered, is_told) = (arrived.contains(note), told.contains(&*note.text));
            assert!(is_delivered || is_told, "lost in silence: {note:?}");
            count(is_delivered, is_told);
        }
        let mut told = BTreeMap::new();
        for domain in self.foreign.values().collect::<BTreeSet<_>>() {
            let errors = sim.server(domain).errors.iter();
            let ids: BTreeSet<String> = errors.map(|(id, ..)| id.clone()).collect();
            assert_eq!(ids.len(), sim.server(domain).errors.len(), "one error each: {domain}");
            told.insert(domain.as_str(), ids);
        }
        for (note, domain) in &self.foreign {
            let is_told = told.get(domain.as_str()).is_some_and(|ids| ids.contains(&note.text));
            let is_delivered = arrived.contains(note);
            assert!(is_delivered || is_told, "lost in silence: {note:?}");
            assert!(!(is_delivered && is_told), "heard and told failed: {note:?}");
            count(is_delivered, is_told);
        }
        assert_eq!(arrived.len(), balance.delivered + balance.unsure, "nobody wrote some of it");
        balance
    }

    /// Requests over SIP that nobody answered.
    pub(super) fn unanswered(sim: &mut Sim) -> usize {
        let answers = [OFFICE, NEXT_HOP].map(|peer| sim.peer(peer).answers());
        answers.iter().flatten().filter(|answer| answer.finals.is_empty()).count()
    }
}
