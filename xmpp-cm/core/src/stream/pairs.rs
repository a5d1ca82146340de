//! Which domains may send to which, and which dialback questions are open.

use std::collections::{BTreeMap, BTreeSet};

use super::{Direction, Domain, Name};

/// The peer is known, or is being asked about, for too many pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// How the peer wrote its own name and ours. It may know no other form of them.
pub(crate) type Written = [String; 2];

/// What a stanza's addresses are worth on this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Allowed,
    /// No pair is authenticated at all.
    Nobody,
    /// The peer may not speak for this domain.
    WrongSender,
    /// The peer may speak for it, but not to that domain.
    WrongRecipient,
}

#[derive(Debug)]
pub(super) struct Pairs {
    max: usize,
    bidi: Direction,
    /// Peer's domain → ours.
    inbound: BTreeMap<Domain, BTreeSet<Domain>>,
    /// Our domain → peer's.
    outbound: BTreeMap<Domain, BTreeSet<Domain>>,
    count: usize,
    /// (peer's, ours): keys that the owner is having verified.
    asked: BTreeMap<(Name, Name), Written>,
    /// (peer's, ours, stream id): the peer asks whether a key is ours.
    questions: BTreeMap<(Name, Name, String), Written>,
    /// (ours, peer's): keys that we sent.
    results: BTreeSet<(Name, Name)>,
    /// (stream id, ours, peer's): keys that we have verified. There may be several of one stream.
    verifies: BTreeSet<(String, Name, Name)>,
}

impl Pairs {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            bidi: Direction::Inbound,
            inbound: BTreeMap::new(),
            outbound: BTreeMap::new(),
            count: 0,
            asked: BTreeMap::new(),
            questions: BTreeMap::new(),
            results: BTreeSet::new(),
            verifies: BTreeSet::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether pairs that the peer authenticates work both ways.
    pub(super) fn is_bidi(&self) -> bool {
        self.bidi == Direction::Both
    }

    /// Pairs that the peer authenticates from now on work both ways. False if they did before.
    pub(super) fn enable_bidi(&mut self) -> bool {
        std::mem::replace(&mut self.bidi, Direction::Both) != Direction::Both
    }

    fn room(&self) -> Result<(), Full> {
        let open = self.asked.len() + self.results.len() + self.verifies.len();
        if self.count + open < self.max { Ok(()) } else { Err(Full) }
    }

    /// The peer sent a key. False if one for the same pair is still being verified.
    pub(super) fn ask(
        &mut self,
        remote: &Name,
        local: &Name,
        written: Written,
    ) -> Result<bool, Full> {
        self.room()?;
        Ok(self.asked.insert((remote.clone(), local.clone()), written).is_none())
    }

    /// How the peer wrote the names for which it sent a key.
    pub(super) fn asked_as(&self, remote: &Name, local: &Name) -> Option<&Written> {
        self.asked.get(&(remote.clone(), local.clone()))
    }

    /// The owner knows about a key. `None` if none is open for this pair.
    pub(super) fn answer(&mut self, remote: &Name, local: &Name) -> Option<Written> {
        self.asked.remove(&(remote.clone(), local.clone()))
    }

    /// The peer asks whether a key is ours. Without room its names are not kept.
    pub(super) fn question(&mut self, remote: &Name, local: &Name, id: &str, written: Written) {
        if self.questions.len() < self.max {
            self.questions.insert((remote.clone(), local.clone(), id.to_owned()), written);
        }
    }

    /// How such a question wrote the names.
    pub(super) fn questioned(&mut self, remote: &Name, local: &Name, id: &str) -> Option<Written> {
        self.questions.remove(&(remote.clone(), local.clone(), id.to_owned()))
    }

