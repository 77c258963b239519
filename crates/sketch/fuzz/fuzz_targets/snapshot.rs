//! See `streamgauge_sketch_fuzz::snapshot`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| streamgauge_sketch_fuzz::snapshot(data));
