//! How often somebody may try: requests by who sends them, passwords by name and by source. In this
//! router's memory, which they cannot fill.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Names or sources that are remembered, each.
const REMEMBERED: usize = 4_096;
/// Wrong passwords that nobody is kept waiting for.
const FREE: u32 = 5;
/// The longest wait for a source, and for a name: whoever knows a name must not be able to lock its
/// owner out for long.
const LONGEST: (Duration, Duration) = (Duration::from_secs(900), Duration::from_secs(30));
/// After so long without a wrong password, all is forgotten.
const FORGET: Duration = Duration::from_secs(3_600);
/// So many seconds' worth of requests may come at once.
const BURST: f64 = 5.0;
/// Requests without login or with a wrong one, a second and source.
const STRANGER: f64 = 20.0;

/// Wrong passwords.
#[derive(Debug, Default)]
pub(super) struct LockOut {
    tries: Mutex<HashMap<String, Tries>>,
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    failed: u32,
    last: Instant,
    until: Instant,
}

impl LockOut {
    /// Begins a try, which counts as failed until [`LockOut::succeeded`]: many at once are no way
    /// around it.
    ///
    /// # Errors
    /// How long to wait first.
    pub(super) fn begin(&self, name: &str, source: IpAddr, now: Instant) -> Result<(), Duration> {
        let keys = keys(name, source);
        let mut tries = self.tries();
        let wait = keys.iter().filter_map(|(key, _)| tries.get(key)).map(|tries| tries.until);
        let wait = wait.max().and_then(|until| until.checked_duration_since(now));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        for (key, longest) in keys {
            let old = tries.get(&key).filter(|old| now.duration_since(old.last) < FORGET);
            let failed = old.map_or(0, |old| old.failed).saturating_add(1);
            let wait = match failed.checked_sub(FREE) {
                None | Some(0) => Duration::ZERO,
                Some(more) => Duration::from_secs(1 << more.min(10)).min(longest),
            };
            make_room(&mut tries, &key, |tries| tries.last);
            tries.insert(key, Tries { failed, last: now, until: now + wait });
        }
        Ok(())
    }

    /// The password was right.
    pub(super) fn succeeded(&self, name: &str, source: IpAddr) {
        let mut tries = self.tries();
        for (key, _) in keys(name, source) {
            tries.remove(&key);
        }
    }

    fn tries(&self) -> MutexGuard<'_, HashMap<String, Tries>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keys(name: &str, source: IpAddr) -> [(String, Duration); 2] {
    [(self::source(source), LONGEST.0), (format!("name {name}"), LONGEST.1)]
}

/// One customer's network: an address of version 4, 64 bits of version 6.
fn source(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::")
        }
    }
}

/// Requests.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), buckets: Mutex::default() }
    }

    /// A request of somebody known.
    ///
    /// # Errors
    /// How long to wait first.
    pub(super) fn actor(&self, name: &str, now: Instant) -> Result<(), Duration> {
        self.take(format!("actor {name}"), self.per_second, now)
    }

    /// A request of nobody known.
    ///
    /// # Errors
    /// How long to wait first.
    pub(super) fn stranger(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.take(source(address), STRANGER.min(self.per_second), now)
    }

    fn take(&self, key: String, rate: f64, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let most = rate * BURST;
        make_room(&mut buckets, &key, |bucket| bucket.at);
        let bucket = buckets.entry(key).or_insert(Bucket { left: most, at: now });
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * rate;
        *bucket = Bucket { left: (bucket.left + gained).min(most), at: now.max(bucket.at) };
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        Err(Duration::try_from_secs_f64((1.0 - bucket.left) / rate).unwrap_or(LONGEST.0))
    }
}

/// Forgets the oldest when a new one would be one too many.
fn make_room<T>(all: &mut HashMap<String, T>, key: &str, last: impl Fn(&T) -> Instant) {
    if all.len() < REMEMBERED || all.contains_key(key) {
        return;
    }
    let oldest = all.iter().min_by_key(|(_, one)| last(one)).map(|(key, _)| key.clone());
    if let Some(oldest) = oldest {
        all.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn wrong_passwords_make_the_next_try_wait_longer_and_longer() {
        let (lock_out, start) = (LockOut::default(), Instant::now());
        for _ in 0..FREE {
            lock_out.begin("ada", HERE, start).unwrap();
        }
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..12 {
            lock_out.begin("ada", HERE, now).unwrap();
            let wait = lock_out.begin("ada", HERE, now).unwrap_err();
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        // From elsewhere, the name's owner waits less.
        let wait = lock_out.begin("ada", address(9), now - Duration::from_secs(900)).unwrap_err();
        assert!(wait <= LONGEST.1, "{wait:?}");
        // Another name from the same source waits just as long; another source not at all.
        assert!(lock_out.begin("bob", HERE, now - Duration::from_secs(1)).is_err());
        assert!(lock_out.begin("bob", address(9), now).is_ok());
        assert!(lock_out.begin("ada", HERE, now + FORGET).is_ok());
        assert!(lock_out.begin("ada", HERE, now + FORGET).is_ok(), "all is forgotten");
    }

    #[test]
    fn a_right_password_ends_the_count() {
        let (lock_out, now) = (LockOut::default(), Instant::now());
        for _ in 0..20 {
            lock_out.begin("ada", HERE, now).unwrap();
            lock_out.succeeded("ada", HERE);
        }
    }

    #[test]
    fn many_names_and_sources_fill_no_memory() {
        let (lock_out, rates, now) = (LockOut::default(), Rates::new(10), Instant::now());
        for number in 0..10_000 {
            lock_out.begin(&format!("n{number}"), address(number), now).unwrap();
            rates.stranger(address(number), now).unwrap();
        }
        assert!(lock_out.tries().len() <= REMEMBERED);
        assert!(rates.buckets.lock().unwrap().len() <= REMEMBERED);
    }

    #[test]
    fn a_rate_allows_a_burst_and_then_so_many_a_second() {
        let (rates, now) = (Rates::new(10), Instant::now());
        for _ in 0..50 {
            rates.actor("ada", now).unwrap();
        }
        let wait = rates.actor("ada", now).unwrap_err();
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        assert!(rates.actor("bob", now).is_ok(), "each has its own");
        assert!(rates.actor("ada", now + Duration::from_millis(101)).is_ok());
        // Addresses of one network of version 6 are one source.
        let [one, two] = ["2001:db8::1", "2001:db8::2"].map(|text| text.parse().unwrap());
        assert_eq!(source(one), source(two));
    }
}
