//! `hll::Distinct` against its laws, a foreign implementation, and its own bytes; its numbers are judged in `accuracy.rs`.

use std::collections::BTreeSet;

use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllType, HllUnion};
use proptest::prelude::*;
use sketch::hll::{Distinct, LgK, LgKError};
use sketch::{DecodeError, Guarantee, Limits, MergeNote, Reader, Token};

fn lg(lg_k: u8) -> LgK {
    LgK::new(lg_k).unwrap()
}

fn of(lg_k: u8, tokens: &[Token]) -> Distinct {
    let mut sketch = Distinct::new(lg(lg_k));
    sketch.update_all(tokens);
    sketch
}

fn ints(range: std::ops::Range<i64>) -> Vec<Token> {
    range.map(Token::of_i64).collect()
}

fn snapshot(sketch: &Distinct) -> Vec<u8> {
    sketch.check_invariants();
    let mut out = Vec::new();
    sketch.snapshot(&mut out);
    out
}

/// Equal in everything that can be asked, above all in its bytes.
fn assert_same(a: &Distinct, b: &Distinct) {
    assert_eq!(snapshot(a), snapshot(b));
    assert_eq!(a, b);
    assert_eq!(a.memory_bytes(), b.memory_bytes());
    assert_eq!(a.estimate(0.95), b.estimate(0.95));
    assert_eq!(a.to_datasketches(), b.to_datasketches());
}

// ---- Life ----

#[test]
fn the_range_of_lg_k_is_that_of_datasketches() {
    assert_eq!(LgK::new(3), Err(LgKError(3)));
    assert_eq!(LgK::new(22), Err(LgKError(22)));
    assert_eq!((lg(4), lg(21)), (LgK::MIN, LgK::MAX));
    assert_eq!(LgK::for_relative_error(0.01).get(), 14);
    assert_eq!(LgK::for_relative_error(0.0), LgK::MAX);
    assert_eq!(LgK::for_relative_error(1.0), LgK::MIN);
}

#[test]
fn exact_up_to_three_quarters_of_an_eighth_and_dense_after_that() {
    for (lg_k, limit) in [(4, 12), (6, 12), (7, 12), (8, 24), (10, 96), (12, 384), (14, 1_536)] {
        assert_eq!(lg(lg_k).exact_max(), limit);
        let mut sketch = of(lg_k, &ints(0..limit as i64));
        sketch.update_all(&ints(0..limit as i64));
        let e = sketch.estimate(0.95);
        assert!(sketch.is_exact() && e.is_exact() && e.value == limit as f64, "lg_k {lg_k}: {e:?}");
        assert_eq!(sketch.sketch_name(), "hash-set");
        // The promise behind the limit: a set never costs more than the registers would.
        let set_bytes = sketch.memory_bytes();
        sketch.update(Token::of_i64(limit as i64));
        assert!(!sketch.is_exact());
        assert_eq!(sketch.sketch_name(), format!("hll/{lg_k}"));
        assert!(set_bytes <= sketch.memory_bytes());
        let e = sketch.estimate(0.95);
        assert_eq!((e.guarantee, e.confidence), (Guarantee::Probabilistic, 0.95));
        assert!(e.low < e.value && e.value < e.high, "lg_k {lg_k}: {e:?}");
    }
    assert!(Distinct::new(lg(14)).is_empty());
    assert!(!of(14, &ints(0..1)).is_empty());
}

#[test]
fn a_merge_says_when_it_folded() {
    let mut coarse = of(10, &ints(0..5));
    assert_eq!(coarse.merge(&of(10, &ints(3..9))), Ok(MergeNote::Exact));
    assert_eq!(coarse.merge(&of(14, &ints(0..9_000))), Ok(MergeNote::Folded { from: 14, to: 10 }));
    let mut fine = of(14, &ints(0..9_000));
    assert_eq!(fine.merge(&Distinct::new(lg(10))), Ok(MergeNote::Folded { from: 14, to: 10 }));
    assert_same(&fine, &coarse);
}

