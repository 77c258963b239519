//! What must hold for any bytes that claim to be a sketch; the mutation test and the fuzz targets share it.
//!
//! What is accepted is a state like any other: it has the same bytes again, obeys its invariants, merges, answers, and
//! whatever is done to it can be written and read back.

use super::foreign;
use datasketches::cpc::CpcSketch;
use datasketches::frequencies::FrequentItemsSketch;
use datasketches::hll::HllSketch;
use datasketches::kll::{KllFloat, KllSketch};
use datasketches::tdigest::TDigestMut;
use datasketches::theta::CompactThetaSketch;
use sketch::countmin::{CountMin, LG_WIDTH_MIN};
use sketch::exact::Number;
use sketch::frequent::{Counters, SLOTS_MIN};
use sketch::hll::LgK;
use sketch::interchange::{Cpc, TDigest};
use sketch::kll::{K, Kll, Search, VALUES_MAX};
use sketch::quantile::{BITS, Quantiles};
use sketch::{Any, Estimate, Limits, Question, Reader, Ring, Sketch, Token, minhash};

/// What decoders may build here. Small, so that a size that is only declared shows.
pub const LIMITS: Limits = Limits::bytes(1 << 18);

/// What the fixed parts of structures, and tables that are rounded up, may take beyond the limit.
const SLACK_BYTES: usize = 1 << 18;

/// Bytes whose first one says what they are: a kind of snapshot, or a format of others ([`foreign::Format`]). True when
/// they were accepted.
pub fn image(bytes: &[u8], value: u64) -> bool {
    match bytes.split_first().and_then(|(&first, rest)| Some((foreign::Format::of(first)?, rest))) {
        Some((format, rest)) => foreign::read(format, rest, value),
        None => snapshot(bytes, value),
    }
}

/// Reads a snapshot of any kind and does with it all that can be done. True when the bytes were accepted.
fn snapshot(bytes: &[u8], value: u64) -> bool {
    let mut r = Reader::new(bytes);
    let Ok(sketch) = Any::restore(&mut r, &LIMITS) else { return false };
    let read = &bytes[..bytes.len() - r.remaining()];
    assert_eq!(sketch.to_bytes(), read, "what is accepted is canonical");
    live(&sketch, value);

    let mut same = sketch.clone();
    same.merge(&sketch.empty()).expect("nothing merges with everything");
    assert_eq!(same.to_bytes(), read, "merging nothing changes nothing");
    let mut copy = sketch.empty();
    copy.merge(&sketch).expect("everything merges with nothing");
    live(&copy, value);

    let mut twice = sketch.clone();
    match twice.merge(&sketch) {
        Ok(_) => live(&twice, value),
        Err(_) => assert_eq!(twice.to_bytes(), read, "a refused merge changes nothing"),
    }
    let mut longer = sketch.clone();
    for i in 0..3 {
        update(&mut longer, value.rotate_left(i * 21));
    }
    live(&longer, value);
    let mut folded = longer.clone();
    fold(&mut folded);
    live(&folded, value);
    let before = longer.to_bytes();
    match longer.merge(&twice) {
        Ok(_) => live(&longer, value),
        Err(_) => assert_eq!(longer.to_bytes(), before, "a refused merge changes nothing"),
    }
    true
}

/// Any state: sound, within its memory, answers, and survives being written.
pub fn live(sketch: &Any, value: u64) {
    sketch.check_invariants();
    let held = sketch.memory_bytes();
    assert!(held <= 4 * LIMITS.bytes_max + SLACK_BYTES, "{held} bytes held by {}", sketch.sketch_name());
    ask(sketch, value);
    let health = sketch.health();
    assert!((0.0..=1.0).contains(&health.fill), "{health:?}");
    assert!(health.error.is_none_or(|error| error >= 0.0), "{health:?}");
    let bytes = sketch.to_bytes();
    // Merging and updating may pass the limit of reading by a little.
    let again =
        Any::from_bytes(&bytes, &Limits::bytes(8 * LIMITS.bytes_max)).expect("what is written can be read");
    assert_eq!(again.to_bytes(), bytes);
    read_out(sketch);
    export(sketch);
}

