//! What became of each message of one stretch of load, and how long it took.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::mark::Mark;

/// From then on a message is late: a SIP sender repeats itself (T1, RFC 3261 §17.1.2.1).
pub const LATE: Duration = Duration::from_millis(500);

/// The last word that a sender heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Word {
    /// It arrived (SIP 2xx).
    Success = 1,
    /// It did not arrive.
    Failure = 2,
    /// Time ran out, and nobody can know (SIP 408, 504 or none at all; `remote-server-timeout`).
    Doubt = 3,
}

/// One message. Times are in µs since the start of the stretch, plus one; 0 is never.
#[derive(Default)]
struct Slot {
    sent: AtomicU32,
    arrived: AtomicU32,
    answered: AtomicU32,
    /// The transaction that it arrived in.
    transaction: AtomicU32,
    copies: AtomicU8,
    resent: AtomicU8,
    word: AtomicU8,
}

/// See the head of this file. Sources and sinks write it at the same time.
pub struct Ledger {
    stretch: u16,
    start: Instant,
    slots: Box<[Slot]>,
    words: Mutex<BTreeMap<String, u32>>,
}

/// What became of all. Every sent message is exactly one of delivered, told, lost or doubled.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// All of them.
    pub sent: u32,
    /// Arrived once.
    pub delivered: u32,
    /// Among the delivered ones, those whose sender was told that time ran out.
    pub doubtful: u32,
    /// Did not arrive, and the sender was told an error.
    pub told: u32,
    /// Neither arrived nor was an error told, or a success was told of what did not arrive.
    pub lost: Vec<u32>,
    /// Arrived more than once, or arrived although the sender was told that they did not.
    pub doubled: Vec<u32>,
    /// Took longer than [`LATE`].
    pub late: u32,
    /// How often senders repeated themselves.
    pub resent: u32,
    /// Senders that heard a success.
    pub successes: u32,
    /// Senders that heard nothing.
    pub unanswered: u32,
}

/// How long messages took, in order.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<u32>);

impl Ledger {
    /// An empty one for so many messages; its time begins now.
    pub fn new(stretch: u16, messages: u32) -> Self {
        Self {
            stretch,
            start: Instant::now(),
            slots: (0..messages).map(|_| Slot::default()).collect(),
            words: Mutex::default(),
        }
    }

    /// The mark of one of its messages.
    pub(crate) fn mark(&self, number: u32) -> Mark {
        Mark { stretch: self.stretch, number }
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// A message is sent for the first time.
    pub fn sent(&self, number: u32) {
        if let Some(slot) = self.slot(number) {
            slot.sent.store(self.stamp(), Relaxed);
        }
    }

    /// Its sender repeats itself.
    pub fn resent(&self, number: u32) {
        if let Some(slot) = self.slot(number) {
            slot.resent.fetch_add(1, Relaxed);
        }
    }

    /// Its sender has heard the last word, described as in tables.
    pub fn heard(&self, mark: Mark, word: Word, description: impl FnOnce() -> String) {
        let Some(slot) = self.of(mark) else { return };
        let new = slot.word.compare_exchange(0, word as u8, Relaxed, Relaxed).is_ok();
        if new {
            slot.answered.store(self.stamp(), Relaxed);
        }
        if new && word != Word::Success {
            let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
            *words.entry(description()).or_default() += 1;
        }
    }

    /// It arrived. What comes again in the same SIP transaction is no second copy.
    pub fn arrived(&self, mark: Mark, transaction: Option<u32>) {
        let Some(slot) = self.of(mark) else { return };
        let known = slot.transaction.swap(transaction.unwrap_or_default(), Relaxed);
        if slot.copies.load(Relaxed) > 0 && transaction == Some(known) {
            return;
        }
        if slot.copies.fetch_add(1, Relaxed) == 0 {
            slot.arrived.store(self.stamp(), Relaxed);
        }
    }

    /// Whether nothing more is to be heard of a message.
    pub fn is_heard(&self, number: u32) -> bool {
        self.slot(number).is_none_or(|slot| slot.word.load(Relaxed) != 0)
    }

    /// How many have neither arrived nor been answered, or not been answered if all should be.
    pub fn open(&self, all_answered: bool) -> usize {
        let is_open = |slot: &&Slot| {
            let settled = slot.word.load(Relaxed) != 0;
            let arrived = !all_answered && slot.copies.load(Relaxed) > 0;
            slot.sent.load(Relaxed) != 0 && !settled && !arrived
        };
        self.slots.iter().filter(is_open).count()
    }

    /// How long sending took: until the last message, and one more turn.
    pub fn sending(&self) -> Duration {
        let last = self.slots.iter().map(|slot| slot.sent.load(Relaxed)).max().unwrap_or_default();
        let count = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let whole = Duration::from_micros(last.into());
        whole + whole / count.max(2).saturating_sub(1)
    }

    /// How often which error was told.
    pub fn words(&self) -> BTreeMap<String, u32> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What became of the messages sent within this part of the stretch.
    pub fn account(&self, from: Duration, to: Duration) -> Account {
        let mut account = Account::default();
        let part = stamp(from)..stamp(to);
        for (number, slot) in (0..).zip(&self.slots) {
            if part.contains(&slot.sent.load(Relaxed)) {
                account.enter(number, slot);
            }
        }
        account
    }

    /// What became of all.
    pub fn total(&self) -> Account {
        self.account(Duration::ZERO, Duration::from_micros(u64::from(u32::MAX) - 1))
    }

    /// How long those took that were sent within this part: until the sender heard of success, or,
    /// if not all are answered, until the message arrived.
    pub fn times(&self, all_answered: bool, from: Duration, to: Duration) -> Times {
        let part = stamp(from)..stamp(to);
        let slots = self.slots.iter().filter(|slot| part.contains(&slot.sent.load(Relaxed)));
        let mut times: Vec<_> = slots.filter_map(|slot| slot.took(all_answered)).collect();
        times.sort_unstable();
        Times(times)
    }

    /// How many successes, or arrivals, came within this part, whenever they were sent.
    pub fn done_within(&self, all_answered: bool, from: Duration, to: Duration) -> usize {
        let part = stamp(from)..stamp(to);
        self.slots.iter().filter(|slot| part.contains(&slot.done(all_answered))).count()
    }

    fn of(&self, mark: Mark) -> Option<&Slot> {
        self.slot(mark.number).filter(|_| mark.stretch == self.stretch)
    }

    fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(usize::try_from(number).ok()?)
    }

