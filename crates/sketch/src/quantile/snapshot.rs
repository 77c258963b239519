//! The bytes of [`Quantiles`], and the rules that any state of it obeys. Table in docs/FORMATS.md.

use super::bins::Bins;
use super::layout::{self, EXPONENT_MAX};
use super::{BINS_MAX, BITS, Binned, Quantiles, State, VALUES_MAX};
use crate::codec::{self, DecodeError, Limits, Reader, kind};

const VERSION: u8 = 1;
const BINNED: u8 = 1;
const INTEGRAL: u8 = 2;

impl Quantiles {
    /// Appends the canonical bytes: equal multisets of values give equal bytes.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        debug_assert_eq!(self.sound(), Ok(()));
        let binned = if self.is_exact() { 0 } else { BINNED };
        let integral = if self.integral { INTEGRAL } else { 0 };
        out.extend([kind::QUANTILES, VERSION, self.bits, binned | integral]);
        out.extend(self.nonfinite.to_le_bytes());
        match &self.state {
            State::Values(values) => {
                let mut sorted = values.clone();
                sorted.sort_unstable_by(f64::total_cmp);
                out.extend((sorted.len() as u32).to_le_bytes());
                sorted.iter().for_each(|v| out.extend(v.to_le_bytes()));
            }
            State::Binned(binned) => {
                out.extend(self.min.to_le_bytes());
                out.extend(self.max.to_le_bytes());
                out.extend(binned.zeros.to_le_bytes());
                binned.negative.snapshot(self.bits, out);
                binned.positive.snapshot(self.bits, out);
            }
        }
    }

    /// Reads what [`Quantiles::snapshot`] wrote and leaves the reader behind it. Survives any bytes.
    ///
    /// # Errors
    /// When the bytes are no snapshot, are beyond the limit, or describe a state that no values lead to.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Quantiles, DecodeError> {
        codec::expect_head(r, kind::QUANTILES, VERSION, "not quantiles of this version")?;
        let (bits, flags) = (r.u8()?, r.u8()?);
        if !BITS.contains(&bits) || flags > BINNED | INTEGRAL {
            return Err(DecodeError::Invalid("quantiles: bits or flags"));
        }
        let nonfinite = r.u64()?;
        let mut q = Quantiles {
            bits,
            integral: flags & INTEGRAL > 0,
            count: 0,
            nonfinite,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            state: State::Values(Vec::new()),
        };
        if flags & BINNED > 0 {
            limits.allow("bins", 2 * BINS_MAX as u64, size_of::<u64>())?;
            q.restore_binned(r)?
        } else {
            q.restore_values(r)?
        }
        q.sound().map_err(DecodeError::Invalid)?;
        Ok(q)
    }

    fn restore_values(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let n = r.count("values", VALUES_MAX, size_of::<f64>())?;
        let mut values = Vec::with_capacity(n.next_power_of_two().max(4));
        for _ in 0..n {
            values.push(r.f64()?);
        }
        if values.windows(2).any(|w| w[0].total_cmp(&w[1]).is_gt()) {
            return Err(DecodeError::Invalid("quantiles: values out of order"));
        }
        self.count = n as u64;
        if let (Some(&min), Some(&max)) = (values.first(), values.last()) {
            (self.min, self.max) = (min, max);
        }
        self.state = State::Values(values);
        Ok(())
    }

    fn restore_binned(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        (self.min, self.max) = (r.f64()?, r.f64()?);
        let zeros = r.u64()?;
        let negative = Bins::restore(r, self.bits, BINS_MAX)?;
        let positive = Bins::restore(r, self.bits, BINS_MAX)?;
        let total = zeros.checked_add(negative.total()).and_then(|n| n.checked_add(positive.total()));
        self.count = total.ok_or(DecodeError::Invalid("quantiles: more than 2^64 values"))?;
        self.state = State::Binned(Box::new(Binned { zeros, negative, positive }));
        Ok(())
    }

    pub(super) fn check_values(&self, values: &[f64]) -> Result<(), &'static str> {
        if values.len() > VALUES_MAX || values.len() as u64 != self.count {
            return Err("quantiles: number of values");
        }
        if values.iter().any(|v| !v.is_finite() || (*v == 0.0 && v.is_sign_negative())) {
            return Err("quantiles: a value that is not canonical");
        }
        let min = values.iter().fold(f64::INFINITY, |low, &v| low.min(v));
        let max = values.iter().fold(f64::NEG_INFINITY, |high, &v| high.max(v));
        let integral = values.iter().all(|&v| layout::is_integral(v));
        if (min, max, integral) != (self.min, self.max, self.integral) {
            return Err("quantiles: extremes of other values");
        }
        Ok(())
    }

    pub(super) fn check_binned(&self, binned: &Binned) -> Result<(), &'static str> {
        let Binned { zeros, negative, positive } = binned;
        if u128::from(self.count)
            != u128::from(*zeros) + u128::from(negative.total()) + u128::from(positive.total())
        {
            return Err("quantiles: number of values");
        }
        if self.count <= VALUES_MAX as u64 {
            return Err("quantiles: bins for values that are few enough to keep");
        }
        for row in [negative, positive] {
            row.check_invariants(self.bits)?;
            let Some((first, last)) = row.exponents(self.bits) else { continue };
            if first < 1 || last > EXPONENT_MAX || ((last - first + 1) as usize) << self.bits > BINS_MAX {
                return Err("quantiles: exponents");
            }
            if row.iter().any(|(key, _)| layout::bin(key, self.bits, self.integral).is_none()) {
                return Err("quantiles: a bin that no value falls into");
            }
        }
        self.check_extremes(binned)
    }

    /// The extremes are values of the outermost bins.
    fn check_extremes(&self, binned: &Binned) -> Result<(), &'static str> {
        let canonical = |v: f64| v.is_finite() && !(v == 0.0 && v.is_sign_negative());
        if !canonical(self.min) || !canonical(self.max) || self.min > self.max {
            return Err("quantiles: extremes");
        }
        if self.integral && !(layout::is_integral(self.min) && layout::is_integral(self.max)) {
            return Err("quantiles: integers between extremes that are none");
        }
        let bin_of = |v: f64| (v.partial_cmp(&0.0), if v == 0.0 { 0 } else { layout::key(v, self.bits) });
        let zero = (binned.zeros > 0).then_some(bin_of(0.0));
        let negative = |key: u32| (Some(std::cmp::Ordering::Less), key);
        let positive = |key: u32| (Some(std::cmp::Ordering::Greater), key);
        let bottom = binned.negative.iter().next_back().map(|(key, _)| negative(key));
        let bottom = bottom.or(zero).or_else(|| binned.positive.iter().next().map(|(key, _)| positive(key)));
        let top = binned.positive.iter().next_back().map(|(key, _)| positive(key));
        let top = top.or(zero).or_else(|| binned.negative.iter().next().map(|(key, _)| negative(key)));
        if bottom != Some(bin_of(self.min)) || top != Some(bin_of(self.max)) {
            return Err("quantiles: extremes outside the outermost bins");
        }
        Ok(())
    }
}
