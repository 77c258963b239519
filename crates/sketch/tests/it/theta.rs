//! `theta::Theta` against its laws, a foreign implementation, Java's files, and its own bytes; its numbers are judged in
//! `accuracy.rs`.

use std::collections::BTreeSet;

use crate::streams::{Rng, mutate};
use datasketches::hash::value::raw_bytes;
use datasketches::theta::{CompactThetaSketch, ThetaSketch, ThetaSketchBuilder, ThetaUnionBuilder};
use proptest::prelude::*;
use sketch::hash::{theta_hash_of_f64, theta_hash_of_i64, theta_hash_of_str};
use sketch::theta::{ImageError, LgK, Theta};
use sketch::{DecodeError, Guarantee, Limits, MergeNote, Reader};

fn lg(lg_k: u8) -> LgK {
    LgK::new(lg_k).unwrap()
}

fn of(lg_k: u8, hashes: &[u64]) -> Theta {
    let mut theta = Theta::new(lg(lg_k));
    theta.update_all(hashes);
    theta
}

fn ints(range: std::ops::Range<i64>) -> Vec<u64> {
    range.map(theta_hash_of_i64).collect()
}

fn snapshot(theta: &Theta) -> Vec<u8> {
    theta.check_invariants();
    let mut out = Vec::new();
    theta.snapshot(&mut out);
    out
}

fn assert_same(a: &Theta, b: &Theta) {
    assert_eq!(snapshot(a), snapshot(b));
    assert_eq!(a, b);
    assert_eq!(a.estimate(0.95), b.estimate(0.95));
    assert_eq!(a.is_exact(), b.is_exact());
    assert_eq!(a.to_datasketches(), b.to_datasketches());
}

// ---- Laws: whole bytes, exactly ----

/// By definition: the K smallest distinct hashes, and the next one as theta.
fn by_definition(lg_k: u8, hashes: &[u64]) -> Vec<u8> {
    let set: BTreeSet<u64> = hashes.iter().copied().collect();
    let k = 1usize << lg_k;
    let theta = set.iter().nth(k).copied().unwrap_or(i64::MAX as u64);
    let kept: Vec<u64> = set.into_iter().take(k).collect();
    let mut out = vec![10, 1, lg_k];
    out.extend(theta.to_le_bytes());
    out.extend((kept.len() as u32).to_le_bytes());
    out.extend(kept.iter().flat_map(|hash| hash.to_le_bytes()));
    out
}

fn values() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec((0i64..400).prop_map(theta_hash_of_i64), 0..300)
}

