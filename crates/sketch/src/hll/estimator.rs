//! From the histogram of register values to a number and its bounds.
//!
//! The estimator is the improved raw estimator of Otmar Ertl, "New cardinality estimation algorithms for
//! HyperLogLog sketches" (arXiv 1702.01284), section 3: with C_v registers of value v, K = ΣC_v and ranks
//! 1..=q+1,
//!
//! ```text
//! n = α·K² / ( K·σ(C_0/K) + Σ_{v=1..q} C_v·2^-v + K·τ(1 - C_{q+1}/K)·2^-q ),  α = 1 / (2 ln 2)
//! σ(x) = x + Σ_{j≥1} x^(2^j)·2^(j-1)              counts empty registers right: no linear counting
//! τ(x) = (1 - x - Σ_{j≥1} (1 - x^(2^-j))²·2^-j)/3 counts the full ones right
//! ```
//!
//! No tables, no switch between two estimators, hence no step in the answer. It depends on the registers
//! alone.
//!
//! One term is added for few registers: α and the standard error are those of infinitely many, and Flajolet
//! et al. ("HyperLogLog", 2007) give α/(1 + 1.079/K) and an error that grows alike (1.106, 1.070,
//! 1.054 over √K for K = 16, 32, 64). Without it the estimate is 1.1/K too high and the 95 % interval of 16
//! registers covers 92 %; with it every K was measured at 95 % or more. From lg K = 10 on it is a tenth of a percent
//! and less.
//!
//! HIP (Ting, Cohen: 0.83/√K instead of 1.04/√K for one stream) is not used: it depends on the order of the
//! events and is void after a merge, and here every answer is a merge.

use super::registers::{Histogram, RANK_MAX};
use crate::Estimate;
use crate::estimate::z_of;

/// Ranks 1..=62 have probability 2^-rank; rank 63 stands for all above.
const Q: usize = RANK_MAX as usize - 1;

/// Events are counted in 64 bits, so no stream has more distinct values: a proven upper bound.
const COUNT_MAX: f64 = u64::MAX as f64;

/// Asymptotic standard error of the raw estimate times √K: √(3 ln 2 − 1).
const STANDARD_ERROR: f64 = 1.03896;

/// What the constants of infinitely many registers lack, times K.
const FEW_REGISTERS: f64 = 1.079;

/// Relative standard error with 2^`lg_k` registers.
pub(super) fn relative_error(lg_k: u8) -> f64 {
    let k = f64::from(1u32 << lg_k);
    STANDARD_ERROR * (1.0 + FEW_REGISTERS / k) / k.sqrt()
}

/// The number of distinct values with its bounds.
///
/// The interval is `[n / (1 + z s), n / (1 − z s)]`: it asks for which truth `n` would be `z` deviations
/// away, and is longer above than below. Each non-zero register has seen a value of its own, a lower bound
/// that is proven.
pub(super) fn estimate(histogram: &Histogram, lg_k: u8, confidence: f64) -> Estimate<f64> {
    let nonzero = f64::from((1u32 << lg_k) - histogram[0]);
    let value = cardinality(histogram, lg_k).clamp(nonzero, COUNT_MAX);
    let deviation = z_of(confidence) * relative_error(lg_k);
    let low = (value / (1.0 + deviation)).max(nonzero);
    let high = if deviation < 1.0 { (value / (1.0 - deviation)).min(COUNT_MAX) } else { COUNT_MAX };
    Estimate::probabilistic(value, low, high, confidence)
}

/// Ertl's improved raw estimate, corrected for few registers; infinite when every register is full.
fn cardinality(histogram: &Histogram, lg_k: u8) -> f64 {
    let k = f64::from(1u32 << lg_k);
    // Horner's scheme from the rarest rank down, so that the powers of two cost nothing.
    let mut sum = k * tau(1.0 - f64::from(histogram[Q + 1]) / k);
    for &count in histogram[1..=Q].iter().rev() {
        sum = 0.5 * (sum + f64::from(count));
    }
    sum += k * sigma(f64::from(histogram[0]) / k);
    k * k / (2.0 * std::f64::consts::LN_2) / sum / (1.0 + FEW_REGISTERS / k)
}

/// Converges within some thirty rounds for every x that is a fraction of at most 2^21 registers.
fn sigma(x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (x, 1.0, x);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        root = root.sqrt();
        weight *= 0.5;
        let before = sum;
        sum -= (1.0 - root).powi(2) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected histogram after n values: P(register ≤ v) = (1 − 2^-v/K)^n, rounded so that K registers
    /// remain.
    fn expected(lg_k: u8, n: f64) -> Histogram {
        let k = f64::from(1u32 << lg_k);
        let below = |v: i32| if v > 62 { 1.0 } else { (n * (-(2f64.powi(-v)) / k).ln_1p()).exp() };
        let mut histogram = [0; 64];
        let mut done = 0;
        for v in 0..64 {
            let upto = (k * below(v)).round() as u32;
            histogram[v as usize] = upto - done;
            done = upto;
        }
        histogram
    }

    #[test]
    fn the_expected_registers_give_back_the_number() {
        // Many registers and no noise: only rounding is left, from sparse to a third of them full.
        for n in [20e3, 200e3, 2e6, 20e6, 2e9, 2e12, 2e15, 1e18, 5e24] {
            let value = cardinality(&expected(21, n), 21);
            assert!((value / n - 1.0).abs() < 2e-3, "{n}: {value}");
        }
    }

    #[test]
    fn sigma_and_tau_meet_their_definitions() {
        let series = |x: f64| x + (1..40).map(|j| x.powf(2f64.powi(j)) * 2f64.powi(j - 1)).sum::<f64>();
        for x in [0.0, 0.1, 0.5, 0.9, 0.999] {
            assert!((sigma(x) - series(x)).abs() <= 1e-9 * series(x), "σ({x})");
        }
        let series = |x: f64| {
            let sum: f64 = (1..60).map(|j| (1.0 - x.powf(2f64.powi(-j))).powi(2) * 2f64.powi(-j)).sum();
            (1.0 - x - sum) / 3.0
        };
        for x in [1e-6, 0.1, 0.5, 0.9, 0.999] {
            assert!((tau(x) - series(x)).abs() < 1e-12, "τ({x})");
        }
    }

    #[test]
    fn the_ends_of_the_scale_stay_numbers() {
        let mut full = [0; 64];
        full[63] = 16;
        let e = estimate(&full, 4, 0.95);
        assert!(e.value == COUNT_MAX && e.high == COUNT_MAX && e.low > 1e18, "{e:?}");
        let mut one = [0; 64];
        (one[0], one[1]) = (15, 1);
        let e = estimate(&one, 4, 1.0 - 1e-12);
        // Sixteen registers cannot carry seven deviations: nothing is claimed above.
        assert!(e.low >= 1.0 && e.low <= e.value && e.high == COUNT_MAX, "{e:?}");
    }
}
