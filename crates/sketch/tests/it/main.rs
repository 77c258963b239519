//! The sketches from outside: laws, bounds, bytes, twins.

mod accuracy;
mod bloom;
mod bloom_ring;
mod conservative;
mod countmin;
mod countsketch;
mod exact;
mod frequent;
mod hash;
mod histogram;
mod hll;
mod image;
mod interchange;
mod keyed;
mod kll;
mod kll_images;
mod minhash;
mod parquet_filter;
mod quantile;
mod regressions;
mod ring;
mod sample;
mod sliding;
mod streams;
mod theta;
