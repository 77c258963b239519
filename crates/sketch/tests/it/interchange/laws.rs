//! What is read obeys the laws of its structure, agrees with the twin (Apache DataSketches in Rust), and no bytes do harm.

use datasketches::cpc::{CpcSketch, CpcUnion};
use datasketches::frequencies::FrequentItemsSketch;
use datasketches::hash::value::raw_bytes;
use datasketches::hll::HllSketch;
use datasketches::tdigest::TDigestMut;
use datasketches::theta::ThetaSketchBuilder;
use proptest::prelude::*;

use super::{TYPES, as_read, distinct, lg, read_hll, theta, union_of};
use crate::streams::{Rng, mutate, name, truth, zipf};
use sketch::frequent::Counters;
use sketch::hash::theta_hash_of_str;
use sketch::hll::Distinct;
use sketch::interchange::{Cpc, KError, TDigest};
use sketch::theta::Theta;
use sketch::{DecodeError, Guarantee, Incompatible, Limits, MergeNote, Reader, Token};

const LIMITS: Limits = Limits::bytes(1 << 20);

fn users(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|i| format!("user_{i}")).collect()
}

fn tokens(names: &[String]) -> Vec<Token> {
    names.iter().map(|name| Token::of_str(name)).collect()
}

// ---- HLL ----

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hll_images_of_every_type_read_back_and_merge(
        lg_k in 4u8..=12,
        a in 0u32..3_000,
        from in 0u32..3_000,
        more in 0u32..3_000,
    ) {
        let (left, right) = (tokens(&users(0..a)), tokens(&users(from..from + more)));
        let (ours, other) = (distinct(lg_k, left.iter().copied()), distinct(lg_k, right.iter().copied()));
        let mut all = ours.clone();
        all.merge(&other).unwrap();
        for (hll_type, theirs) in TYPES {
            let image = ours.to_datasketches_as(hll_type);
            let mut twin = HllSketch::new(lg_k, theirs).unwrap();
            users(0..a).iter().for_each(|name| twin.update(raw_bytes::from_str(name)));
            let read = read_hll(&twin.serialize());
            prop_assert_eq!(&read, &read_hll(&image));
            prop_assert_eq!(HllSketch::deserialize(&image).unwrap().is_empty(), a == 0);
            // With the other's tokens, with its registers, with its image: the registers of one sketch over all.
            let mut with_ours = read.clone();
            with_ours.merge(&other).unwrap();
            let mut with_read = read.clone();
            with_read.merge(&as_read(&other)).unwrap();
            let mut updated = read;
            updated.update_all(&right);
            if a > 0 {
                prop_assert_eq!(&with_ours, &as_read(&all));
                prop_assert_eq!(&updated, &as_read(&all));
            }
            prop_assert_eq!(&with_read, &as_read(&all));
        }
    }
}

#[test]
fn register_images_are_those_of_a_union_in_every_width() {
    // Ranks that no test of a second would draw, and enough values that the minimum is above 0.
    let rare = (0..64u64).map(|i| Token(7 << 32 | [1, 20, 31, 32, 63][i as usize % 5] << 26 | i));
    let few = rare.clone().filter(|token| token.0 % 3 > 0);
    let many = tokens(&users(0..20_000));
    for (lg_k, sketch) in [
        (4, distinct(4, rare.clone())),
        (6, distinct(6, rare.chain(many.iter().copied()))),
        (6, distinct(6, few.chain(many[..100].iter().copied()))),
        (10, distinct(10, many.iter().copied())),
        (12, distinct(12, many[..2_000].iter().copied())),
    ] {
        for (hll_type, theirs) in TYPES {
            let image = sketch.to_datasketches_as(hll_type);
            let (mut union, mut ours) = (union_of(&image, lg_k, theirs), image.clone());
            // Theirs lists exceptions in the order of its table.
            let body = 40 + (1 << lg_k) / 2;
            if hll_type == sketch::hll::HllType::Hll4 {
                for image in [&mut union, &mut ours] {
                    image[body..].as_chunks_mut::<4>().0.sort_by_key(|entry| u32::from_le_bytes(*entry));
                }
                ours[body..].as_chunks_mut::<4>().0.sort_by_key(|entry| u32::from_le_bytes(*entry));
            }
            assert_eq!(ours, union, "lg K {lg_k}, {hll_type:?}");
            assert_eq!(read_hll(&image), sketch, "lg K {lg_k}, {hll_type:?}");
        }
    }
}