fn precision() -> impl Strategy<Value = u8> {
    4u8..=8
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_state_is_the_smallest_hashes_in_any_order(lg_k in precision(), hashes in values()) {
        let theta = of(lg_k, &hashes);
        prop_assert_eq!(snapshot(&theta), by_definition(lg_k, &hashes));
        let backwards: Vec<u64> = hashes.iter().rev().copied().collect();
        assert_same(&theta, &of(lg_k, &backwards));
        let distinct = hashes.iter().collect::<BTreeSet<_>>().len();
        prop_assert_eq!(theta.is_exact(), distinct <= 1 << lg_k);
        if theta.is_exact() {
            prop_assert_eq!(theta.estimate(0.95).value, distinct as f64);
        }
    }

    #[test]
    fn a_snapshot_merges_as_what_it_restores_to(
        ours in (precision(), values()),
        theirs in (precision(), values()),
        seed: u64,
    ) {
        let (before, other) = (of(ours.0, &ours.1), of(theirs.0, &theirs.1));
        let (mut merged, mut bytes) = (before.clone(), before.clone());
        let image = snapshot(&other);
        let mut r = Reader::new(&image);
        prop_assert_eq!(bytes.merge_snapshot(&mut r, &Limits::default()).ok(), merged.merge(&other).ok());
        prop_assert_eq!(r.remaining(), 0);
        assert_same(&bytes, &merged);
        // Bytes are refused by both or by neither, and what is refused changes nothing.
        let hostile = mutate(&image, &mut Rng(seed));
        let mut bytes = before.clone();
        let done = bytes.merge_snapshot(&mut Reader::new(&hostile), &Limits::default());
        match Theta::restore(&mut Reader::new(&hostile), &Limits::default()) {
            Ok(restored) => {
                let mut merged = before;
                prop_assert_eq!(done.ok(), merged.merge(&restored).ok());
                assert_same(&bytes, &merged);
            }
            Err(refused) => {
                prop_assert_eq!(done, Err(refused));
                assert_same(&bytes, &before);
            }
        }
    }

    #[test]
    fn every_merge_tree_gives_one_sketch_over_all_values(
        parts in prop::collection::vec((precision(), values()), 1..7),
        picks in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 6),
    ) {
        let mut all = Vec::new();
        let mut coarsest = 21;
        let mut sketches = Vec::new();
        for (lg_k, hashes) in &parts {
            all.extend_from_slice(hashes);
            coarsest = coarsest.min(*lg_k);
            sketches.push(of(*lg_k, hashes));
        }
        for (from, into) in picks {
            if sketches.len() > 1 {
                let from = sketches.swap_remove(from.index(sketches.len()));
                let into = into.index(sketches.len());
                sketches[into].merge(&from).unwrap();
            }
        }
        assert_same(&sketches[0], &of(coarsest, &all));
    }

    #[test]
    fn folding_is_having_been_coarser_from_the_start(from in precision(), to in precision(), hashes in values()) {
        let (before, after) = hashes.split_at(hashes.len() / 2);
        let mut theta = of(from, before);
        theta.fold(lg(to));
        assert_same(&theta, &of(from.min(to), before));
        theta.update_all(after);
        assert_same(&theta, &of(from.min(to), &hashes));
    }

    #[test]
    fn set_operations_are_those_of_sets_below_theta(
        (lg_a, a) in (precision(), values()),
        (lg_b, b) in (precision(), values()),
    ) {
        let (x, y) = (of(lg_a, &a), of(lg_b, &b));
        let (a, b): (BTreeSet<u64>, BTreeSet<u64>) = (a.into_iter().collect(), b.into_iter().collect());
        let theta = |set: &BTreeSet<u64>, lg_k: u8| set.iter().nth(1 << lg_k).copied().unwrap_or(i64::MAX as u64);
        let limit = theta(&a, lg_a).min(theta(&b, lg_b));
        let check = |result: Theta, expected: Vec<u64>| {
            let exact = limit == i64::MAX as u64 && expected.len() <= 1 << lg_a.min(lg_b);
            let e = result.estimate(0.95);
            assert_eq!(result.is_exact(), exact);
            assert_eq!(exact, e.guarantee == Guarantee::Exact);
            assert!(e.low <= e.value && e.value <= e.high);
            let mut expected = expected;
            expected.sort_unstable();
            let cut = expected.get(1 << lg_a.min(lg_b)).copied().unwrap_or(limit);
            expected.truncate(1 << lg_a.min(lg_b));
            let image = snapshot(&result);
            assert_eq!(image[2], lg_a.min(lg_b));
            assert_eq!(&image[3..11], &cut.to_le_bytes());
            let hashes: Vec<u8> = expected.iter().flat_map(|hash| hash.to_le_bytes()).collect();
            assert_eq!(&image[15..], &hashes[..]);
        };
        let below = |set: Vec<u64>| set.into_iter().filter(|&hash| hash < limit).collect::<Vec<_>>();
        check(x.intersect(&y), below(a.intersection(&b).copied().collect()));
        check(y.intersect(&x), below(a.intersection(&b).copied().collect()));
        check(x.without(&y), below(a.difference(&b).copied().collect()));
        check(y.without(&x), below(b.difference(&a).copied().collect()));
        let j = x.jaccard(&y, 0.95);
        prop_assert!(0.0 <= j.low && j.low <= j.value && j.value <= j.high && j.high <= 1.0);
        prop_assert_eq!(j, y.jaccard(&x, 0.95));
        if j.is_exact() {
            let (both, any) = (a.intersection(&b).count() as f64, a.union(&b).count() as f64);
            prop_assert_eq!(j.value, if any == 0.0 { 1.0 } else { both / any });
        }
    }

    #[test]
    fn a_restored_sketch_goes_on_as_if_nothing_had_happened(lg_k in precision(), hashes in values()) {
        let (before, after) = hashes.split_at(hashes.len() / 2);
        let mut bytes = snapshot(&of(lg_k, before));
        bytes.push(77);
        let mut r = Reader::new(&bytes);
        let mut restored = Theta::restore(&mut r, &Limits::default()).unwrap();
        prop_assert_eq!(r.remaining(), 1, "the reader stands behind the snapshot");
        assert_same(&restored, &of(lg_k, before));
        restored.update_all(after);
        assert_same(&restored, &of(lg_k, &hashes));
        assert_same(&Theta::from_datasketches(&restored.to_datasketches(), lg(lg_k), &Limits::default()).unwrap(), &restored);
    }

    #[test]
    fn hostile_bytes_are_survived(lg_k in precision(), hashes in values(), seed: u64) {
        let theta = of(lg_k, &hashes);
        let hostile = mutate(&snapshot(&theta), &mut Rng(seed));
        let mut r = Reader::new(&hostile);
        if let Ok(mut back) = Theta::restore(&mut r, &Limits::bytes(8 << 10)) {
            prop_assert_eq!(&snapshot(&back)[..], &hostile[..hostile.len() - r.remaining()]);
            back.update_all(&ints(0..2_000));
            let e = back.estimate(0.95);
            prop_assert!(e.low <= e.value && e.value <= e.high && e.high.is_finite(), "{:?}", e);
            snapshot(&back);
        }
        let image = mutate(&theta.to_datasketches(), &mut Rng(seed ^ 1));
        if let Ok(back) = Theta::from_datasketches(&image, lg(lg_k), &Limits::default()) {
            snapshot(&back);
            assert_same(&Theta::from_datasketches(&back.to_datasketches(), lg(lg_k), &Limits::default()).unwrap(), &back);
        }
    }
}

