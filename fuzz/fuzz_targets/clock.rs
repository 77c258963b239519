//! See `streamgauge_fuzz::clock`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| streamgauge_fuzz::clock::run(data));
