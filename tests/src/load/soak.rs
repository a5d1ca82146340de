//! Load for long, while replicas are restarted in turn: nothing lost, nothing doubled, no growth.
//!
//! The second replica of each service is restarted; the first one lives through all of it, so that
//! its memory can be told to be flat.

use std::time::Duration;

use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::Way;
use super::fleet::{End, Fleet, Replica};
use super::ledger::Account;
use super::memory::Memory;
use super::pace::Pace;
use super::stage::{Running, Stage};
use crate::place::Place;
use crate::scene::SOON;
use crate::{Failure, Result};

/// A replica is restarted this often.
const EVERY: Duration = Duration::from_secs(60);
/// It is down for so long: longer than a router waits for it to come back.
const DOWN: Duration = Duration::from_secs(3);
/// Memory is looked at this often.
const LOOK: Duration = Duration::from_secs(10);
/// The last word on every message is heard within this: SIP has Timer F (RFC 3261 §17.1.2.2).
const LAST_WORD: Duration = Duration::from_secs(45);
/// What might still come twice comes within this.
const QUIET: Duration = Duration::from_secs(3);
/// How often it is looked whether what is under way has arrived.
const GLANCE: Duration = Duration::from_millis(20);

/// What is wanted of a soak.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// How long.
    pub minutes: u32,
    /// Messages per second, a third of them each way.
    pub rate: u32,
    /// The growth of a process that is borne, in kB per minute.
    pub growth: f64,
}

/// A soak under way.
struct Soak<'a> {
    place: &'a Place,
    stage: Stage,
    fleet: Fleet,
    running: Vec<(Way, Running)>,
    /// By replica: when its life began, and its memory since.
    lives: Vec<(Instant, Memory)>,
    redis: (Instant, Memory),
    /// The highest slope of any life, and whose.
    steepest: Option<(f64, &'static str)>,
    told: &'a dyn Fn(&str),
}

/// Plays it; `told` hears a line every minute. A failure says what was wrong.
pub async fn play(place: &Place, wanted: Wanted, told: &dyn Fn(&str)) -> Result<()> {
    let (stage, fleet) = Stage::set_up_replicas(place).await?;
    let now = Instant::now();
    let lives = fleet.replicas.iter().map(|_| (now, Memory::default())).collect();
    let redis = (now, Memory::default());
    let (running, steepest) = (Vec::new(), None);
    let mut soak = Soak { place, stage, fleet, running, lives, redis, steepest, told };
    let length = EVERY * wanted.minutes;
    for way in Way::USUAL {
        let pace = Pace::steady((wanted.rate / 3).max(1), length);
        soak.running.push((way, soak.stage.begin(way, &pace, LAST_WORD)?));
    }
    for minute in 1..=wanted.minutes {
        soak.watch_until(now + EVERY * minute - EVERY / 2).await?;
        let restarted = soak.restart_one(minute).await?;
        soak.watch_until(now + EVERY * minute).await?;
        told(&format!("minute {minute}: {restarted}; {}", soak.progress()));
    }
    soak.judge(wanted).await
}

