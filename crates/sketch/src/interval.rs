//! Exact intervals for what is drawn: the share that is hit when the number of trials is known, and the number of trials
//! when the share is.
//!
//! Both are those of Clopper & Pearson (1934): all parameters under which neither so many nor so few successes would be a
//! surprise of more than half the chance of error. Their coverage is never below the confidence, and they nest: more
//! confidence never takes away. Expansions of the normal law (Wilson's, Cornish & Fisher's) do neither where successes are
//! few.

use crate::estimate::z_of;

/// Newton's steps; from Wilson's bound it takes three to six.
const STEPS_MAX: u32 = 50;
/// Terms of the continued fraction; it takes about the root of the number of successes.
const TERMS_MAX: u32 = 100_000;
/// How exact the logarithms of tails and their ends are.
const EXACT_TO: f64 = 1e-10;

/// Both ends of the share of which `alike` of `trials` are a draw. `trials` is at least 1.
pub(crate) fn share(alike: u32, trials: u32, confidence: f64) -> (f64, f64) {
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
    let mut p = wilson_low(x / n, n, z_of(confidence));
    for _ in 0..STEPS_MAX {
        let tail = tail_over_first(x, n, p);
        let surplus = ln_chance(x, n, p) + tail.ln() - chance.ln();
        let step = (-surplus * tail / x).exp();
        // A chance near 1/2 has its p above alike/trials, never at 1.
        p = (p * step).min((1.0 + p) / 2.0);
        if (step - 1.0).abs() < EXACT_TO {
            break;
        }
    }
    p.clamp(0.0, 1.0)
}

/// Both ends of the number of trials of which so many were successes, each with the chance `p` in (0, 1). Not below the
/// successes; real numbers, between which the binomial law is continued by the beta function.
pub(crate) fn trials(successes: u32, p: f64, confidence: f64) -> (f64, f64) {
    let ln_half = ((1.0 - confidence) / 2.0).ln();
    let c = f64::from(successes);
    let z = z_of(confidence) * (1.0 - p).sqrt();
    // A tenth of a deviation, relative.
    let step = 0.1 * ((1.0 - p) / (c + 1.0)).sqrt();
    let many = |n: f64| ln_chance(c, n, p) + tail_over_first(c, n, p).ln() - ln_half;
    // So many are no surprise where they are the mean.
    let low = if c * p.ln() >= ln_half { c } else { root((c, c / p), near(c, -z) / p, step, many) };
    let few = |n: f64| ln_half - ln_chance(c, n, p) - head_over_last(c, n, p).ln();
    let high = root((c, f64::INFINITY), near(c + 1.0, z) / p, step, few);
    // A confidence of 0 puts both on the median, in either order.
    (low, high.max(low))
}

/// Where `surplus`, which grows, is 0 within this range: secants over the logarithm of its argument, in which it is nearly
/// straight, kept within what is known of the place. The first is `step` long.
fn root(range: (f64, f64), start: f64, step: f64, surplus: impl Fn(f64) -> f64) -> f64 {
    let (mut below, mut above) = range;
    let mut at = start.max(below * (1.0 + EXACT_TO)).min(above);
    let mut before: Option<(f64, f64)> = None;
    for _ in 0..2 * STEPS_MAX {
        let here = surplus(at);
        if here > 0.0 {
            above = at;
        } else {
            below = at;
        }
        let next = match before {
            Some((last, there)) if there != here => at * (-here * (at / last).ln() / (here - there)).exp(),
            _ => at * if here > 0.0 { 1.0 - step } else { 1.0 + step },
        };
        before = Some((at, here));
        if here.abs() < EXACT_TO || (next / at - 1.0).abs() < EXACT_TO {
            break;
        }
        let inside = next > below && next < above;
        at = if inside { next } else { (below + above) / 2.0 }.min(2.0 * at);
    }
    at
}

/// Where the normal deviate `z` lies for `d` events of a Poisson process, by the cubes of Wilson & Hilferty (1931): where
/// to start.
fn near(d: f64, z: f64) -> f64 {
    let cube = (1.0 - 1.0 / (9.0 * d) + z / (9.0 * d).sqrt()).powi(3);
    d * cube.max(1e-3)
}

