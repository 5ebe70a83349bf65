//! libFuzzer's entry to [`logferry_fuzz::frames`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logferry_fuzz::frames(data));