#[test]
fn a_merge_says_when_it_folded() {
    let mut coarse = of(6, &ints(0..5));
    assert_eq!(coarse.merge(&of(6, &ints(3..9))), Ok(MergeNote::Exact));
    assert_eq!(coarse.merge(&of(8, &ints(0..900))), Ok(MergeNote::Folded { from: 8, to: 6 }));
    let mut fine = of(8, &ints(0..900));
    assert_eq!(fine.merge(&Theta::new(lg(6))), Ok(MergeNote::Folded { from: 8, to: 6 }));
    assert_same(&fine, &coarse);
}

#[test]
fn memory_stays_within_sixteen_bytes_a_hash() {
    for lg_k in [4, 8, 12] {
        let mut theta = Theta::new(lg(lg_k));
        for hash in ints(0..50_000) {
            theta.update(hash);
            assert!(theta.memory_bytes() <= size_of::<Theta>() + (16 << lg_k));
        }
        assert_eq!(theta.sketch_name(), format!("theta/{lg_k}"));
    }
    assert!(Theta::new(lg(12)).is_empty() && Theta::new(lg(12)).is_exact());
    // Hash 0 stands for an empty slot, and is skipped over there as well.
    assert!(of(4, &[0, 0]).is_empty());
}

#[test]
fn each_lie_is_named() {
    let make = |lg_k: u8, theta: u64, hashes: &[u64]| {
        let mut out = vec![10, 1, lg_k];
        out.extend(theta.to_le_bytes());
        out.extend((hashes.len() as u32).to_le_bytes());
        out.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
        out
    };
    let restore = |bytes: Vec<u8>| Theta::restore(&mut Reader::new(&bytes), &Limits::bytes(8 << 12));
    assert!(restore(make(4, 100, &[1, 99])).is_ok(), "fewer than K below theta: an intersection");
    for (bytes, lie) in [
        (vec![9, 1, 4], "not a theta of version 1"),
        (vec![10, 2, 4], "not a theta of version 1"),
        (make(3, 100, &[]), "lg K outside 4..=21"),
        (make(4, 0, &[]), "theta outside 1..=2^63-1"),
        (make(4, 1 << 63, &[]), "theta outside 1..=2^63-1"),
        (make(4, 100, &[2, 1]), "theta hashes do not ascend"),
        (make(4, 100, &[2, 2]), "theta hashes do not ascend"),
        (make(4, 100, &[0, 2]), "a theta hash outside 1..theta"),
        (make(4, 100, &[2, 100]), "a theta hash outside 1..theta"),
    ] {
        assert_eq!(restore(bytes.clone()), Err(DecodeError::Invalid(lie)), "{bytes:?}");
    }
    let too_many: Vec<u64> = (1..=17).collect();
    let told = DecodeError::TooLarge { what: "theta hashes", declared: 17, limit: 16 };
    assert_eq!(restore(make(4, 100, &too_many)), Err(told));
    // What counts is the table of the hashes, not how many there may be.
    assert!(restore(make(13, 100, &[])).is_ok());
    let told = DecodeError::TooLarge { what: "slots for theta hashes", declared: 1 << 13, limit: 1 << 12 };
    assert_eq!(restore(make(13, 1 << 62, &(1..=3_073).collect::<Vec<_>>())), Err(told));
    assert!(restore(make(13, 1 << 62, &(1..=3_072).collect::<Vec<_>>())).is_ok());
    let mut short = make(12, 1 << 62, &[1, 2, 3]);
    short[11] = 200;
    assert_eq!(restore(short), Err(DecodeError::Truncated));
}