#[test]
fn each_lie_of_an_hll_image_is_named() {
    let image = |n: u32, hll_type| distinct(8, tokens(&users(0..n))).to_datasketches_as(hll_type);
    let read = |bytes: &[u8]| Distinct::from_datasketches(bytes, &LIMITS);
    for (n, hll_type, at, value, lie) in [
        (5, 2, 1, 2, "not an HLL image of version 1"),
        (5, 2, 2, 3, "not an HLL image of version 1"),
        (5, 2, 7, 12, "not an HLL image of version 1"),
        (5, 2, 5, 9, "a big-endian image"),
        (5, 2, 3, 22, "lg K outside 4..=21"),
        (5, 2, 0, 3, "mode of an HLL image"),
        (5, 2, 7, 11, "mode of an HLL image"),
        (5, 2, 6, 4, "number of coupons"),
        (20, 2, 8, 19, "number of coupons"),
        (5, 2, 11, 0, "a coupon without rank"),
        (3_000, 2, 6, 1, "a minimum or exceptions of registers that have none"),
        (3_000, 1, 36, 1, "a minimum or exceptions of registers that have none"),
        (3_000, 2, 40, 64, "a register above 63"),
        (3_000, 0, 40, 0xFF, "number of exceptions"),
        (3_000, 0, 36, 1, "number of exceptions"),
    ] {
        let mut bytes = image(n, TYPES[hll_type].0);
        bytes[at] = value;
        if lie == "a coupon without rank" {
            bytes[8..12].copy_from_slice(&[1, 0, 0, 0]);
        }
        assert_eq!(read(&bytes), Err(DecodeError::Invalid(lie)), "byte {at} is {value}");
    }
    let mut zero = image(3_000, TYPES[2].0);
    zero[40..].fill(0);
    assert_eq!(read(&zero), Err(DecodeError::Invalid("registers without a value")));
    let mut exception = image(3_000, TYPES[0].0);
    exception.extend([0, 0, 0, 63 << 2]);
    assert_eq!(read(&exception), Err(DecodeError::Invalid("an exception of a register that is none")));
    let mut longer = image(3_000, TYPES[2].0);
    longer.push(0);
    assert_eq!(read(&longer), Err(DecodeError::Invalid("bytes after the end")));
    // Twelve bytes that would become two megabytes.
    let mut large = image(1, TYPES[2].0);
    large[3] = 21;
    let limit = DecodeError::TooLarge { what: "registers", declared: 1 << 21, limit: 1 << 20 };
    assert_eq!(read(&large), Err(limit));
}

#[test]
fn mutated_hll_images_are_refused_or_sound() {
    let mut rng = Rng(0x4154);
    for n in [3, 15, 200, 9_000] {
        for (hll_type, _) in TYPES {
            let image = distinct(8, tokens(&users(0..n))).to_datasketches_as(hll_type);
            for _ in 0..3_000 {
                let bytes = mutate(&image, &mut rng);
                if let Ok(mut read) = Distinct::from_datasketches(&bytes, &LIMITS) {
                    read.check_invariants();
                    read.merge(&distinct(6, [Token::of_i64(1)])).unwrap();
                    read.check_invariants();
                    assert!(read.estimate(0.95).value.is_finite());
                }
            }
        }
    }
}

// ---- Frequent Items ----

