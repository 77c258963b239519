//! A `seen` that forgets: was this key there in the last `keep` of event time?
//!
//! Time is cut into buckets of one length, and a verdict looks at the bucket of the event and at those before it that
//! make up `keep`: a key is remembered for `keep` at least, and for less than `keep` and two buckets. What came later in
//! event time is not looked at. Buckets for `lateness` stand behind those, so that an event in time is judged in full.
//!
//! What cannot be judged gets no verdict and is counted: an event of which no sighting is found, though part of what it
//! looks back on is forgotten already, or was never taken in because it lies beyond `ahead`. So "no" stays certain.

use crate::restore::WEIGHT_SUM_MAX;
use crate::time::{Span, TIME_MAX, Time};
use sketch::bloom::{BUCKETS_MAX, RingSize, RingSizeError, SeenRing};
use sketch::estimate::z_of;
use sketch::{DecodeError, Estimate, Limits, Outflow, Reader, Token};

/// `keep` is cut into this many buckets at most, and into half of them at least. With one for the event and one or two for
/// `lateness` they still fit 16 planes; with 32 a key takes half as much again.
pub const KEEP_BUCKETS_MAX: i64 = 12;
/// The rate is reckoned anew after so many fresh keys, at least.
const RECKON_KEYS_MIN: u64 = 16;
/// Chance of passing below which no odds are taken: the filter says yes to all but everything.
const PASS_MIN: f64 = 1e-6;
/// Beyond what is counted.
const COUNT_MAX: f64 = (1u128 << 64) as f64;
/// Beyond what [`WEIGHT_SUM_MAX`] keys at the worst odds add up to.
const MISJUDGED_MAX: f64 = 1e32;

/// How a `seen` that forgets is laid out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecentSize {
    /// Length of a bucket.
    pub bucket: Span,
    /// Buckets before that of the event that a verdict looks back on.
    pub back: u8,
    /// The ring over those, that of the event, and those of `lateness`.
    pub ring: RingSize,
}

impl RecentSize {
    /// For `keys` keys within any `keep`, spread evenly, at this rate, of events that are late by at most `lateness`.
    ///
    /// A bucket is the shortest round length (a divisor of a minute, an hour or a day) of which 12 reach over `keep`;
    /// where `lateness` is so much longer that 63 buckets do not hold both, a longer one.
    ///
    /// # Errors
    /// When no ring has this size.
    pub fn new(keys: u64, rate: f64, keep: Span, lateness: Span) -> Result<RecentSize, RingSizeError> {
        let of = |span: Span, bucket: Span| (span.0.max(0) as u64).div_ceil(bucket.0 as u64);
        let buckets = |bucket: Span| 1 + of(keep, bucket).max(1) + of(lateness, bucket);
        let mut bucket = Span::round(of(keep, Span(KEEP_BUCKETS_MAX)).max(1) as i64);
        while buckets(bucket) > u64::from(BUCKETS_MAX) {
            bucket = Span::round(bucket.0 + 1);
        }
        let back = of(keep, bucket).max(1);
        let ring = RingSize::per_bucket(keys.div_ceil(back), rate, buckets(bucket) as u8)?;
        Ok(RecentSize { bucket, back: back as u8, ring })
    }

    /// A key is forgotten before this has passed.
    pub fn forgotten_after(&self) -> Span {
        Span(self.bucket.0.saturating_mul(i64::from(self.back) + 1))
    }

    /// The number of the bucket of an event time, from the beginning of time.
    fn id(&self, time: Time) -> u64 {
        (time.0.clamp(-TIME_MAX, TIME_MAX).div_euclid(self.bucket.0) + TIME_MAX) as u64
    }
}

/// The keys of the last buckets, and what the verdicts came to.
#[derive(Debug, Clone)]
pub struct Recent {
    size: RecentSize,
    ring: SeenRing,
    /// Events that were taken in and whose key was certainly not there.
    fresh: u64,
    /// Events with a key that would have been taken in, and got no verdict.
    unjudged: u64,
    /// Expected number of fresh events that were taken for known, and its variance.
    misjudged: f64,
    variance: f64,
    /// The rate of a verdict on time when it was last reckoned, and the fresh events since then.
    rate: f64,
    since: u64,
    /// The largest rate there ever was, over all buckets that are held.
    rate_max: f64,
}

