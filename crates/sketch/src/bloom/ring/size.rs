//! How large a ring must be: keys of the busiest bucket, false-positive rate over the whole window, number of buckets.
//!
//! A key has `g` cache lines, one in each of `g` regions of `R` lines, and in each of them `s` bits, one in each of `s`
//! parts of `r` positions; every position has a bit for each plane, so `s * r * planes = 512`. Lines of a region take in
//! keys of one bucket as a Poisson law of mean `n/R`, hence for one plane and for a window of `W` live ones
//!
//! ```text
//! line   h = sum over i of Pois(i; n/R) · (1 - (1 - 1/r)^i)^s
//! plane  q = h^g
//! window p = 1 - (1 - q)^W, at most W·q
//! ```
//!
//! Few positions make uneven lines: with 16 planes one line per key would take 55 bits per key and bucket at 1 %, two
//! take 22.4, four 17.7; without lines it were 16.4. So the number of lines is chosen too: the fewest that cost at most
//! 4/3 of what the cheapest number costs. Only additions, multiplications and divisions: every machine finds the same.

use super::super::size::{KEYS_MAX, RATE_MAX, RATE_MIN};

/// Bytes of a cache line.
pub const LINE_BYTES: u64 = 64;
/// Most lines of a ring: 4 GiB.
pub const RING_LINES_MAX: u64 = 1 << 26;
/// Most buckets of a window: one plane of the 64 is always being emptied.
pub const BUCKETS_MAX: u8 = 63;
/// Most cache lines per key.
pub const LINES_PER_KEY_MAX: u8 = 4;
/// Fewest keys that a bucket is made for: the fewest that the exact state hands over.
const KEYS_MIN: u64 = 64;
/// Most keys per line that the sum of the head is made for.
const LOAD_MAX: f64 = 256.0;
/// Made for a little less, so that the scatter of the bits alone is not taken for overflow.
const ROOM: f64 = 15.0 / 16.0;

/// How many keys at which rate over how many buckets.
///
/// Bits per key and bucket as chosen, when the busiest bucket is also the usual one:
///
/// | buckets, planes | 1 % | 0.1 % |
/// |---|---|---|
/// | 7, 8 | 17.9, two lines per key | 27.8, two |
/// | 15, 16 | 22.4, two lines | 27.4, three |
/// | 31, 32 | 25.0, three lines | 38.7, three |
/// | 63, 64 | 27.0, four lines | 43.4, four |
///
/// ```
/// use sketch::bloom::RingSize;
///
/// // A day in hours, at most a million users in the busiest hour.
/// let day = RingSize::per_bucket(1_000_000, 0.01, 24)?;
/// assert_eq!((day.planes(), day.lines_per_key()), (32, 3));
/// # Ok::<(), sketch::bloom::RingSizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RingSize {
    keys: u64,
    rate: f64,
    buckets: u8,
    shape: Shape,
}

/// What follows from a size: where bits lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// log2 of the planes, 3..=6.
    pub lg_planes: u8,
    /// Lines per key g, one in each region.
    pub lines_per_key: u8,
    /// log2 of the parts s of a line.
    pub lg_parts: u8,
    /// Lines of a region R.
    pub region: u32,
}

impl Shape {
    /// log2 of the positions r of a part.
    #[inline]
    pub fn lg_positions(self) -> u8 {
        9 - self.lg_planes - self.lg_parts
    }

    pub fn planes(self) -> u32 {
        1 << self.lg_planes
    }

    pub fn lines(self) -> u64 {
        u64::from(self.lines_per_key) * u64::from(self.region)
    }

    /// Expected keys per line, from the share of a plane's bits that are set.
    pub fn load_at(self, fill: f64) -> f64 {
        -(-fill).ln_1p() * f64::from(1u32 << self.lg_positions())
    }

    /// Expected rate of one plane whose regions take in `load` keys per line.
    pub fn plane_rate(self, load: f64) -> f64 {
        power(line_rate(load, self.lg_parts, self.lg_positions()), self.lines_per_key)
    }

