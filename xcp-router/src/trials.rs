//! Trials under way: who waits for what the linked connection managers find.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openfed_proto::link::TrialStep;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// A manager gives up before that.
const ANSWER: Duration = Duration::from_secs(12);
/// Trials that are waited for at once.
const MOST: usize = 16;

type Found = (String, Vec<TrialStep>);

#[derive(Debug, Default)]
pub(crate) struct Trials {
    waiting: Mutex<HashMap<u64, mpsc::UnboundedSender<Found>>>,
    next: AtomicU64,
}

/// Somebody's place in the queue, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    trials: &'a Trials,
    pub(crate) number: u64,
    found: mpsc::UnboundedReceiver<Found>,
}

impl Trials {
    /// Begins to wait; `None` if too many do.
    pub(crate) fn wait(&self) -> Option<Waiting<'_>> {
        // Bounded by the managers that are asked.
        let (sender, found) = mpsc::unbounded_channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        waiting.insert(number, sender);
        Some(Waiting { trials: self, number, found })
    }

    /// A node has told what it found.
    pub(crate) fn heard(&self, node: String, number: u64, steps: Vec<TrialStep>) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = waiting.get(&number) {
            // Who waits no longer needs it no more.
            let _ = waiting.send((node, steps));
        }
    }
}

impl Waiting<'_> {
    /// What these nodes found, by name; who has not answered in time is missing.
    pub(crate) async fn found(mut self, asked: usize) -> HashMap<String, Vec<TrialStep>> {
        let (mut all, ends) = (HashMap::new(), Instant::now() + ANSWER);
        while all.len() < asked {
            let Ok(Some((node, steps))) = timeout_at(ends, self.found.recv()).await else { break };
            all.insert(node, steps);
        }
        all
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.trials.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_hears_of_its_own_trial_and_gives_its_place_back() {
        let trials = Trials::default();
        let (one, other) = (trials.wait().expect("room"), trials.wait().expect("room"));
        trials.heard("xmpp-1".into(), one.number, Vec::new());
        trials.heard("sip-1".into(), other.number, Vec::new());
        let found = one.found(1).await;
        assert_eq!(found.keys().collect::<Vec<_>>(), ["xmpp-1"]);
        let found = other.found(1).await;
        assert_eq!(found.keys().collect::<Vec<_>>(), ["sip-1"]);
        assert_eq!(trials.waiting.lock().unwrap().len(), 0);
    }

    #[test]
    fn only_so_many_wait_at_once() {
        let trials = Trials::default();
        let mut all: Vec<_> = std::iter::from_fn(|| trials.wait()).collect();
        assert_eq!(all.len(), MOST);
        all.pop();
        assert!(trials.wait().is_some());
    }
}
