//! Images of Apache DataSketches: files that Java and C++ wrote, our own laws of what is read, and hostile bytes.

mod golden;
pub mod java;
mod laws;

use datasketches::hll::{HllSketch, HllType as TheirType, HllUnion};
use sketch::hll::{Distinct, HllType, LgK};
use sketch::theta::Theta;
use sketch::{Limits, Token};

fn lg(lg_k: u8) -> LgK {
    LgK::new(lg_k).unwrap()
}

fn ints(n: u64) -> impl Iterator<Item = Token> {
    (0..n as i64).map(Token::of_i64)
}

fn distinct(lg_k: u8, tokens: impl IntoIterator<Item = Token>) -> Distinct {
    let mut sketch = Distinct::new(lg(lg_k));
    tokens.into_iter().for_each(|token| sketch.update(token));
    sketch
}

fn theta(lg_k: u8, hashes: impl IntoIterator<Item = u64>) -> Theta {
    let mut sketch = Theta::new(lg(lg_k));
    hashes.into_iter().for_each(|hash| sketch.update(hash));
    sketch
}

fn read_hll(image: &[u8]) -> Distinct {
    let read = Distinct::from_datasketches(image, &Limits::default()).unwrap();
    read.check_invariants();
    read
}

/// The same values as one reads them: in registers, whatever their number.
fn as_read(sketch: &Distinct) -> Distinct {
    read_hll(&sketch.to_datasketches())
}

const TYPES: [(HllType, TheirType); 3] =
    [(HllType::Hll4, TheirType::Hll4), (HllType::Hll6, TheirType::Hll6), (HllType::Hll8, TheirType::Hll8)];

/// An image that the union of the twin writes of what it reads in another.
fn union_of(image: &[u8], lg_k: u8, hll_type: TheirType) -> Vec<u8> {
    let mut union = HllUnion::new(lg_k).unwrap();
    for _ in 0..2 {
        // The second time it merges registers with registers, and is out of order.
        union.update(&HllSketch::deserialize(image).unwrap());
    }
    union.to_sketch(hll_type).serialize()
}
