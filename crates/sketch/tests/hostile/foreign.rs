//! Bytes of others: images of DataSketches, filters of Parquet, and the envelope of keyed sketches.

use super::trial::{LIMITS, live};
use sketch::bloom::ParquetFilter;
use sketch::frequent::Counters;
use sketch::hll::{Distinct, LgK};
use sketch::interchange::{Cpc, TDigest};
use sketch::kll::{Kll, Search, Value};
use sketch::theta::Theta;
use sketch::{Any, DecodeError, Keyed, Reader, Token};

/// What is not told from the bytes themselves; the number is the first byte of a trial, far from those of our kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Format {
    /// HLL of DataSketches, any of its three types.
    Hll = 0xF0,
    /// Compact Theta of DataSketches.
    Theta,
    /// Frequent Items of strings of DataSketches.
    Strings,
    /// Frequent Items of longs of DataSketches.
    Longs,
    /// KLL of doubles of DataSketches.
    KllDoubles,
    /// KLL of floats of DataSketches.
    KllFloats,
    /// KLL of longs of DataSketches.
    KllLongs,
    /// CPC of DataSketches.
    Cpc,
    /// t-digest of DataSketches.
    TDigest,
    /// Bloom filter of a column chunk of Parquet, with its header.
    Parquet,
    /// [`Keyed`] around a [`Distinct`].
    KeyedDistinct,
}

impl Format {
    /// Every one there is.
    pub const ALL: [Format; 11] = [
        Format::Hll,
        Format::Theta,
        Format::Strings,
        Format::Longs,
        Format::KllDoubles,
        Format::KllFloats,
        Format::KllLongs,
        Format::Cpc,
        Format::TDigest,
        Format::Parquet,
        Format::KeyedDistinct,
    ];

    /// The format of this number.
    pub fn of(byte: u8) -> Option<Format> {
        Format::ALL.into_iter().find(|format| *format as u8 == byte)
    }

    /// The image of a trial.
    pub fn image(self, bytes: Vec<u8>) -> Vec<u8> {
        [&[self as u8], &bytes[..]].concat()
    }
}

/// Reads the bytes as this format and does with what was read all that can be done. True when they were accepted.
pub fn read(format: Format, bytes: &[u8], value: u64) -> bool {
    match format {
        Format::Hll => member(Distinct::from_datasketches(bytes, &LIMITS), value),
        Format::Theta => match Theta::from_datasketches(bytes, LgK::MIN, &LIMITS) {
            Ok(theta) => member(Ok(theta), value),
            Err(_) => false,
        },
        Format::Strings => member(Counters::from_datasketches_strings(bytes, &LIMITS), value),
        Format::Longs => member(Counters::from_datasketches_longs(bytes, &LIMITS), value),
        Format::KllDoubles => match Kll::<f64>::from_datasketches(bytes, value, &LIMITS) {
            Ok(kll) => values(&kll, bytes, value as f64) && member(Ok(kll), value),
            Err(_) => false,
        },
        Format::KllFloats => Kll::<f32>::from_datasketches(bytes, value, &LIMITS)
            .is_ok_and(|kll| values(&kll, bytes, value as f32)),
        Format::KllLongs => Kll::<i64>::from_datasketches(bytes, value, &LIMITS)
            .is_ok_and(|kll| values(&kll, bytes, value as i64)),
        Format::Cpc => member(Cpc::from_datasketches(bytes, &LIMITS), value),
        Format::TDigest => member(TDigest::from_datasketches(bytes, &LIMITS), value),
        Format::Parquet => parquet(bytes, value),
        Format::KeyedDistinct => keyed(bytes, value),
    }
}

/// What is of the family lives like one that was restored.
fn member<S: Into<Any>>(read: Result<S, DecodeError>, value: u64) -> bool {
    let Ok(sketch) = read else { return false };
    let sketch: Any = sketch.into();
    live(&sketch, value);
    let mut twice = sketch.clone();
    if twice.merge(&sketch).is_ok() {
        live(&twice, value);
    }
    true
}

fn values<T: Value>(kll: &Kll<T>, image: &[u8], value: T) -> bool {
    kll.check_invariants();
    let mut out = Vec::new();
    kll.snapshot(&mut out);
    let again = Kll::<T>::restore(&mut Reader::new(&out), &LIMITS).expect("what is written can be read");
    assert_eq!(again, *kll);
    let back = Kll::<T>::from_datasketches(&kll.to_datasketches(), 1, &LIMITS).expect("our own image");
    assert_eq!((back.count(), back.min(), back.max()), (kll.count(), kll.min(), kll.max()), "{image:?}");
    if let Some(e) = kll.quantile(0.5, Search::Inclusive, 0.95) {
        assert!(e.low <= e.value && e.value <= e.high, "{e:?}");
    }
    let mut twice = kll.clone();
    if twice.merge(kll).is_ok() {
        twice.update(value);
        twice.check_invariants();
    }
    true
}

fn parquet(bytes: &[u8], value: u64) -> bool {
    let mut r = Reader::new(bytes);
    let Ok(mut filter) = ParquetFilter::from_parquet(&mut r, &LIMITS) else { return false };
    filter.check_invariants();
    assert!((0.0..=1.0).contains(&filter.rate()));
    filter.insert(&value.to_le_bytes());
    assert!(filter.contains(&value.to_le_bytes()));
    let out = filter.to_parquet();
    let again = ParquetFilter::from_parquet(&mut Reader::new(&out), &LIMITS).expect("our own bytes");
    assert_eq!(again.to_parquet(), out);
    filter.merge(&again).expect("the same size");
    assert_eq!(filter.to_parquet(), out);
    true
}

fn keyed(bytes: &[u8], value: u64) -> bool {
    let mut r = Reader::new(bytes);
    let Ok(sketch) = Keyed::<Distinct>::restore(&mut r, &LIMITS) else { return false };
    let mut out = Vec::new();
    sketch.snapshot(&mut out);
    assert_eq!(out, bytes[..bytes.len() - r.remaining()]);
    sketch.check_invariants();
    let mut twice = sketch.clone();
    twice.merge(&sketch).expect("the same key");
    let question = sketch::Question::Contains(Token::of_i64(value as i64));
    assert!(twice.query(&question, 0.95).is_none());
    let e = twice.query(&sketch::Question::Distinct, 0.95).expect("a count of distinct values");
    assert!(e.low <= e.value && e.value <= e.high);
    true
}