impl Soak<'_> {
    /// Looks at the memory of all until then.
    async fn watch_until(&mut self, then: Instant) -> Result<()> {
        let mut turn = interval(LOOK);
        while Instant::now() < then {
            tokio::select! {
                _ = turn.tick() => self.look()?,
                () = sleep_until(then) => {}
            }
        }
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        for (replica, (born, memory)) in self.fleet.replicas.iter().zip(&mut self.lives) {
            if let Some(process) = &replica.process {
                memory.saw(born.elapsed(), process.resident_kb()?);
            }
        }
        self.redis.1.saw(self.redis.0.elapsed(), self.stage.redis.process().resident_kb()?);
        Ok(())
    }

    /// Ends the second replica whose turn it is, and starts it again. In each round of all services
    /// each is ended the other way than in the last.
    async fn restart_one(&mut self, minute: u32) -> Result<String> {
        let (turn, count) = (usize::try_from(minute)? - 1, self.fleet.replicas.len() / 2);
        let at = count + turn % count;
        let how = if (turn + turn / count) % 2 == 0 { End::Drained } else { End::Killed };
        let is_xmpp = self.fleet.replicas[at].service == "xmpp-cm";
        if is_xmpp {
            self.hush_xmpp().await?;
        }
        let Replica { name, .. } = self.fleet.replicas[at];
        self.end_of_life(name, at);
        self.fleet.replicas[at].end(how).await?;
        self.stage.hush_xmpp(false);
        sleep(DOWN).await;
        self.fleet.replicas[at].start(self.place, &self.stage.openfed).await?;
        self.lives[at] = (Instant::now(), Memory::default());
        Ok(format!("{name} {}", if how == End::Drained { "drained" } else { "killed" }))
    }

    /// What a server has written to an `xmpp-cm` that reads no more is lost without a word, or bounced
    /// by one that does stream management (XEP-0198), perhaps though it arrived: neither is counted here.
    async fn hush_xmpp(&self) -> Result<()> {
        self.stage.hush_xmpp(true);
        let of_xmpp = self.running.iter().find(|(way, _)| *way == Way::XmppToSip);
        let Some((_, running)) = of_xmpp else { return Ok(()) };
        // The source looks whether it may write before it does; then it is seen in the ledger.
        let arrived = async {
            sleep(LOOK / 100).await;
            while running.ledger.open(false) > 0 {
                sleep(GLANCE).await;
            }
        };
        let arrived = timeout(SOON, arrived).await;
        arrived.map_err(|_| Failure::new("what XMPP users wrote did not arrive"))
    }

    fn end_of_life(&mut self, name: &'static str, at: usize) {
        let slope = self.lives[at].1.slope();
        self.note_slope(name, slope);
    }

    fn note_slope(&mut self, name: &'static str, slope: Option<f64>) {
        let Some(slope) = slope else { return };
        if self.steepest.is_none_or(|(steepest, _)| slope > steepest) {
            self.steepest = Some((slope, name));
        }
    }

    fn account(&self) -> Account {
        self.running.iter().fold(Account::default(), |mut sum, (_, running)| {
            sum.add(&running.ledger.total());
            sum
        })
    }

    fn progress(&self) -> String {
        let account = self.account();
        let open = account.lost.len();
        let mut line = format!(
            "sent {}, delivered {}, errors told {}, doubtful {}, under way {open}, doubled {};",
            account.sent,
            account.delivered,
            account.told,
            account.doubtful,
            account.doubled.len()
        );
        let redis = ("redis", &self.redis.1);
        let memories = self.fleet.replicas.iter().map(|replica| replica.name);
        let memories = memories.zip(self.lives.iter().map(|(_, memory)| memory)).chain([redis]);
        for (name, memory) in memories {
            let Some(last) = memory.last() else { continue };
            line += &format!(" {name} {:.0} MB", last / 1024.0);
            if let Some(slope) = memory.slope() {
                line += &format!(" {slope:+.0} kB/min");
            }
        }
        line
    }

    /// The last word on every message, and on the memory.
    async fn judge(mut self, wanted: Wanted) -> Result<()> {
        for at in 0..self.lives.len() {
            self.end_of_life(self.fleet.replicas[at].name, at);
        }
        let slope = self.redis.1.slope();
        self.note_slope("redis", slope);
        let mut sum = Account::default();
        for (way, running) in std::mem::take(&mut self.running) {
            let ledger = running.end().await?;
            sleep(QUIET).await;
            let account = ledger.total();
            let words: Vec<_> =
                ledger.words().iter().map(|(word, times)| format!("{times} × {word}")).collect();
            (self.told)(&format!("{}: {account}; {}", way.name(), words.join(", ")));
            sum.add(&account);
        }
        let steepest = match self.steepest {
            Some((slope, name)) => format!("steepest growth {slope:+.0} kB/min ({name})"),
            None => "no process lived long enough to tell its growth".to_owned(),
        };
        let verdict = format!("{sum}; {steepest}");
        let grows = self.steepest.is_some_and(|(slope, _)| slope > wanted.growth);
        if sum.is_sound() && !grows {
            (self.told)(&format!("passed: {verdict}"));
            return Ok(());
        }
        Err(Failure::new(format!("failed: {verdict}")))
    }
}
