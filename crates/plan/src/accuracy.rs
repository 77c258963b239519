//! `2% @ 95%`: the error that is accepted and how sure the bounds must be, turned into sizes of sketches.
//!
//! The sizes are formulas of the papers; nothing here looks at data. What was chosen is kept as [`Choice`].

use engine::spec::Measure;
use sketch::estimate::z_of;

/// The least error that can be asked for, and the largest: 0.01 % to 50 %.
const ERROR_RANGE: (f64, f64) = (0.0001, 0.5);
/// The confidence that can be asked for: 50 % to 99.9999 %.
const CONFIDENCE_RANGE: (f64, f64) = (0.5, 0.999999);
/// Entries of the exact table in front of a Count-Min sketch.
const HOT: usize = 4096;
/// Fewest counters of a `top`.
const COUNTERS_MIN: usize = 4096;

/// How wrong an answer may be, and how often the truth must lie within its bounds.
///
/// | measure | the error is | chosen | at `2% @ 95%` | source |
/// |---|---|---|---|---|
/// | `unique` | relative, of the count | smallest lg K in 4..=18 with z·1.04/√K ≤ a | lg K = 14 (1.59 %) | Flajolet et al., HyperLogLog, AofA 2007 |
/// | `audience` | relative, of the count | smallest lg K in 4..=20 with z/√(K−1) ≤ a | lg K = 14 (1.53 %) | Dasgupta et al., Theta, ICDT 2016 |
/// | `freq` | of the number of events | width 2^w, smallest w ≥ 14 with e/2^w ≤ a; depth ⌈ln 1/(1−c)⌉, 5 to 8; 4,096 hot values | w = 14 (0.017 %), depth 5 | Cormode and Muthukrishnan, Count-Min, J. Algorithms 2005 |
/// | `top(x, k)` | of the number of events | slots, a power of two ≥ 4,096, ≥ 4/3·2/a, ≥ 8k | 4,096 (0.065 %) | Anderson et al., IMC 2017 |
/// | `quantiles`, `session` | relative, of the value (durations, events) | bits, smallest with 1/(2^(bits+1)+1) ≤ min(a, 1 %), at most 10 | 6 (0.775 %) | Masson et al., DDSketch, VLDB 2019 |
/// | `count sum min max avg stddev histogram` | none | exact | exact | |
///
/// z is the two-sided normal quantile of the confidence ([`sketch::estimate::z_of`]): 1.96 at 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// Accepted error as a fraction: 0.02.
    pub error: f64,
    /// Confidence as a fraction: 0.95.
    pub confidence: f64,
}

/// `2% @ 95%`.
impl Default for Accuracy {
    fn default() -> Self {
        Accuracy { error: 0.02, confidence: 0.95 }
    }
}

/// What was chosen for one metric, for `check` to print.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Name of the source.
    pub source: String,
    /// Name of the metric.
    pub metric: String,
    /// The sketch with its parameters: `hll/14`, `count-min/2^14x5`, `frequent/4096`, `log-linear/6`, `exact`.
    pub sketch: String,
    /// What the error is relative to: `the count`, `the number of events`, `the value`; empty when there is none.
    pub of: &'static str,
    /// The error that was asked for, as a fraction.
    pub asked: f64,
    /// The error of the sketch, as a fraction; above `asked` only where the largest sketch does not reach it.
    pub reached: f64,
}

