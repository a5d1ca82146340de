//! Whether a store takes changes: its disk may be full while all can still be read.

use tokio::sync::watch;

use super::StoreError;

/// Why the store takes no changes, for whoever watches; none if it does.
#[derive(Debug)]
pub(super) struct Trouble(watch::Sender<Option<String>>);

impl Default for Trouble {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Trouble {
    /// A change went like this.
    pub(super) fn note<T>(&self, change: &Result<T, StoreError>) {
        let now = match change {
            Err(StoreError::Unwritable(cause)) => Some(cause.clone()),
            // That says nothing of whether it could be written.
            Err(StoreError::Unavailable(_)) => return,
            _ => None,
        };
        self.0.send_if_modified(|known| {
            let is_news = *known != now;
            *known = now;
            is_news
        });
    }

    pub(super) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.0.subscribe()
    }
}
