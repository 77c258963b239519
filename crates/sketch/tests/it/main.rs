//! The sketches from outside: laws, bounds, bytes, twins.

mod bloom;
mod countmin;
mod exact;
mod frequent;
mod histogram;
mod hll;
mod quantile;
mod regressions;
mod ring;
mod sample;
mod streams;
mod theta;
