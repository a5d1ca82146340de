//! A scene: one live test from given to then, with a deadline, and the logs when it fails.

use std::fmt;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::place::Place;

/// No scene may last longer than this.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The time within which a peer on the same machine does one thing.
pub const SOON: Duration = Duration::from_secs(15);

/// Why a scene failed, in words.
pub struct Failure(String);

/// What a step of a scene gives.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure with this explanation.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        Self(text)
    }
}

/// Plays a scene on a place of its own, within [`LIMIT`].
///
/// # Panics
/// When the scene fails or does not end in time; the logs of all that ran are printed before.
pub fn play(scene: impl AsyncFnOnce(&Place) -> Result<()>) {
    play_within(LIMIT, scene);
}

/// The same within a limit of its own, for what is no test.
///
/// # Panics
/// As [`play`].
pub fn play_within(limit: Duration, scene: impl AsyncFnOnce(&Place) -> Result<()>) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let played = runtime.map_err(Failure::from).and_then(|runtime| {
        runtime.block_on(async {
            let place = Place::claim()?;
            let outcome = match timeout(limit, scene(&place)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::new(format!("the scene did not end within {limit:?}"))),
            };
            if outcome.is_err() {
                place.print_logs();
            }
            outcome
        })
    });
    if let Err(failure) = played {
        panic!("{failure:?}");
    }
}
