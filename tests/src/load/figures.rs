//! The figures of one stretch of load, and what the processes spent on it.

use std::fmt;
use std::time::Duration;

use super::Way;
use super::ledger::{Account, Ledger, Times};
use super::pace::Pace;
use crate::Result;
use crate::process::Process;

/// What processes have spent, and their memory.
#[derive(Clone, Debug, Default)]
pub struct Spent(Vec<One>);

#[derive(Clone, Debug)]
struct One {
    name: &'static str,
    processor: Duration,
    memory_kb: u64,
}

impl Spent {
    /// By these processes and their children, so far.
    pub fn by<'a>(
        processes: impl IntoIterator<Item = (&'static str, &'a Process)>,
    ) -> Result<Self> {
        let one = |(name, process): (_, &Process)| {
            let (processor, memory_kb) = process.of_group()?;
            Ok(One { name, processor, memory_kb })
        };
        processes.into_iter().map(one).collect::<Result<_>>().map(Self)
    }

    /// What was spent since an earlier look at the same processes; the memory is that of now.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        for (now, before) in self.0.iter_mut().zip(&before.0) {
            now.processor = now.processor.saturating_sub(before.processor);
        }
        self
    }

    /// Processor time of all.
    pub fn processor(&self) -> Duration {
        self.0.iter().map(|one| one.processor).sum()
    }

    /// Memory of all, in kB.
    pub fn memory_kb(&self) -> u64 {
        self.0.iter().map(|one| one.memory_kb).sum()
    }

    /// A line for each process: CPU-seconds per 1,000 of so many messages, and memory.
    pub fn apart(&self, messages: u32) -> impl Iterator<Item = String> {
        self.0.iter().map(move |one| {
            let cost = per_thousand(one.processor, messages);
            format!("{:<11} {cost:.3} CPU-s/1,000, {} MB", one.name, one.memory_kb / 1024)
        })
    }
}

/// See the head of this file.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Messages that were sent.
    pub sent: u32,
    /// How many of them a second.
    pub offered: f64,
    /// CPU-seconds per 1,000 messages.
    pub cost: f64,
    /// How long they took.
    pub times: Times,
    /// What became of them.
    pub account: Account,
    /// Memory of all processes, in kB.
    pub memory_kb: u64,
    done: usize,
    words: Vec<String>,
}

impl Figures {
    /// What stands above them.
    pub const HEADER: &str =
        "offered/s  done     loss     resent  CPU-s/1,000  p50 ms   p99 ms   late   MB    errors";

    /// Of a stretch.
    pub fn of(way: Way, ledger: &Ledger, pace: &Pace, spent: &Spent) -> Self {
        let account = ledger.total();
        let times = ledger.times(way.is_answered(), Duration::ZERO, pace.length() * 2);
        let words = ledger.words().into_iter();
        let mut words: Vec<_> = words.map(|(word, times)| format!("{times} × {word}")).collect();
        if !account.doubled.is_empty() {
            words.push(format!("{} doubled", account.doubled.len()));
        }
        Self {
            sent: account.sent,
            offered: f64::from(account.sent) / ledger.sending().as_secs_f64(),
            cost: per_thousand(spent.processor(), account.sent),
            done: times.len(),
            times,
            memory_kb: spent.memory_kb(),
            words,
            account,
        }
    }

    /// The share that neither succeeded nor arrived.
    pub fn loss(&self) -> f64 {
        1.0 - self.done as f64 / f64::from(self.sent.max(1))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |per_mille| self.times.at(per_mille).as_secs_f64() * 1000.0;
        write!(
            f,
            "{:<10.0} {:<8} {:<8} {:<7} {:<12.3} {:<8.2} {:<8.2} {:<6} {:<5} {}",
            self.offered,
            self.done,
            format!("{:.2} %", self.loss() * 100.0),
            self.account.resent,
            self.cost,
            ms(500),
            ms(990),
            self.account.late,
            self.memory_kb / 1024,
            self.words.join(", ")
        )
    }
}

fn per_thousand(processor: Duration, messages: u32) -> f64 {
    processor.as_secs_f64() * 1000.0 / f64::from(messages.max(1))
}