impl Accuracy {
    /// Reads `2% @ 95%`: an error of 0.01 % to 50 % and a confidence of 50 % to 99.9999 %.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Accuracy, String> {
        let shape =
            || format!("`{text}` is not an accuracy: write an error and a confidence, as in \"2% @ 95%\"");
        let (error, confidence) = text.split_once('@').ok_or_else(shape)?;
        let error = percent(error).ok_or_else(shape)?;
        let confidence = percent(confidence).ok_or_else(shape)?;
        if !(ERROR_RANGE.0..=ERROR_RANGE.1).contains(&error) {
            return Err("the error must be between 0.01% and 50%".into());
        }
        if !(CONFIDENCE_RANGE.0..=CONFIDENCE_RANGE.1).contains(&confidence) {
            return Err("the confidence must be between 50% and 99.9999%".into());
        }
        Ok(Accuracy { error, confidence })
    }

    /// log2 of the number of HyperLogLog registers of a `unique`.
    pub fn unique_lg_k(self) -> u8 {
        (4..18).find(|&lg_k| self.unique_error(lg_k) <= self.error).unwrap_or(18)
    }

    /// log2 of the width, the depth and the hot entries of a `freq`.
    pub fn freq_shape(self) -> (u8, u8, usize) {
        let lg_width = (14..28).find(|&w| freq_error(w) <= self.error).unwrap_or(28);
        let depth = (1.0 / (1.0 - self.confidence)).ln().ceil() as u8;
        (lg_width, depth.clamp(5, sketch::countmin::DEPTH_MAX), HOT)
    }

    /// The number of counters (slots, a power of two) of a `top` of `k` items.
    pub fn top_counters(self, k: usize) -> usize {
        let for_error = (4.0 / 3.0 * 2.0 / self.error).ceil() as usize;
        COUNTERS_MIN.max(for_error.next_power_of_two()).max((8 * k).next_power_of_two())
    }

    /// log2 of the number of bins per doubling of the value of a `quantiles`.
    pub fn quantiles_bits(self) -> u8 {
        let error = self.error.min(0.01);
        (0..10).find(|&bits| quantiles_error(bits) <= error).unwrap_or(10)
    }

    /// log2 of the number of hashes of an `audience`.
    pub fn audience_lg_k(self) -> u8 {
        (4..20).find(|&lg_k| self.audience_error(lg_k) <= self.error).unwrap_or(20)
    }

    fn audience_error(self, lg_k: u8) -> f64 {
        z_of(self.confidence) / f64::from((1u32 << lg_k) - 1).sqrt()
    }

    fn unique_error(self, lg_k: u8) -> f64 {
        z_of(self.confidence) * 1.04 / f64::from(1u32 << lg_k).sqrt()
    }

    /// What a measure of these parameters promises.
    pub(crate) fn choice(self, source: &str, metric: &str, measure: &Measure) -> Choice {
        let (sketch, of, reached) = match measure {
            Measure::Unique { lg_k, .. } => (format!("hll/{lg_k}"), "the count", self.unique_error(*lg_k)),
            Measure::Audience { lg_k, .. } => {
                (format!("theta/{lg_k}"), "the count", self.audience_error(*lg_k))
            }
            Measure::Seen { keys, rate, keep, .. } => {
                let kind = if keep.is_some() { "bloom-ring" } else { "bloom" };
                let choice = |reached| Choice {
                    source: source.into(),
                    metric: metric.into(),
                    sketch: format!("{kind}/{keys}"),
                    of: "new keys",
                    asked: *rate,
                    reached,
                };
                return choice(*rate);
            }
            Measure::Sample { k, .. } => (format!("bottom-k/{k}"), "", 0.0),
            Measure::Freq { lg_width, depth, .. } => {
                (format!("count-min/2^{lg_width}x{depth}"), "the number of events", freq_error(*lg_width))
            }
            Measure::Top { counters, .. } => {
                (format!("frequent/{counters}"), "the number of events", 2.0 / (0.75 * *counters as f64))
            }
            Measure::Quantiles { bits, .. } | Measure::Session { bits, .. } => {
                (format!("log-linear/{bits}"), "the value", quantiles_error(*bits))
            }
            Measure::Count
            | Measure::Sum(_)
            | Measure::Min(_)
            | Measure::Max(_)
            | Measure::Avg(_)
            | Measure::Stddev(_)
            | Measure::Histogram { .. } => ("exact".to_string(), "", 0.0),
        };
        Choice { source: source.into(), metric: metric.into(), sketch, of, asked: self.error, reached }
    }
}

fn freq_error(lg_width: u8) -> f64 {
    std::f64::consts::E / f64::from(1u32 << lg_width)
}

fn quantiles_error(bits: u8) -> f64 {
    1.0 / (f64::from(1u32 << (bits + 1)) + 1.0)
}

/// `2.5%` as a fraction. The decimal point is moved in the text, so that 99.9% is the double next to 0.999.
pub(crate) fn percent(text: &str) -> Option<f64> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let plain =
        !number.is_empty() && number.len() <= 20 && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    plain.then(|| format!("{number}e-2").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracies_are_read_and_nonsense_is_not() {
        for (text, error, confidence) in [
            ("2% @ 95%", 0.02, 0.95),
            ("0.5%@99.9%", 0.005, 0.999),
            (" 50 % @ 50 % ", 0.5, 0.5),
            (".01% @ 99.%", 0.0001, 0.99),
        ] {
            assert_eq!(Accuracy::parse(text), Ok(Accuracy { error, confidence }), "{text}");
        }
        for bad in [
            "",
            "2%",
            "2 @ 95",
            "2% @",
            "0% @ 95%",
            "60% @ 95%",
            "2% @ 100%",
            "2% @ 20%",
            "-2% @ 95%",
            "NaN% @ 95%",
            "1e1% @ 95%",
        ] {
            assert!(Accuracy::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_follow_the_formulas() {
        for (text, lg_k, lg_width, depth, counters, bits) in [
            ("2% @ 95%", 14, 14, 5, 4096, 6),
            ("1.6% @ 95%", 14, 14, 5, 4096, 6),
            ("1.59% @ 95%", 15, 14, 5, 4096, 6),
            ("6% @ 95%", 11, 14, 5, 4096, 6),
            ("50% @ 50%", 4, 14, 5, 4096, 6),
            ("0.5% @ 99.9%", 18, 14, 7, 4096, 7),
            ("0.1% @ 95%", 18, 14, 5, 4096, 9),
            ("0.01% @ 95%", 18, 15, 5, 32768, 10),
            ("2% @ 99.9999%", 16, 14, 8, 4096, 6),
        ] {
            let a = Accuracy::parse(text).unwrap();
            let (w, d, hot) = a.freq_shape();
            let got = (a.unique_lg_k(), w, d, a.top_counters(10), a.quantiles_bits());
            assert_eq!(got, (lg_k, lg_width, depth, counters, bits), "{text}");
            assert_eq!(hot, 4096);
        }
        assert_eq!(Accuracy::default().top_counters(1_000), 8_192);
        assert_eq!(Accuracy::default().top_counters(10_000), 131_072);
    }

    #[test]
    fn a_choice_says_when_the_promise_is_out_of_reach() {
        let tight = Accuracy { error: 0.001, confidence: 0.95 };
        let lg_k = tight.unique_lg_k();
        let choice = tight.choice("s", "m", &Measure::Unique { field: 0, lg_k });
        assert_eq!((choice.sketch.as_str(), choice.of), ("hll/18", "the count"));
        assert!(choice.reached > choice.asked && choice.reached < 0.004, "{choice:?}");
    }
}
