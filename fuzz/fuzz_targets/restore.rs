//! See `streamgauge_fuzz::restore`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| streamgauge_fuzz::restore::run(data));
