//! What has been seen so far, and waiting for what is to come.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::{Failure, Result};

/// A growing record of events (log lines, requests, stanzas, spans) that can be waited on.
#[derive(Debug)]
pub struct Seen<T> {
    items: Mutex<Vec<T>>,
    grew: Notify,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { items: Mutex::new(Vec::new()), grew: Notify::new() }
    }
}

impl<T: Clone> Seen<T> {
    /// Adds an event and wakes all who wait.
    pub fn push(&self, item: T) {
        self.lock().push(item);
        self.grew.notify_waiters();
    }

    /// All events so far, oldest first.
    pub fn all(&self) -> Vec<T> {
        self.lock().clone()
    }

    /// The same, and forgets them: for what nobody waits for any more.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.lock())
    }

    /// The number of events so far that fulfil `wanted`.
    pub fn count(&self, wanted: impl FnMut(&&T) -> bool) -> usize {
        self.lock().iter().filter(wanted).count()
    }

    /// The first event, past or to come within `limit`, that fulfils `wanted`; `what` names it in
    /// the failure.
    pub async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<T> {
        let mut looked_at = 0;
        self.wait_until(what, limit, |items| {
            let found = items.iter().skip(looked_at).find(|item| wanted(item)).cloned();
            looked_at = items.len();
            found
        })
        .await
    }

    /// Waits until `judge`, shown all events each time one is added, gives an answer.
    pub async fn wait_until<R>(
        &self,
        what: &str,
        limit: Duration,
        mut judge: impl FnMut(&[T]) -> Option<R>,
    ) -> Result<R> {
        let answer = async {
            loop {
                let mut grew = std::pin::pin!(self.grew.notified());
                grew.as_mut().enable();
                if let Some(answer) = judge(&self.lock()) {
                    return answer;
                }
                grew.await;
            }
        };
        let outcome = timeout(limit, answer).await;
        outcome.map_err(|_| Failure::new(format!("no {what} within {limit:?}")))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
