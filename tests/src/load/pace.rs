//! When each message is due: rates, one after the other.

use std::time::Duration;

/// One rate for some time.
#[derive(Clone, Copy, Debug)]
struct Step {
    first: u32,
    starts: Duration,
    rate: u32,
}

/// A schedule of messages, from 0 on.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    steps: Vec<Step>,
    messages: u32,
    length: Duration,
}

impl Pace {
    /// One rate, in messages per second.
    pub fn steady(rate: u32, length: Duration) -> Self {
        Self::default().then(rate, length)
    }

    /// The same, and after it another rate.
    #[must_use]
    pub fn then(mut self, rate: u32, length: Duration) -> Self {
        self.steps.push(Step { first: self.messages, starts: self.length, rate });
        let messages = u128::from(rate) * length.as_micros() / 1_000_000;
        self.messages += u32::try_from(messages).unwrap_or(u32::MAX - self.messages);
        self.length += length;
        self
    }

    /// How many messages there are.
    pub fn messages(&self) -> u32 {
        self.messages
    }

    /// How long it lasts.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// When a message is due, from the beginning; `None` behind the last one.
    pub(crate) fn due(&self, number: u32) -> Option<Duration> {
        let step = self.steps.iter().rev().find(|step| step.first <= number)?;
        let offset = u64::from(number - step.first) * 1_000_000_000 / u64::from(step.rate.max(1));
        (number < self.messages).then(|| step.starts + Duration::from_nanos(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_begins_where_the_last_one_ended() {
        let second = Duration::from_secs(1);
        let pace = Pace::steady(4, second).then(2, second);
        let due: Vec<_> = (0..=6).map(|number| pace.due(number).map(|at| at.as_millis())).collect();
        let expected = [Some(0), Some(250), Some(500), Some(750), Some(1000), Some(1500), None];
        assert_eq!(due, expected);
        assert_eq!((pace.messages(), pace.length()), (6, 2 * second));
    }
}
