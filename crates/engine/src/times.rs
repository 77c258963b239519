//! How long something takes, over many times: number, sum, longest, and quantiles by our own sketch. The times are arguments.

use sketch::quantile::Quantiles;

/// Relative error of the quantiles.
const ERROR: f64 = 0.01;

/// Times of one thing.
#[derive(Debug, Clone)]
pub struct Times {
    count: u64,
    sum_s: f64,
    longest_s: f64,
    quantiles: Quantiles,
}

impl Default for Times {
    fn default() -> Times {
        let quantiles = Quantiles::for_relative_error(ERROR).expect("1 % is within bounds");
        Times { count: 0, sum_s: 0.0, longest_s: 0.0, quantiles }
    }
}

impl Times {
    /// Notes one, in seconds.
    pub fn note(&mut self, seconds: f64) {
        self.count += 1;
        self.sum_s += seconds;
        self.longest_s = self.longest_s.max(seconds);
        self.quantiles.update(seconds);
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All together, in seconds.
    pub fn sum_s(&self) -> f64 {
        self.sum_s
    }

    /// The longest, in seconds.
    pub fn longest_s(&self) -> f64 {
        self.longest_s
    }

    /// The average, in seconds; 0 of none.
    pub fn average_s(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_s / self.count as f64 }
    }

    /// The time in seconds that a part of all does not exceed, within 1 %; NaN of none.
    pub fn quantile_s(&self, q: f64) -> f64 {
        self.quantiles.quantile(q).map_or(f64::NAN, |estimate| estimate.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_summed_up() {
        let mut times = Times::default();
        assert!(times.average_s() == 0.0 && times.quantile_s(0.5).is_nan());
        (1..=100).for_each(|ms| times.note(f64::from(ms) / 1e3));
        assert_eq!((times.count(), times.longest_s()), (100, 0.1));
        assert!((times.average_s() - 0.0505).abs() < 1e-12, "{}", times.average_s());
        assert!((times.quantile_s(0.5) - 0.05).abs() <= 0.0005 + 1e-9, "{}", times.quantile_s(0.5));
    }
}