/// What only this structure can tell.
fn read_out(sketch: &Any) {
    match sketch {
        Any::Counters(c) => assert_eq!(c.top(10).len(), c.len().min(10)),
        Any::Freq(f) => {
            f.items(10, 0.95).iter().for_each(|item| assert!(item.estimate.low <= item.estimate.high));
            let all = f.count_min();
            all.check_invariants();
            assert_eq!(all.total(), f.total());
        }
        Any::Histogram(h) => {
            let buckets = h.cumulative();
            assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, h.count())));
        }
        Any::Moments(m) => {
            assert_eq!(m.mean().is_some(), m.count() > 0 && m.parts().sums);
            assert!(m.stddev().is_none_or(|deviation| deviation >= 0.0));
            if let (Some(min), Some(max)) = (m.min(), m.max()) {
                assert!(min.as_f64() <= max.as_f64());
            }
        }
        Any::Sample(s) => assert!(s.rows().len() <= s.k() as usize),
        Any::Theta(t) => {
            let both = t.intersect(t);
            assert_eq!(both.estimate(0.95).value, t.estimate(0.95).value);
            assert!(t.without(t).estimate(0.95).value == 0.0);
        }
        Any::Kll(k) => {
            let view = k.view();
            let quantiles =
                [0.0, 0.3, 1.0].map(|q| view.quantile(q, Search::Exclusive, 0.9).map(|e| e.value));
            assert!(quantiles.is_sorted(), "{quantiles:?}");
        }
        Any::MinHash(m) => assert_eq!(m.jaccard(m, 0.95).value, 1.0),
        Any::SlidingCount(s) => {
            let (head, window) = (s.head().unwrap_or(0), s.window());
            let part = s.between(head.saturating_sub(window / 2), head);
            assert!(part.low <= s.last(window).high, "{part:?}");
        }
        Any::SeenRing(r) => {
            let (oldest, head) = (r.oldest().unwrap_or(0), r.head().unwrap_or(0));
            assert!(r.overfull().iter().all(|bucket| (oldest..=head).contains(bucket)));
            assert!((0.0..=1.0).contains(&r.rate_of_bits()));
        }
        Any::CountSketch(c) => assert!(c.norm(0.95).low >= 0.0),
        Any::Distinct(_) | Any::CountMin(_) | Any::Conservative(_) | Any::Quantiles(_) => {}
        Any::Filter(_) | Any::Seen(_) | Any::Cpc(_) | Any::TDigest(_) => {}
        // Refused where totals are beyond 64 bits.
        Any::CountMinRing(r) => {
            r.range(r.head().unwrap_or(0)..=u64::MAX).iter().for_each(CountMin::check_invariants)
        }
        Any::CountersRing(r) => r.window().iter().for_each(Counters::check_invariants),
        Any::DistinctRing(r) => r.window().unwrap().check_invariants(),
    }
}

/// The images of DataSketches are such that its own reader takes them.
fn export(sketch: &Any) {
    let Some(image) = sketch.to_wire() else { return };
    match sketch {
        Any::Distinct(_) => drop(HllSketch::deserialize(&image).expect("an image of theirs")),
        Any::Theta(_) => drop(CompactThetaSketch::deserialize(&image).expect("an image of theirs")),
        Any::Counters(c) => {
            let twin = FrequentItemsSketch::<String>::deserialize(&image).expect("an image of theirs");
            assert_eq!(twin.total_weight(), c.total().min(i64::MAX as u64));
        }
        Any::Kll(k) => {
            let twin = KllSketch::<KllFloat<f64>>::deserialize(&image).expect("an image of theirs");
            assert_eq!(twin.n(), k.count());
        }
        Any::Cpc(_) => drop(CpcSketch::deserialize(&image).expect("an image of theirs")),
        Any::TDigest(_) => drop(TDigestMut::deserialize(&image).expect("an image of theirs")),
        _ => panic!("an image that nobody reads here: {sketch:?}"),
    }
}

/// Asks everything there is to ask and checks the bounds.
fn ask(sketch: &Any, value: u64) {
    let token = Token::of_i64(value as i64);
    let x = f64::from_bits(value);
    let questions = [
        Question::Count,
        Question::Distinct,
        Question::Sum,
        Question::Frequency(token),
        Question::Contains(token),
        Question::Quantile(0.0),
        Question::Quantile(0.5),
        Question::Quantile(1.0),
        Question::Quantile(x),
        Question::Rank(x),
    ];
    for question in questions {
        for confidence in [0.0, 0.95, 1.0, f64::NAN] {
            if let Some(Estimate { value, low, high, confidence, .. }) = sketch.query(&question, confidence) {
                assert!(low <= value && value <= high, "{question:?}: {low} {value} {high} of {sketch:?}");
                assert!((0.0..=1.0).contains(&confidence), "{question:?}: {confidence} of {sketch:?}");
            }
        }
    }
}