// ---- The twin ----

fn names(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|i| format!("user_{i}")).collect()
}

fn ours(lg_k: u8, names: &[String]) -> Theta {
    of(lg_k, &names.iter().map(|name| theta_hash_of_str(name)).collect::<Vec<_>>())
}

fn twin(lg_k: u8, names: &[String]) -> ThetaSketch {
    let mut sketch = ThetaSketchBuilder::default().lg_k(lg_k).build().unwrap();
    names.iter().for_each(|name| sketch.update(raw_bytes::from_str(name)));
    sketch
}

#[test]
fn datasketches_reads_every_image_and_holds_the_same() {
    for (lg_k, n) in [(5, 0), (5, 1), (5, 2), (5, 32), (5, 33), (12, 4_096), (12, 4_097), (12, 100_000)] {
        let names = names(0..n);
        let image = ours(lg_k, &names).to_datasketches();
        let read = CompactThetaSketch::deserialize(&image).unwrap();
        let mut twin = twin(lg_k, &names);
        // Cut to K, theirs is the same state.
        twin.trim();
        assert_eq!(read.is_empty(), n == 0);
        assert!(read.is_ordered());
        assert_eq!(read.theta64(), twin.theta64(), "lg K {lg_k}, n {n}");
        let hashes = |all: &mut dyn Iterator<Item = u64>| all.collect::<BTreeSet<u64>>();
        let (a, b) = (hashes(&mut read.iter().map(|e| e.hash())), hashes(&mut twin.iter().map(|e| e.hash())));
        assert_eq!(a, b);
        let (theirs, value) = (read.estimate(), ours(lg_k, &names).estimate(0.95).value);
        assert!((theirs - value).abs() <= 1e-9 * value, "{theirs} and {value}");
        // Of a single hash Java sets a flag that the crate leaves out, of none Java leaves out the hash of the seed.
        if n > 1 {
            assert_eq!(image, twin.compact(true).serialize(), "the whole image, lg K {lg_k}, n {n}");
        }
        // And back, from an image in the order of their table too, cut or not.
        for image in [twin.compact(true).serialize(), twin.compact(false).serialize()] {
            assert_same(
                &Theta::from_datasketches(&image, lg(lg_k), &Limits::default()).unwrap(),
                &ours(lg_k, &names),
            );
        }
        let uncut = self::twin(lg_k, &names).compact(false).serialize();
        assert_same(
            &Theta::from_datasketches(&uncut, lg(lg_k), &Limits::default()).unwrap(),
            &ours(lg_k, &names),
        );
    }
}

