//! Bottom-k rows against a sorted list, the uniform law, and its own bytes.

use crate::streams::{Rng, mutate};
use proptest::prelude::*;
use sketch::sample::{Sample, priority};
use sketch::{DecodeError, Incompatible, Limits, MergeNote, Reader};

type Rows = Vec<(u64, Vec<u8>)>;

fn sampled(k: u32, rows: &Rows) -> Sample {
    let mut sample = Sample::new(k);
    for (priority, payload) in rows {
        let hopeless = !sample.would_keep(*priority);
        let kept = sample.offer(*priority, |out| {
            assert!(!hopeless, "a payload is written only when it may be kept");
            out.extend_from_slice(payload);
        });
        assert!(!(hopeless && kept));
    }
    sample
}

fn bytes(sample: &Sample) -> Vec<u8> {
    sample.check_invariants();
    let mut out = Vec::new();
    sample.snapshot(&mut out);
    out
}

fn restored(bytes: &[u8]) -> Result<Sample, DecodeError> {
    let mut r = Reader::new(bytes);
    let sample = Sample::restore(&mut r, &Limits::default())?;
    r.finish()?;
    Ok(sample)
}

/// Few priorities and payloads, so that ties and repetitions occur.
fn rows() -> impl Strategy<Value = Rows> {
    let priority = prop_oneof![0u64..20, any::<u64>()];
    prop::collection::vec((priority, prop::collection::vec(0u8..3, 0..4)), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_the_head_of_the_sorted_rows(k in 0u32..20, rows in rows()) {
        let sample = sampled(k, &rows);
        let mut sorted = rows.clone();
        sorted.sort();
        sorted.truncate(k as usize);
        let held: Rows = sample.rows().iter().map(|row| (row.priority, row.payload.to_vec())).collect();
        prop_assert_eq!(held, sorted);
        prop_assert_eq!((sample.seen(), sample.k()), (rows.len() as u64, k));
        prop_assert_eq!(sample.is_all(), rows.len() <= k as usize);
    }

    #[test]
    fn order_and_merge_tree_do_not_matter(k in 0u32..20, rows in rows(), cut: prop::sample::Index) {
        let whole = sampled(k, &rows);
        let backwards: Rows = rows.iter().rev().cloned().collect();
        prop_assert_eq!(bytes(&sampled(k, &backwards)), bytes(&whole));
        let (a, b) = rows.split_at(if rows.is_empty() { 0 } else { cut.index(rows.len()) });
        for (first, second) in [(a, b), (b, a)] {
            let mut merged = sampled(k, &first.to_vec());
            prop_assert_eq!(merged.merge(&sampled(k, &second.to_vec())), Ok(MergeNote::Exact));
            prop_assert_eq!(bytes(&merged), bytes(&whole));
        }
        let mut merged = whole.clone();
        let refused = Incompatible { what: "rows of a sample", ours: u64::from(k), theirs: 99 };
        prop_assert_eq!(merged.merge(&Sample::new(99)), Err(refused));
        prop_assert_eq!(bytes(&merged), bytes(&whole));
    }

    #[test]
    fn bytes_come_back_and_hostile_ones_are_survived(k in 0u32..20, rows in rows(), more in rows(), seed: u64) {
        let mut sample = sampled(k, &rows);
        let written = bytes(&sample);
        let mut back = restored(&written).unwrap();
        for (priority, payload) in more {
            for one in [&mut sample, &mut back] {
                one.offer(priority, |out| out.extend_from_slice(&payload));
            }
        }
        prop_assert_eq!(bytes(&back), bytes(&sample));
        let hostile = mutate(&written, &mut Rng(seed));
        let mut r = Reader::new(&hostile);
        if let Ok(back) = Sample::restore(&mut r, &Limits::default()) {
            prop_assert_eq!(&bytes(&back)[..], &hostile[..hostile.len() - r.remaining()]);
        }
    }
}

#[test]
fn memory_follows_k_and_the_payloads() {
    let mut sample = Sample::new(100);
    for at in 0..100_000 {
        sample.offer(priority(3, at), |out| out.extend_from_slice(&[7; 50]));
    }
    let rows = 128 * size_of::<sketch::sample::Row>();
    assert!(sample.memory_bytes() <= size_of::<Sample>() + rows + 100 * 50, "{}", sample.memory_bytes());
    assert!(sample.memory_bytes() >= 100 * 50);
}

/// Every row is equally likely, wherever it stands and in whatever partition: chi-square over 4,000 samples of 10 rows out
/// of 2 · 100. The statistic has 199 degrees of freedom, deviation 20, a little less without replacement; 5 of them up and
/// down, false alarm about 1e-6. Too even would be wrong as well.
#[test]
fn every_row_is_as_likely_as_any_other() {
    let (runs, rows, k) = (4_000u32, 100u64, 10u32);
    let mut times = vec![0u32; 2 * rows as usize];
    for run in 0..runs {
        let mut sample = Sample::new(k);
        for partition in [2 * run, 2 * run + 1] {
            for position in 0..rows {
                let row = u64::from(partition % 2) * rows + position;
                sample.offer(priority(partition, position), |out| out.extend_from_slice(&row.to_le_bytes()));
            }
        }
        for row in sample.rows() {
            times[u64::from_le_bytes(row.payload[..].try_into().unwrap()) as usize] += 1;
        }
    }
    let share = f64::from(k) / times.len() as f64;
    let variance = f64::from(runs) * share * (1.0 - share);
    let mean = f64::from(runs) * share;
    let chi: f64 = times.iter().map(|&n| (f64::from(n) - mean).powi(2) / variance).sum();
    assert!((chi - 199.0).abs() < 100.0, "{chi}");
}

/// Positions of one partition never tie, and neighbours are as far apart as strangers: 64 bits set of 128 on average, the
/// mean over 100,000 pairs within 5 deviations of 4/√100,000.
#[test]
fn priorities_are_distinct_and_well_mixed() {
    let mut all: Vec<u64> = (0..100_000).map(|at| priority(5, at)).collect();
    let apart: u32 = all.windows(2).map(|two| (two[0] ^ two[1]).count_ones()).sum();
    assert!((f64::from(apart) / 99_999.0 - 32.0).abs() < 5.0 * 4.0 / 100_000f64.sqrt());
    let partitions: u32 = (0..100_000).map(|p| (priority(p, 7) ^ priority(p + 1, 7)).count_ones()).sum();
    assert!((f64::from(partitions) / 100_000.0 - 32.0).abs() < 5.0 * 4.0 / 100_000f64.sqrt());
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 100_000);
}

