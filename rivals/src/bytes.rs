//! To bytes and back. The formats differ, and so does what a reader checks; sizes are the answers.

use std::rc::Rc;

use datasketches::bloom::{BloomFilter, BloomFilterBuilder};
use datasketches::countmin::CountMinSketch;
use datasketches::frequencies::FrequentItemsSketch;
use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllType};
use datasketches::theta::CompactThetaSketch;
use sketch::bloom::{Filter, blocks_for};
use sketch::countmin::CountMin;
use sketch::frequent::Counters;
use sketch::hll::Distinct;
use sketch::quantile::Quantiles;
use sketch::theta::Theta;
use sketch::{Limits, Reader};
use sketches_ddsketch::DDSketch;
use timing::Case;

use crate::job::{Job, Plan, Unit};
use crate::keys::{Keys, numbered};
use crate::{distinct, frequency, quantiles, sets};

/// All jobs of this file.
pub const PLANS: &[Plan] = &[
    Plan { name: "HLL 2^14 to bytes", make: |keys| hll(keys).0 },
    Plan { name: "HLL 2^14 from bytes", make: |keys| hll(keys).1 },
    Plan { name: "Bloom 1M at 1 % to bytes", make: |keys| bloom(keys).0 },
    Plan { name: "Bloom 1M at 1 % from bytes", make: |keys| bloom(keys).1 },
    Plan { name: "Count-Min 5 x 2^14 to bytes", make: |keys| count_min(keys).0 },
    Plan { name: "Count-Min 5 x 2^14 from bytes", make: |keys| count_min(keys).1 },
    Plan { name: "Top-K, 4,096 counters, to bytes", make: |keys| top(keys).0 },
    Plan { name: "Top-K, 4,096 counters, from bytes", make: |keys| top(keys).1 },
    Plan { name: "quantiles within 1 % to bytes", make: |keys| quantile(keys).0 },
    Plan { name: "quantiles within 1 % from bytes", make: |keys| quantile(keys).1 },
    Plan { name: "Theta 2^12 to bytes", make: |keys| theta(keys).0 },
    Plan { name: "Theta 2^12 from bytes", make: |keys| theta(keys).1 },
];

/// Times in one pass.
const TIMES: usize = 100;

/// One side: a sketch, how it is written and read. The two cases write it and read it.
fn side<'a, S: 'a>(
    name: &'static str,
    sketch: S,
    write: impl Fn(&S, &mut Vec<u8>) + Clone + 'a,
    read: impl Fn(&[u8]) -> S + Clone + 'a,
) -> (Case<'a>, Case<'a>) {
    let mut bytes = Vec::new();
    write(&sketch, &mut bytes);
    let (sketch, bytes) = (Rc::new(sketch), Rc::new(bytes));
    let rewrite = write.clone();
    let to = Case::answering(
        name,
        TIMES,
        Vec::new,
        move |out: &mut Vec<u8>| {
            for _ in 0..TIMES {
                out.clear();
                write(std::hint::black_box(&sketch), out);
            }
        },
        |out| out.len() as f64,
    );
    let from = Case::answering(
        name,
        TIMES,
        || None,
        move |last| (0..TIMES).for_each(|_| *last = Some(read(std::hint::black_box(&bytes)))),
        move |last: &Option<S>| {
            let mut out = Vec::new();
            last.iter().for_each(|sketch| rewrite(sketch, &mut out));
            out.len() as f64
        },
    );
    (to, from)
}

type Jobs<'a> = (Job<'a>, Job<'a>);

fn jobs<'a>(sides: Vec<(Case<'a>, Case<'a>)>) -> Jobs<'a> {
    let (to, from) = sides.into_iter().unzip();
    let job = |sides| Job { unit: Unit::Us, bar: None, asked: "bytes", right: 1.0..=f64::INFINITY, sides };
    (job(to), job(from))
}

fn hll(keys: &Keys) -> Jobs<'_> {
    let mut ours = distinct::new_ours();
    ours.update_all(&keys.tokens);
    let mut theirs = HllSketch::new(14, HllType::Hll8).expect("within the range");
    keys.coupons.iter().for_each(|&coupon| theirs.update_with_coupon(coupon));
    jobs(vec![
        side("ours", ours, Distinct::snapshot, restore_distinct),
        side(
            "datasketches HLL_8",
            theirs,
            |hll, out| *out = hll.serialize(),
            |bytes| HllSketch::deserialize(bytes).expect("its own bytes"),
        ),
    ])
}

