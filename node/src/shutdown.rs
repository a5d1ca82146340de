//! The end of a service: running → draining → stopped.
//!
//! Draining takes no new work and answers what was accepted. It has a deadline; what is left
//! then is cut. A second SIGTERM or SIGINT cuts at once; SIGHUP, which comes with a terminal that is
//! closed and beside SIGTERM when a session ends, only ever drains.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The end of a service, as everything in it sees it. All clones are one.
#[derive(Debug, Clone)]
pub struct Shutdown {
    drain: CancellationToken,
    stop: CancellationToken,
    grace: Duration,
}

impl Shutdown {
    /// Nobody has asked for the end yet; draining may take `grace`.
    pub fn new(grace: Duration) -> Self {
        Self { drain: CancellationToken::new(), stop: CancellationToken::new(), grace }
    }

    /// Like [`Shutdown::new`], begun by SIGTERM, SIGINT or SIGHUP, and stopped by the next SIGTERM or
    /// SIGINT after one of these two.
    ///
    /// # Errors
    /// If the signals cannot be listened for.
    pub fn on_signals(grace: Duration) -> io::Result<Self> {
        let shutdown = Self::new(grace);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let watched = shutdown.clone();
        tokio::spawn(async move {
            let mut asked = false;
            loop {
                let (name, asks) = tokio::select! {
                    _ = terminate.recv() => ("SIGTERM", true),
                    _ = interrupt.recv() => ("SIGINT", true),
                    _ = hang_up.recv() => ("SIGHUP", false),
                };
                watched.signalled(name, asked && asks);
                asked |= asks;
            }
        });
        Ok(shutdown)
    }

    fn signalled(&self, name: &'static str, cut: bool) {
        if cut {
            tracing::info!(signal = name, "stopping at once");
            self.stop.cancel();
        } else if self.is_draining() {
            tracing::info!(signal = name, "draining already");
        } else {
            tracing::info!(signal = name, grace = ?self.grace, "draining");
            self.begin();
        }
    }

    /// Begins draining; the deadline runs from the first call. To be called within the runtime.
    pub fn begin(&self) {
        if self.drain.is_cancelled() {
            return;
        }
        self.drain.cancel();
        let (stop, deadline) = (self.stop.clone(), tokio::time::sleep(self.grace));
        tokio::spawn(async move {
            tokio::select! {
                () = deadline => stop.cancel(),
                () = stop.cancelled() => {}
            }
        });
    }

    /// Cuts everything now.
    pub fn stop(&self) {
        self.drain.cancel();
        self.stop.cancel();
    }

    /// Whether the end has begun.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Waits until draining begins.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits until everything is cut.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// How long draining may take.
    pub fn grace(&self) -> Duration {
        self.grace
    }
}

#[cfg(test)]
mod tests;
