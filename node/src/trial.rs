//! Trials: whether a domain can be reached, looked at step by step for an operator, with times.
//!
//! A trial has connections of its own, so that it neither disturbs traffic nor is helped by it.
//! It takes place beside the engine, and what it found goes back over the link that it came by.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use openfed_proto::link::{FromCm, TRIAL_STEPS, TrialStep};
use rustls::ProtocolVersion;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::link::LinkId;

/// Trials at once; whoever wants more is told so.
const AT_ONCE: usize = 8;
/// For one step.
const STEP: Duration = Duration::from_secs(4);
/// For all of them; what has not begun by then is left out.
const ALL: Duration = Duration::from_secs(10);
/// Bytes of a finding: peers have their say in it.
const FINDING: usize = 200;

/// The trials of one process.
#[derive(Debug)]
pub struct Trials {
    room: Arc<Semaphore>,
    found: mpsc::UnboundedSender<(LinkId, FromCm)>,
}

impl Trials {
    /// None yet. What they find, and where it is to be sent, comes out of the receiver.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<(LinkId, FromCm)>) {
        // Bounded by the trials at once, and the links' own frames.
        let (found, findings) = mpsc::unbounded_channel();
        (Self { room: Arc::new(Semaphore::new(AT_ONCE)), found }, findings)
    }

    /// Begins the trial that came by this link.
    pub fn begin<F>(&self, link: LinkId, number: u64, trial: impl FnOnce(Steps) -> F)
    where
        F: Future<Output = Steps> + Send + 'static,
    {
        let mut steps = Steps::default();
        let found = self.found.clone();
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            steps.tell(
                "begin",
                Err("too many trials at once; try again".to_owned()),
                Duration::ZERO,
            );
            // Nobody waits for it any more if the engine has ended.
            let _ = found.send((link, FromCm::Tried { number, steps: steps.done }));
            return;
        };
        let trial = trial(steps);
        tokio::spawn(async move {
            let steps = trial.await.done;
            let _ = found.send((link, FromCm::Tried { number, steps }));
            drop(room);
        });
    }
}

/// What was tried so far.
#[derive(Debug)]
pub struct Steps {
    done: Vec<TrialStep>,
    ends: Instant,
}

impl Default for Steps {
    fn default() -> Self {
        Self { done: Vec::new(), ends: Instant::now() + ALL }
    }
}

impl Steps {
    /// Does one step, within the limits of time; gives what it yields, and tells of it by what
    /// `finding` makes of that.
    pub async fn step<T>(
        &mut self,
        what: &str,
        work: impl Future<Output = Result<T, String>>,
        finding: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let begun = Instant::now();
        if begun >= self.ends {
            return None;
        }
        let ends = self.ends.min(begun + STEP);
        let result = timeout_at(ends, work).await.unwrap_or_else(|_| {
            Err(format!("no answer within {:.1} s", (ends - begun).as_secs_f64()))
        });
        let told = result.as_ref().map(finding).map_err(Clone::clone);
        self.tell(what, told, begun.elapsed());
        result.ok()
    }

    fn tell(&mut self, what: &str, found: Result<String, String>, took: Duration) {
        let good = found.is_ok();
        let finding = printable(&found.unwrap_or_else(|bad| bad));
        if self.done.len() < TRIAL_STEPS {
            self.done.push(TrialStep { what: printable(what), finding, good, took });
        }
    }

    /// The steps, for whoever looks at them here.
    pub fn done(&self) -> &[TrialStep] {
        &self.done
    }
}

/// A version of TLS, as people write it.
pub fn spoken(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS",
    }
}

/// An error with all its causes, in one line.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // Many errors repeat their cause.
        if !text.contains(&inner.to_string()) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {inner}");
        }
        cause = inner.source();
    }
    text
}

/// Without control characters, and not long.
fn printable(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short = String::new();
    for c in shown {
        if short.len() + c.len_utf8() > FINDING {
            break;
        }
        short.push(c);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_step_has_its_time_and_all_together_theirs() {
        let mut steps = Steps::default();
        let nothing = std::future::pending::<Result<(), String>>;
        for what in ["a", "b", "c", "d"] {
            assert_eq!(steps.step(what, nothing(), |()| String::new()).await, None);
        }
        let seen: Vec<_> = steps.done().iter().map(|step| (&*step.what, &*step.finding)).collect();
        let expected = [
            ("a", "no answer within 4.0 s"),
            ("b", "no answer within 4.0 s"),
            ("c", "no answer within 2.0 s"),
        ];
        assert_eq!(seen, expected);
    }

    #[tokio::test]
    async fn what_a_peer_says_is_cut_and_cleaned() {
        let mut steps = Steps::default();
        let said = format!("200 \u{1b}[31mOK\r\n{}", "ä".repeat(300));
        steps.step("OPTIONS", async { Ok(said) }, Clone::clone).await;
        let finding = &steps.done()[0].finding;
        assert!(finding.starts_with("200  [31mOK  ä"), "{finding}");
        assert!(finding.len() <= FINDING, "{}", finding.len());
    }

    #[tokio::test]
    async fn who_wants_too_many_at_once_is_told_so() {
        let (trials, mut findings) = Trials::new();
        for number in 0..AT_ONCE as u64 {
            trials.begin(LinkId(1), number, |_| std::future::pending());
        }
        trials.begin(LinkId(2), 99, |steps| async { steps });
        let (link, frame) = findings.recv().await.expect("findings");
        let FromCm::Tried { number, steps } = frame else { panic!("not {frame:?}") };
        assert_eq!((link, number, steps[0].good), (LinkId(2), 99, false));
    }
}
