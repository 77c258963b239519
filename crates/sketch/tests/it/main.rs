//! The sketches from outside: laws, bounds, bytes, twins.

mod bloom;
mod conservative;
mod countmin;
mod countsketch;
mod exact;
mod frequent;
mod histogram;
mod hll;
mod interchange;
mod kll;
mod kll_images;
mod minhash;
mod quantile;
mod regressions;
mod ring;
mod sample;
mod streams;
mod theta;
