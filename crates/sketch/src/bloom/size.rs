//! How large a filter must be: the false-positive rate of split blocks, and its inverse.
//!
//! A block of eight 32-bit words that holds `i` keys has a given bit of a word set with chance `1 - (31/32)^i`, and a
//! foreign key needs eight such bits. `n` keys fall on `B` blocks as a Poisson law of mean `n/B`, so (Putze, Sanders &
//! Singler 2007)
//!
//! ```text
//! rate = sum over i of Pois(i; n/B) · (1 - (31/32)^i)^8
//! ```
//!
//! The classic formula knows no blocks and promises up to half the true rate. Only additions, multiplications and
//! divisions are used, no `exp`: every machine finds the same number of blocks.

use super::filter::{BLOCK_BYTES, BLOCKS_MAX};

/// Most keys that a [`Size`] asks for.
pub const KEYS_MAX: u64 = 1 << 32;
/// Smallest rate that can be asked for. The bits of a key within its block come from 32 hash bits, so a layer cannot get
/// far below 1e-9.
pub const RATE_MIN: f64 = 1e-6;
/// Largest rate that can be asked for.
pub const RATE_MAX: f64 = 0.5;
/// Fewest keys that a first layer is made for: it takes in what the exact set held.
const FIRST_KEYS_MIN: u64 = 64;
/// Layers are made for a little less than they may use up: the rate of the bits scatters around the expected one, and
/// without room a second layer would follow just before the first has its keys.
const ROOM: f64 = 15.0 / 16.0;

/// How many keys at which false-positive rate: `1M @ 1%`.
///
/// Real bits per key of the first layer, which is made for 0.70 of the rate so that later layers have room:
///
/// | rate asked | bits per key |
/// |---|---|
/// | 10 % | 6.6 |
/// | 1 % | 11.4 |
/// | 0.1 % | 18.1 |
///
/// ```
/// use sketch::bloom::Size;
///
/// let size = Size::new(1_000_000, 0.01)?;
/// assert_eq!(size.filter_bytes(), 1_419_776);
/// # Ok::<(), sketch::bloom::SizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    keys: u64,
    rate: f64,
}

impl Size {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`SizeError`] when `keys` is outside 1..=[`KEYS_MAX`], `rate` outside [`RATE_MIN`]..=[`RATE_MAX`], or the filter
    /// would take more than 256 MiB.
    pub fn new(keys: u64, rate: f64) -> Result<Size, SizeError> {
        let size = Size { keys, rate };
        if !(1..=KEYS_MAX).contains(&keys) {
            return Err(SizeError::Keys(keys));
        }
        if !(RATE_MIN..=RATE_MAX).contains(&rate) {
            return Err(SizeError::Rate(rate));
        }
        let bytes = size.filter_bytes();
        if bytes > BLOCKS_MAX * BLOCK_BYTES { Err(SizeError::Bytes(bytes)) } else { Ok(size) }
    }

    /// Keys asked for.
    pub fn keys(self) -> u64 {
        self.keys
    }

    /// False-positive rate asked for.
    pub fn rate(self) -> f64 {
        self.rate
    }

    /// Bytes of the first layer, as they will be allocated. Microseconds: the formula is inverted anew.
    pub fn filter_bytes(self) -> u64 {
        self.layer_blocks(0) * BLOCK_BYTES
    }

    /// Keys that layer `i` is made for: each twice as many as the one before.
    pub(super) fn layer_keys(self, i: usize) -> u64 {
        self.keys.max(FIRST_KEYS_MIN) << i
    }

    /// What all layers up to `i` may use up together: 3/4 of the asked rate, then 7/8, 15/16, and so on, so that it is
    /// never used up however many there are.
    pub(super) fn rate_max(self, i: usize) -> f64 {
        self.rate - self.share(i)
    }

    /// Expected rate of layer `i` alone when it has its keys.
    fn layer_rate(self, i: usize) -> f64 {
        ROOM * if i == 0 { self.rate_max(0) } else { self.share(i) }
    }

    fn share(self, i: usize) -> f64 {
        self.rate / (1u64 << (i + 2)) as f64
    }

    pub(super) fn layer_blocks(self, i: usize) -> u64 {
        blocks_for(self.layer_keys(i), self.layer_rate(i))
    }
}

/// A size that no filter can have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SizeError {
    /// Number of keys out of range.
    Keys(u64),
    /// False-positive rate out of range.
    Rate(f64),
    /// Bytes that the filter would take, which are too many.
    Bytes(u64),
}