#[test]
fn registers_ignore_what_a_set_ignores() {
    let no_rank = Token(0xABCD_0000_0000_0001);
    for n in [5, 5_000] {
        let mut sketch = of(8, &ints(0..n));
        sketch.update(no_rank);
        sketch.update_all(&[no_rank, Token(0)]);
        assert_same(&sketch, &of(8, &ints(0..n)));
    }
}

// ---- Laws: whole bytes, exactly ----

/// Few enough values that they repeat, enough to pass the limit of every lg K in use (12 to 96).
fn values() -> impl Strategy<Value = Vec<Token>> {
    prop::collection::vec((0i64..400).prop_map(Token::of_i64), 0..300)
}

fn precision() -> impl Strategy<Value = u8> {
    4u8..=10
}

proptest! {
    #[test]
    fn the_state_is_a_function_of_the_set_of_values(lg_k in precision(), tokens in values()) {
        let set: BTreeSet<Token> = tokens.iter().copied().collect();
        let ascending: Vec<Token> = set.iter().copied().collect();
        let mut one_by_one = Distinct::new(lg(lg_k));
        for &token in tokens.iter().rev() {
            one_by_one.update(token);
            one_by_one.estimate(0.95);
        }
        assert_same(&of(lg_k, &tokens), &of(lg_k, &ascending));
        assert_same(&one_by_one, &of(lg_k, &ascending));
        prop_assert_eq!(one_by_one.is_exact(), set.len() <= lg(lg_k).exact_max());
        if one_by_one.is_exact() {
            prop_assert_eq!(one_by_one.estimate(0.95).value, set.len() as f64);
        }
    }

    #[test]
    fn every_merge_tree_gives_one_sketch_over_all_values(
        parts in prop::collection::vec((precision(), values()), 1..7),
        picks in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 6),
    ) {
        let all: Vec<Token> = parts.iter().flat_map(|(_, tokens)| tokens.iter().copied()).collect();
        let coarsest = parts.iter().map(|(lg_k, _)| *lg_k).min().unwrap();
        let mut sketches: Vec<Distinct> = parts.iter().map(|(lg_k, tokens)| of(*lg_k, tokens)).collect();
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
    fn merging_nothing_or_itself_changes_nothing(lg_k in precision(), tokens in values()) {
        let sketch = of(lg_k, &tokens);
        let mut with_nothing = sketch.clone();
        prop_assert_eq!(with_nothing.merge(&Distinct::new(lg(lg_k))), Ok(MergeNote::Exact));
        assert_same(&with_nothing, &sketch);
        let mut from_nothing = Distinct::new(lg(lg_k));
        from_nothing.merge(&sketch).unwrap();
        assert_same(&from_nothing, &sketch);
        let mut twice = sketch.clone();
        twice.merge(&sketch).unwrap();
        assert_same(&twice, &sketch);
    }

    #[test]
    fn folding_is_having_been_coarser_from_the_start(from in precision(), to in precision(), tokens in values()) {
        let (before, after) = tokens.split_at(tokens.len() / 2);
        let mut sketch = of(from, before);
        sketch.fold(lg(to));
        assert_same(&sketch, &of(from.min(to), before));
        sketch.update_all(after);
        assert_same(&sketch, &of(from.min(to), &tokens));
    }

    #[test]
    fn a_restored_sketch_goes_on_as_if_nothing_had_happened(lg_k in precision(), tokens in values()) {
        let (before, after) = tokens.split_at(tokens.len() / 2);
        let mut bytes = snapshot(&of(lg_k, before));
        bytes.push(77);
        let mut reader = Reader::new(&bytes);
        let mut restored = Distinct::restore(&mut reader, &Limits::default()).unwrap();
        prop_assert_eq!(reader.remaining(), 1, "the reader stands behind the snapshot");
        assert_same(&restored, &of(lg_k, before));
        restored.update_all(after);
        assert_same(&restored, &of(lg_k, &tokens));
    }

    // ---- Hostile bytes ----

    #[test]
    fn bytes_that_restore_are_those_that_would_be_written(
        lg_k in precision(),
        tokens in values(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = snapshot(&of(lg_k, &tokens));
        for (at, value) in &changes {
            // The head is where the structure is; hit it as often as all the rest.
            let at = if value % 2 == 0 { at.index(bytes.len().min(10)) } else { at.index(bytes.len()) };
            bytes[at] = *value;
        }
        if changes.len() == 3 {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut reader = Reader::new(&bytes);
        if let Ok(restored) = Distinct::restore(&mut reader, &Limits::default()) {
            let read = bytes.len() - reader.remaining();
            prop_assert_eq!(&snapshot(&restored)[..], &bytes[..read]);
            let e = restored.estimate(0.95);
            prop_assert!(e.low <= e.value && e.value <= e.high && e.high.is_finite(), "{:?}", e);
        }
    }
}

fn restore(bytes: &[u8]) -> Result<Distinct, DecodeError> {
    Distinct::restore(&mut Reader::new(bytes), &Limits::bytes(1 << 14))
}

#[test]
fn each_lie_is_named() {
    let set = |count: u32, tokens: &[u64]| {
        let mut bytes = vec![1, 1, 8, 0];
        bytes.extend(count.to_le_bytes());
        bytes.extend(tokens.iter().flat_map(|t| t.to_le_bytes()));
        bytes
    };
    let registers = |values: &[u8]| [&[1, 1, 4, 1], values].concat();
    let (a, b) = (1 << 26, 5 << 26);
    assert!(restore(&set(2, &[a, b])).is_ok());
    assert!(restore(&registers(&[1; 16])).is_ok());
    for (bytes, lie) in [
        (vec![2, 1, 8, 0], "not a distinct-count snapshot of version 1"),
        (vec![1, 2, 8, 0], "not a distinct-count snapshot of version 1"),
        (vec![1, 1, 3, 0], "lg K outside 4..=21"),
        (vec![1, 1, 8, 2], "mode of a distinct count"),
        (set(2, &[b, a]), "tokens do not ascend"),
        (set(2, &[a, a]), "tokens do not ascend"),
        (set(1, &[0]), "tokens do not ascend"),
        (set(1, &[1 << 32]), "a token without rank"),
        (registers(&[64; 16]), "a register above 63"),
        (registers(&[0; 16]), "registers without a value"),
    ] {
        assert_eq!(restore(&bytes), Err(DecodeError::Invalid(lie)), "{bytes:?}");
    }
    let too_many = DecodeError::TooLarge { what: "distinct tokens", declared: 25, limit: 24 };
    assert_eq!(restore(&set(25, &[])), Err(too_many));
    assert_eq!(
        restore(&[1, 1, 15, 1]),
        Err(DecodeError::TooLarge { what: "registers", declared: 1 << 15, limit: 1 << 14 })
    );
    assert_eq!(restore(&set(24, &[a])), Err(DecodeError::Truncated));
    assert_eq!(restore(&[1, 1, 14, 1, 0, 0]), Err(DecodeError::Truncated));
}

// ---- The twin: Apache DataSketches in Rust ----

fn users(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|i| format!("user_{i}")).collect()
}

fn ours(lg_k: u8, names: &[String]) -> Distinct {
    of(lg_k, &names.iter().map(|name| Token::of_str(name)).collect::<Vec<_>>())
}

fn twin(lg_k: u8, names: &[String]) -> HllSketch {
    let mut sketch = HllSketch::new(lg_k, HllType::Hll8).unwrap();
    names.iter().for_each(|name| sketch.update(raw_bytes::from_str(name)));
    sketch
}

/// What an image holds, whatever the order of its coupons and the history of its estimator: mode, then the
/// sorted coupons or the register bytes.
fn content(image: &[u8]) -> (u8, Vec<u8>) {
    let (mode, preamble) = (image[7], usize::from(image[0]) * 4);
    let mut body = image[preamble..].to_vec();
    if mode & 3 != 2 {
        let mut coupons: Vec<u32> =
            body.chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect();
        coupons.sort_unstable();
        body = coupons.iter().flat_map(|c| c.to_le_bytes()).collect();
    }
    (mode, body)
}

#[test]
fn datasketches_reads_every_mode_and_holds_the_same() {
    const LIST: u8 = 8;
    const SET: u8 = 9;
    const HLL: u8 = 10;
    for (lg_k, n, mode) in [
        (4, 0, LIST),
        (4, 7, LIST),
        (4, 8, HLL),
        (7, 12, HLL),
        (7, 13, HLL),
        (8, 7, LIST),
        (8, 8, SET),
        (8, 24, SET),
        (8, 25, HLL),
        (12, 0, LIST),
        (12, 1, LIST),
        (12, 24, SET),
        (12, 25, SET),
        (12, 384, SET),
        (12, 385, HLL),
        (12, 60_000, HLL),
        (14, 1_536, SET),
        (14, 1_537, HLL),
        (14, 20_000, HLL),
        (14, 300_000, HLL),
        (21, 5_000, SET),
    ] {
        let names = users(0..n);
        let (ours, twin) = (ours(lg_k, &names), twin(lg_k, &names));
        let image = ours.to_datasketches();
        assert_eq!(image[7], mode, "lg_k {lg_k}, n {n}");
        assert_eq!(content(&image), content(&twin.serialize()), "lg_k {lg_k}, n {n}");
        let read = HllSketch::deserialize(&image).unwrap();
        assert_eq!(read.is_empty(), n == 0);
        let (theirs, value) = (read.estimate(), ours.estimate(0.95).value);
        // Two estimators on equal registers; with few registers they differ by more than 1 %, up to half a
        // sigma.
        let tolerance = (0.5 * lg(lg_k).relative_error()).max(0.01);
        assert!((theirs - value).abs() <= tolerance * value, "lg_k {lg_k}, n {n}: {theirs}, ours {value}");
    }
}

#[test]
fn a_union_over_there_is_a_merge_over_here() {
    // (ours, theirs): set with set, set with registers, registers with set, registers with registers; one
    // overlap each.
    for (lg_k, a, b) in [
        (12, 0..200, 100..300),
        (12, 0..300, 100..9_000),
        (12, 0..9_000, 8_900..9_100),
        (14, 0..60_000, 30_000..90_000),
    ] {
        let all = users(a.start..b.end);
        let mut union = HllUnion::new(lg_k).unwrap();
        union.update(&HllSketch::deserialize(&ours(lg_k, &users(a.clone())).to_datasketches()).unwrap());
        union.update(&twin(lg_k, &users(b.clone())));
        let mut merged = ours(lg_k, &users(a));
        merged.merge(&ours(lg_k, &users(b))).unwrap();
        let (image, value) = (union.to_sketch(HllType::Hll8).serialize(), merged.estimate(0.95).value);
        assert_eq!(content(&merged.to_datasketches()), content(&image), "{} users", all.len());
        assert!((union.estimate() / value - 1.0).abs() < 0.01, "{} and {value}", union.estimate());
        assert!((value / all.len() as f64 - 1.0).abs() < 4.5 * lg(lg_k).relative_error());
        if !merged.is_exact() && image[5] & 16 != 0 {
            // Out of order on both sides: then the whole image is equal, with kxq0, kxq1 and the zero count.
            assert_eq!(merged.to_datasketches(), image);
        }
    }
}

#[test]
fn the_whole_register_image_is_that_of_a_union() {
    let (a, b) = (users(0..20_000), users(10_000..30_000));
    let mut union = HllUnion::new(12).unwrap();
    union.update(&twin(12, &a));
    union.update(&twin(12, &b));
    let mut merged = ours(12, &a);
    merged.merge(&ours(12, &b)).unwrap();
    assert_eq!(merged.to_datasketches(), union.to_sketch(HllType::Hll8).serialize());
}

#[test]
fn rare_ranks_and_shared_coupons_are_exported_right() {
    // Ranks that no test of a second would draw; kxq is kept in two sums that meet between 31 and 32.
    let coupon = |rank: u64, index: u64| Token(7 << 32 | rank << 26 | index);
    let image = of(4, &(0..16).map(|i| coupon([1, 31, 32, 63][i as usize % 4], i)).collect::<Vec<_>>())
        .to_datasketches();
    let mut union = HllUnion::new(4).unwrap();
    for _ in 0..2 {
        // The second time it merges registers with registers and computes both sums anew.
        union.update(&HllSketch::deserialize(&image).unwrap());
    }
    assert_eq!(image, union.to_sketch(HllType::Hll8).serialize());
    // Two values with one coupon: two to us, one to DataSketches, and never written twice.
    let twins = of(12, &[Token(1 << 32 | 1 << 26 | 5), Token(2 << 32 | 1 << 26 | 5)]);
    assert_eq!(twins.estimate(0.95).value, 2.0);
    assert_eq!(twins.to_datasketches(), [2, 1, 7, 12, 3, 8, 1, 8, 5, 0, 0, 4]);
}

// ---- Bytes ----

/// Images of the integers 0..n, HLL_8 with lg K = 12, as datasketches-java wrote them (serialization test
/// data of Apache DataSketches, `hll8_n0_java.sk`, `hll8_n1_java.sk`, head of `hll8_n10_java.sk`).
#[test]
fn small_images_are_those_of_java() {
    assert_eq!(of(12, &[]).to_datasketches(), [2, 1, 7, 12, 3, 12, 0, 8]);
    assert_eq!(of(12, &ints(0..1)).to_datasketches(), [2, 1, 7, 12, 3, 8, 1, 8, 0xcb, 0xd7, 0xc2, 0x04]);
    let ten = of(12, &ints(0..10)).to_datasketches();
    assert_eq!(ten[..12], [3, 1, 7, 12, 5, 8, 0, 9, 10, 0, 0, 0]);
    for coupon in [[0x81, 0xbc, 0x5d, 0x06], [0x86, 0x2f, 0xf9, 0x0d], [0xc1, 0xe9, 0x17, 0x05]] {
        assert!(ten[12..].chunks(4).any(|c| c == coupon), "{coupon:02x?}");
    }
}

#[test]
fn the_smallest_snapshots_byte_by_byte() {
    let one = Token::of_i64(0).0.to_le_bytes();
    assert_eq!(snapshot(&of(14, &[])), [1, 1, 14, 0, 0, 0, 0, 0]);
    assert_eq!(snapshot(&of(14, &ints(0..1))), [&[1, 1, 14, 0, 1, 0, 0, 0], &one[..]].concat());
    let dense = snapshot(&of(4, &ints(0..13)));
    assert_eq!((dense.len(), &dense[..4]), (20, &[1, 1, 4, 1][..]));
}

/// FNV-1a over the snapshots and images of many states: no byte changes unnoticed. When it must change, so
/// does the version in the head, and docs/FORMATS.md says so.
#[test]
fn fingerprint_of_all_bytes() {
    let mut fnv = 0xCBF2_9CE4_8422_2325u64;
    let names = users(0..50_000);
    for lg_k in [4, 7, 8, 11, 12, 14] {
        for n in [0, 1, 7, 8, 12, 13, 24, 25, 100, 192, 193, 384, 385, 1_536, 1_537, 50_000] {
            let sketch = ours(lg_k, &names[..n]);
            for byte in snapshot(&sketch).into_iter().chain(sketch.to_datasketches()) {
                fnv = (fnv ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
            }
        }
    }
    assert_eq!(format!("{fnv:016x}"), "9599cd45f0837541");
}
