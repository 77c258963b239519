//! See `streamgauge_sketch_fuzz::image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| streamgauge_sketch_fuzz::image(data));