    fn stamp(&self) -> u32 {
        stamp(self.start.elapsed())
    }
}

fn stamp(at: Duration) -> u32 {
    u32::try_from(at.as_micros()).unwrap_or(u32::MAX - 1) + 1
}

impl Slot {
    /// When the message was done, for its sender or for its receiver.
    fn done(&self, all_answered: bool) -> u32 {
        let success = self.word.load(Relaxed) == Word::Success as u8;
        match (all_answered, success) {
            (true, true) => self.answered.load(Relaxed),
            (true, false) => 0,
            (false, _) => self.arrived.load(Relaxed),
        }
    }

    fn took(&self, all_answered: bool) -> Option<u32> {
        let done = self.done(all_answered);
        (done != 0).then(|| done.saturating_sub(self.sent.load(Relaxed)))
    }
}

impl Account {
    fn enter(&mut self, number: u32, slot: &Slot) {
        let word = slot.word.load(Relaxed);
        let is = |wanted: Word| word == wanted as u8;
        self.sent += 1;
        self.resent += u32::from(slot.resent.load(Relaxed));
        self.successes += u32::from(is(Word::Success));
        self.unanswered += u32::from(word == 0);
        let took = slot.took(is(Word::Success)).map(u64::from).map(Duration::from_micros);
        self.late += u32::from(took.is_some_and(|took| took > LATE));
        match slot.copies.load(Relaxed) {
            0 if word == 0 || is(Word::Success) => self.lost.push(number),
            0 => self.told += 1,
            1 if is(Word::Failure) => self.doubled.push(number),
            1 => {
                self.delivered += 1;
                self.doubtful += u32::from(is(Word::Doubt));
            }
            _ => self.doubled.push(number),
        }
    }

    /// Whether each message either arrived once or was told not to have.
    pub fn is_sound(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.delivered + self.told == self.sent
    }

    /// Adds another account; its numbers are of another stretch.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.doubtful += other.doubtful;
        self.told += other.told;
        self.lost.extend(&other.lost);
        self.doubled.extend(&other.doubled);
        self.late += other.late;
        self.resent += other.resent;
        self.successes += other.successes;
        self.unanswered += other.unanswered;
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sent {}, delivered {} (of which {} were said to have timed out), errors told {}, \
             lost {}, doubled {}",
            self.sent,
            self.delivered,
            self.doubtful,
            self.told,
            self.lost.len(),
            self.doubled.len()
        )
    }
}

impl Times {
    /// The time within which this share of the messages was done, in ‰.
    pub fn at(&self, per_mille: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let at = (self.0.len() * per_mille / 1000).min(last);
        Duration::from_micros(self.0.get(at).copied().unwrap_or_default().into())
    }

    /// How many were done.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was done.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The ledgers of the stretches that run: where sinks look them up.
#[derive(Clone, Default)]
pub struct Current(Arc<Mutex<Vec<Arc<Ledger>>>>);

impl Current {
    /// One more stretch runs.
    pub fn add(&self, ledger: &Arc<Ledger>) {
        self.lock().push(Arc::clone(ledger));
    }

    /// None runs any more; what still comes of them is not counted.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The one of this message.
    pub(crate) fn of(&self, mark: Mark) -> Option<Arc<Ledger>> {
        self.lock().iter().find(|ledger| ledger.stretch == mark.stretch).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Ledger>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
