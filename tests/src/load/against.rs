//! Two systems measured in turns: the machine's moods strike both.

use std::fmt;

use super::figures::Figures;

/// The median of the pairs' ratios, the first to the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratios {
    cost: f64,
    p50: f64,
    p99: f64,
    loss: (f64, f64),
}

impl Ratios {
    /// Of these pairs.
    pub fn of(pairs: &[(Figures, Figures)]) -> Self {
        let ratio = |of: &dyn Fn(&Figures) -> f64| {
            median(pairs.iter().map(|(first, second)| of(first) / of(second)).collect())
        };
        let at = |per_mille| move |figures: &Figures| figures.times.at(per_mille).as_secs_f64();
        Self {
            cost: ratio(&|figures| figures.cost),
            p50: ratio(&at(500)),
            p99: ratio(&at(990)),
            loss: (
                median(pairs.iter().map(|(first, _)| first.loss()).collect()),
                median(pairs.iter().map(|(_, second)| second.loss()).collect()),
            ),
        }
    }
}

impl fmt::Display for Ratios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cost, p50, p99, loss: (ours, theirs) } = self;
        write!(
            f,
            "openfed to Kamailio, median of the pairs: cost {cost:.2}, p50 {p50:.2}, p99 {p99:.2}; \
             loss {:.2} % and {:.2} %",
            ours * 100.0,
            theirs * 100.0
        )
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert!(median(Vec::new()).is_nan());
    }
}
