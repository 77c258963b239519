//! The Bloom filters of `sketch` against those of the `parquet` crate: here, because floor 0 stays bare.

use ::parquet::bloom_filter::Sbbf;
use ::parquet::data_type::AsBytes;
use sketch::bloom::ParquetFilter;
use sketch::{Limits, Reader};

/// Strings of all lengths around the stripes of XXH64, integers of both widths, doubles.
fn values() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> =
        (0..100usize).map(|len| "user name, 0123456789".bytes().cycle().take(len).collect()).collect();
    values.extend((0..2_000).map(|n| format!("user_{n}").into_bytes()));
    values.extend((0..1_000i64).map(|n| (n * 7_919 - 3_000_000_000).to_le_bytes().to_vec()));
    values.extend((0..1_000i32).map(|n| (n * -77).to_le_bytes().to_vec()));
    values.extend((0..500).map(|n| f64::from(n).sqrt().to_le_bytes().to_vec()));
    values
}

#[test]
fn both_write_the_same_bytes_for_any_number_of_blocks() {
    // 37 is not a power of two.
    for blocks in [1u64, 2, 37, 1_024] {
        let mut theirs = Sbbf::new(&vec![0; blocks as usize * 32]);
        let mut ours = ParquetFilter::new(blocks);
        for value in values() {
            theirs.insert(&value[..]);
            ours.insert(&value);
        }
        let mut bytes = Vec::new();
        theirs.write(&mut bytes).unwrap();
        assert_eq!(ours.to_parquet(), bytes, "{blocks} blocks");
        let mut r = Reader::new(&bytes);
        let read = ParquetFilter::from_parquet(&mut r, &Limits::default()).unwrap();
        assert_eq!((read, r.remaining()), (ours, 0));
    }
}

#[test]
fn they_find_what_we_put_in_by_the_types_of_columns() {
    let mut ours = ParquetFilter::for_keys(4_000, 0.01);
    for n in 0..1_000i64 {
        ours.insert(format!("user_{n}").as_bytes());
        ours.insert(&n.to_le_bytes());
        ours.insert(&(n as i32 - 1_000_000).to_le_bytes());
    }
    let theirs = Sbbf::from_bytes(&ours.to_parquet()).unwrap();
    assert_eq!(theirs.num_blocks(), ours.blocks());
    for n in 0..1_000i64 {
        assert!(theirs.check(format!("user_{n}").as_str()));
        assert!(theirs.check(&n));
        assert!(theirs.check(&(n as i32 - 1_000_000)));
    }
    let agree = |value: &[u8], there: bool| assert_eq!(ours.contains(value), there);
    for n in 1_000..30_000i64 {
        agree(format!("user_{n}").as_bytes(), theirs.check(format!("user_{n}").as_str()));
        agree(n.as_bytes(), theirs.check(&n));
    }
}
