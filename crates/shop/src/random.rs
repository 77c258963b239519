//! Seeded numbers: words, shares, weighted choices, and the few functions that generators need of them.
//!
//! Everything here is made of integer arithmetic and of the operations that IEEE 754 rounds in one way only (`+ - * /`,
//! square root, rounding to an integer), so a seed gives the same bits on every machine. That is why [`ln`] and [`exp`]
//! are written out: those of the platform may differ in the last bit. Left out: cryptography; these numbers can be
//! guessed.

use std::f64::consts::{LN_2, SQRT_2};

/// xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021), its state filled by
/// SplitMix64 as its authors advise.
#[derive(Debug, Clone)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The generator of this seed.
    #[inline]
    pub fn seeded(seed: u64) -> Rng {
        let mut state = [0; 4];
        let mut walk = seed;
        for word in &mut state {
            walk = walk.wrapping_add(0x9E37_79B9_7F4A_7C15);
            *word = mix(walk);
        }
        Rng { state }
    }

    /// The next 64 bits.
    #[inline]
    pub fn word(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number below `n`, by the high half of the product; 0 when `n` is 0.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(n)) >> 64) as u64
    }

    /// A number in [0, 1), with 53 bits.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A standard normal number: the polar method (Marsaglia and Bray 1964), which needs no cosine.
    #[inline]
    pub fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * ln(square) / square).sqrt();
            }
        }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a bijection that spreads every bit over all 64.
#[inline]
pub fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Weighted choice in constant time: Walker's alias method, tables built as in Vose 1991. 16 bytes for each choice.
#[derive(Debug, Clone)]
pub struct Weighted {
    /// (chance of keeping the column that was drawn, what is taken instead)
    columns: Vec<(f64, u32)>,
}

impl Weighted {
    /// Choices with these weights: at least one, not negative, not all zero.
    pub fn new(weights: impl ExactSizeIterator<Item = f64>) -> Weighted {
        let n = weights.len();
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        let mut columns: Vec<(f64, u32)> =
            weights.iter().zip(0..).map(|(w, own)| (w * n as f64 / sum, own)).collect();
        let (mut poor, mut rich): (Vec<u32>, Vec<u32>) =
            (0..n as u32).partition(|&own| columns[own as usize].0 < 1.0);
        while !poor.is_empty() {
            let (Some(giver), Some(taker)) = (rich.pop(), poor.pop()) else { break };
            let gap = 1.0 - columns[taker as usize].0;
            columns[taker as usize].1 = giver;
            columns[giver as usize].0 -= gap;
            if columns[giver as usize].0 < 1.0 { poor.push(giver) } else { rich.push(giver) }
        }
        // Once one side is empty, only rounding keeps what is left on the other from exactly 1. Their second choice is
        // themselves, so the chance does not matter.
        Weighted { columns }
    }

    /// Choices whose weights fall with their rank: 1/(rank+1)^`exponent`.
    pub fn power_law(choices: u32, exponent: f64) -> Weighted {
        Weighted::new((0..choices).map(|rank| exp(-exponent * ln(f64::from(rank) + 1.0))))
    }

    /// The number of one choice.
    #[inline]
    pub fn draw(&self, rng: &mut Rng) -> usize {
        let column = rng.below(self.columns.len() as u64) as usize;
        let (keep, instead) = self.columns[column];
        if rng.unit() < keep { column } else { instead as usize }
    }
}

/// The natural logarithm of a positive normal number, within a few units in the last place (or 1e-16 near 1).
///
/// x = m 2^k with m around 1, and ln m = 2 artanh((m-1)/(m+1)) by its series, cut where terms fall below 2^-56.
#[inline]
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut k = (bits >> 52) as i64 - 1023;
    let mut m = f64::from_bits((bits & ((1 << 52) - 1)) | 0x3FF0_0000_0000_0000);
    if m > SQRT_2 {
        m *= 0.5;
        k += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut series = 0.0;
    // |s| < 0.172: the term after s^21/21 is below 1e-18.
    for odd in [21.0, 19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series * square + 1.0 / odd;
    }
    k as f64 * LN_2 + 2.0 * s * series
}

/// 1/14! down to 1/0!; the next term of the series for e^r is below 1e-19.
const INVERSE_FACTORIALS: [f64; 15] = {
    let mut inverse = [1.0; 15];
    let mut factorial = 1.0;
    let mut n = 1;
    while n < inverse.len() {
        factorial *= n as f64;
        inverse[inverse.len() - 1 - n] = 1.0 / factorial;
        n += 1;
    }
    inverse
};

/// e to the power of x, for |x| up to 700, within a few units in the last place for small |x|.
///
/// x = k ln 2 + r with |r| at most (ln 2)/2, and e^r by its Taylor series, cut where terms fall below 2^-56.
#[inline]
pub fn exp(x: f64) -> f64 {
    debug_assert!(x.abs() <= 700.0, "exp({x}) is out of range");
    let k = (x / LN_2).round();
    let r = x - k * LN_2;
    let mut series = 0.0;
    for coefficient in INVERSE_FACTORIALS {
        series = series * r + coefficient;
    }
    series * f64::from_bits(((k as i64 + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // First words of xoshiro256++ with the state 1, 2, 3, 4, worked out from its definition.
        let mut rng = Rng { state: [1, 2, 3, 4] };
        assert_eq!([rng.word(), rng.word(), rng.word()], [41_943_041, 58_720_359, 3_588_806_011_781_223]);
        // First output of SplitMix64 from state 0.
        assert_eq!(mix(0x9E37_79B9_7F4A_7C15), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn logarithm_and_exponential_agree_with_the_platform() {
        let mut rng = Rng::seeded(1);
        for _ in 0..100_000 {
            let x = 60.0 * rng.unit() - 30.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-14, "exp({x})");
            let y = x.exp();
            assert!((ln(y) - y.ln()).abs() < 1e-14, "ln({y})");
        }
        assert_eq!((ln(1.0), exp(0.0)), (0.0, 1.0));
    }

    #[test]
    fn normal_numbers_are_normal() {
        // Shares below a few points against the normal distribution; five standard deviations each, so the chance of a
        // false alarm over seeds is below 6e-7 a point.
        let mut rng = Rng::seeded(2);
        let n = 200_000;
        let drawn: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        for (point, share) in
            [(-2.326_348, 0.01), (-1.0, 0.158_655), (0.0, 0.5), (1.0, 0.841_345), (2.326_348, 0.99)]
        {
            let below = drawn.iter().filter(|&&z| z < point).count() as f64;
            let sigma = (n as f64 * share * (1.0 - share)).sqrt();
            assert!((below - n as f64 * share).abs() < 5.0 * sigma, "{below} below {point}");
        }
    }

    #[test]
    fn a_choice_without_weight_is_never_drawn() {
        let weighted = Weighted::new([0.0, 3.0, 0.0, 1.0].into_iter());
        let mut rng = Rng::seeded(3);
        let mut counts = [0u32; 4];
        for _ in 0..40_000 {
            counts[weighted.draw(&mut rng)] += 1;
        }
        assert_eq!((counts[0], counts[2]), (0, 0));
        // 30,000 expected, sigma 87; five of them.
        assert!((29_567..30_433).contains(&counts[1]), "{counts:?}");
    }
}
