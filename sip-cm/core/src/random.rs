//! Randomness handed in, and what is made of it.

use std::fmt;
use std::hash::{BuildHasher, Hasher};

use openfed_proto::packet::PacketId;

/// Starts every branch of RFC 3261 (§8.1.1.7).
pub(crate) const COOKIE: &str = "z9hG4bK";

/// The source of tags, branches and ids. Must be unpredictable outside of tests: a guessed branch
/// lets a stranger answer for a peer.
pub struct Random(Box<dyn FnMut() -> u64 + Send>);

impl Random {
    /// Takes a generator of uniformly distributed numbers.
    #[must_use]
    pub fn new(next: impl FnMut() -> u64 + Send + 'static) -> Self {
        Random(Box::new(next))
    }

    /// What looks random and is the same for one packet at every instance and in every life of it:
    /// whoever gets the packet again, when an instance has died with it, says the same once more,
    /// and the next hop sees a copy (RFC 3261 §17.2.3).
    pub(crate) fn of_packet(id: PacketId) -> Self {
        let mut drawn = 0_u64;
        Random::new(move || {
            drawn += 1;
            mixed(stable_hash([&id.0[..], &drawn.to_be_bytes()]))
        })
    }

    pub(crate) fn next(&mut self) -> u64 {
        (self.0)()
    }

    /// 16 hexadecimal digits: a tag, a nonce, the unique part of a branch.
    pub(crate) fn token(&mut self) -> String {
        format!("{:016x}", self.next())
    }

    /// A number below `n`; 0 if `n` is 0.
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        // The bias of the remainder of a 64-bit number is of no matter here.
        u32::try_from(self.next() % u64::from(n.max(1))).unwrap_or(0)
    }

    pub(crate) fn packet_id(&mut self) -> PacketId {
        let mut id = [0; 16];
        let (high, low) = id.split_at_mut(8);
        high.copy_from_slice(&self.next().to_be_bytes());
        low.copy_from_slice(&self.next().to_be_bytes());
        PacketId(id)
    }

    /// A key for hash tables over what peers send.
    pub(crate) fn seed(&mut self) -> Seed {
        Seed(self.next())
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

/// Keys the hash of a table, so that peers cannot choose keys that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(u64);

impl BuildHasher for Seed {
    type Hasher = std::hash::DefaultHasher;

    fn build_hasher(&self) -> Self::Hasher {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// A hash table keyed by a [`Seed`].
pub(crate) type Table<K, V> = std::collections::HashMap<K, V, Seed>;

/// Hashes numbers by spreading them over all bits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread;

impl BuildHasher for Spread {
    type Hasher = Spreading;

    fn build_hasher(&self) -> Spreading {
        Spreading(0)
    }
}

/// See [`Spread`].
#[derive(Debug)]
pub(crate) struct Spreading(u64);

impl Hasher for Spreading {
    fn write(&mut self, bytes: &[u8]) {
        self.write_u64(stable_hash([bytes]));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mixed(self.0 ^ number);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// FNV-1a over texts with their borders: the same on every node and after every restart.
pub(crate) fn stable_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// Spreads a hash over all its bits: FNV's last bytes hardly reach the high ones.
pub(crate) fn mixed(hash: u64) -> u64 {
    let once = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (once ^ (once >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// Our tag in an answer that no transaction remembers, made of the lines of the request: the same
/// for each copy of it, at every instance (RFC 3261 §8.2.7).
pub(crate) fn stateless_tag<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> String {
    format!("{:016x}", mixed(stable_hash(lines)))
}

/// A moment for tests to begin at.
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "only a beginning: time moves by the test's hand")]
pub(crate) fn some_instant() -> std::time::Instant {
    std::time::Instant::now()
}
