//! Keeps a reader's copy of the tables up to date for as long as it listens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Change, News, Snapshot, Store, StoreError};

/// How long one question for changes waits for an answer.
const WAIT: Duration = Duration::from_secs(1);

/// First and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// News of the store.
#[derive(Debug)]
pub enum StoreEvent {
    /// All there is; replaces what was known.
    Snapshot(Snapshot),
    /// What changed up to and including `version`.
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
        let mut follower = Follower { store, sender, down: false, pause: PAUSE.0 };
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
    pause: Duration,
}

/// The reader is gone.
struct Stopped;

impl Follower {
    async fn run(&mut self) -> Result<(), Stopped> {
        loop {
            let snapshot = match self.store.snapshot().await {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    self.failed(error).await?;
                    continue;
                }
            };
            self.answered().await?;
            let version = snapshot.version;
            self.send(StoreEvent::Snapshot(snapshot)).await?;
            self.changes_from(version).await?;
        }
    }

    /// Returns when a new snapshot is needed.
    async fn changes_from(&mut self, mut known: u64) -> Result<(), Stopped> {
        loop {
            match self.store.changes_after(known, WAIT).await {
                Ok(News::Changes { version, changes }) => {
                    self.answered().await?;
                    known = version;
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
        self.pause = PAUSE.0;
        if std::mem::take(&mut self.down) {
            tracing::info!("the store answers again");
            self.send(StoreEvent::Up).await?;
        }
        Ok(())
    }

    async fn failed(&mut self, error: StoreError) -> Result<(), Stopped> {
        if !std::mem::replace(&mut self.down, true) {
            tracing::warn!(%error, "no news from the store");
            self.send(StoreEvent::Down(error)).await?;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE.1);
        Ok(())
    }

    async fn send(&self, event: StoreEvent) -> Result<(), Stopped> {
        self.sender.send(event).await.map_err(|_| Stopped)
    }
}