impl Recent {
    /// Nothing seen yet.
    pub fn new(size: RecentSize) -> Recent {
        Recent {
            size,
            ring: SeenRing::new(size.ring),
            fresh: 0,
            unjudged: 0,
            misjudged: 0.0,
            variance: 0.0,
            rate: 0.0,
            since: 0,
            rate_max: 0.0,
        }
    }

    /// Whether a key was there within `keep` before `time`; then it is taken in, when it `enters`. A time beyond `limit`
    /// moves nothing on and is not remembered. `None` when nobody can know.
    pub fn judge(&mut self, token: Token, time: Time, limit: Time, enters: bool) -> Option<bool> {
        let (bucket, beyond) = (self.size.id(time), time > limit);
        if !beyond && enters && self.ring.head().is_none_or(|head| bucket > head) {
            self.advance(bucket);
        }
        let first = bucket.saturating_sub(u64::from(self.size.back));
        let known = self.ring.query_between(token, first, bucket).is_known();
        let whole = !beyond && self.ring.oldest().is_none_or(|oldest| oldest <= first);
        let verdict = (known || whole).then_some(known);
        if enters {
            if !beyond {
                self.ring.update(token, bucket);
            }
            match verdict {
                Some(true) => {}
                Some(false) => self.count_fresh(),
                None => self.unjudged += 1,
            }
        }
        verdict
    }

    /// Moves on what is remembered. Until then the rate has only risen.
    fn advance(&mut self, head: u64) {
        self.rate_max = self.rate_max();
        self.ring.advance(head);
        self.reckon();
    }

    fn count_fresh(&mut self) {
        // 1/(1-p): the expected keys up to this one since the last fresh one, itself included.
        let odds = 1.0 / (1.0 - self.rate).max(PASS_MIN);
        self.fresh += 1;
        self.misjudged += odds - 1.0;
        self.variance += odds * (odds - 1.0);
        self.since += 1;
        if self.since >= self.reckon_after() {
            self.reckon();
        }
    }

    fn reckon_after(&self) -> u64 {
        (self.size.ring.keys() / 64).max(RECKON_KEYS_MIN)
    }

    fn reckon(&mut self) {
        self.rate = self.rate();
        self.since = 0;
    }

    /// The chance that a key which is not remembered is taken for known now.
    pub fn rate(&self) -> f64 {
        let Some(head) = self.ring.head() else { return 0.0 };
        self.ring.rate_between(head.saturating_sub(u64::from(self.size.back)), head)
    }

    /// The largest that it ever was, for events on time or late.
    pub fn rate_max(&self) -> f64 {
        self.rate_max.max(self.ring.rate())
    }

    /// Share of bits set.
    pub fn fill(&self) -> f64 {
        self.ring.fill()
    }

    /// Whether more keys came within `keep` than the size allows, so that the rate exceeded what was asked for.
    pub fn degraded(&self) -> bool {
        self.rate_max() > self.size.ring.rate()
    }

    /// Events that got no verdict.
    pub fn unjudged(&self) -> u64 {
        self.unjudged
    }

    /// Events that were the first of their key within `keep`. Those judged so are, and give `low`; the expected number of
    /// those misjudged comes on top of them, as in [`sketch::bloom::Seen::first_times`]. Each event without a verdict
    /// can be one more.
    pub fn first_times(&self, confidence: f64) -> Estimate<f64> {
        let (counted, unjudged, rate) = (self.fresh as f64, self.unjudged as f64, self.rate_max());
        if rate == 0.0 && self.unjudged == 0 {
            return Estimate::exact(counted);
        }
        if rate == 0.0 {
            return Estimate::proven(counted, counted, counted + unjudged);
        }
        let z = z_of(confidence);
        let odds = 1.0 / (1.0 - rate).max(PASS_MIN);
        let deviation = (self.variance + odds * (odds - 1.0)).sqrt();
        let skew = (z * z - 1.0) / 6.0 * (2.0 * odds - 1.0);
        // The rate that was reckoned last is behind by a 64th of a bucket at most.
        let behind = self.misjudged / 16.0;
        let high = counted + self.misjudged + behind + (odds - 1.0) + z * deviation + skew + 1.0 + unjudged;
        let high = if 1.0 - rate > PASS_MIN && high < COUNT_MAX { high.floor() } else { COUNT_MAX };
        let value = (counted + self.misjudged).round().min(COUNT_MAX);
        Estimate::probabilistic(value, counted.min(value), high.max(value), confidence)
    }

