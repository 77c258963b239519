//! KLL images of Apache DataSketches: those that Java wrote, those that the Rust crate writes and reads, hostile ones.

use crate::kll::survive;
use crate::streams::{Rng, mutate};
use datasketches::common::SearchCriteria;
use datasketches::kll::{KllFloat, KllSketch};
use proptest::prelude::*;
use sketch::kll::{K, Kll, Search, Value, rank_error};
use sketch::{DecodeError, Limits};

fn of(size: u16, values: &[f64]) -> Kll {
    let mut kll = Kll::new(K::new(size).unwrap(), 11);
    kll.update_all(values);
    kll
}

fn read<T: Value>(image: &[u8]) -> Result<Kll<T>, DecodeError> {
    let kll = Kll::from_datasketches(image, 5, &Limits::default())?;
    kll.check_invariants();
    Ok(kll)
}

fn theirs(size: u16, values: &[f64]) -> KllSketch<KllFloat<f64>> {
    let mut twin = KllSketch::new(size).unwrap();
    values.iter().for_each(|&v| twin.update(KllFloat::<f64>::new(v).unwrap()));
    twin
}

/// Both hold the same values with the same weights, and answer alike.
fn assert_twins(ours: &Kll, theirs: &KllSketch<KllFloat<f64>>) {
    assert_eq!(
        (ours.k().get(), ours.count(), ours.retained()),
        (theirs.k(), theirs.n(), theirs.num_retained())
    );
    assert_eq!(ours.min(), theirs.min_item().map(|v| **v));
    assert_eq!(ours.max(), theirs.max_item().map(|v| **v));
    if ours.is_empty() {
        return;
    }
    assert_eq!(ours.is_exact(), !theirs.is_estimation_mode());
    if !ours.is_exact() {
        assert_eq!(ours.rank_error(0.99), theirs.normalized_rank_error());
    }
    for (search, criteria) in
        [(Search::Inclusive, SearchCriteria::Inclusive), (Search::Exclusive, SearchCriteria::Exclusive)]
    {
        for i in 0..=64 {
            // Sixty-fourths are exact in binary, so that both round alike.
            let q = f64::from(i) / 64.0;
            let at = ours.quantile(q, search, 0.99).unwrap().value;
            let told = theirs.quantile(q, criteria).unwrap().map(|v| *v);
            // At the first and the last rank ours tells the extreme, also where no level kept it.
            let n = ours.count() as f64;
            let outermost = (q * n).ceil() <= 1.0 || q * n + 1.0 >= n;
            let extreme = Some(at) == ours.min() || Some(at) == ours.max();
            assert!(Some(at) == told || outermost && extreme, "q {q} {search:?}: {at}, {told:?}");
            let rank = theirs.rank(&KllFloat::<f64>::new(at).unwrap(), criteria).unwrap();
            // Ours knows besides that the smallest value is there.
            let within = if rank == 0.0 || rank == 1.0 { 1.0 / n + 1e-12 } else { 0.0 };
            assert!((ours.rank(at, search, 0.99).unwrap().value - rank).abs() <= within, "{at} {search:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rust_crate_reads_ours(size in 8u16..300, n in 0usize..6_000, salt: u64) {
        let mut rng = Rng(salt);
        let values: Vec<f64> = (0..n).map(|_| rng.below(4_000) as f64 / 7.0 - 99.0).collect();
        let ours = of(size, &values);
        let image = ours.to_datasketches();
        let twin = KllSketch::<KllFloat<f64>>::deserialize(&image).unwrap();
        let back: Kll = read(&image).unwrap();
        assert_twins(&back, &twin);
        prop_assert_eq!(back.count(), n as u64);
        prop_assert_eq!((back.min(), back.max()), (ours.min(), ours.max()));
        // What is in the format once is not changed any more.
        prop_assert_eq!(back.to_datasketches(), image);
        if ours.is_exact() {
            prop_assert_eq!(back.view().quantile(0.5, Search::Inclusive, 0.9), ours.quantile(0.5, Search::Inclusive, 0.9));
        }
    }

    #[test]
    fn ours_reads_the_rust_crate(size in 8u16..300, n in 0usize..6_000, salt: u64) {
        let mut rng = Rng(salt);
        let values: Vec<f64> = (0..n).map(|_| rng.below(4_000) as f64 / 7.0 - 99.0).collect();
        let twin = theirs(size, &values);
        let mut ours: Kll = read(&twin.serialize()).unwrap();
        assert_twins(&ours, &twin);
        assert_twins(&ours, &KllSketch::deserialize(&ours.to_datasketches()).unwrap());
        // And it goes on.
        ours.update_all(&values);
        ours.check_invariants();
        prop_assert_eq!(ours.count(), 2 * n as u64);
    }
}

#[test]
fn a_smaller_k_inside_stays_in_the_error() {
    let values: Vec<f64> = (0..5_000).map(f64::from).collect();
    let mut twin = theirs(200, &values);
    twin.merge(&theirs(40, &values)).unwrap();
    let ours: Kll = read(&twin.serialize()).unwrap();
    assert_eq!((ours.k().get(), ours.rank_error(0.99)), (200, rank_error(K::new(40).unwrap(), 0.99)));
    assert_twins(&ours, &KllSketch::deserialize(&ours.to_datasketches()).unwrap());
}

#[test]
fn an_image_is_as_accurate_as_its_k_says() {
    // One compaction more than ours: 300 seeds, at most 1 % + 4 sigma beyond.
    let values: Vec<f64> = (0..6_000).map(|i| f64::from(i * 7_919 % 6_000)).collect();
    let mut beyond = 0;
    for seed in 0..300 {
        let mut kll = Kll::<f64>::new(K::new(50).unwrap(), seed);
        kll.update_all(&values);
        let view = read::<f64>(&kll.to_datasketches()).unwrap().view();
        let error = |x: u32| {
            let rank = view.rank(f64::from(x), Search::Inclusive, 0.99).unwrap().value;
            (rank - f64::from(x + 1) / 6_000.0).abs()
        };
        let largest = (0..6_000).map(error).fold(0.0, f64::max);
        beyond += u32::from(largest > rank_error(K::new(50).unwrap(), 0.99));
    }
    assert!(beyond <= 9, "{beyond} of 300");
}

// ---- Java ----

/// Java's files hold 1..=n at k = 200.
fn check_java<T: Value>(n: u64, image: &[u8], number: impl Fn(u64) -> T) {
    let kll: Kll<T> = read(image).unwrap();
    assert_eq!((kll.k(), kll.count()), (K::DEFAULT, n));
    assert_eq!(
        (kll.min(), kll.max()),
        if n == 0 { (None, None) } else { (Some(number(1)), Some(number(n))) }
    );
    if n <= 1 {
        assert_eq!(kll.to_datasketches(), image, "byte for byte");
    }
    let again = kll.to_datasketches();
    assert_eq!(read::<T>(&again).unwrap(), kll);
    if n > 1 {
        // The same but for the order of level 0 and the flag that tells it.
        let (levels, width) = (usize::from(image[18]), size_of::<T>());
        let start =
            |level: usize| u32::from_le_bytes(image[20 + 4 * level..][..4].try_into().unwrap()) as usize;
        let base = 20 + 4 * levels + 2 * width;
        let above = if levels == 1 { image.len() } else { base + (start(1) - start(0)) * width };
        assert_eq!((again[3], image[3] | 2), (2, 2));
        assert_eq!((&again[..3], &again[4..base]), (&image[..3], &image[4..base]));
        assert_eq!(again[above..], image[above..]);
        let sorted = |bytes: &[u8]| {
            let mut values: Vec<&[u8]> = bytes.chunks(width).collect();
            values.sort_unstable();
            values.concat()
        };
        assert_eq!(sorted(&again[base..above]), sorted(&image[base..above]));
    }
    for i in 1..=n.min(100) {
        let x = i * n / n.min(100);
        let rank = kll.rank(number(x), Search::Inclusive, 0.99).unwrap();
        let truth = x as f64 / n as f64;
        assert!(rank.low <= truth && truth <= rank.high, "n {n}: rank of {x} is {rank:?}");
        assert!(n > 100 || rank.is_exact() && rank.value == truth);
    }
}

#[test]
fn files_that_java_wrote_are_read() {
    let Some(files) = crate::interchange::java::archive() else { return };
    let mut read_files = 0;
    for (name, image) in files {
        let Some(rest) = name.strip_prefix("kll_") else { continue };
        let (kind, n) = rest.split_once("_n").unwrap();
        let n = n.parse().unwrap();
        match kind {
            "double" => check_java(n, &image, |i| i as f64),
            "float" => check_java(n, &image, |i| i as f32),
            "long" => check_java(n, &image, |i| i as i64),
            _ => continue,
        }
        read_files += 1;
    }
    assert_eq!(read_files, 24);
}

// ---- Written out, and hostile ----

#[test]
fn images_are_those_of_the_format() {
    assert_eq!(of(200, &[]).to_datasketches(), [2, 1, 15, 1, 200, 0, 8, 0]);
    let single = of(200, &[1.0]).to_datasketches();
    assert_eq!(single, [2, 2, 15, 4, 200, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F]);
    let three = of(200, &[3.0, 1.0, 2.0]).to_datasketches();
    let mut wanted = vec![5, 1, 15, 2, 200, 0, 8, 0, 3, 0, 0, 0, 0, 0, 0, 0, 200, 0, 1, 0, 197, 0, 0, 0];
    for v in [1.0f64, 3.0, 1.0, 2.0, 3.0] {
        wanted.extend_from_slice(&v.to_le_bytes());
    }
    assert_eq!(three, wanted);
}

#[test]
fn images_that_no_writer_makes_are_refused() {
    let good = of(50, &(0..3_000).map(f64::from).collect::<Vec<_>>()).to_datasketches();
    let levels = usize::from(good[18]);
    let data = 20 + 4 * levels;
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad, good);
        read::<f64>(&bad).unwrap_err()
    };
    let invalid = |change: &dyn Fn(&mut Vec<u8>)| match refused(change) {
        DecodeError::Invalid(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(invalid(&|b| b[2] = 7), "not a KLL image");
    assert_eq!(invalid(&|b| b[6] = 4), "kll image: smallest level width");
    assert_eq!(invalid(&|b| b[1] = 3), "kll image: preamble, version and flags");
    assert_eq!(invalid(&|b| b[3] = 5), "kll image: preamble, version and flags");
    assert_eq!(invalid(&|b| b[4] = 7), "kll: k");
    assert_eq!(invalid(&|b| b[16] = 51), "kll: k");
    assert_eq!(invalid(&|b| b[18] = 62), "kll: number of levels");
    assert_eq!(invalid(&|b| b[20..24].fill(0xFF)), "kll image: levels overlap");
    assert_eq!(invalid(&|b| b[8] ^= 1), "kll image: weights and count differ");
    assert_eq!(invalid(&|b| b[data..data + 8].copy_from_slice(&f64::NAN.to_le_bytes())), "kll: NaN");
    assert_eq!(
        invalid(&|b| b[data..data + 8].copy_from_slice(&1e9f64.to_le_bytes())),
        "kll: a value beyond the extremes"
    );
    assert_eq!(invalid(&|b| b.push(0)), "bytes after the end");
    let swap_last = |b: &mut Vec<u8>| {
        let len = b.len();
        let (a, z) = b.split_at_mut(len - 8);
        a[len - 16..].swap_with_slice(z);
    };
    assert_eq!(invalid(&swap_last), "kll: a level out of order");
    assert!(matches!(refused(&|b| b.truncate(b.len() - 1)), DecodeError::Truncated));
    let small = Kll::<f64>::from_datasketches(&good, 1, &Limits::bytes(500));
    assert!(matches!(small, Err(DecodeError::TooLarge { .. })));
    // Another type is noticed where the length tells.
    assert!(read::<f32>(&good).is_err());
    assert!(read::<f64>(&of(8, &[]).to_datasketches()).unwrap().is_empty());
}

#[test]
fn hostile_images_are_refused_or_sound() {
    let values: Vec<f64> = (0..6_000).map(|i| f64::from(i * 7_919 % 6_000)).collect();
    let (mut survived, mut rng) = (0, Rng(3));
    for n in [0, 1, 50, 300, 6_000] {
        let good = of(40, &values[..n]).to_datasketches();
        for end in 0..good.len() {
            assert!(read::<f64>(&good[..end]).is_err());
        }
        for _ in 0..3_000 {
            if let Ok(mut kll) = read::<f64>(&mutate(&good, &mut rng)) {
                survived += 1;
                survive(&mut kll);
            }
        }
    }
    assert!(survived > 500, "{survived}");
}