#[test]
fn each_lie_is_named() {
    let row = |priority: u64, payload: &[u8]| {
        [&priority.to_le_bytes()[..], &(payload.len() as u32).to_le_bytes(), payload].concat()
    };
    let head = |k: u32, seen: u64, count: u32| {
        [&[11, 1][..], &k.to_le_bytes(), &seen.to_le_bytes(), &count.to_le_bytes()].concat()
    };
    let lie = |bytes: Vec<u8>| restored(&bytes).map(|_| ()).unwrap_err();
    let two = [row(1, b"a"), row(1, b"b")].concat();
    assert!(restored(&[head(2, 9, 2), two.clone()].concat()).is_ok());
    assert_eq!(lie([head(3, 9, 2), two.clone()].concat()), DecodeError::Invalid("number of rows"));
    assert_eq!(lie([head(2, 1, 2), two].concat()), DecodeError::Invalid("number of rows"));
    let turned = [head(2, 2, 2), row(1, b"b"), row(1, b"a")].concat();
    assert_eq!(lie(turned), DecodeError::Invalid("rows do not ascend"));
    assert_eq!(lie(vec![11, 2]), DecodeError::Invalid("not a sample of version 1"));
    assert_eq!(lie(head(1, 9, 2)), DecodeError::TooLarge { what: "rows of a sample", declared: 2, limit: 1 });
    assert!(matches!(
        lie(head(u32::MAX, u64::MAX, u32::MAX)),
        DecodeError::TooLarge { what: "rows of a sample", .. }
    ));
    assert_eq!(lie(head(1 << 20, u64::MAX, 1 << 20)), DecodeError::Truncated);
}

/// Frozen, as samples of different runs merge.
#[test]
fn the_smallest_snapshot_byte_by_byte() {
    let sample = sampled(2, &vec![(5, b"b".to_vec()), (3, b"".to_vec()), (9, b"c".to_vec())]);
    let rows = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'b'];
    let head = [11, 1, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
    assert_eq!(bytes(&sample), [&head[..], &rows].concat());
    let first = [priority(0, 0), priority(0, 1), priority(1, 0)];
    assert_eq!(first, [0x6393_d51c_06c6_18dc, 0x79cf_c3db_e5bb_fcaf, 0x3a3c_7f8a_d167_625a]);
}
