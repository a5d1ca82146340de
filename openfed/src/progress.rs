//! How far long work is, on standard error: on a terminal by itself, elsewhere if it is wanted.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is written anew; where lines stay, each is a line of a log.
const ON_TERMINAL: Duration = Duration::from_millis(200);
const IN_LOG: Duration = Duration::from_secs(5);

/// One line that tells how far a piece of work is.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: Shown,
    what: &'static str,
    /// The whole of the work in its own measure, if that is known.
    whole: Option<u64>,
    started: Instant,
    last: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    No,
    OnTerminal,
    InLog,
}

impl Progress {
    /// Work begins: `what` it is, and `whole`, how much in any measure. `wanted`: also without a
    /// terminal.
    pub(crate) fn new(wanted: bool, what: &'static str, whole: Option<u64>) -> Self {
        let shown = match (io::stderr().is_terminal(), wanted) {
            (true, _) => Shown::OnTerminal,
            (false, true) => Shown::InLog,
            (false, false) => Shown::No,
        };
        let now = Instant::now();
        Self { shown, what, whole, started: now, last: now }
    }

    /// `done` of the whole is done, which is so many rows.
    pub(crate) fn at(&mut self, done: u64, rows: u64) {
        let pause = if self.shown == Shown::InLog { IN_LOG } else { ON_TERMINAL };
        if self.shown != Shown::No && self.last.elapsed() >= pause {
            self.last = Instant::now();
            self.write(&self.text(done, rows, self.started.elapsed()));
        }
    }

    /// All is done.
    pub(crate) fn end(self, rows: u64) {
        let took = self.started.elapsed();
        let text = format!("{}: {rows} rows in {:.1} s", self.what, took.as_secs_f64());
        self.write(&text);
        if self.shown == Shown::OnTerminal {
            let _ = writeln!(io::stderr());
        }
    }

    fn text(&self, done: u64, rows: u64, took: Duration) -> String {
        let seconds = took.as_secs_f64().max(0.001);
        let mut text = format!("{}: {rows} rows, {:.0} a second", self.what, rows as f64 / seconds);
        if let Some(whole) = self.whole.filter(|_| done > 0) {
            let share = (done as f64 / whole.max(done) as f64).min(1.0);
            let left = seconds / share - seconds;
            text.push_str(&format!(", {:.0} %, {left:.0} s left", share * 100.0));
        }
        text
    }

    /// Progress that cannot be shown is no reason to stop.
    fn write(&self, text: &str) {
        let _ = match self.shown {
            Shown::No => Ok(()),
            Shown::OnTerminal => write!(io::stderr(), "\r{text}\x1b[K"),
            Shown::InLog => writeln!(io::stderr(), "{text}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_it_is_and_what_is_left() {
        let progress = Progress::new(false, "import", Some(1_000));
        let text = progress.text(250, 500, Duration::from_secs(5));
        assert_eq!(text, "import: 500 rows, 100 a second, 25 %, 15 s left");
        let progress = Progress::new(false, "import", None);
        let text = progress.text(250, 500, Duration::from_secs(5));
        assert_eq!(text, "import: 500 rows, 100 a second");
    }
}