/// P(X >= x) / P(X = x), X binomial: the continued fraction of the incomplete beta function by the method of Lentz (1976).
/// It is quick where the tail is at most about half.
fn tail_over_first(x: f64, n: f64, p: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let not_zero = |x: f64| if x.abs() < TINY { TINY } else { x };
    let (a, b) = (x, n - x + 1.0);
    let mut d = 1.0 / not_zero(1.0 - (a + b) * p / (a + 1.0));
    let (mut c, mut product) = (1.0, d);
    for m in 1..TERMS_MAX {
        let m = f64::from(m);
        let even = m * (b - m) * p / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / not_zero(1.0 + even * d);
        c = not_zero(1.0 + even / c);
        product *= d * c;
        let odd = -(a + m) * (a + b + m) * p / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / not_zero(1.0 + odd * d);
        c = not_zero(1.0 + odd / c);
        product *= d * c;
        if (d * c - 1.0).abs() < 1e-14 {
            break;
        }
    }
    product * (1.0 - p)
}

/// P(X <= x) / P(X = x), X binomial and x whole; n need not be.
fn head_over_last(x: f64, n: f64, p: f64) -> f64 {
    let odds = (1.0 - p) / p;
    let (mut term, mut sum, mut j) = (1.0, 1.0, x);
    while j > 0.0 {
        term *= j / (n - j + 1.0) * odds;
        sum += term;
        if term < sum * 1e-15 {
            break;
        }
        j -= 1.0;
    }
    sum
}

/// ln P(X = x), X binomial, without the difference of large numbers (Loader 2000): what the powers have in common is taken
/// out before the logarithms. n need not be whole.
fn ln_chance(x: f64, n: f64, p: f64) -> f64 {
    let surplus = n * p - x;
    let part = |count: f64, surplus: f64| if count == 0.0 { 0.0 } else { count * (surplus / count).ln_1p() };
    part(x, surplus) + part(n - x, -surplus) + stirling(n) - stirling(x) - stirling(n - x)
}

/// ln x! − (x ln x − x): Stirling's series, of a number moved up where x is small.
fn stirling(x: f64) -> f64 {
    let series = |x: f64| {
        let x2 = x * x;
        0.5 * (std::f64::consts::TAU * x).ln() + (1.0 - (1.0 / 30.0 - 1.0 / (105.0 * x2)) / x2) / (12.0 * x)
    };
    if x >= 16.0 {
        return series(x);
    }
    let (moved, product) = (x + 16.0, (1..=16).map(|i| x + f64::from(i)).product::<f64>());
    let power = if x == 0.0 { 0.0 } else { x * x.ln() };
    series(moved) + moved * moved.ln() - 16.0 - product.ln() - power
}

