//! Files that the C++ library wrote (`golden/datasketches`, made by `make.py` there): each is read, and its bytes are ours
//! where that is promised.

use std::collections::BTreeMap;
use std::path::Path;

use super::{as_read, distinct, lg, read_hll, theta};
use sketch::frequent::Counters;
use sketch::hash::{theta_hash_of_f64, theta_hash_of_i64, theta_hash_of_str};
use sketch::hll::HllType;
use sketch::interchange::{Cpc, TDigest};
use sketch::kll::{Kll, Search};
use sketch::theta::Theta;
use sketch::{Limits, Token};

/// A file of `make.py`, taken apart.
struct File {
    name: String,
    sketch: String,
    values: String,
    n: u64,
    image: Vec<u8>,
}

fn files(sketch: &str) -> Vec<File> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/datasketches");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(home).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sk") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let words: Vec<String> = name.split('_').map(String::from).collect();
        if words[0].starts_with(sketch) {
            let (sketch, values, n) = (words[0].clone(), words[1].clone(), words[2].parse().unwrap());
            files.push(File { name, sketch, values, n, image: std::fs::read(path).unwrap() });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

impl File {
    fn tokens(&self) -> Vec<Token> {
        let of = |i: u64| match self.values.as_str() {
            "strings" => Token::of_str(&format!("user_{i}")),
            "floats" => Token::of_f64(i as f64 / 2.0),
            _ => Token::of_i64(i as i64),
        };
        (0..self.n).map(of).collect()
    }

    fn theta_hashes(&self) -> Vec<u64> {
        let of = |i: u64| match self.values.as_str() {
            "strings" => theta_hash_of_str(&format!("user_{i}")),
            "floats" => theta_hash_of_f64(i as f64 / 2.0),
            _ => theta_hash_of_i64(i as i64),
        };
        (0..self.n).map(of).collect()
    }
}

#[test]
fn hll_of_strings_ints_and_floats() {
    let files = files("hll");
    assert_eq!(files.len(), 3 + 27 + 12 + 3);
    for file in files {
        let ours = distinct(8, file.tokens());
        let read = read_hll(&file.image);
        assert_eq!(read, as_read(&ours), "{}", file.name);
        assert_eq!(read.is_empty(), file.n == 0, "{}", file.name);
        let e = read.estimate(0.999);
        assert!(e.low <= file.n as f64 && file.n as f64 <= e.high, "{}: {e:?}", file.name);
        // Merged with the same values of our own, in whatever mode, nothing is counted twice.
        let (mut both, mut other_way) = (read.clone(), ours.clone());
        both.merge(&ours).unwrap();
        other_way.merge(&read).unwrap();
        assert_eq!(both, read, "{}", file.name);
        assert_eq!(other_way, read, "{}", file.name);
    }
}

#[test]
fn hll_bytes_are_theirs() {
    for file in files("hll") {
        let hll_type = match file.sketch.as_str() {
            "hll4" => HllType::Hll4,
            "hll6" => HllType::Hll6,
            _ => HllType::Hll8,
        };
        let ours = distinct(8, file.tokens()).to_datasketches_as(hll_type);
        let theirs = &file.image;
        if file.values == "updatable" {
            continue;
        }
        assert_eq!(ours.len(), theirs.len(), "{}", file.name);
        if file.n <= 20 {
            // Coupons in another order.
            let sorted = |image: &[u8]| {
                let (head, coupons) = image.split_at(4 * usize::from(image[0]));
                let mut coupons: Vec<[u8; 4]> = coupons.as_chunks::<4>().0.to_vec();
                coupons.sort_by_key(|coupon| u32::from_le_bytes(*coupon));
                (head.to_vec(), coupons)
            };
            assert_eq!(sorted(&ours), sorted(theirs), "{}", file.name);
        } else {
            // Theirs says what its history was: flags, accumulator, and the sums as they came about.
            assert_eq!(ours[..4], theirs[..4], "{}", file.name);
            assert_eq!(ours[6..8], theirs[6..8], "{}: minimum and mode", file.name);
            let sums = |image: &[u8]| -> Vec<f64> {
                image[16..32].as_chunks::<8>().0.iter().map(|sum| f64::from_le_bytes(*sum)).collect()
            };
            assert!((sums(&ours)[0] - sums(theirs)[0]).abs() < 1e-9, "{}", file.name);
            assert!((sums(&ours)[1] - sums(theirs)[1]).abs() < 1e-18, "{}", file.name);
            assert_eq!(ours[32..], theirs[32..], "{}: registers and exceptions", file.name);
        }
    }
}

#[test]
fn registers_of_four_bits_have_exceptions() {
    let file = files("hll4").into_iter().find(|file| file.values == "ints" && file.n > 3_000).unwrap();
    assert_eq!(file.image[36..40], [1, 0, 0, 0], "the case is there");
}

#[test]
fn theta_of_strings_ints_and_floats() {
    let files = files("theta");
    assert_eq!(files.len(), 1 + 9 + 1);
    for file in files {
        let ours = theta(8, file.theta_hashes());
        let read = Theta::from_datasketches(&file.image, lg(8), &Limits::default()).unwrap();
        // Theirs holds more than K hashes, with a larger theta, until it is cut.
        assert_eq!(read, ours, "{}", file.name);
        // Of none and of one value the heads differ: C++ writes a seed that no hash needs, and no flag for a single one.
        if (2..=256).contains(&file.n) {
            assert_eq!(ours.to_datasketches(), file.image, "{}", file.name);
        }
    }
}

#[test]
fn cpc_bytes_are_theirs() {
    let files = files("cpc");
    assert_eq!(files.len(), 1 + 12 + 1);
    for file in files {
        let read = Cpc::from_datasketches(&file.image, &Limits::default()).unwrap();
        read.check_invariants();
        let mut ours = Cpc::new(lg(8));
        ours.update_all(&file.tokens());
        if file.values == "union" {
            ours.merge(&read).unwrap();
        }
        assert_eq!(ours.to_datasketches(), file.image, "{}", file.name);
        assert_eq!(read, ours, "{}", file.name);
        let e = read.estimate(0.9973);
        assert!(e.low <= file.n as f64 && file.n as f64 <= e.high, "{}: {e:?}", file.name);
    }
}

#[test]
fn tdigest_of_the_numbers_in_order() {
    let files = files("tdigest");
    assert_eq!(files.len(), 4);
    for file in files {
        let read = TDigest::from_datasketches(&file.image, &Limits::default()).unwrap();
        read.check_invariants();
        assert_eq!((read.count(), read.k()), (file.n, 20), "{}", file.name);
        let Some(last) = file.n.checked_sub(1) else {
            assert_eq!(read.quantile(0.5), None);
            continue;
        };
        let last = last as f64;
        assert_eq!((read.min(), read.max()), (Some(0.0), Some(last)), "{}", file.name);
        for q in [0.01, 0.25, 0.5, 0.75, 0.99] {
            let value = read.quantile(q).unwrap().value;
            // No bound is promised; this one is what k = 20 gives on numbers in order.
            assert!((value - q * last).abs() <= 0.02 * last + 1.0, "{}: {q} is {value}", file.name);
        }
        let mut ours = TDigest::new(20).unwrap();
        (0..file.n).for_each(|i| ours.update(i as f64));
        assert!((ours.quantile(0.5).unwrap().value - last / 2.0).abs() <= 0.02 * last + 1.0);
        ours.merge(&read).unwrap();
        assert_eq!(ours.count(), 2 * file.n);
    }
}

#[test]
fn frequent_strings_with_weights() {
    let files = files("frequent");
    assert_eq!(files.len(), 3);
    for file in files {
        let read = Counters::from_datasketches_strings(&file.image, &Limits::default()).unwrap();
        read.check_invariants();
        let truth: BTreeMap<String, u64> = (0..file.n).map(|i| (format!("item_{i}"), i + 1)).collect();
        assert_eq!(read.total(), truth.values().sum(), "{}", file.name);
        for (item, &weight) in &truth {
            let e = read.get(Token::of_str(item));
            assert!(e.low <= weight && weight <= e.high, "{}: {item} {weight} {e:?}", file.name);
        }
        let mut ours = Counters::new(16);
        truth.iter().for_each(|(item, &weight)| ours.update(Token::of_str(item), weight, item.as_bytes()));
        if file.n <= 12 {
            assert!(read.is_exact(), "{}", file.name);
            let bytes = |counters: &Counters| {
                let mut out = Vec::new();
                counters.snapshot(&mut out);
                out
            };
            assert_eq!(bytes(&read), bytes(&ours), "{}", file.name);
            assert_eq!(ours.to_datasketches_strings().len(), file.image.len(), "{}", file.name);
        }
        let heaviest = format!("item_{}", file.n.saturating_sub(1));
        assert_eq!(
            read.top(1).first().map(|top| top.item),
            truth.get(&heaviest).map(|_| heaviest.as_bytes())
        );
        ours.merge(&read).unwrap();
        ours.check_invariants();
    }
}

#[test]
fn kll_of_the_numbers_in_order() {
    let files = files("kll");
    assert_eq!(files.len(), 4);
    for file in files {
        let read = Kll::<f64>::from_datasketches(&file.image, 1, &Limits::default()).unwrap();
        read.check_invariants();
        assert_eq!((read.count(), read.k().get()), (file.n, 20), "{}", file.name);
        for q in [0.1, 0.5, 0.9] {
            let Some(e) = read.quantile(q, Search::Inclusive, 0.99) else {
                assert!(read.is_empty(), "{}", file.name);
                continue;
            };
            let exact = ((q * file.n as f64).ceil() - 1.0).max(0.0);
            assert!(e.low <= exact && exact <= e.high, "{}: {q} is {exact}, {e:?}", file.name);
        }
        if file.n <= 1 {
            assert_eq!(read.to_datasketches(), file.image, "{}", file.name);
        }
    }
}

#[test]
fn every_file_is_read_by_some_test() {
    let read: usize =
        ["hll", "theta", "cpc", "tdigest", "frequent", "kll"].iter().map(|s| files(s).len()).sum();
    assert_eq!(files("").len(), read);
}