    /// The peer may speak for `remote` to `local`; returns which ways the pair works.
    pub(super) fn authenticate_inbound(&mut self, local: &Domain, remote: &Domain) -> Direction {
        if self.inbound.entry(remote.clone()).or_default().insert(local.clone()) {
            self.count += 1;
        }
        if self.bidi == Direction::Both {
            self.outbound.entry(local.clone()).or_default().insert(remote.clone());
        }
        self.bidi
    }

    pub(super) fn expect_result(&mut self, local: &Name, remote: &Name) -> Result<(), Full> {
        self.room()?;
        self.results.insert((local.clone(), remote.clone()));
        Ok(())
    }

    /// The question that this is the answer to, in the form in which it was asked, which the peer
    /// may have changed.
    pub(super) fn take_result(&mut self, local: &Name, remote: &Name) -> Option<(Name, Name)> {
        let exact = (local.clone(), remote.clone());
        if self.results.remove(&exact) {
            return Some(exact);
        }
        let alike = |it: &&(Name, Name)| it.0.domain() == &**local && it.1.domain() == &**remote;
        let asked = self.results.iter().find(alike).cloned()?;
        self.results.take(&asked)
    }

    /// We may speak for `local` to `remote`.
    pub(super) fn authenticate_outbound(&mut self, local: &Domain, remote: &Domain) {
        if self.outbound.entry(local.clone()).or_default().insert(remote.clone()) {
            self.count += 1;
        }
    }

    pub(super) fn expect_verify(
        &mut self,
        local: &Name,
        remote: &Name,
        id: &str,
    ) -> Result<(), Full> {
        self.room()?;
        self.verifies.insert((id.to_owned(), local.clone(), remote.clone()));
        Ok(())
    }

    /// Ours and the peer's domain of a question about that stream: the one of these names, if there
    /// is one, and rather the one in which they were written like this.
    pub(super) fn take_verify(
        &mut self,
        id: &str,
        names: Option<&(Name, Name)>,
    ) -> Option<(Name, Name)> {
        let fits = |(_, local, remote): &&(String, Name, Name)| {
            let of = |it: &(Name, Name)| **local == *it.0 && **remote == *it.1;
            let written = |it: &(Name, Name)| *local == it.0 && *remote == it.1;
            (names.is_some_and(of), names.is_some_and(written))
        };
        let asked = self.verifies.iter().filter(|(of, ..)| of == id).max_by_key(fits).cloned()?;
        self.verifies.take(&asked).map(|(_, local, remote)| (local, remote))
    }

    /// Whether we may; also for names as they stand in a stanza, if they are in canonical form.
    pub(super) fn may_send(&self, local: &str, remote: &str) -> bool {
        self.outbound.get(local).is_some_and(|remotes| remotes.contains(remote))
    }

    /// Whether the peer may, as far as names that are not prepared tell.
    pub(super) fn may_receive(&self, from: &str, to: &str) -> bool {
        self.receiving(from, to).is_some()
    }

    /// The same, with the names.
    pub(super) fn receiving(&self, from: &str, to: &str) -> Option<(&Domain, &Domain)> {
        let (from, locals) = self.inbound.get_key_value(from)?;
        Some((from, locals.get(to)?))
    }

    /// Peer's domain and ours, of all pairs that the peer may send between.
    pub(super) fn inbound(&self) -> impl Iterator<Item = (&Domain, &Domain)> {
        let pairs = self.inbound.iter();
        pairs.flat_map(|(remote, locals)| locals.iter().map(move |local| (remote, local)))
    }

    /// A domain of ours to which the peer may speak for `from`.
    pub(super) fn heard_by(&self, from: &Domain) -> Option<&Domain> {
        self.inbound.get(from)?.first()
    }

    pub(super) fn standing(&self, from: &Domain, to: &Domain) -> Standing {
        match self.inbound.get(from) {
            Some(locals) if locals.contains(to) => Standing::Allowed,
            Some(_) => Standing::WrongRecipient,
            None if self.inbound.is_empty() => Standing::Nobody,
            None => Standing::WrongSender,
        }
    }
}
