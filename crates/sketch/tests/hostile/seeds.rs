//! Small states of every kind, in every mode: where mutations start.

use super::foreign::Format;
use sketch::bloom::{Filter, ParquetFilter, RingSize, Seen, SeenRing, Size};
use sketch::countmin::{Conservative, CountMin, Freq};
use sketch::countsketch::CountSketch;
use sketch::exact::{Moments, Number, Parts};
use sketch::frequent::Counters;
use sketch::hash::{self, Key};
use sketch::histogram::Histogram;
use sketch::hll::{Distinct, LgK};
use sketch::interchange::{Cpc, TDigest};
use sketch::kll::{K, Kll};
use sketch::minhash::{self, MinHash};
use sketch::quantile::Quantiles;
use sketch::sample::{Sample, priority};
use sketch::sliding::SlidingCount;
use sketch::theta::Theta;
use sketch::{Any, Keyed, Ring, Token};

/// Named images; the names are those of files where seeds are written down.
pub fn all() -> Vec<(String, Vec<u8>)> {
    let own = states().into_iter().map(|(name, sketch)| (name, sketch.to_bytes()));
    own.chain(foreign()).collect()
}

/// Of every kind.
fn states() -> Vec<(String, Any)> {
    let mut out: Vec<(String, Any)> = Vec::new();
    let mut add = |name: &str, sketch: Any| out.push((name.to_owned(), sketch));
    let tokens = |n: i64| (0..n).map(Token::of_i64).collect::<Vec<_>>();
    let values = |n: i64| (0..n).map(|i| (i * i - 400) as f64 / 8.0).collect::<Vec<_>>();

    for (name, n) in [("empty", 0), ("set", 9), ("registers", 400)] {
        let mut distinct = Distinct::new(lg(6));
        distinct.update_all(&tokens(n));
        add(&format!("distinct-{name}"), distinct.into());
        let mut theta = Theta::new(lg(4));
        (0..n).for_each(|i| theta.update(hash::theta_hash_of_i64(i)));
        add(&format!("theta-{name}"), theta.into());
        let mut filter = Filter::new(4);
        for token in tokens(n.min(40)) {
            filter.insert(token);
        }
        add(&format!("filter-{name}"), filter.into());
        let mut seen = Seen::new(Size::new(50, 0.05).expect("a size"), 4096);
        tokens(n).into_iter().for_each(|token| seen.insert(token));
        add(&format!("seen-{name}"), seen.into());
        let mut sample = Sample::new(5);
        for i in 0..n {
            sample.offer(priority(1, i as u64), |row| row.push(i as u8));
        }
        add(&format!("sample-{name}"), sample.into());
        let mut counters = Counters::new(16);
        let mut freq = Freq::new(4, 2, 16);
        for i in 0..n {
            let (token, item) = (Token::of_i64(i * i % 61), (i * i % 61).to_le_bytes());
            counters.update(token, 1 + i as u64 % 3, &item);
            freq.update(token, 1 + i as u64 % 3, &item);
        }
        add(&format!("counters-{name}"), counters.into());
        add(&format!("freq-{name}"), freq.into());
        let mut quantiles = Quantiles::new(3).expect("bits in range");
        quantiles.update_all(&values(n));
        add(&format!("quantiles-{name}"), quantiles.into());
        let mut kll = Kll::new(K::MIN, 5);
        kll.update_all(&values(n));
        add(&format!("kll-{name}"), kll.into());
        let mut digest = TDigest::new(10).expect("a k");
        digest.update_all(&values(n));
        add(&format!("tdigest-{name}"), digest.into());
        let mut cpc = Cpc::new(lg(4));
        cpc.update_all(&tokens(n));
        add(&format!("cpc-{name}"), cpc.into());
        let mut minhash = MinHash::new(minhash::LgK::MIN);
        minhash.update_all(&tokens(n));
        add(&format!("minhash-{name}"), minhash.into());
        let mut sliding = SlidingCount::new(100, 0.25).expect("a window");
        sliding.update_all(&(0..n as u64).map(|i| (i, i % 5)).collect::<Vec<_>>());
        add(&format!("sliding-{name}"), sliding.into());
        let mut cards = SeenRing::new(RingSize::per_bucket(20, 0.1, 4).expect("a size"));
        for (i, token) in tokens(n).into_iter().enumerate() {
            cards.update(token, i as u64 / 90);
        }
        add(&format!("seen-ring-{name}"), cards.into());
        let mut log = Histogram::new_log2();
        log.update_all(&values(n));
        add(&format!("histogram-log-{name}"), log.into());
    }
    for (name, weight) in [("narrow", 3), ("wide", 1 << 40)] {
        let mut sketch = CountMin::new(4, 3);
        tokens(7).into_iter().for_each(|token| sketch.update(token, weight));
        add(&format!("countmin-{name}"), sketch.into());
        let mut sketch = Conservative::new(4, 3);
        tokens(7).into_iter().for_each(|token| sketch.update(token, weight));
        add(&format!("conservative-{name}"), sketch.into());
        let mut sketch = CountSketch::new(4, 3);
        tokens(7).into_iter().for_each(|token| sketch.update(token, -(weight as i64)));
        add(&format!("count-sketch-{name}"), sketch.into());
    }
    let mut counts = Ring::<CountMin>::new(4, (4, 2));
    let mut tops = Ring::<Counters>::new(4, 16);
    let mut uniques = Ring::<Distinct>::new(4, lg(4));
    add("ring-empty", counts.clone().into());
    for (bucket, token) in [7u64, 9, 8, 10, 3, 9].into_iter().zip(tokens(6)) {
        counts.at(bucket).into_iter().for_each(|sketch| sketch.update(token, 3));
        tops.at(bucket).into_iter().for_each(|sketch| sketch.update(token, 3, b"name"));
        uniques.at(bucket).into_iter().for_each(|sketch| sketch.update(token));
    }
    add("ring-countmin", counts.into());
    add("ring-counters", tops.into());
    add("ring-distinct", uniques.into());
    let mut fixed = Histogram::new_fixed(vec![-1.0, 0.0, 10.0]).expect("bounds in order");
    fixed.update_all(&values(50));
    add("histogram-fixed", fixed.into());
    for (name, parts) in [
        ("sums", Parts::SUMS),
        ("squares", Parts::SQUARES),
        ("extremes", Parts::EXTREMES),
        ("all", Parts::ALL),
    ] {
        let mut ints = Moments::new(Number::Int, parts);
        ints.update_all_i64(&[-5, 7, i64::MAX]);
        add(&format!("moments-int-{name}"), ints.into());
        let mut floats = Moments::new(Number::Float, parts);
        floats.update_all_f64(&[-5e-300, 7.5, 1e300, f64::NAN]);
        add(&format!("moments-float-{name}"), floats.into());
    }
    out
}

