//! Files that datasketches-java wrote: the test data of Apache DataSketches, beside the repository in `../shared/data` or
//! where `STREAMGAUGE_DATA` says. Where there is no such file its tests are left out, loudly; in CI that is a failure.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{as_read, distinct, ints, lg, read_hll, theta};
use sketch::frequent::Counters;
use sketch::hash::theta_hash_of_i64;
use sketch::hll::LgK;
use sketch::interchange::{Cpc, TDigest};
use sketch::theta::Theta;
use sketch::{Limits, Token};

const ARCHIVE: &str = "datasketches_java_generated_sk.tar.zst";

/// What is read by the tests below, and of how many files.
const READ: [(&str, usize); 11] = [
    ("hll4_", 8),
    ("hll6_", 8),
    ("hll8_", 8),
    ("theta_", 9 + 6),
    ("cpc_", 11),
    ("frequent_long_", 8),
    ("frequent_string_", 10),
    ("tdigest_double_", 8),
    // Read by `kll_images.rs`.
    ("kll_double_", 8),
    ("kll_float_", 8),
    ("kll_long_", 8),
];

/// What nothing here reads: array-of-doubles, array-of-strings and integer tuples, Bloom filters of another layout than
/// ours, quantiles of strings, reservoirs, and weighted samples.
const NOT_SUPPORTED: [(&str, usize); 7] = [
    ("kll_string_", 8),
    ("aod_", 17),
    ("aos_", 27),
    ("tuple_int_", 8),
    ("bf_", 8),
    ("reservoir_", 72),
    ("varopt_", 11),
];

/// The files by name, without `_java.sk`.
pub fn archive() -> Option<BTreeMap<String, Vec<u8>>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("STREAMGAUGE_DATA").map_or_else(beside, PathBuf::from).join(ARCHIVE);
    let Ok(file) = std::fs::File::open(&path) else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "there is no {}", path.display());
        eprintln!("SKIPPED: files of DataSketches Java, there is no {}", path.display());
        return None;
    };
    let mut tar = Vec::new();
    zstd::stream::read::Decoder::new(file).unwrap().read_to_end(&mut tar).unwrap();
    Some(untar(&tar))
}

/// The plain files of a tar archive by name, without directory and suffix: blocks of 512 bytes, a header before each file.
fn untar(mut tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    while tar.len() >= 512 && tar[0] != 0 {
        let (header, rest) = tar.split_at(512);
        let text = |range: std::ops::Range<usize>| {
            let field = &header[range];
            let end = field.iter().position(|&byte| byte == 0 || byte == b' ').unwrap_or(field.len());
            String::from_utf8(field[..end].to_vec()).unwrap()
        };
        let size = usize::from_str_radix(&text(124..136), 8).unwrap();
        if header[156] == b'0' {
            let path = text(0..100);
            let name = path.rsplit('/').next().unwrap().trim_end_matches("_java.sk").to_owned();
            files.insert(name, rest[..size].to_vec());
        }
        tar = &rest[size.next_multiple_of(512)..];
    }
    files
}

/// The files whose name starts so, with the n at its end if it has one.
fn of<'a>(
    files: &'a BTreeMap<String, Vec<u8>>,
    prefix: &'static str,
) -> impl Iterator<Item = (&'a str, Option<u64>, &'a [u8])> {
    files.iter().filter(move |(name, _)| name.starts_with(prefix)).map(|(name, image)| {
        let n = name.rsplit_once("_n").and_then(|(_, n)| n.parse().ok());
        (name.as_str(), n, image.as_slice())
    })
}

#[test]
fn every_file_is_read_or_named_as_not_supported() {
    let Some(files) = archive() else { return };
    assert_eq!(files.len(), 251);
    for (prefix, count) in READ.into_iter().chain(NOT_SUPPORTED) {
        assert_eq!(of(&files, prefix).count(), count, "{prefix}");
    }
    assert_eq!(READ.iter().chain(&NOT_SUPPORTED).map(|(_, count)| count).sum::<usize>(), 251);
}

#[test]
fn hll_of_the_integers() {
    let Some(files) = archive() else { return };
    for prefix in ["hll4_", "hll6_", "hll8_"] {
        for (name, n, image) in of(&files, prefix) {
            let n = n.unwrap();
            let read = read_hll(image);
            assert_eq!(read, as_read(&distinct(12, ints(n))), "{name}");
            let e = read.estimate(0.99);
            assert!(e.low <= n as f64 && n as f64 <= e.high, "{name}: {e:?}");
            assert!(e.high - e.low <= 0.09 * n as f64, "{name}: {e:?}");
        }
    }
}

#[test]
fn theta_of_the_integers_compressed_or_not() {
    let Some(files) = archive() else { return };
    for (name, n, image) in of(&files, "theta_") {
        let read = Theta::from_datasketches(image, lg(12), &Limits::default()).unwrap();
        let Some(n) = n else {
            // A sample of one in a hundred that missed the one value.
            assert_eq!(name, "theta_non_empty_no_entries");
            assert!(!read.is_empty() && read.estimate(0.95).value == 0.0);
            continue;
        };
        assert_eq!(read, theta(12, (0..n as i64).map(theta_hash_of_i64)), "{name}");
        let e = read.estimate(0.99);
        assert!(e.low <= n as f64 && n as f64 <= e.high, "{name}: {e:?}");
        assert_eq!(e.is_exact(), n <= 4_096, "{name}");
    }
}

