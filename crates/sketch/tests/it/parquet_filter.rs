//! The Bloom filter of Parquet: its layout, its header, hostile bytes. Its twin, the `parquet` crate, is asked in the
//! tests of the runtime.

use crate::streams::{Rng, mutate};
use proptest::prelude::*;
use sketch::bloom::{BLOCKS_MAX, ParquetFilter, blocks_for};
use sketch::hash::xxh64;
use sketch::{DecodeError, Limits, Reader};

fn restored(bytes: &[u8]) -> Result<ParquetFilter, DecodeError> {
    let mut r = Reader::new(bytes);
    let filter = ParquetFilter::from_parquet(&mut r, &Limits::default())?;
    r.finish()?;
    Ok(filter)
}

#[test]
fn written_out() {
    let mut filter = ParquetFilter::new(3);
    assert!(filter.is_empty() && !filter.contains(b""));
    assert!(filter.insert(b""));
    // XXH64 of nothing is EF46DB37 51D8E999: block EF46DB37 · 3 >> 32 = 2, bits (51D8E999 · salt mod 2^32) >> 27.
    let mut expected = vec![0x15, 0xC0, 0x01, 0x1C, 0x1C, 0, 0, 0x1C, 0x1C, 0, 0, 0x1C, 0x1C, 0, 0, 0];
    expected.resize(expected.len() + 64, 0);
    for salt in [
        0x47b6_137bu64,
        0x4497_4d91,
        0x8824_ad5b,
        0xa2b7_289d,
        0x7054_95c7,
        0x2df1_424b,
        0x9efc_4947,
        0x5c6b_fb31,
    ] {
        let bit = (0x51D8_E999 * salt) % (1 << 32) / (1 << 27);
        expected.extend((1u32 << bit).to_le_bytes());
    }
    assert_eq!(filter.to_parquet(), expected);
    assert_eq!(restored(&expected), Ok(filter));
}

#[test]
fn sizes_for_keys_are_powers_of_two_that_hold_them() {
    for (keys, rate) in [(1, 0.5), (1_000, 0.01), (100_000, 0.001), (3_000_000, 0.01)] {
        let blocks = ParquetFilter::for_keys(keys, rate).blocks() as u64;
        assert!(
            blocks.is_power_of_two()
                && blocks >= blocks_for(keys, rate)
                && blocks < 2 * blocks_for(keys, rate)
        );
    }
    assert_eq!(ParquetFilter::for_keys(u64::MAX, 1e-6).blocks(), 1 << 22);
    assert_eq!(ParquetFilter::new(0).blocks(), 1);
}

#[test]
fn the_rate_is_that_of_foreign_values() {
    let mut filter = ParquetFilter::new(blocks_for(20_000, 0.02));
    (0..20_000i64).for_each(|n| _ = filter.insert(&n.to_le_bytes()));
    assert!((0..20_000i64).all(|n| filter.contains(&n.to_le_bytes())));
    // 200,000 trials with chance 0.02: 4.5 deviations are 282; one false alarm in 150,000.
    let hits = (20_000..220_000i64).filter(|n| filter.contains(&n.to_le_bytes())).count() as f64;
    assert!(
        (hits - 200_000.0 * filter.rate()).abs() < 282.0,
        "{hits}, expected {}",
        200_000.0 * filter.rate()
    );
    filter.check_invariants();
}

#[test]
fn what_no_writer_writes_is_refused_by_name() {
    let mut filter = ParquetFilter::new(2);
    filter.insert(b"ada");
    let good = filter.to_parquet();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        restored(&bytes).unwrap_err()
    };
    assert_eq!(with(0, 0x25), DecodeError::Invalid("header of a Parquet Bloom filter"));
    // 128 is 64 bytes in zigzag; 127 would be -64, 66 bytes are no blocks.
    assert_eq!(with(1, 0xFF), DecodeError::Invalid("bytes of a Parquet Bloom filter"));
    assert_eq!(with(1, 0x84), DecodeError::Invalid("bytes of a Parquet Bloom filter"));
    for (at, byte) in good.iter().enumerate().take(16).skip(3) {
        assert_eq!(with(at, byte ^ 4), DecodeError::Invalid("kind of a Parquet Bloom filter"), "{at}");
    }
    assert_eq!(restored(&good[..good.len() - 1]), Err(DecodeError::Truncated));

    let none = [&[0x15, 0][..], &good[3..16]].concat();
    assert_eq!(restored(&none), Err(DecodeError::Invalid("a filter without blocks")));
    // 2^30 bytes declared, none at hand; 64 bytes declared, 32 allowed.
    let huge = [&[0x15, 0x80, 0x80, 0x80, 0x80, 0x08][..], &good[3..16]].concat();
    assert!(matches!(restored(&huge), Err(DecodeError::TooLarge { declared, .. }) if declared > BLOCKS_MAX));
    let small = ParquetFilter::from_parquet(&mut Reader::new(&good), &Limits::bytes(32));
    assert!(matches!(small, Err(DecodeError::TooLarge { declared: 2, limit: 1, .. })));
}

proptest! {
    #[test]
    fn a_merged_filter_is_one_filter_over_all_values(
        blocks in 1u64..20,
        a in prop::collection::vec(any::<i64>(), 0..100),
        b in prop::collection::vec(any::<i64>(), 0..100),
    ) {
        let of = |values: &[i64]| {
            let mut filter = ParquetFilter::new(blocks);
            values.iter().for_each(|v| _ = filter.insert_hash(xxh64(&v.to_le_bytes())));
            filter
        };
        let mut merged = of(&a);
        merged.merge(&of(&b)).unwrap();
        prop_assert_eq!(&merged, &of(&[a.clone(), b].concat()));
        prop_assert_eq!(restored(&merged.to_parquet()), Ok(merged.clone()));
        prop_assert!(a.iter().all(|v| merged.contains(&v.to_le_bytes())));
        prop_assert!(merged.merge(&ParquetFilter::new(blocks + 1)).is_err());
    }

    #[test]
    fn it_survives_any_bytes(blocks in 1u64..6, values in prop::collection::vec(any::<i64>(), 0..60), seed: u64) {
        let mut filter = ParquetFilter::new(blocks);
        values.iter().for_each(|v| _ = filter.insert(&v.to_le_bytes()));
        let hostile = mutate(&filter.to_parquet(), &mut Rng(seed));
        if let Ok(read) = restored(&hostile) {
            read.check_invariants();
            prop_assert_eq!(read.to_parquet(), hostile);
        }
    }
}