    /// Expected rate of one plane of which this share of bits is set.
    pub fn rate_at(self, fill: f64) -> f64 {
        let load = self.load_at(fill);
        if load <= LOAD_MAX {
            return self.plane_rate(load);
        }
        // All but a few bits are set, and lines no longer differ.
        (0..self.lines_per_key).fold(1.0, |rate, _| rate * power(fill, 1 << self.lg_parts))
    }
}

impl RingSize {
    /// For at most `keys` distinct keys in any bucket, and a chance of at most `rate` that a key which is in none of the
    /// `buckets` live ones is taken for known.
    ///
    /// # Errors
    /// [`RingSizeError`] when `keys` is outside 1..=2^32, `rate` outside 1e-6..=0.5, `buckets` outside
    /// 1..=[`BUCKETS_MAX`], or the ring would take more than 4 GiB.
    pub fn per_bucket(keys: u64, rate: f64, buckets: u8) -> Result<RingSize, RingSizeError> {
        RingSize::cheapest(keys, rate, buckets, 1..=LINES_PER_KEY_MAX)
    }

    /// For `keys` keys in the whole window, spread evenly over its buckets; a key that comes in several buckets counts in
    /// each. Take [`RingSize::per_bucket`] when some buckets are busier than others.
    ///
    /// # Errors
    /// As [`RingSize::per_bucket`].
    pub fn per_window(keys: u64, rate: f64, buckets: u8) -> Result<RingSize, RingSizeError> {
        if keys == 0 || buckets == 0 {
            return RingSize::per_bucket(keys, rate, buckets);
        }
        RingSize::per_bucket(keys.div_ceil(u64::from(buckets)), rate, buckets)
    }

    /// The same with so many cache lines per key, 1..=[`LINES_PER_KEY_MAX`]: fewer are faster in large rings, more are
    /// smaller.
    ///
    /// # Errors
    /// As [`RingSize::per_bucket`].
    pub fn with_lines_per_key(self, lines: u8) -> Result<RingSize, RingSizeError> {
        RingSize::with_lines(self.keys, self.rate, self.buckets, lines.clamp(1, LINES_PER_KEY_MAX))
    }

    pub(super) fn with_lines(
        keys: u64,
        rate: f64,
        buckets: u8,
        lines: u8,
    ) -> Result<RingSize, RingSizeError> {
        RingSize::cheapest(keys, rate, buckets, lines..=lines)
    }

    fn cheapest(
        keys: u64,
        rate: f64,
        buckets: u8,
        lines: std::ops::RangeInclusive<u8>,
    ) -> Result<RingSize, RingSizeError> {
        if !(1..=KEYS_MAX).contains(&keys) {
            return Err(RingSizeError::Keys(keys));
        }
        if !(RATE_MIN..=RATE_MAX).contains(&rate) {
            return Err(RingSizeError::Rate(rate));
        }
        if !(1..=BUCKETS_MAX).contains(&buckets) {
            return Err(RingSizeError::Buckets(buckets));
        }
        let lg_planes = (u32::from(buckets) + 1).next_power_of_two().trailing_zeros().max(3) as u8;
        let plane_rate = ROOM * rate / f64::from(buckets);
        // Lines in all, and the parts, of each number of lines per key.
        let costs: Vec<(u64, u8, u8)> = lines
            .map(|g| {
                // A part has at least two positions, or its bit would say nothing.
                let parts = 0..=(8 - lg_planes).min(3);
                let cost =
                    |lg_parts| u64::from(g).saturating_mul(region(keys, plane_rate, lg_planes, g, lg_parts));
                let (cost, lg_parts) =
                    parts.map(|lg_parts| (cost(lg_parts), lg_parts)).min().unwrap_or_default();
                (cost, lg_parts, g)
            })
            .collect();
        let least = costs.iter().map(|cost| cost.0).min().unwrap_or(u64::MAX);
        let fits = |cost: &&(u64, u8, u8)| cost.0 <= least.saturating_add(least / 3);
        let (cost, lg_parts, lines_per_key) = costs.iter().find(fits).copied().unwrap_or((u64::MAX, 0, 1));
        if cost > RING_LINES_MAX {
            return Err(RingSizeError::Bytes(cost.saturating_mul(LINE_BYTES)));
        }
        let region = (cost / u64::from(lines_per_key)) as u32;
        Ok(RingSize { keys, rate, buckets, shape: Shape { lg_planes, lines_per_key, lg_parts, region } })
    }