fn bloom(_: &Keys) -> Jobs<'_> {
    let (tokens, hashes) = numbered(0..1_000_000);
    let mut ours = Filter::new(blocks_for(1_000_000, 0.01));
    tokens.iter().for_each(|&token| _ = ours.insert(token));
    let mut theirs = BloomFilterBuilder::with_accuracy(1_000_000, 0.01).build().expect("within the range");
    hashes.iter().for_each(|&hash| theirs.insert(hash));
    jobs(vec![
        side("ours", ours, Filter::snapshot, restore_filter),
        side(
            "datasketches",
            theirs,
            |filter, out| *out = filter.serialize(),
            |bytes| BloomFilter::deserialize(bytes).expect("its own bytes"),
        ),
    ])
}

fn count_min(keys: &Keys) -> Jobs<'_> {
    let (mut ours, mut theirs) = (frequency::new_count_min(), frequency::new_datasketches());
    ours.update_all(&keys.tokens);
    keys.hashes.iter().for_each(|&hash| theirs.update(hash));
    jobs(vec![
        side("ours", ours, CountMin::snapshot, restore_count_min),
        side(
            "datasketches",
            theirs,
            |counts, out| *out = counts.serialize(),
            |bytes| CountMinSketch::deserialize(bytes).expect("its own bytes"),
        ),
    ])
}

fn top(keys: &Keys) -> Jobs<'_> {
    let mut ours = Counters::new(4_096);
    let mut theirs = FrequentItemsSketch::<String>::new(4_096).expect("a power of two");
    for (&token, name) in keys.tokens.iter().zip(keys.names()) {
        ours.update(token, 1, name);
        theirs.update_ref(std::str::from_utf8(name).expect("letters and digits"));
    }
    jobs(vec![
        side("ours", ours, Counters::snapshot, restore_counters),
        side(
            "datasketches frequent items",
            theirs,
            |top, out| *out = top.serialize(),
            |bytes| FrequentItemsSketch::deserialize(bytes).expect("its own bytes"),
        ),
    ])
}

fn quantile(keys: &Keys) -> Jobs<'_> {
    let (mut ours, mut theirs) = (quantiles::new_ours(), quantiles::new_ddsketch());
    ours.update_all(&keys.values);
    keys.values.iter().for_each(|&v| theirs.add(v));
    jobs(vec![
        side("ours", ours, Quantiles::snapshot, restore_quantiles),
        side(
            "sketches-ddsketch",
            theirs,
            |quantiles, out| *out = quantiles.to_java_bytes(),
            |bytes| DDSketch::from_java_bytes(bytes).expect("its own bytes"),
        ),
    ])
}

fn theta(keys: &Keys) -> Jobs<'_> {
    let (mut ours, mut theirs) = (sets::new_ours(), sets::new_datasketches());
    keys.theta_batches(|hashes| ours.update_all(hashes));
    keys.names().for_each(|name| theirs.update(raw_bytes::from_slice(name)));
    jobs(vec![
        side("ours (sorts)", ours, Theta::snapshot, restore_theta),
        side(
            "datasketches, compact and ordered already",
            theirs.compact(true),
            |theta, out| *out = theta.serialize(),
            |bytes| CompactThetaSketch::deserialize(bytes).expect("its own bytes"),
        ),
    ])
}

/// From its snapshot.
pub fn restore_distinct(bytes: &[u8]) -> Distinct {
    Distinct::restore(&mut Reader::new(bytes), &Limits::default()).expect("our own bytes")
}

/// From its snapshot.
pub fn restore_theta(bytes: &[u8]) -> Theta {
    Theta::restore(&mut Reader::new(bytes), &Limits::default()).expect("our own bytes")
}

fn restore_filter(bytes: &[u8]) -> Filter {
    Filter::restore(&mut Reader::new(bytes), &Limits::default()).expect("our own bytes")
}

fn restore_count_min(bytes: &[u8]) -> CountMin {
    CountMin::restore(&mut Reader::new(bytes), &Limits::default()).expect("our own bytes")
}

fn restore_counters(bytes: &[u8]) -> Counters {
    Counters::restore(&mut Reader::new(bytes), &Limits::default()).expect("our own bytes")
}

fn restore_quantiles(bytes: &[u8]) -> Quantiles {
    Quantiles::restore(&mut Reader::new(bytes), &Limits::default()).expect("our own bytes")
}
