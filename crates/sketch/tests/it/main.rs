//! The sketches from outside: laws, bounds, bytes, twins.

mod accuracy;
mod bloom;
mod countmin;
mod exact;
mod frequent;
mod histogram;
mod hll;
mod interchange;
mod kll;
mod kll_images;
mod quantile;
mod regressions;
mod ring;
mod sample;
mod streams;
mod theta;
