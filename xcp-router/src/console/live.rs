//! Word of changes for pages that are open: what has changed, not how. A page then asks for itself
//! again, so there is one way in which it is made.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::Console;
use super::frame::Refusal;
use super::visitor::Visitor;
use crate::catalogue::Stamps;

/// Changes that come closer together are told as one.
const PAUSE: Duration = Duration::from_millis(250);
/// Counters and the state of nodes change without a word.
const TICK: Duration = Duration::from_secs(5);

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/events", get(events))
}

/// A page that watches.
struct Watch {
    console: Console,
    applied: watch::Receiver<()>,
    seen: Stamps,
    tick: Instant,
    /// The next word comes no sooner.
    quiet: Instant,
    _place: OwnedSemaphorePermit,
}

/// A place among the pages that watch at once.
///
/// # Errors
/// 503 if all are taken.
pub(super) fn place(console: &Console) -> Result<OwnedSemaphorePermit, Refusal> {
    let full = |_| {
        let title = "Too many pages watch this router already";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, title)
    };
    console.0.watchers.clone().try_acquire_owned().map_err(full)
}

/// Each event names the tables that have changed, separated by spaces.
async fn events(State(console): State<Console>, _visitor: Visitor) -> Result<Response, Refusal> {
    let (catalogue, now) = (&console.0.views.catalogue, Instant::now());
    let watch = Watch {
        applied: catalogue.watch(),
        seen: catalogue.read(|listing| listing.stamps),
        tick: now + TICK,
        quiet: now,
        _place: place(&console)?,
        console,
    };
    let events = stream::unfold(watch, async |mut watch| {
        let names = watch.next().await?;
        Some((Ok::<_, Infallible>(Event::default().data(names)), watch))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

impl Watch {
    /// What has changed since the last word; `None` at the end of the router.
    async fn next(&mut self) -> Option<String> {
        let views = &self.console.0.views;
        loop {
            let names = tokio::select! {
                changed = self.applied.changed() => {
                    changed.ok()?;
                    sleep_until(self.quiet).await;
                    self.applied.borrow_and_update();
                    let stamps = views.catalogue.read(|listing| listing.stamps);
                    let names = stamps.since(&self.seen);
                    self.seen = stamps;
                    names
                }
                () = sleep_until(self.tick) => "tick".to_owned(),
                () = views.engine.closed() => return None,
            };
            let now = Instant::now();
            if !names.is_empty() {
                (self.quiet, self.tick) = (now + PAUSE, now + TICK);
                return Some(names);
            }
        }
    }
}