/// Wilson's (1927) lower bound: where to start.
fn wilson_low(share: f64, n: f64, z: f64) -> f64 {
    let z2 = z * z / n;
    let middle = share + z2 / 2.0;
    let width = (z2 * (share * (1.0 - share) + z2 / 4.0)).sqrt();
    ((middle - width) / (1.0 + z2)).clamp(1e-9, 1.0 - 1e-9)
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
                    let (low, high) = share(x, n, confidence);
                    let half = (1.0 - confidence) / 2.0;
                    let fits = |got: f64| (got / half - 1.0).abs() < 1e-6;
                    assert!(
                        x == 0 && low == 0.0 || fits(tail(x, n, low)),
                        "{x} of {n} at {confidence}: {low}"
                    );
                    let above = tail(n - x, n, 1.0 - high);
                    assert!(x == n && high == 1.0 || fits(above), "{x} of {n} at {confidence}: {high}");
                    let hit = f64::from(x) / f64::from(n);
                    assert!(low <= hit && hit <= high);
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
            let (l, h) = share(x, n, 0.95);
            assert!((l - low).abs() < 6e-5 && (h - high).abs() < 6e-5, "{x} of {n}: {l} {h}");
        }
    }

    #[test]
    fn any_confidence_gives_ends_in_order() {
        for (x, n) in [(0, 1), (1, 1), (1, 2), (4_096, 4_096), (1, 4_096), (2_048, 4_096), (4_095, 4_096)] {
            for confidence in [0.0, 0.01, 0.5, 0.95, 1.0 - 1e-12] {
                let (low, high) = share(x, n, confidence);
                assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0, "{x} {n} {confidence}");
            }
        }
    }

    /// P(X <= x) and P(X >= x) of n whole trials, by the recurrence of the terms from 0 on.
    fn both_tails(x: u32, n: u32, p: f64) -> (f64, f64) {
        let odds = p / (1.0 - p);
        assert!(n < 1_000_000, "{x} of p = {p} in {n}");
        let mut ln = f64::from(n) * (-p).ln_1p();
        let (mut head, mut tail) = (0.0, 0.0);
        for j in 0..=n {
            if j <= x {
                head += ln.exp();
            }
            if j >= x {
                tail += ln.exp();
            }
            ln += (f64::from(n - j) / f64::from(j + 1) * odds).ln();
        }
        (head, tail)
    }

    #[test]
    fn the_whole_numbers_of_trials_inside_are_those_without_surprise() {
        for p in [0.02, 0.1, 0.5, 0.9, 0.99] {
            for c in [0, 1, 2, 3, 7, 15, 16, 17, 40, 128] {
                for confidence in [0.0, 0.5, 0.8, 0.95, 0.99, 0.999, 0.999_999] {
                    let (low, high) = trials(c, p, confidence);
                    let half = (1.0 - confidence) / 2.0;
                    let told = format!("{c} of p = {p} at {confidence}: {low} to {high}");
                    assert!(f64::from(c) <= low && low <= high, "{told}");
                    let least = low.ceil() as u32;
                    let close = |chance: f64| (chance / half - 1.0).abs() < 1e-6;
                    let many = |n: u32| both_tails(c, n, p).1;
                    assert!(many(least) >= half || close(many(least)), "{told}");
                    assert!(least <= c || many(least - 1) <= half || close(many(least - 1)), "{told}");
                    // At a confidence of 0 the upper end may be the lower one's.
                    let most = high.floor() as u32;
                    let few = |n: u32| both_tails(c, n, p).0;
                    assert!(few(most) >= half || close(few(most)) || confidence == 0.0, "{told}");
                    assert!(few(most + 1) <= half || close(few(most + 1)), "{told}");
                }
            }
        }
    }

    /// Of a small share trials are a Poisson process, whose ends are in Garwood's (1936) tables.
    #[test]
    fn a_tiny_share_gives_the_published_ends_of_a_count() {
        for (c, confidence, low, high) in [
            (0, 0.95, 0.0, 3.689),
            (1, 0.95, 0.0253, 5.572),
            (5, 0.95, 1.623, 11.668),
            (10, 0.95, 4.795, 18.390),
            (10, 0.99, 3.717, 21.398),
            (50, 0.95, 37.11, 65.92),
            (100, 0.95, 81.36, 121.63),
        ] {
            for p in [1e-9, 1e-15] {
                let (l, h) = trials(c, p, confidence);
                let near = |got: f64, told: f64| (got * p - told).abs() < 6e-4 * told.max(1.0);
                assert!(near(l, low) && near(h, high), "{c} at {confidence}: {} {}", l * p, h * p);
            }
        }
    }

    #[test]
    fn more_confidence_takes_nothing_away() {
        let confidences = [0.0, 0.3, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.999_999, 1.0 - 1e-12];
        for c in [0, 1, 2, 5, 12, 40, 256, 4_096, 1 << 21] {
            for p in [1e-18, 1e-9, 1e-3, 0.3, 0.5, 0.97, 0.999_9, 1.0 - 1e-9, 1.0 - 1e-12] {
                let ends: Vec<(f64, f64)> = confidences.iter().map(|&q| trials(c, p, q)).collect();
                for pair in ends.windows(2) {
                    let ((low, high), (lower, higher)) = (pair[0], pair[1]);
                    let slack = 1e-8;
                    assert!(
                        lower <= low * (1.0 + slack) && high <= higher * (1.0 + slack),
                        "{c} {p}: {pair:?}"
                    );
                    assert!(f64::from(c) <= lower && higher.is_finite(), "{c} {p}: {pair:?}");
                }
            }
        }
    }
}