/// The twin over events, and what it says when it is read.
fn frequent_twin(lg_max: u8, events: &[(u32, u64)]) -> FrequentItemsSketch<String> {
    let mut twin = FrequentItemsSketch::new(1 << lg_max).unwrap();
    events.iter().for_each(|&(key, weight)| twin.update_with_count(name(key), weight));
    twin
}

#[test]
fn frequent_items_keep_their_bounds() {
    for (lg_max, keys) in [(4, 100), (6, 1_000), (8, 5_000), (12, 60_000)] {
        let events = zipf(u64::from(lg_max), 0.9, keys, 100_000);
        let (left, right) = events.split_at(40_000);
        let mut twin = frequent_twin(lg_max, left);
        // Merged with a smaller one its offset is beyond what its own size promises.
        twin.merge(&frequent_twin(4, right));
        let exact = truth(&events);
        let read = Counters::from_datasketches_strings(&twin.serialize(), &LIMITS).unwrap();
        read.check_invariants();
        assert_eq!(read.total(), 100_000);
        assert!(read.slots() <= 1 << lg_max && read.slots() >= 16);
        for (&key, &weight) in &exact {
            let e = read.get(Token::of_str(&name(key)));
            assert!(e.low <= weight && weight <= e.high, "lg {lg_max}, {key}: {weight}, {e:?}");
        }
        // And merged with counters of our own over the same events, every weight is twice as large.
        let mut both = read;
        let mut ours = Counters::new(64);
        for &(key, weight) in &events {
            ours.update(Token::of_str(&name(key)), weight, name(key).as_bytes());
        }
        both.merge(&ours).unwrap();
        both.check_invariants();
        for (&key, &weight) in &exact {
            let e = both.get(Token::of_str(&name(key)));
            assert!(e.low <= 2 * weight && 2 * weight <= e.high, "lg {lg_max}, {key}: {weight}, {e:?}");
        }
    }
}

#[test]
fn frequent_items_of_one_size_lose_nothing() {
    for lg_max in [4, 6, 8] {
        let events = zipf(7, 1.0, 2_000, 50_000);
        let twin = frequent_twin(lg_max, &events);
        let read = Counters::from_datasketches_strings(&twin.serialize(), &LIMITS).unwrap();
        assert_eq!((read.slots(), read.offset()), (1 << lg_max, twin.maximum_error()), "lg {lg_max}");
        for key in 0..2_000 {
            let (item, e) = (name(key), read.get(Token::of_str(&name(key))));
            let (low, high) = (twin.lower_bound(&item), twin.upper_bound(&item));
            assert_eq!((e.low, e.high), (low, high.max(e.low)), "{item}");
        }
    }
}

#[test]
fn mutated_frequent_items_are_refused_or_sound() {
    let events = zipf(3, 1.0, 300, 5_000);
    let image = frequent_twin(5, &events).serialize();
    let mut longs = Counters::new(32);
    (0..100i64).for_each(|i| longs.update(Token::of_i64(i), 1 + i as u64, &i.to_le_bytes()));
    let longs = longs.to_datasketches_longs().unwrap();
    let mut rng = Rng(0xF1);
    for _ in 0..30_000 {
        for (image, strings) in [(&image, true), (&longs, false)] {
            let bytes = mutate(image, &mut rng);
            let read =
                if strings { Counters::from_datasketches_strings } else { Counters::from_datasketches_longs };
            if let Ok(counters) = read(&bytes, &LIMITS) {
                counters.check_invariants();
                // Asserts the guarantee, as a restore does.
                counters.snapshot(&mut Vec::new());
            }
        }
    }
}

#[test]
fn longs_are_eight_bytes() {
    let mut counters = Counters::new(16);
    counters.update(Token::of_i64(-5), 3, &(-5i64).to_le_bytes());
    let image = counters.to_datasketches_longs().unwrap();
    let twin = FrequentItemsSketch::<i64>::deserialize(&image).unwrap();
    assert_eq!(twin.estimate(&-5), 3);
    let read = Counters::from_datasketches_longs(&image, &LIMITS).unwrap();
    assert_eq!(read.get(Token::of_i64(-5)).value, 3);
    counters.update(Token::of_str("five"), 1, b"five");
    assert_eq!(counters.to_datasketches_longs(), None);
}

