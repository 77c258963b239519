//! How many values a column has: exact in the sample, and an honest word about the rest of the file.

/// The values of a column, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Distinct {
    /// Different values in the sample.
    pub seen: usize,
    /// Values there are, equal ones included.
    pub values: usize,
    /// Different values that occur once.
    pub once: usize,
}

/// New values are rare when fewer than one in so many values is one.
const RARE: usize = 1_000;

impl Distinct {
    /// In percent how many of further values would be new, if that is worth a word: a sample of the whole file has no
    /// further ones.
    ///
    /// The share of values that occur once estimates the chance that the next one is new (I. J. Good, "The population
    /// frequencies of species and the estimation of population parameters", 1953). How many there are in all cannot be
    /// told from a head: that depends on how long the file is.
    pub fn growth(&self, whole: bool) -> Option<f64> {
        let settled = whole || self.once * RARE < self.values;
        (!settled).then(|| 100.0 * self.once as f64 / self.values.max(1) as f64)
    }

    /// Share of values that are different: 1 when none repeats.
    pub fn share(&self) -> f64 {
        self.seen as f64 / self.values.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_by_values_that_occur_once() {
        let distinct = |seen, values, once| Distinct { seen, values, once };
        assert_eq!(distinct(7, 10_000, 0).growth(false), None);
        assert_eq!(distinct(7, 7, 7).growth(true), None);
        assert_eq!(distinct(100, 1_000, 40).growth(false), Some(4.0));
        assert_eq!(distinct(3, 3, 3).growth(false), Some(100.0));
        assert_eq!(distinct(0, 0, 0).growth(false), Some(0.0));
    }
}