/// Of every format that others have, in the sizes at which their images change.
fn foreign() -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    for n in [0, 1, 7, 300] {
        let mut add = |format: Format, image: Vec<u8>| {
            out.push((format!("foreign-{format:?}-{n}").to_lowercase(), format.image(image)));
        };
        let tokens: Vec<Token> = (0..n).map(Token::of_i64).collect();
        let mut hll = Distinct::new(lg(6));
        hll.update_all(&tokens);
        add(Format::Hll, hll.to_datasketches());
        let mut theta = Theta::new(lg(4));
        (0..n).for_each(|i| theta.update(hash::theta_hash_of_i64(i)));
        add(Format::Theta, theta.to_datasketches());
        let (mut names, mut longs) = (Counters::new(16), Counters::new(16));
        for i in 0..n {
            let name = (i * i % 61).to_string();
            names.update(Token::of_str(&name), 1 + i as u64 % 3, name.as_bytes());
            longs.update(Token::of_i64(i % 9), 2, &(i % 9).to_le_bytes());
        }
        add(Format::Strings, names.to_datasketches_strings());
        add(Format::Longs, longs.to_datasketches_longs().expect("integers"));
        let (mut doubles, mut floats) = (Kll::<f64>::new(K::MIN, 1), Kll::<f32>::new(K::MIN, 1));
        let mut integers = Kll::<i64>::new(K::MIN, 1);
        let mut digest = TDigest::new(10).expect("a k");
        for i in 0..n {
            doubles.update(i as f64);
            floats.update(i as f32);
            integers.update(i);
            digest.update(i as f64);
        }
        add(Format::KllDoubles, doubles.to_datasketches());
        add(Format::KllFloats, floats.to_datasketches());
        add(Format::KllLongs, integers.to_datasketches());
        add(Format::TDigest, digest.to_datasketches());
        let mut cpc = Cpc::new(lg(4));
        cpc.update_all(&tokens);
        add(Format::Cpc, cpc.to_datasketches());
        let mut filter = ParquetFilter::new(2);
        for i in 0..n.min(20) {
            filter.insert(&i.to_le_bytes());
        }
        add(Format::Parquet, filter.to_parquet());
        let key = Key::of_secret(b"a secret of the seeds, no secret").expect("a key");
        let mut keyed = Keyed::<Distinct>::new(&key, &lg(4));
        keyed.sketch_mut(&key).expect("its key").update_all(&tokens);
        let mut bytes = Vec::new();
        keyed.snapshot(&mut bytes);
        add(Format::KeyedDistinct, bytes);
    }
    out
}

fn lg(lg_k: u8) -> LgK {
    LgK::new(lg_k).expect("a precision")
}
