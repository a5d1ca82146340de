//! Keeps a reader's copy of the tables up to date for as long as it listens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Change, Mark, News, Snapshot, Store, StoreError};

/// How long one question for changes waits for an answer.
const WAIT: Duration = Duration::from_secs(1);

/// The pause after a failure that may end any moment: everybody obeys 100 ms after the end.
const PAUSE: Duration = Duration::from_millis(50);

/// The pause after one that needs somebody's hand.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// News of the store.
#[derive(Debug)]
pub enum StoreEvent {
    /// All there is; replaces what was known.
    Snapshot(Snapshot),
    /// What changed up to and including `version`, in the era of the last snapshot.
    Changes {
        /// Of the last change.
        version: u64,
        /// In order; never empty.
        changes: Vec<Change>,
    },
    /// The store answers again; what was missed follows.
    Up,
    /// The store does not answer; it is asked again and again.
    Down(StoreError),
}

/// Follows `store`: a snapshot as soon as it answers, then its changes. Ends when the receiver is
/// dropped. To be called within the runtime.
pub fn follow(store: Arc<dyn Store>) -> mpsc::Receiver<StoreEvent> {
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        let stopped = sender.clone();
        let mut follower = Follower { store, sender, down: false };
        tokio::select! {
            _ = follower.run() => {}
            () = stopped.closed() => {}
        }
    });
    receiver
}

struct Follower {
    store: Arc<dyn Store>,
    sender: mpsc::Sender<StoreEvent>,
    down: bool,
}

/// The reader is gone.
struct Stopped;

impl Follower {
    async fn run(&mut self) -> Result<(), Stopped> {
        let mut known = Mark::default();
        loop {
            let snapshot = match self.store.snapshot_after(&known).await {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    self.failed(error).await?;
                    continue;
                }
            };
            self.answered().await?;
            known = snapshot.mark.clone();
            self.send(StoreEvent::Snapshot(snapshot)).await?;
            self.changes_from(&mut known).await?;
        }
    }

    /// Returns when a new snapshot is needed.
    async fn changes_from(&mut self, known: &mut Mark) -> Result<(), Stopped> {
        loop {
            // A store that is back is to be known at once, whether or not there is news.
            let wait = if self.down { Duration::ZERO } else { WAIT };
            match self.store.changes_after(known, wait).await {
                Ok(News::Changes { mark, changes }) => {
                    self.answered().await?;
                    let version = mark.version;
                    *known = mark;
                    if !changes.is_empty() {
                        self.send(StoreEvent::Changes { version, changes }).await?;
                    }
                }
                Ok(News::Gap) => return self.answered().await,
                Err(error) => self.failed(error).await?,
            }
        }
    }

    async fn answered(&mut self) -> Result<(), Stopped> {
        if std::mem::take(&mut self.down) {
            tracing::info!("the store answers again");
            self.send(StoreEvent::Up).await?;
        }
        Ok(())
    }

    async fn failed(&mut self, error: StoreError) -> Result<(), Stopped> {
        let pause = if error.is_temporary() { PAUSE } else { LONG_PAUSE };
        if !std::mem::replace(&mut self.down, true) {
            tracing::warn!(%error, "no news from the store");
            self.send(StoreEvent::Down(error)).await?;
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    async fn send(&self, event: StoreEvent) -> Result<(), Stopped> {
        self.sender.send(event).await.map_err(|_| Stopped)
    }
}