/// To the smallest size there is.
fn fold(sketch: &mut Any) {
    match sketch {
        Any::Distinct(d) => d.fold(LgK::MIN),
        Any::Theta(t) => t.fold(LgK::MIN),
        Any::CountMin(c) => c.fold(LG_WIDTH_MIN),
        Any::Freq(f) => f.fold(LG_WIDTH_MIN),
        Any::Counters(c) => drop(c.merge(&Counters::new(SLOTS_MIN))),
        Any::Quantiles(q) => {
            let coarsest = Quantiles::new(*BITS.start()).expect("bits in range");
            let _ = q.merge(&coarsest);
        }
        Any::CountMinRing(r) => drop(r.merge(&Ring::new(r.span(), (LG_WIDTH_MIN, r.params().1.1)))),
        Any::CountersRing(r) => drop(r.merge(&Ring::new(r.span(), SLOTS_MIN))),
        Any::DistinctRing(r) => drop(r.merge(&Ring::new(r.span(), LgK::MIN))),
        Any::Conservative(c) => c.fold(LG_WIDTH_MIN),
        Any::CountSketch(c) => c.fold(LG_WIDTH_MIN),
        Any::MinHash(m) => m.fold(minhash::LgK::MIN),
        Any::Kll(k) => drop(k.merge(&Kll::new(K::MIN, 1))),
        Any::Cpc(c) => drop(c.merge(&Cpc::new(LgK::MIN))),
        Any::TDigest(t) => drop(t.merge(&TDigest::new(10).expect("a k"))),
        Any::Histogram(_) | Any::Moments(_) | Any::Filter(_) | Any::Seen(_) | Any::Sample(_) => {}
        Any::SeenRing(_) | Any::SlidingCount(_) => {}
    }
}

/// The newest bucket of a ring, or one a little later.
fn next<S: Sketch>(ring: &mut Ring<S>, value: u64) -> Option<&mut S> {
    ring.at(ring.head().unwrap_or(0).saturating_add(value % 3))
}

/// One more value, made of these bits. A stream of 2^64 values is no stream, so a full count stays.
fn update(sketch: &mut Any, value: u64) {
    let token = Token::of_i64(value as i64);
    let x = f64::from_bits(value);
    match sketch {
        Any::Distinct(d) => d.update(token),
        Any::CountMin(c) => c.update(token, value),
        Any::Counters(c) => c.update(token, value, &value.to_le_bytes()),
        Any::Freq(f) => f.update(token, value, &value.to_le_bytes()),
        Any::Quantiles(q) if q.count() < u64::MAX && q.nonfinite() < u64::MAX => q.update(x),
        Any::Histogram(h) if h.count() < u64::MAX && h.nonfinite() < u64::MAX => h.update(x),
        Any::Moments(m) if m.count() < u64::MAX && m.nonfinite() < u64::MAX => match m.number() {
            Number::Int => m.update_i64(value as i64),
            Number::Float => m.update_f64(x),
        },
        Any::Quantiles(_) | Any::Histogram(_) | Any::Moments(_) => {}
        Any::Filter(f) => {
            f.insert(token);
        }
        Any::Seen(s) => s.insert(token),
        Any::Theta(t) => t.update(value >> 1),
        Any::CountMinRing(r) => next(r, value).iter_mut().for_each(|c| c.update(token, value)),
        Any::CountersRing(r) => next(r, value).iter_mut().for_each(|c| c.update(token, value, b"x")),
        Any::DistinctRing(r) => next(r, value).iter_mut().for_each(|d| d.update(token)),
        Any::SeenRing(r) => drop(r.check_and_update(token, r.head().unwrap_or(0).saturating_add(value % 3))),
        Any::Conservative(c) => c.update(token, value),
        Any::CountSketch(c) => c.update(token, value as i64),
        Any::SlidingCount(s) => {
            s.update(s.head().unwrap_or(0).saturating_add(value % 3), value >> 1);
        }
        Any::Kll(k) if k.count() < VALUES_MAX => k.update(x),
        Any::Kll(_) => {}
        Any::MinHash(m) => m.update(token),
        Any::Cpc(c) => c.update(token),
        Any::TDigest(t) => t.update(x),
        Any::Sample(s) => {
            s.offer(value, |row| row.extend_from_slice(b"row"));
        }
    }
}