#[test]
fn a_union_over_there_is_a_merge_over_here() {
    let (a, b) = (names(0..20_000), names(10_000..30_000));
    let mut union = ThetaUnionBuilder::default().lg_k(10).build().unwrap();
    union.update(&CompactThetaSketch::deserialize(&ours(10, &a).to_datasketches()).unwrap()).unwrap();
    union.update(&twin(10, &b).compact(false)).unwrap();
    let theirs =
        Theta::from_datasketches(&union.to_sketch(true).serialize(), lg(10), &Limits::default()).unwrap();
    let mut merged = ours(10, &a);
    merged
        .merge(
            &Theta::from_datasketches(&twin(10, &b).compact(false).serialize(), lg(10), &Limits::default())
                .unwrap(),
        )
        .unwrap();
    assert_same(&merged, &ours(10, &names(0..30_000)));
    let (theirs, ours) = (theirs.estimate(0.95), merged.estimate(0.95));
    assert!(theirs.low <= ours.value && ours.value <= theirs.high, "{theirs:?}, {ours:?}");
}

#[test]
fn doubles_hash_as_over_there() {
    use datasketches::hash::value::canonical_float;
    let mut sketch = ThetaSketchBuilder::default().lg_k(12).build().unwrap();
    let mut theta = Theta::new(lg(12));
    for v in [0.0, -0.0, 1.5, f64::NAN, -f64::NAN, f64::INFINITY, 1e-300] {
        sketch.update(canonical_float::from_f64(v));
        theta.update(theta_hash_of_f64(v));
    }
    assert_eq!(theta.to_datasketches(), sketch.compact(true).serialize());
}

#[test]
fn foreign_bytes_are_refused_by_name() {
    let good = of(5, &ints(0..100)).to_datasketches();
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        Theta::from_datasketches(&bytes, lg(5), &Limits::default())
    };
    assert!(with(0, 3).is_ok());
    let bytes = |lie| Err(ImageError::Bytes(DecodeError::Invalid(lie)));
    assert_eq!(with(0, 4), bytes("preamble of a theta image"));
    assert_eq!(with(1, 2), bytes("not a compact theta image of version 3 or 4"), "an older one");
    assert_eq!(with(1, 4), bytes("preamble of a compressed theta image"), "not what its version says");
    assert_eq!(with(2, 2), bytes("not a compact theta image of version 3 or 4"), "the updatable one");
    assert_eq!(with(5, 0x1b), bytes("a big-endian image"));
    assert_eq!(with(6, 0xcd), Err(ImageError::Seed { ours: 0x93cc, theirs: 0x93cd }));
    assert_eq!(with(8, 31), bytes("bytes after the end"));
    assert_eq!(with(8, 33), Err(ImageError::Bytes(DecodeError::Truncated)));
    assert_eq!(
        Theta::from_datasketches(&good[..7], lg(5), &Limits::default()),
        Err(ImageError::Bytes(DecodeError::Truncated))
    );
}

// ---- Bytes ----