// ---- Theta ----

#[test]
fn compressed_theta_is_what_it_is_uncompressed() {
    let mut rng = Rng(0x7E7A);
    for n in [0, 1, 2, 7, 8, 9, 100, 255, 256, 257, 3_000, 40_000] {
        let mut twin = ThetaSketchBuilder::default().lg_k(8).build().unwrap();
        users(0..n).iter().for_each(|name| twin.update(raw_bytes::from_str(name)));
        let image = twin.compact(true).serialize_compressed();
        let ours = theta(8, users(0..n).iter().map(|name| theta_hash_of_str(name)));
        assert_eq!(Theta::from_datasketches(&image, lg(8), &Limits::default()), Ok(ours), "{n}");
        for _ in 0..2_000 {
            if let Ok(read) = Theta::from_datasketches(&mutate(&image, &mut rng), lg(8), &Limits::default()) {
                read.check_invariants();
            }
        }
        assert_eq!(image.len() > 8 && image[1] == 4, n > 1, "{n}: the case is there");
    }
}

// ---- CPC ----

fn cpc(lg_k: u8, names: &[String]) -> Cpc {
    let mut sketch = Cpc::new(lg(lg_k));
    sketch.update_all(&tokens(names));
    sketch
}

fn bytes_of(sketch: &Cpc) -> Vec<u8> {
    sketch.check_invariants();
    let mut out = Vec::new();
    sketch.snapshot(&mut out);
    out
}

#[test]
fn cpc_of_tokens_is_cpc_of_values() {
    for lg_k in [4, 8, 11] {
        for n in [0, 1, 40, 400, 20_000] {
            let names = users(0..n);
            let mut twin = CpcSketch::new(lg_k).unwrap();
            names.iter().for_each(|name| twin.update(raw_bytes::from_str(name)));
            let ours = cpc(lg_k, &names);
            assert_eq!(ours.to_datasketches(), twin.serialize(), "lg K {lg_k}, {n}");
            assert_eq!(ours.estimate(0.95).value, twin.estimate());
            assert_eq!(ours.is_empty(), n == 0);
            let mut out = bytes_of(&ours);
            out.push(7);
            let mut r = Reader::new(&out);
            assert_eq!(Cpc::restore(&mut r, &LIMITS), Ok(ours));
            assert_eq!(r.remaining(), 1);
        }
    }
}

#[test]
fn cpc_merges_as_its_union_does_and_says_what_is_lost() {
    let mut rng = Rng(11);
    for lg_k in [4, 6, 10] {
        for _ in 0..20 {
            let mut part = || {
                let (from, n) = (rng.below(3_000) as u32, rng.below(9) as u32 * rng.below(1_000) as u32);
                cpc(lg_k, &users(from..from + n))
            };
            let parts = [part(), part(), part()];
            let mut union = CpcUnion::new(lg_k).unwrap();
            parts.iter().for_each(|part| {
                union.update(&CpcSketch::deserialize(&part.to_datasketches()).unwrap()).unwrap()
            });
            let [mut a, b, mut c] = parts.clone();
            let some = parts.iter().filter(|part| !part.is_empty()).count();
            let note = a.merge(&b).unwrap();
            assert_eq!(note == MergeNote::LostHip, !parts[0].is_empty() && !b.is_empty());
            a.merge(&c).unwrap();
            // The other tree.
            c.merge(&b).unwrap();
            c.merge(&parts[0]).unwrap();
            if some > 1 {
                assert_eq!(a.to_datasketches(), union.to_sketch().serialize());
                assert_eq!(bytes_of(&a), bytes_of(&c));
                assert!(a.relative_error() > parts[0].relative_error());
            }
            assert_eq!(Cpc::restore(&mut Reader::new(&bytes_of(&a)), &LIMITS), Ok(a));
        }
    }
    let (mut coarse, fine) = (cpc(8, &users(0..10)), cpc(11, &users(0..10)));
    let refused = Incompatible { what: "lg K of CPC", ours: 8, theirs: 11 };
    assert_eq!(coarse.merge(&fine), Err(refused));
    assert_eq!(coarse, cpc(8, &users(0..10)));
    assert_eq!(coarse.merge(&Cpc::new(lg(8))), Ok(MergeNote::Exact));
}

