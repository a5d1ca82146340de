//! What a system does with more than it can do.

use std::fmt;
use std::time::Duration;

use super::Way;
use super::figures::Figures;
use super::ledger::Ledger;
use super::pace::Pace;
use super::stage::{PATIENCE, Stage, System};
use crate::Result;

/// Where the search for the capacity begins, and how close it comes.
const FIRST_RATE: u32 = 1_000;
const CLOSE: f64 = 1.08;
/// How often a rate must fail to be too much.
const TRIES: u32 = 3;
/// How long each step of the search lasts, and the rest after a failed one.
const STEP: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(3);
/// What is still fine: the share that fails, and the 99th percentile.
const FINE_LOSS: f64 = 0.001;
const FINE_P99: Duration = Duration::from_millis(100);
/// How long twice the capacity is offered, and after it half of it.
const OVERLOAD: Duration = Duration::from_secs(20);
const AFTER: Duration = Duration::from_secs(20);
/// The recovery is looked for in windows of this length.
const WINDOW: Duration = Duration::from_millis(250);

/// The highest rate that a system did well, and how it did at twice that.
#[derive(Clone, Debug)]
pub struct Overload {
    /// Messages per second.
    pub capacity: u32,
    /// Successes per second under twice the capacity, as share of the capacity.
    pub goodput: f64,
    /// Repetitions under overload, as share of what was offered.
    pub resent: f64,
    /// How often which error was told.
    pub words: Vec<String>,
    /// Of the messages under overload, those of which nothing was heard.
    pub unheard: u32,
    /// From the fall of the load until all is well; `None` if it was not within the time.
    pub recovery: Option<Duration>,
}

impl Overload {
    /// What stands above the figures.
    pub const HEADER: &str = "capacity/s  goodput  resent  unheard  recovery  errors told";
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recovery = match self.recovery {
            Some(after) => format!("{:.2} s", after.as_secs_f64()),
            None => format!("> {} s", AFTER.as_secs()),
        };
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        write!(
            f,
            "{:<11} {:<8} {:<7} {:<8} {recovery:<9} {}",
            self.capacity,
            percent(self.goodput),
            percent(self.resent),
            self.unheard,
            self.words.join(", ")
        )
    }
}

/// The highest rate with less than 0.1 % loss and a 99th percentile below 100 ms: doubled while all
/// is well, then closed in on. A step that fails is tried twice more, for the machine may have had
/// something else to do. `told` hears of every step.
pub async fn capacity(
    stage: &mut Stage,
    system: System,
    way: Way,
    told: &impl Fn(&Figures),
) -> Result<u32> {
    let (mut good, mut bad, mut rate) = (0, None, FIRST_RATE);
    let mut failures = 0;
    loop {
        let (figures, _) = stage.measure(system, way, &Pace::steady(rate, STEP)).await?;
        told(&figures);
        if is_fine(&figures, rate) {
            good = rate;
        } else {
            tokio::time::sleep(REST).await;
            failures += 1;
            if failures < TRIES {
                continue;
            }
            bad = Some(rate);
        }
        failures = 0;
        rate = match bad {
            None => rate * 2,
            Some(bad) if f64::from(bad) > f64::from(good) * CLOSE => good.midpoint(bad),
            Some(_) => return Ok(good),
        };
        if rate < FIRST_RATE / 8 {
            return Ok(good);
        }
    }
}

fn is_fine(figures: &Figures, rate: u32) -> bool {
    figures.loss() < FINE_LOSS
        && figures.times.at(990) < FINE_P99
        && figures.offered > f64::from(rate) * 0.98
}

/// Offers twice the capacity, then half of it.
pub async fn at_twice(
    stage: &mut Stage,
    system: System,
    way: Way,
    capacity: u32,
) -> Result<Overload> {
    let pace = Pace::steady(capacity * 2, OVERLOAD).then(capacity / 2, AFTER);
    let ledger = stage.run(system, way, &pace, PATIENCE).await?;
    let account = ledger.account(Duration::ZERO, OVERLOAD);
    let done = ledger.done_within(way.is_answered(), Duration::ZERO, OVERLOAD);
    let per_second = done as f64 / OVERLOAD.as_secs_f64();
    let words = ledger.words().into_iter().map(|(word, times)| format!("{times} × {word}"));
    Ok(Overload {
        capacity,
        goodput: per_second / f64::from(capacity.max(1)),
        resent: f64::from(account.resent) / f64::from(account.sent.max(1)),
        words: words.collect(),
        unheard: if way.is_answered() {
            account.unanswered
        } else {
            u32::try_from(account.lost.len()).unwrap_or(u32::MAX)
        },
        recovery: recovery(&ledger, way.is_answered()),
    })
}

/// The end of the last window in which not all was well, counted from the fall of the load.
fn recovery(ledger: &Ledger, all_answered: bool) -> Option<Duration> {
    let windows = u32::try_from(AFTER.as_millis() / WINDOW.as_millis()).unwrap_or(u32::MAX);
    let is_well = |window: &u32| {
        let from = OVERLOAD + WINDOW * *window;
        let times = ledger.times(all_answered, from, from + WINDOW);
        let sent = ledger.account(from, from + WINDOW).sent;
        let lost = 1.0 - times.len() as f64 / f64::from(sent.max(1));
        lost < FINE_LOSS && times.at(990) < FINE_P99
    };
    let last_bad = (0..windows).rev().find(|window| !is_well(window));
    match last_bad {
        None => Some(Duration::ZERO),
        Some(bad) if bad + 1 == windows => None,
        Some(bad) => Some(WINDOW * (bad + 1)),
    }
}
