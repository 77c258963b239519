//! How each structure is a member of the family, by what it is of. What they all call by the same name is handed on by
//! `same_names`.

macro_rules! same_names {
    ($kind:ident) => {
        const KIND: Kind = Kind::$kind;

        fn merge(&mut self, other: &Self) -> Result<MergeNote, Incompatible> {
            self.merge(other)
        }

        fn snapshot(&self, out: &mut Vec<u8>) {
            self.snapshot(out);
        }

        fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<Self, DecodeError> {
            Self::restore(r, limits)
        }

        fn memory_bytes(&self) -> usize {
            self.memory_bytes()
        }

        fn health(&self) -> Health {
            self.health()
        }

        fn sketch_name(&self) -> String {
            self.sketch_name()
        }

        fn is_empty(&self) -> bool {
            self.is_empty()
        }

        fn check_invariants(&self) {
            self.check_invariants();
        }
    };
}

mod counts;
mod numbers;
mod sets;

use crate::Estimate;

fn whole(estimate: Estimate<u64>) -> Estimate<f64> {
    estimate.map(|n| n as f64)
}

fn exactly(n: u64) -> Option<Estimate<f64>> {
    Some(Estimate::exact(n as f64))
}

/// A no is certain, and a yes of what is exact.
fn contained(yes: bool, exact: bool) -> Estimate<f64> {
    match (yes, exact) {
        (true, false) => Estimate::proven(1.0, 0.0, 1.0),
        (yes, _) => Estimate::exact(f64::from(u8::from(yes))),
    }
}
