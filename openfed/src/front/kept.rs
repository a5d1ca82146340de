//! Whom a call's datagrams go to: the first time by its number alone, the same one then for as long as
//! it may be repeated, also when replicas join.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

/// A request may be repeated for so long (64*T1, RFC 3261 §17.1.2.2).
const KEPT: Duration = Duration::from_secs(32);
/// Calls that are remembered of each such time; of more, only the number decides.
const MOST: usize = 65_536;

/// A call, by its Call-ID; what is not SIP, by its sender.
pub(super) type Call = u64;

/// The number of a call: the same in every process, so that a front that is started anew finds the same
/// replica.
pub(super) fn call(id: &impl Hash) -> Call {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// See the head of this file. Calls are forgotten after 32 to 64 s.
pub(super) struct Kept {
    newer: HashMap<Call, SocketAddr>,
    older: HashMap<Call, SocketAddr>,
    turned: Instant,
}

impl Kept {
    pub(super) fn new(now: Instant) -> Self {
        Self { newer: HashMap::new(), older: HashMap::new(), turned: now }
    }

    /// Whom a datagram of this call goes to, best first: the one that has it, then by rendezvous
    /// hashing (Thaler and Ravishankar, 1998): when a replica goes, only its own calls move.
    pub(super) fn order(
        &mut self,
        call: Call,
        mut usable: Vec<SocketAddr>,
        now: Instant,
    ) -> Vec<SocketAddr> {
        if now.duration_since(self.turned) >= KEPT {
            self.older = std::mem::take(&mut self.newer);
            self.turned = now;
        }
        let had = self.newer.get(&call).or_else(|| self.older.get(&call)).copied();
        usable.sort_by_cached_key(|at| (Some(*at) != had, self::call(&(call, at))));
        usable
    }

    /// The call is now this replica's.
    pub(super) fn keep(&mut self, call: Call, at: SocketAddr) {
        if self.newer.len() < MOST || self.newer.contains_key(&call) {
            self.newer.insert(call, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> SocketAddr {
        ([172, 18, 0, last], 5060).into()
    }

    fn first(kept: &mut Kept, call: Call, of: &[u8], now: Instant) -> SocketAddr {
        kept.order(call, of.iter().map(|last| at(*last)).collect(), now)[0]
    }

    #[test]
    fn calls_are_spread_and_move_only_when_their_replica_goes() {
        let now = Instant::now();
        let calls: Vec<_> = (0..3_000).map(|number: u32| call(&number)).collect();
        let whom = |of: &[u8]| {
            let of = of.to_vec();
            calls.iter().map(move |call| first(&mut Kept::new(now), *call, &of, now)).collect()
        };
        let (three, two): (Vec<_>, Vec<_>) = (whom(&[1, 2, 3]), whom(&[1, 3]));
        for last in 1..=3 {
            let own = three.iter().filter(|it| **it == at(last)).count();
            assert!((800..1_200).contains(&own), "{own} of 3000 for one of three");
        }
        let moved = three.iter().zip(&two).filter(|(before, after)| before != after);
        assert!(moved.clone().count() > 0 && moved.into_iter().all(|(before, _)| *before == at(2)));
    }

    #[test]
    fn a_call_stays_where_it_began_while_it_may_be_repeated() {
        let mut now = Instant::now();
        let mut kept = Kept::new(now);
        let all: Vec<_> = (0..100).map(|number: u32| call(&number)).collect();
        for call in &all {
            let whom = first(&mut kept, *call, &[1], now);
            kept.keep(*call, whom);
        }
        now += Duration::from_secs(31);
        assert!(all.iter().all(|call| first(&mut kept, *call, &[1, 2, 3], now) == at(1)));
        // One that is gone is not waited for.
        assert!(all.iter().all(|call| first(&mut kept, *call, &[2, 3], now) != at(1)));
        now += Duration::from_secs(66);
        for _ in 0..2 {
            kept.order(0, Vec::new(), now);
            now += KEPT;
        }
        assert!(all.iter().any(|call| first(&mut kept, *call, &[1, 2, 3], now) != at(1)));
    }

    #[test]
    fn memory_is_bounded() {
        let now = Instant::now();
        let mut kept = Kept::new(now);
        for number in 0..100_000 {
            kept.keep(number, at(1));
        }
        assert_eq!(kept.newer.len(), MOST);
    }
}
