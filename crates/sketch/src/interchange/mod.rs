//! Two structures that others keep in Apache DataSketches and we would not choose ourselves, so that their files can be
//! read, merged, asked and handed on.
//!
//! [`Cpc`] counts distinct values in the fewest bytes known, but cannot be queried in place, intersected or folded here;
//! in memory [`crate::hll::Distinct`] and [`crate::theta::Theta`] are the better choice. [`TDigest`] estimates quantiles
//! without any bound and depends on the order of its values; [`crate::quantile::Quantiles`] promises an error and keeps
//! it. Both are thin: the algorithms are those of the crate `datasketches`, what is added is the shape of this crate, and
//! that no bytes make it panic or allocate beyond [`crate::Limits`].
//!
//! Images of HLL, Theta and Frequent Items are the matter of their own structures, which read and write them.

mod cpc;
mod tdigest;

pub use crate::hll::LgK;
pub use cpc::Cpc;
pub use tdigest::{KError, TDigest};
