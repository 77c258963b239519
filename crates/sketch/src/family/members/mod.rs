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

/// Of a structure whose one parameter is log2 of its size.
macro_rules! by_precision {
    ($lg_k:ty) => {
        type Params = $lg_k;

        fn with(lg_k: &$lg_k) -> Self {
            Self::new(*lg_k)
        }

        fn params(&self) -> $lg_k {
            self.lg_k()
        }

        fn parameters(&self) -> Vec<(&'static str, f64)> {
            vec![("lg_k", f64::from(self.lg_k().get()))]
        }
    };
}

/// Of a table of counters.
macro_rules! by_width_and_depth {
    () => {
        /// log2 of the width, and the number of rows.
        type Params = (u8, u8);

        fn with(&(lg_width, depth): &(u8, u8)) -> Self {
            Self::new(lg_width, depth)
        }

        fn params(&self) -> (u8, u8) {
            (self.lg_width(), self.depth())
        }

        fn parameters(&self) -> Vec<(&'static str, f64)> {
            vec![("lg_width", f64::from(self.lg_width())), ("depth", f64::from(self.depth()))]
        }
    };
}

/// Structures that take batches of tokens by their own `update_all`.
macro_rules! by_tokens {
    ($($name:ident)*) => {
        $(impl Hashed for $name {
            type Hash = Token;

            fn update_hashes(&mut self, tokens: &[Token]) {
                self.update_all(tokens);
            }
        })*
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