#[test]
fn cpc_of_the_integers() {
    let Some(files) = archive() else { return };
    for (name, n, image) in of(&files, "cpc_") {
        let read = Cpc::from_datasketches(image, &Limits::default()).unwrap();
        read.check_invariants();
        let (n, values) = match n {
            Some(n) => (n, 0..n as i64),
            None => (1, -1..0),
        };
        let e = read.estimate(0.9973);
        assert!(e.low <= n as f64 && n as f64 <= e.high, "{name}: {e:?}");
        // Hashing more than that takes minutes.
        if n <= 2_000_000 {
            let mut ours = Cpc::new(lg(11));
            values.for_each(|i| ours.update(Token::of_i64(i)));
            assert_eq!(ours.to_datasketches(), image, "{name}");
        }
    }
}

#[test]
fn frequent_items_from_one_to_n() {
    let Some(files) = archive() else { return };
    let limits = &Limits::default();
    for (name, n, image) in of(&files, "frequent_") {
        let longs = name.starts_with("frequent_long");
        let read =
            if longs { Counters::from_datasketches_longs } else { Counters::from_datasketches_strings };
        let counters = read(image, limits).unwrap_or_else(|e| panic!("{name}: {e}"));
        counters.check_invariants();
        let Some(n) = n else {
            few_strings(name, &counters);
            continue;
        };
        assert_eq!(counters.total(), n, "{name}");
        assert_eq!(counters.is_exact(), n <= 10, "{name}");
        for i in 1..=n as i64 {
            let token = if longs { Token::of_i64(i) } else { Token::of_str(&i.to_string()) };
            let e = counters.get(token);
            assert!(e.low <= 1 && 1 <= e.high, "{name}: {i} {e:?}");
        }
        let again = if longs {
            counters.to_datasketches_longs().unwrap()
        } else {
            counters.to_datasketches_strings()
        };
        let again = read(&again, limits).unwrap();
        assert_eq!((again.total(), again.offset()), (counters.total(), counters.offset()), "{name}");
    }
}

/// Items in the alphabets of two tests over there, each counted once more than the one before.
fn few_strings(name: &str, counters: &Counters) {
    let top = counters.top(100);
    let weights: Vec<u64> = top.iter().map(|item| item.estimate.value).collect();
    assert!(counters.is_exact(), "{name}");
    assert_eq!(weights, (1..=weights.len() as u64).rev().collect::<Vec<_>>(), "{name}");
    let item = |i: usize| std::str::from_utf8(top[i].item).unwrap();
    match name {
        "frequent_string_ascii" => {
            assert_eq!(weights.len(), 4);
            assert!(top.iter().all(|item| item.item.is_ascii()), "{name}");
            assert_eq!(item(3).trim_start_matches('a'), "", "{name}");
        }
        _ => {
            assert_eq!((name, weights.len()), ("frequent_string_utf8", 7));
            assert_eq!((item(6), item(0)), ("абвгд", "эюя"), "{name}");
        }
    }
}

#[test]
fn tdigest_from_one_to_n() {
    let Some(files) = archive() else { return };
    for (name, n, image) in of(&files, "tdigest_double_") {
        let read = TDigest::from_datasketches(image, &Limits::default()).unwrap();
        read.check_invariants();
        let n = n.unwrap();
        assert_eq!((read.count(), read.k()), (n, 100), "{name}");
        if n == 0 {
            assert!(read.is_empty() && read.quantile(0.5).is_none());
            continue;
        }
        assert_eq!((read.min(), read.max()), (Some(1.0), Some(n as f64)), "{name}");
        let rank = read.rank(n as f64 / 2.0).unwrap().value;
        let allowed = if n < 100 { 0.5 } else { 0.01 };
        assert!((rank - 0.5).abs() <= allowed, "{name}: {rank}");
        for q in [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999] {
            let value = read.quantile(q).unwrap().value;
            assert!((value - q * n as f64).abs() <= 0.01 * n as f64 + 1.0, "{name}: {q} is {value}");
        }
    }
}

#[test]
fn other_kinds_are_refused_and_not_misread() {
    let Some(files) = archive() else { return };
    let limits = &Limits::default();
    for (name, image) in &files {
        let is = |prefix: &str| name.starts_with(prefix);
        assert_eq!(sketch::hll::Distinct::from_datasketches(image, limits).is_ok(), is("hll"), "{name}");
        assert_eq!(
            Theta::from_datasketches(image, LgK::MAX, &Limits::default()).is_ok(),
            is("theta"),
            "{name}"
        );
        assert_eq!(Cpc::from_datasketches(image, limits).is_ok(), is("cpc"), "{name}");
        assert_eq!(TDigest::from_datasketches(image, limits).is_ok(), is("tdigest"), "{name}");
        // Longs as strings and the other way round: a length is mistaken for an item, or for bytes that are not there.
        if !is("frequent") {
            assert!(Counters::from_datasketches_strings(image, limits).is_err(), "{name}");
            assert!(Counters::from_datasketches_longs(image, limits).is_err(), "{name}");
        }
    }
}
