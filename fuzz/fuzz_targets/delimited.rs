//! See `streamgauge_fuzz::delimited`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| streamgauge_fuzz::delimited::run(data));
