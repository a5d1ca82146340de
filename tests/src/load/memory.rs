//! How a process's memory develops: a straight line through what it had, beyond its warm-up.

use std::time::Duration;

/// What a process has until then is not looked at: caches fill, and endings are remembered for a
/// minute.
pub const WARM_UP: Duration = Duration::from_secs(180);
/// Shorter lives than this, after the warm-up, say nothing.
pub const SHORTEST: Duration = Duration::from_secs(480);

/// The memory of one process in its life so far.
#[derive(Clone, Debug, Default)]
pub struct Memory(Vec<(f64, f64)>);

impl Memory {
    /// It had so much at this age.
    pub fn saw(&mut self, age: Duration, kilobytes: u64) {
        if age >= WARM_UP {
            self.0.push((age.as_secs_f64() / 60.0, kilobytes as f64));
        }
    }

    /// What it had last, in kB; `None` before the end of the warm-up.
    pub fn last(&self) -> Option<f64> {
        self.0.last().map(|(_, kilobytes)| *kilobytes)
    }

    /// The slope in kB per minute, if the life was long enough to tell: the median of the slopes
    /// between any two points (Theil and Sen), since a neighbour that falls out makes a step, and a
    /// step is no growth.
    pub fn slope(&self) -> Option<f64> {
        let (first, last) = (self.0.first()?.0, self.0.last()?.0);
        if last - first < SHORTEST.as_secs_f64() / 60.0 {
            return None;
        }
        let mut slopes = Vec::new();
        for (at, (x1, y1)) in self.0.iter().enumerate() {
            slopes.extend(self.0[at + 1..].iter().map(|(x2, y2)| (y2 - y1) / (x2 - x1)));
        }
        slopes.sort_unstable_by(f64::total_cmp);
        slopes.get(slopes.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(per_sample: u64, samples: u32) -> Memory {
        let mut memory = Memory::default();
        for sample in 0..samples {
            let age = WARM_UP + Duration::from_secs(10) * sample;
            // It swings by 100 kB from sample to sample.
            memory.saw(age, 50_000 + u64::from(sample) * per_sample + u64::from(sample % 2) * 100);
        }
        memory
    }

    #[test]
    fn the_slope_is_that_of_the_growth_not_of_the_swings() {
        let slope = |per_sample| grown(per_sample, 60).slope().unwrap_or(f64::NAN);
        assert!(slope(0).abs() < 5.0, "{}", slope(0));
        assert!((slope(100) - 600.0).abs() < 20.0, "{}", slope(100));
    }

    #[test]
    fn a_step_is_no_growth() {
        let mut memory = grown(0, 60);
        memory.0.iter_mut().skip(18).for_each(|(_, kilobytes)| *kilobytes += 8_000.0);
        let slope = memory.slope().unwrap_or(f64::NAN);
        assert!(slope.abs() < 200.0, "{slope}");
    }

    #[test]
    fn a_short_life_and_the_warm_up_say_nothing() {
        assert_eq!(grown(100, 8).slope(), None);
        let mut young = Memory::default();
        young.saw(WARM_UP / 2, 1);
        assert_eq!(young.last(), None);
    }
}