/// Images of the integers 0..n, lg K = 12, as datasketches-java wrote them (serialization test data of Apache
/// DataSketches, `theta_n0_java.sk`, `theta_n1_java.sk`, `theta_n10_java.sk`, `theta_non_empty_no_entries_java.sk`).
#[test]
fn small_images_are_those_of_java() {
    assert_eq!(of(12, &[]).to_datasketches(), [1, 3, 3, 0, 0, 0x1e, 0, 0]);
    assert_eq!(
        of(12, &ints(0..1)).to_datasketches(),
        [1, 3, 3, 0, 0, 0x3a, 0xcc, 0x93, 0xe5, 0x6b, 0x61, 0xee, 0xc8, 0x80, 0x44, 0x20]
    );
    let ten = of(12, &ints(0..10)).to_datasketches();
    let head = [2, 3, 3, 0, 0, 0x1a, 0xcc, 0x93, 10, 0, 0, 0, 0, 0, 0, 0];
    let first =
        [0x15, 0xf9, 0x7d, 0xcb, 0xbd, 0x86, 0xa1, 0x05, 0x40, 0xde, 0x2e, 0xe1, 0xc9, 0xdb, 0x3d, 0x08];
    assert_eq!(ten[..32], [head, first].concat());
    let none = [3, 3, 3, 0, 0, 0x1a, 0xcc, 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0xae, 0x47, 0x01];
    let read = Theta::from_datasketches(&none, lg(12), &Limits::default()).unwrap();
    let e = read.estimate(0.95);
    assert!(!read.is_empty() && e.low == 0.0 && e.value == 0.0 && e.high > 100.0, "{e:?}");
    assert_eq!(read.to_datasketches(), none);
}

#[test]
fn the_smallest_snapshots_byte_by_byte() {
    let one = theta_hash_of_i64(0).to_le_bytes();
    let head = |n: u8| [10, 1, 12, 255, 255, 255, 255, 255, 255, 255, 127, n, 0, 0, 0];
    assert_eq!(snapshot(&of(12, &[])), head(0));
    assert_eq!(snapshot(&of(12, &ints(0..1))), [&head(1)[..], &one].concat());
}