/// The error of 400 sketches. One stream: a new coupon that has probability p adds 1/p and a variance of 1/p − 1, and 1/p is
/// about x ln 2/K after x values, which makes n² (ln 2/2 − K/n)/K. Merged: (ln 2/√K)². The standard deviation of a root mean
/// square of 400 is 3.5 % of it, the slack four of them: a false alarm once in 16,000, with a fixed seed.
#[test]
fn cpc_errs_as_its_formula_says() {
    let (k, n) = (256.0, 8_000u32);
    let mut rng = Rng(0xC9C);
    let (mut single, mut merged, mut held) = (0.0, 0.0, 0);
    for _ in 0..400 {
        let values: Vec<Token> = (0..n).map(|_| Token::of_i64(rng.next() as i64)).collect();
        let mut sketch = Cpc::new(lg(8));
        sketch.update_all(&values);
        let e = sketch.estimate(0.95);
        held += i32::from(e.low <= f64::from(n) && f64::from(n) <= e.high);
        single += (e.value / f64::from(n) - 1.0).powi(2) / 400.0;
        let mut half = Cpc::new(lg(8));
        half.update_all(&values[..4_000]);
        sketch.merge(&half).unwrap();
        merged += (sketch.estimate(0.95).value / f64::from(n) - 1.0).powi(2) / 400.0;
    }
    let ln_2 = std::f64::consts::LN_2;
    let formulas = [((ln_2 / 2.0 - k / f64::from(n)) / k).sqrt(), ln_2 / k.sqrt()];
    for (rms, formula) in [single.sqrt(), merged.sqrt()].into_iter().zip(formulas) {
        assert!((rms / formula - 1.0).abs() < 0.14, "{rms}, {formula}");
    }
    // 95.45 % of 400 are 382, with a deviation of 4.2.
    assert!(held >= 365, "{held}");
}

#[test]
fn cpc_gives_the_confidence_that_it_has() {
    let sketch = cpc(8, &users(0..1_000));
    let width = |confidence| {
        let e = sketch.estimate(confidence);
        (e.high - e.low, e.confidence, e.guarantee)
    };
    let (one, two, three) = (width(0.6826), width(0.95), width(0.9973));
    assert!(one.0 < two.0 && two.0 < three.0);
    assert_eq!((one.1, two.1, three.2), (0.6826, 0.95, Guarantee::Probabilistic));
    assert_eq!(width(0.9999), (three.0, 0.9973, Guarantee::Probabilistic));
}

