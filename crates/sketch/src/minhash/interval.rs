//! The interval of Clopper & Pearson (1934) for `alike` successes of `trials`: all p under which neither so many nor so few
//! would be a surprise of more than half the chance of error. Its coverage is never below the confidence.

use crate::estimate::z_of;

/// Newton's steps; from Wilson's bound it takes three to six.
const STEPS_MAX: u32 = 50;

/// Both ends. `trials` is at least 1.
pub(super) fn clopper_pearson(alike: u32, trials: u32, confidence: f64) -> (f64, f64) {
    let chance = (1.0 - confidence) / 2.0;
    let low = low_end(alike, trials, chance, confidence);
    // 1 − p is the end for the failures; a confidence of 0 puts both on the median, in either order.
    (low, (1.0 - low_end(trials - alike, trials, chance, confidence)).max(low))
}

/// The p under which `alike` or more of `trials` have the given chance; 0 when `alike` is.
///
/// Newton's method on the logarithms of both: with `s` the sum of the tail over its first term, the logarithm of the tail
/// grows by `alike/s` with that of p. It is concave, so after at most one step too far it comes from below.
fn low_end(alike: u32, trials: u32, chance: f64, confidence: f64) -> f64 {
    let (x, n) = (f64::from(alike), f64::from(trials));
    if alike == 0 {
        return 0.0;
    }
    let ways = ln_factorial(trials) - ln_factorial(alike) - ln_factorial(trials - alike);
    let mut p = wilson_low(x / n, n, z_of(confidence));
    for _ in 0..STEPS_MAX {
        let tail = tail_over_first(alike, trials, p);
        let surplus = ways + x * p.ln() + (n - x) * (-p).ln_1p() + tail.ln() - chance.ln();
        let step = (-surplus * tail / x).exp();
        // A chance near 1/2 has its p above alike/trials, never at 1.
        p = (p * step).min((1.0 + p) / 2.0);
        if (step - 1.0).abs() < 1e-10 {
            break;
        }
    }
    p.clamp(0.0, 1.0)
}

/// P(X >= x) / P(X = x), X binomial.
fn tail_over_first(x: u32, trials: u32, p: f64) -> f64 {
    let odds = p / (1.0 - p);
    let (mut term, mut sum) = (1.0, 1.0);
    for j in x..trials {
        term *= f64::from(trials - j) / f64::from(j + 1) * odds;
        sum += term;
        if term < sum * 1e-15 {
            break;
        }
    }
    sum
}

/// Wilson's (1927) lower bound: where to start.
fn wilson_low(share: f64, n: f64, z: f64) -> f64 {
    let z2 = z * z / n;
    let middle = share + z2 / 2.0;
    let width = (z2 * (share * (1.0 - share) + z2 / 4.0)).sqrt();
    ((middle - width) / (1.0 + z2)).clamp(1e-9, 1.0 - 1e-9)
}

/// ln n!: Stirling's series, or the product of few factors.
fn ln_factorial(n: u32) -> f64 {
    if n < 16 {
        return (1..=n).map(f64::from).product::<f64>().ln();
    }
    let n = f64::from(n);
    let n3 = n * n * n;
    n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + 1.0 / (12.0 * n) - 1.0 / (360.0 * n3)
        + 1.0 / (1260.0 * n3 * n * n)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P(X >= x), all terms by their logarithms, factorials as sums of them.
    fn tail(x: u32, n: u32, p: f64) -> f64 {
        let logs: Vec<f64> = std::iter::once(0.0)
            .chain((1..=n).map(|i| f64::from(i).ln()))
            .scan(0.0, |sum, ln| {
                *sum += ln;
                Some(*sum)
            })
            .collect();
        let ways = |j: u32| logs[n as usize] - logs[j as usize] - logs[(n - j) as usize];
        (x..=n).map(|j| (ways(j) + f64::from(j) * p.ln() + f64::from(n - j) * (1.0 - p).ln()).exp()).sum()
    }

    #[test]
    fn either_end_is_where_the_tail_has_half_of_the_chance() {
        for n in [1, 2, 8, 15, 16, 17, 68, 128, 500] {
            for x in 0..=n {
                for confidence in [0.5, 0.9, 0.95, 0.99, 0.9999] {
                    let (low, high) = clopper_pearson(x, n, confidence);
                    let half = (1.0 - confidence) / 2.0;
                    let fits = |got: f64| (got / half - 1.0).abs() < 1e-6;
                    assert!(
                        x == 0 && low == 0.0 || fits(tail(x, n, low)),
                        "{x} of {n} at {confidence}: {low}"
                    );
                    let above = tail(n - x, n, 1.0 - high);
                    assert!(x == n && high == 1.0 || fits(above), "{x} of {n} at {confidence}: {high}");
                    let share = f64::from(x) / f64::from(n);
                    assert!(low <= share && share <= high);
                }
            }
        }
    }

    #[test]
    fn the_published_ends() {
        // Tables of exact 95 % limits: 0 of 10, 1 of 10, 5 of 10, 10 of 100.
        for (x, n, low, high) in [
            (0, 10, 0.0, 0.3085),
            (1, 10, 0.0025, 0.4450),
            (5, 10, 0.1871, 0.8129),
            (10, 100, 0.0490, 0.1762),
        ] {
            let (l, h) = clopper_pearson(x, n, 0.95);
            assert!((l - low).abs() < 6e-5 && (h - high).abs() < 6e-5, "{x} of {n}: {l} {h}");
        }
    }

    #[test]
    fn any_confidence_gives_ends_in_order() {
        for (x, n) in [(0, 1), (1, 1), (1, 2), (4_096, 4_096), (1, 4_096), (2_048, 4_096), (4_095, 4_096)] {
            for confidence in [0.0, 0.01, 0.5, 0.95, 1.0 - 1e-12] {
                let (low, high) = clopper_pearson(x, n, confidence);
                assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0, "{x} {n} {confidence}");
            }
        }
    }
}