    /// Keys of the busiest bucket.
    pub fn keys(self) -> u64 {
        self.keys
    }

    /// False-positive rate over the whole window.
    pub fn rate(self) -> f64 {
        self.rate
    }

    /// Live buckets of the window.
    pub fn buckets(self) -> u8 {
        self.buckets
    }

    /// Bits per position: the power of two above the number of buckets, at least 8.
    pub fn planes(self) -> u32 {
        self.shape.planes()
    }

    /// Cache lines that one operation touches.
    pub fn lines_per_key(self) -> u8 {
        self.shape.lines_per_key
    }

    /// Bits that a key sets.
    pub fn bits_per_key(self) -> u32 {
        u32::from(self.shape.lines_per_key) << self.shape.lg_parts
    }

    /// Bytes of the lines, as they will be allocated.
    pub fn filter_bytes(self) -> u64 {
        self.shape.lines() * LINE_BYTES
    }

    pub(super) fn shape(self) -> Shape {
        self.shape
    }
}

/// A size that no ring can have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RingSizeError {
    /// Number of keys out of range.
    Keys(u64),
    /// False-positive rate out of range.
    Rate(f64),
    /// Number of buckets out of range.
    Buckets(u8),
    /// Bytes that the ring would take, which are too many.
    Bytes(u64),
}

impl std::fmt::Display for RingSizeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RingSizeError::Keys(keys) => {
                write!(f, "{keys} keys per bucket, but it goes from 1 to {KEYS_MAX}")
            }
            RingSizeError::Rate(rate) => {
                write!(f, "false-positive rate {rate}, but it goes from {RATE_MIN} to {RATE_MAX}")
            }
            RingSizeError::Buckets(buckets) => {
                write!(f, "{buckets} buckets, but it goes from 1 to {BUCKETS_MAX}")
            }
            RingSizeError::Bytes(bytes) => {
                let most = RING_LINES_MAX * LINE_BYTES;
                write!(f, "the ring would take {bytes} bytes, at most {most} are possible")
            }
        }
    }
}

impl std::error::Error for RingSizeError {}