#[test]
fn mutated_cpc_images_are_refused_or_sound() {
    let mut rng = Rng(0xC9C);
    let other = cpc(6, &users(0..700));
    let mut accepted = 0;
    for (lg_k, n) in [(4, 1), (4, 200), (6, 5), (6, 20), (6, 60), (6, 3_000), (8, 100_000)] {
        for merged in [false, true] {
            let mut sketch = cpc(lg_k, &users(0..n));
            if merged {
                sketch.merge(&cpc(lg_k, &users(0..n / 2))).unwrap();
            }
            let image = bytes_of(&sketch);
            for _ in 0..4_000 {
                let bytes = mutate(&image, &mut rng);
                let mut r = Reader::new(&bytes);
                if let Ok(mut read) = Cpc::restore(&mut r, &LIMITS) {
                    accepted += 1;
                    assert_eq!(bytes_of(&read), bytes[..bytes.len() - r.remaining()]);
                    read.update_all(&tokens(&users(0..50)));
                    bytes_of(&read);
                    let e = read.estimate(0.95);
                    assert!(e.low <= e.value && e.value <= e.high && e.high.is_finite(), "{e:?}");
                    _ = read.merge(&other);
                    assert!(read.estimate(0.95).high.is_finite());
                    assert_eq!(Cpc::restore(&mut Reader::new(&bytes_of(&read)), &LIMITS), Ok(read));
                }
                if let Ok(mut read) = Cpc::from_datasketches(&bytes[2.min(bytes.len())..], &LIMITS) {
                    _ = read.merge(&other);
                    read.check_invariants();
                }
            }
        }
    }
    assert!(accepted > 100, "{accepted}");
    let mut large = Cpc::new(lg(8)).to_datasketches();
    large[3] = 21;
    let limit = DecodeError::TooLarge { what: "rows of a CPC sketch", declared: 1 << 21, limit: 1 << 17 };
    assert_eq!(Cpc::from_datasketches(&large, &LIMITS), Err(limit));
}

// ---- t-digest ----

fn digest(k: u16, values: &[f64]) -> TDigest {
    let mut sketch = TDigest::new(k).unwrap();
    sketch.update_all(values);
    sketch
}

fn snapshot(digest: &TDigest) -> Vec<u8> {
    digest.check_invariants();
    let mut out = Vec::new();
    digest.snapshot(&mut out);
    out
}

fn restored(bytes: &[u8]) -> Result<TDigest, DecodeError> {
    TDigest::restore(&mut Reader::new(bytes), &LIMITS)
}

fn numbers(n: usize) -> Vec<f64> {
    let mut rng = Rng(n as u64);
    (0..n).map(|_| (rng.unit() - 0.5) * 1e6).collect()
}

#[test]
fn tdigest_is_that_of_the_crate_and_goes_on_after_a_restore() {
    assert_eq!(TDigest::new(9).err(), Some(KError(9)));
    for k in [10, 29, 30, 100] {
        for n in [0, 1, 2, 100, 819, 840, 841, 5_000] {
            let values = numbers(n);
            let mut twin = TDigestMut::new(k).unwrap();
            values.iter().for_each(|&value| twin.update(value));
            let ours = digest(k, &values);
            assert_eq!(ours.to_datasketches(), twin.serialize(), "k {k}, {n}");
            assert_eq!(ours.quantile(0.3).map(|e| e.value), twin.quantile(0.3).unwrap());
            assert_eq!(ours.min(), values.iter().copied().reduce(f64::min));
            // Wherever the snapshot is taken, what follows is the same; asking changes nothing.
            let (before, after) = values.split_at(n / 3);
            let early = digest(k, before);
            let bytes = snapshot(&early);
            early.quantile(0.5);
            assert_eq!(snapshot(&early), bytes);
            let mut late = restored(&bytes).unwrap();
            assert_eq!(late, early);
            late.update_all(after);
            assert_eq!(snapshot(&late), snapshot(&ours), "k {k}, {n}");
        }
    }
}

