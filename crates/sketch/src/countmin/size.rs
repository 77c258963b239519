//! How large a Count-Min sketch must be for an error at a confidence.

use super::{DEPTH_MAX, LG_WIDTH_MAX, LG_WIDTH_MIN};
use std::f64::consts::E;

/// A hair of room, so that `(-5f64).exp()` asks for five rows and not for six.
const ROUNDING: f64 = 1e-12;

/// A width and a depth, found for an error `epsilon` that is exceeded with a chance of at most `delta`.
///
/// A count is overstated by more than `epsilon` times the total weight with a chance of at most `delta`, for one query:
/// width = e/epsilon rounded up to a power of two, depth = ln(1/delta) rounded up (Cormode & Muthukrishnan 2005). The
/// rounding only makes it better; what came out is told by [`Size::epsilon`] and [`Size::delta`].
///
/// ```
/// use sketch::countmin::{CountMin, Size};
///
/// let size = Size::new(0.001, 0.01)?;
/// assert_eq!((size.lg_width(), size.depth()), (12, 5));
/// assert_eq!(size.bytes(), 80 << 10);
/// let clicks = CountMin::with_size(size);
/// assert_eq!(clicks.epsilon(), size.epsilon());
/// # Ok::<(), sketch::countmin::SizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    lg_width: u8,
    depth: u8,
}

impl Size {
    /// The smallest size for this error. Uses no logarithm: every machine finds the same.
    ///
    /// # Errors
    /// [`SizeError`] when `epsilon` is not below 1 or needs more than 2^28 counters a row (it is below 1.02e-8), or
    /// when `delta` is not below 1 or needs more than eight rows (it is below e^-8, 0.000335).
    pub fn new(epsilon: f64, delta: f64) -> Result<Size, SizeError> {
        let lg_width = (LG_WIDTH_MIN..=LG_WIDTH_MAX).find(|&lg| epsilon_of(lg) <= epsilon * (1.0 + ROUNDING));
        let depth = (1..=DEPTH_MAX).find(|&depth| delta_of(depth) <= delta * (1.0 + ROUNDING));
        let lg_width = lg_width.filter(|_| epsilon < 1.0).ok_or(SizeError::Epsilon(epsilon))?;
        let depth = depth.filter(|_| delta < 1.0).ok_or(SizeError::Delta(delta))?;
        Ok(Size { lg_width, depth })
    }

    /// log2 of the counters of a row.
    pub fn lg_width(self) -> u8 {
        self.lg_width
    }

    /// Number of rows.
    pub fn depth(self) -> u8 {
        self.depth
    }

    /// The error that this size has: e/width, at most what was asked for.
    pub fn epsilon(self) -> f64 {
        epsilon_of(self.lg_width)
    }

    /// The chance of a larger error: e^-depth, at most what was asked for.
    pub fn delta(self) -> f64 {
        delta_of(self.depth)
    }

    /// Bytes of the counters while the total weight is below 2^32; twice that afterwards.
    pub fn bytes(self) -> u64 {
        (u64::from(self.depth) << self.lg_width) * 4
    }
}

pub(super) fn epsilon_of(lg_width: u8) -> f64 {
    E / (1u64 << lg_width) as f64
}

fn delta_of(depth: u8) -> f64 {
    (0..depth).fold(1.0, |delta, _| delta / E)
}

/// An error that no Count-Min sketch has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SizeError {
    /// Error out of range, as part of the total weight.
    Epsilon(f64),
    /// Chance of a larger error out of range.
    Delta(f64),
}

impl std::fmt::Display for SizeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SizeError::Epsilon(epsilon) => {
                write!(f, "error {epsilon}, but it goes from {:.3e} to below 1", epsilon_of(LG_WIDTH_MAX))
            }
            SizeError::Delta(delta) => {
                write!(f, "chance of error {delta}, but it goes from {:.3e} to below 1", delta_of(DEPTH_MAX))
            }
        }
    }
}

impl std::error::Error for SizeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_size_that_keeps_the_error_is_taken() {
        for (epsilon, delta, lg_width, depth) in [
            (0.9, 0.9, 4, 1),
            (E / 16.0, 1.0 / E, 4, 1),
            (E / 16.0 - 1e-6, 0.36, 5, 2),
            (0.001, 0.01, 12, 5),
            (0.001, (-5f64).exp(), 12, 5),
            (0.000_1, 0.000_5, 15, 8),
            (1.1e-8, 0.000_336, 28, 8),
        ] {
            let size = Size::new(epsilon, delta).unwrap();
            assert_eq!((size.lg_width(), size.depth()), (lg_width, depth), "{epsilon} {delta}");
            assert!(size.epsilon() <= epsilon * 1.001 && size.delta() <= delta * 1.001);
            // By the formulas of the paper, with logarithms.
            let paper = ((E / epsilon).log2().ceil().max(4.0), (1.0 / delta).ln().ceil());
            if delta != (-5f64).exp() && epsilon != E / 16.0 {
                assert_eq!((f64::from(lg_width), f64::from(depth)), paper, "{epsilon} {delta}");
            }
        }
    }

    #[test]
    fn errors_that_no_sketch_has_are_refused_by_name() {
        for epsilon in [0.0, -0.1, 1.0, 1e-8, f64::INFINITY] {
            assert_eq!(Size::new(epsilon, 0.01), Err(SizeError::Epsilon(epsilon)));
        }
        for delta in [0.0, -0.1, 1.0, 0.000_3, f64::INFINITY] {
            assert_eq!(Size::new(0.01, delta), Err(SizeError::Delta(delta)));
        }
        assert!(matches!(Size::new(f64::NAN, 0.01), Err(SizeError::Epsilon(_))));
        assert!(matches!(Size::new(0.01, f64::NAN), Err(SizeError::Delta(_))));
        assert_eq!(
            Size::new(0.01, 2.0).unwrap_err().to_string(),
            "chance of error 2, but it goes from 3.355e-4 to below 1"
        );
    }
}