/// FNV-1a over the snapshots and images of many states: no byte changes unnoticed. When it must change, so does the
/// version in the head, and docs/FORMATS.md says so.
#[test]
fn fingerprint_of_all_bytes() {
    let mut fnv = 0xCBF2_9CE4_8422_2325u64;
    for lg_k in [4, 7, 10, 12] {
        for n in [0, 1, 2, 16, 17, 128, 129, 1_024, 1_025, 50_000] {
            let theta = of(lg_k, &ints(0..n));
            for byte in snapshot(&theta).into_iter().chain(theta.to_datasketches()) {
                fnv = (fnv ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
            }
        }
    }
    assert_eq!(format!("{fnv:016x}"), "ee9234d1172a2046");
}

#[test]
fn precision_is_sized_by_error_and_confidence() {
    // 1.96/√(2^14 − 1) is 1.53 %, 1.96/√(2^13 − 1) 2.17 %.
    assert_eq!(Theta::lg_k_for(0.02, 0.95), lg(14));
    assert_eq!(Theta::lg_k_for(0.0, 0.95), LgK::MAX);
    assert_eq!(Theta::lg_k_for(2.0, 0.95), LgK::MIN);
}

// ---- Bounds where few hashes are kept ----

/// Two random sets of these many values, in parts: only here, in both, only there.
fn overlap(lg_k: u8, rng: &mut Rng, (here, both, there): (u64, u64, u64)) -> (Theta, Theta) {
    let mut draw = |n: u64| (0..n).map(|_| rng.next() >> 1).collect::<Vec<_>>();
    let (mut a, shared, mut b) = (draw(here), draw(both), draw(there));
    a.extend_from_slice(&shared);
    b.extend(shared);
    (of(lg_k, &a), of(lg_k, &b))
}

#[test]
fn bounds_only_widen_with_confidence() {
    let confidences = [0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.999_999];
    for (seed, both) in [0, 1, 10, 40, 300, 4_000, 19_000].into_iter().enumerate() {
        let (a, b) = overlap(8, &mut Rng(seed as u64), (20_000 - both, both, 20_000 - both));
        for result in [a.intersect(&b), a.without(&b), a.clone()] {
            let all: Vec<_> = confidences.iter().map(|&confidence| result.estimate(confidence)).collect();
            assert!(all.windows(2).all(|e| e[1].low <= e[0].low && e[0].high < e[1].high), "{both}: {all:?}");
        }
        let all: Vec<_> = confidences.iter().map(|&confidence| a.jaccard(&b, confidence)).collect();
        assert!(all.windows(2).all(|e| e[1].low <= e[0].low && e[0].high < e[1].high), "{both}: {all:?}");
    }
}

/// Of 2,000 pairs of sets for each size, no more may be missed than the confidence allows, and 5 of its deviations and 2
/// misses more: by Chernoff's bound a chance of a false alarm below 2e-5 for each of the 27 figures, over the choice of
/// seeds, which are fixed.
#[test]
fn thin_overlaps_are_within_their_bounds_as_often_as_promised() {
    const PAIRS: u64 = 2_000;
    for both in [1u64, 10, 40] {
        let only = 4_000 - both;
        let mut missed = [[0u32; 3]; 3];
        let confidences = [0.95, 0.99, 0.999];
        for seed in 0..PAIRS {
            let (a, b) = overlap(6, &mut Rng(seed << 20 | both), (only, both, only));
            // What is left of `a` without all but a few of its values is as thin.
            let (rest, _) = overlap(6, &mut Rng(seed << 20 | both), (only, 0, 0));
            let (meet, left) = (a.intersect(&b), a.without(&rest));
            for (at, &confidence) in confidences.iter().enumerate() {
                let alike = both as f64 / (2 * only + both) as f64;
                let asked = [
                    (meet.estimate(confidence), both as f64),
                    (left.estimate(confidence), both as f64),
                    (a.jaccard(&b, confidence), alike),
                ];
                for (question, (e, truth)) in asked.into_iter().enumerate() {
                    missed[question][at] += u32::from(truth < e.low || e.high < truth);
                }
            }
        }
        for missed in missed {
            for (confidence, missed) in confidences.into_iter().zip(missed) {
                let allowed = PAIRS as f64 * (1.0 - confidence);
                assert!(
                    f64::from(missed) <= allowed + 5.0 * allowed.sqrt() + 2.0,
                    "{both} in both: {missed} of {PAIRS} missed at {confidence}"
                );
            }
        }
    }
}

/// 2,000 draws in all: with exact intervals of 95 % at most 5 % miss; more than 7.5 % has probability below 1e-6.
#[test]
fn a_share_lies_within_its_bounds() {
    let (mut missed, mut draws) = (0, 0);
    for seed in 0..400i64 {
        let base = seed * 1_000_000;
        let whole = of(8, &ints(base..base + 20_000));
        for inside in [0, 20, 600, 9_000, 20_000] {
            // The part has other values too.
            let part = of(9, &ints(base + 20_000 - inside..base + 30_000));
            let share = part.share_of(&whole, 0.95).expect("a share of something");
            let truth = inside as f64 / 20_000.0;
            assert!(
                0.0 <= share.low
                    && share.low <= share.value
                    && share.value <= share.high
                    && share.high <= 1.0
            );
            // What both have is the same part of the whole, up to what its own table cuts.
            let both = part.intersect(&whole).share_of(&whole, 0.95).expect("a share");
            assert_eq!(both.value, share.value);
            missed += usize::from(truth < share.low || share.high < truth);
            draws += 1;
        }
    }
    assert_eq!(draws, 2_000);
    assert!(missed <= 150, "{missed} of {draws}");
}

#[test]
fn a_share_of_few_is_exact() {
    let (all, some, none) = (of(12, &ints(0..200)), of(12, &ints(150..900)), of(12, &[]));
    let share = some.share_of(&all, 0.95).expect("a share");
    assert_eq!((share.value, share.guarantee), (0.25, Guarantee::Exact));
    assert_eq!(all.share_of(&none, 0.95), None);
    assert_eq!(none.share_of(&all, 0.95).map(|share| share.value), Some(0.0));
    assert_eq!((all.retained(), of(6, &ints(0..10_000)).retained()), (200, 64));
}