#[test]
fn tdigest_merges_and_promises_nothing() {
    let values = numbers(9_000);
    let (left, right) = values.split_at(5_000);
    let mut merged = digest(200, left);
    assert_eq!(merged.merge(&digest(50, right)), Ok(MergeNote::Exact));
    assert_eq!((merged.k(), merged.count()), (50, 9_000));
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    assert_eq!((merged.min(), merged.max()), (Some(sorted[0]), Some(sorted[8_999])));
    let e = merged.quantile(0.5).unwrap();
    assert_eq!((e.low, e.high, e.confidence, e.guarantee), (sorted[0], sorted[8_999], 0.0, Guarantee::None));
    assert!((e.value - sorted[4_500]).abs() < 1e4, "{e:?}");
    assert!((merged.rank(e.value).unwrap().value - 0.5).abs() < 1e-3);
    // Merging nothing, or into nothing, changes nothing.
    let before = snapshot(&merged);
    merged.merge(&TDigest::new(10).unwrap()).unwrap();
    let mut empty = TDigest::new(10).unwrap();
    empty.merge(&merged).unwrap();
    assert_eq!((snapshot(&merged), snapshot(&empty)), (before.clone(), before));
    // What is no number is no value.
    let mut odd = digest(10, &[f64::NAN, f64::INFINITY]);
    assert!(odd.is_empty() && odd.quantile(0.5).is_none());
    odd.update(1.0);
    assert_eq!((odd.quantile(f64::NAN), odd.rank(f64::NAN)), (None, None));
    assert_eq!(odd.quantile(7.0).map(|e| e.value), Some(1.0));
}

#[test]
fn a_weight_that_would_not_fit_is_refused_and_not_a_panic() {
    // One centroid of 2^64 - 2, as its image says.
    let heavy = |weight: u64| {
        let head = [2, 1, 20, 10, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        let body: Vec<u8> = [1.0f64, 2.0, 1.5].iter().flat_map(|value| value.to_le_bytes()).collect();
        let image = [&head[..], &body, &weight.to_le_bytes()].concat();
        TDigest::from_datasketches(&image, &LIMITS)
    };
    let mut digest = heavy(u64::MAX - 1).unwrap();
    let refused = Incompatible { what: "total weight", ours: u64::MAX - 1, theirs: 2 };
    assert_eq!(digest.merge(&self::digest(10, &[1.0, 2.0])), Err(refused));
    assert_eq!(digest.merge(&self::digest(10, &[1.0])), Ok(MergeNote::Exact));
    digest.update(1.0);
    digest.update(1.0);
    assert_eq!(digest.count(), u64::MAX);
    assert!(digest.health().saturated);
    assert_eq!(restored(&snapshot(&digest)), Ok(digest.clone()));
    assert!(digest.quantile(0.5).is_some_and(|e| (1.0..=2.0).contains(&e.value)));
    assert!(heavy(0).is_err());
    // The waiting values are part of the sum.
    let mut bytes = snapshot(&heavy(u64::MAX).unwrap());
    bytes.truncate(bytes.len() - 4);
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(1.5f64.to_le_bytes());
    assert_eq!(restored(&bytes), Err(DecodeError::Invalid("total weight of a t-digest")));
}

#[test]
fn mutated_tdigest_images_are_refused_or_sound() {
    let mut rng = Rng(0x7D);
    let other = digest(10, &numbers(1_000));
    let mut accepted = 0;
    for n in [0, 1, 30, 3_000] {
        let image = snapshot(&digest(10, &numbers(n)));
        for _ in 0..10_000 {
            let bytes = mutate(&image, &mut rng);
            let mut r = Reader::new(&bytes);
            if let Ok(mut read) = TDigest::restore(&mut r, &LIMITS) {
                accepted += 1;
                assert_eq!(snapshot(&read), bytes[..bytes.len() - r.remaining()]);
                read.update_all(&[1.0, -1.0, 1e300]);
                _ = read.merge(&other);
                assert!(read.quantile(0.9).is_none_or(|e| e.low <= e.value && e.value <= e.high), "{read:?}");
                assert!(read.rank(0.5).is_none_or(|e| (0.0..=1.0).contains(&e.value)), "{read:?}");
                snapshot(&read);
            }
            if let Ok(read) = TDigest::from_datasketches(&bytes[2.min(bytes.len())..], &LIMITS) {
                read.check_invariants();
            }
        }
    }
    assert!(accepted > 100, "{accepted}");
    // The other format, in which a count is believed, is not read at all.
    let reference = [&[0, 0, 0, 1][..], &[0; 24], &[0xFF; 4]].concat();
    assert!(TDigest::from_datasketches(&reference, &LIMITS).is_err());
}