impl std::fmt::Display for SizeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SizeError::Keys(keys) => write!(f, "{keys} keys, but it goes from 1 to {KEYS_MAX}"),
            SizeError::Rate(rate) => {
                write!(f, "false-positive rate {rate}, but it goes from {RATE_MIN} to {RATE_MAX}")
            }
            SizeError::Bytes(bytes) => {
                write!(
                    f,
                    "the filter would take {bytes} bytes, at most {} are possible",
                    BLOCKS_MAX * BLOCK_BYTES
                )
            }
        }
    }
}

impl std::error::Error for SizeError {}

/// Expected false-positive rate of `blocks` blocks that hold `keys` keys.
pub fn expected_rate(keys: u64, blocks: u64) -> f64 {
    rate_at(keys as f64 / blocks.max(1) as f64)
}

/// Fewest blocks that hold `keys` keys at an expected rate of at most `rate`, at least 1.
pub fn blocks_for(keys: u64, rate: f64) -> u64 {
    // Keys per block: 60 halvings of an interval that holds the answer for every rate in use.
    let (mut fits, mut too_many) = (0.0, 128.0);
    for _ in 0..60 {
        let middle = (fits + too_many) / 2.0;
        if rate_at(middle) <= rate {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    // Through f64 on purpose: beyond u64 it saturates, and every limit refuses it.
    ((keys as f64 / fits).ceil() as u64).max(1)
}

/// The formula of the head at `load` keys per block. Weights start at 1 instead of e^-load and are divided out.
fn rate_at(load: f64) -> f64 {
    let last = (load + 12.0 * load.sqrt() + 24.0) as u32;
    let (mut weight, mut clear) = (1.0, 1.0);
    let (mut weights, mut hits) = (1.0, 0.0);
    for i in 1..=last {
        weight *= load / f64::from(i);
        clear *= 31.0 / 32.0;
        let set: f64 = 1.0 - clear;
        let (set2, set4) = (set * set, set * set * set * set);
        weights += weight;
        hits += weight * (set4 * set2 * set2);
    }
    hits / weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_bits_per_key() {
        for (rate, bits) in [(0.1, 6.6), (0.01, 11.4), (0.001, 18.1)] {
            let size = Size::new(1_000_000, rate).unwrap();
            let real = size.filter_bytes() as f64 * 8.0 / 1e6;
            assert!((real - bits).abs() <= 0.05, "{rate}: {real}");
        }
    }

    #[test]
    fn the_formula_is_that_of_the_paper_and_its_inverse_is_tight() {
        // By logarithms and the gamma-free factorial, another road to the same sum.
        let direct = |load: f64| -> f64 {
            let mut ln_factorial = 0.0;
            (0..400)
                .map(|i| {
                    ln_factorial += f64::from(i.max(1)).ln();
                    let poisson = (f64::from(i) * load.ln() - load - ln_factorial).exp();
                    poisson * (1.0 - (31f64 / 32.0).powi(i)).powi(8)
                })
                .sum()
        };
        for load in [0.5, 3.0, 10.0, 25.0, 60.0, 100.0] {
            let (ours, theirs) = (rate_at(load), direct(load));
            assert!((ours / theirs - 1.0).abs() < 1e-9, "{load}: {ours} and {theirs}");
        }
        for (keys, rate) in [(1_000u64, 0.5), (1_000_000, 0.01), (12_345, 1e-6), (1, 0.1)] {
            let blocks = blocks_for(keys, rate);
            assert!(expected_rate(keys, blocks) <= rate);
            assert!(blocks == 1 || expected_rate(keys, blocks - 1) > rate);
        }
    }

    #[test]
    fn the_rates_of_all_layers_stay_below_the_asked_one() {
        let size = Size::new(1_000, 0.01).unwrap();
        let sum: f64 = (0..super::super::LAYERS_MAX).map(|i| size.layer_rate(i)).sum();
        assert!(sum < ROOM * 0.01 && sum > 0.99 * ROOM * 0.01, "{sum}");
        assert_eq!((size.rate_max(0), size.rate_max(1)), (0.0075, 0.00875));
        assert_eq!(size.layer_rate(3), size.layer_rate(2) / 2.0);
        assert_eq!(size.layer_keys(3), 8_000);
    }

    #[test]
    fn sizes_without_a_filter_are_refused() {
        assert_eq!(Size::new(0, 0.01), Err(SizeError::Keys(0)));
        assert_eq!(Size::new(KEYS_MAX + 1, 0.01), Err(SizeError::Keys(KEYS_MAX + 1)));
        for rate in [0.0, -1.0, 0.51, 1e-7] {
            assert_eq!(Size::new(1, rate), Err(SizeError::Rate(rate)));
        }
        assert!(matches!(Size::new(1, f64::NAN), Err(SizeError::Rate(_))));
        assert!(matches!(Size::new(KEYS_MAX, 0.01), Err(SizeError::Bytes(_))));
        assert!(Size::new(150_000_000, 0.01).is_ok());
    }
}