/// Fewest lines of a region that hold `keys` keys of a bucket at an expected rate of at most `rate`.
fn region(keys: u64, rate: f64, lg_planes: u8, lines_per_key: u8, lg_parts: u8) -> u64 {
    let lg_positions = 9 - lg_planes - lg_parts;
    // Keys per line: 48 halvings of an interval that holds the answer for every rate in use.
    let (mut fits, mut too_many) = (0.0, LOAD_MAX);
    for _ in 0..48 {
        let middle = (fits + too_many) / 2.0;
        if power(line_rate(middle, lg_parts, lg_positions), lines_per_key) <= rate {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    // Through f64 on purpose: beyond u64 it saturates, and the limit refuses it.
    ((keys.max(KEYS_MIN) as f64 / fits).ceil() as u64).max(1)
}

/// The first formula of the head. Weights start at 1 instead of e^-load and are divided out.
fn line_rate(load: f64, lg_parts: u8, lg_positions: u8) -> f64 {
    let last = (load + 12.0 * load.sqrt() + 24.0) as u32;
    let keep = 1.0 - 1.0 / f64::from(1u32 << lg_positions);
    let (mut weight, mut clear) = (1.0, 1.0);
    let (mut weights, mut hits) = (1.0, 0.0);
    for i in 1..=last {
        weight *= load / f64::from(i);
        clear *= keep;
        weights += weight;
        hits += weight * power(1.0 - clear, 1 << lg_parts);
    }
    hits / weights
}

/// By multiplications alone, in one order.
fn power(x: f64, n: u8) -> f64 {
    (0..n).fold(1.0, |power, _| power * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(size: RingSize) -> f64 {
        size.filter_bytes() as f64 * 8.0 / (size.keys() * u64::from(size.buckets())) as f64
    }

    #[test]
    fn real_bits_per_key_and_bucket() {
        for (buckets, rate, bits_per_key, lines) in [
            (7, 0.01, 17.9, 2),
            (7, 0.001, 27.8, 2),
            (15, 0.01, 22.4, 2),
            (15, 0.001, 27.4, 3),
            (31, 0.01, 25.0, 3),
            (31, 0.001, 38.7, 3),
            (63, 0.01, 27.0, 4),
            (63, 0.001, 43.4, 4),
        ] {
            let size = RingSize::per_bucket(1_000_000, rate, buckets).unwrap();
            assert!((bits(size) - bits_per_key).abs() <= 0.06, "{size:?}: {}", bits(size));
            assert_eq!(size.lines_per_key(), lines, "{size:?}");
        }
    }

    #[test]
    fn the_formula_is_a_closed_sum_and_its_inverse_is_tight() {
        // E[(1 - k^i)^s] over a Poisson i by the binomial theorem: another road to the same number.
        let closed = |load: f64, parts: u32, positions: f64| -> f64 {
            let mut choose = 1.0;
            (0..=parts)
                .map(|j| {
                    let sign = if j % 2 == 0 { 1.0 } else { -1.0 };
                    let term = sign * choose * (-load * (1.0 - (1.0 - 1.0 / positions).powi(j as i32))).exp();
                    choose *= f64::from(parts - j) / f64::from(j + 1);
                    term
                })
                .sum()
        };
        for (load, lg_parts, lg_positions) in [(0.5, 1u8, 2u8), (3.0, 2, 3), (10.0, 3, 3), (40.0, 1, 5)] {
            let ours = line_rate(load, lg_parts, lg_positions);
            let theirs = closed(load, 1 << lg_parts, f64::from(1u32 << lg_positions));
            assert!((ours / theirs - 1.0).abs() < 1e-9, "{load}: {ours} and {theirs}");
        }
        for (keys, rate, buckets) in [(1_000u64, 0.5, 1), (1_000_000, 0.01, 15), (12_345, 1e-6, 63)] {
            let size = RingSize::per_bucket(keys, rate, buckets).unwrap();
            let rate_of = |region: u32| {
                let load = keys as f64 / f64::from(region);
                size.shape.plane_rate(load) * f64::from(buckets) / ROOM
            };
            assert!(rate_of(size.shape.region) <= rate, "{size:?}");
            assert!(rate_of(size.shape.region - 1) > rate, "{size:?}");
        }
    }

    #[test]
    fn more_lines_per_key_take_fewer_bytes() {
        let size = RingSize::per_bucket(1_000_000, 0.01, 15).unwrap();
        let bytes: Vec<u64> = (1..=4).map(|g| size.with_lines_per_key(g).unwrap().filter_bytes()).collect();
        assert!(bytes.is_sorted_by(|a, b| a > b), "{bytes:?}");
        assert_eq!(size.with_lines_per_key(size.lines_per_key()), Ok(size));
        assert_eq!(RingSize::per_window(15_000_000, 0.01, 15), Ok(size));
    }

    #[test]
    fn sizes_without_a_ring_are_refused() {
        assert_eq!(RingSize::per_bucket(0, 0.01, 7), Err(RingSizeError::Keys(0)));
        assert_eq!(RingSize::per_window(0, 0.01, 7), Err(RingSizeError::Keys(0)));
        for rate in [0.0, -1.0, 0.51, 1e-7] {
            assert_eq!(RingSize::per_bucket(1, rate, 7), Err(RingSizeError::Rate(rate)));
        }
        assert!(matches!(RingSize::per_bucket(1, f64::NAN, 7), Err(RingSizeError::Rate(_))));
        for buckets in [0, 64, 255] {
            assert_eq!(RingSize::per_bucket(1, 0.01, buckets), Err(RingSizeError::Buckets(buckets)));
            assert_eq!(RingSize::per_window(1, 0.01, buckets), Err(RingSizeError::Buckets(buckets)));
        }
        assert!(matches!(RingSize::per_bucket(KEYS_MAX, 0.01, 7), Err(RingSizeError::Bytes(_))));
        assert!(RingSize::per_window(1_000_000_000, 0.01, 15).is_ok());
    }
}
