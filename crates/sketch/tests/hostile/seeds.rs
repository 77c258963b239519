//! Small states of every kind, in every mode: where mutations start.

use sketch::bloom::{Filter, Seen, Size};
use sketch::countmin::{CountMin, Freq};
use sketch::exact::{Moments, Number, Parts};
use sketch::frequent::Counters;
use sketch::histogram::Histogram;
use sketch::hll::{Distinct, LgK};
use sketch::quantile::Quantiles;
use sketch::sample::{Sample, priority};
use sketch::theta::Theta;
use sketch::{Any, Ring, Token, hash};

/// Named states; the names are those of files where seeds are written down.
pub fn all() -> Vec<(String, Any)> {
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
        let mut log = Histogram::new_log2();
        log.update_all(&values(n));
        add(&format!("histogram-log-{name}"), log.into());
    }
    for (name, weight) in [("narrow", 3), ("wide", 1 << 40)] {
        let mut sketch = CountMin::new(4, 3);
        tokens(7).into_iter().for_each(|token| sketch.update(token, weight));
        add(&format!("countmin-{name}"), sketch.into());
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
    for parts in [Parts::SUMS, Parts::SQUARES, Parts::EXTREMES, Parts::ALL] {
        let mut ints = Moments::new(Number::Int, parts);
        ints.update_all_i64(&[-5, 7, i64::MAX]);
        add(&format!("moments-int-{parts:?}"), ints.into());
        let mut floats = Moments::new(Number::Float, parts);
        floats.update_all_f64(&[-5e-300, 7.5, 1e300, f64::NAN]);
        add(&format!("moments-float-{parts:?}"), floats.into());
    }
    out
}

fn lg(lg_k: u8) -> LgK {
    LgK::new(lg_k).expect("a precision")
}