    /// How it is laid out.
    pub fn size(&self) -> RecentSize {
        self.size
    }

    /// What stands behind the verdicts: `hash-map`, or `bloom-ring/16` for 16 planes.
    pub fn sketch_name(&self) -> String {
        self.ring.sketch_name()
    }

    /// Accounted bytes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() - size_of::<SeenRing>() + self.ring.memory_bytes()
    }

    /// Appends everything: seven numbers, then the ring.
    pub fn snapshot(&self, out: &mut Outflow<'_>) {
        let counted = [self.fresh, self.unjudged, self.since];
        let reckoned = [self.misjudged, self.variance, self.rate, self.rate_max].map(f64::to_bits);
        counted.iter().chain(&reckoned).for_each(|word| out.bytes().extend_from_slice(&word.to_le_bytes()));
        self.ring.send(out);
    }

    /// Reads what [`Recent::snapshot`] wrote for this size, and leaves the reader behind it.
    ///
    /// # Errors
    /// Bytes of no such filter.
    pub fn restore(size: RecentSize, r: &mut Reader<'_>, limits: &Limits) -> Result<Recent, DecodeError> {
        let [fresh, unjudged, since] = [r.u64()?, r.u64()?, r.u64()?];
        let [misjudged, variance, rate, rate_max] = [r.f64()?, r.f64()?, r.f64()?, r.f64()?];
        let ring = SeenRing::restore(r, limits)?;
        let recent = Recent { size, ring, fresh, unjudged, misjudged, variance, rate, since, rate_max };
        match recent.complaint() {
            Some(complaint) => Err(DecodeError::Invalid(complaint)),
            None => Ok(recent),
        }
    }

    /// What no events lead to.
    fn complaint(&self) -> Option<&'static str> {
        let rates = [self.rate, self.rate_max];
        let last = self.size.id(Time(TIME_MAX));
        if self.ring.size() != self.size.ring {
            Some("a filter of another size than the metric has")
        } else if self.fresh > WEIGHT_SUM_MAX || self.unjudged > WEIGHT_SUM_MAX {
            Some("more events than any stream has")
        } else if !rates.iter().all(|rate| (0.0..=1.0).contains(rate)) || self.since >= self.reckon_after() {
            Some("rate of a filter")
        } else if !(0.0 <= self.misjudged && self.misjudged <= self.variance && self.variance < MISJUDGED_MAX)
        {
            Some("misjudged keys beyond reason")
        } else if self.ring.head().is_some_and(|head| head > last) {
            Some("a time beyond all events")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(keep: &str, lateness: &str, want: (&str, u8, u8)) {
        let span = |text: &str| text.parse::<Span>().unwrap();
        let size = RecentSize::new(1_000, 0.01, span(keep), span(lateness)).unwrap();
        let bucket = size.bucket.to_string();
        assert_eq!((bucket.as_str(), size.back, size.ring.buckets()), want, "{keep} and {lateness}");
    }

    #[test]
    fn buckets_are_round_and_reach_over_what_is_kept_and_late() {
        check("5m", "0s", ("30s", 10, 11));
        check("5m", "1m", ("30s", 10, 13));
        check("1m", "2s", ("5s", 12, 14));
        check("1h", "0s", ("5m", 12, 13));
        check("24h", "0s", ("2h", 12, 13));
        check("90s", "0s", ("10s", 9, 10));
        check("7d", "1h", ("1d", 7, 9));
        check("1s", "0s", ("100ms", 10, 11));
        check("10us", "0s", ("1us", 10, 11));
        // Lateness that does not fit beside it makes buckets longer, up to what is kept and beyond.
        check("10s", "10m", ("10s", 1, 62));
        check("10s", "1h", ("1m", 1, 62));
        check("1s", "400d", ("7d", 1, 60));
        check("1152921504606846976us", "0s", ("1112000d", 12, 13));
    }

    #[test]
    fn sizes_that_no_ring_has_are_refused() {
        let day = "1d".parse().expect("a span");
        assert!(matches!(RecentSize::new(1 << 32, 1e-6, day, Span(0)), Err(RingSizeError::Bytes(_))));
        assert!(matches!(RecentSize::new(0, 0.01, day, Span(0)), Err(RingSizeError::Keys(0))));
    }
}
