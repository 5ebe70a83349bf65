//! libFuzzer's entry to [`logferry_fuzz::query`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logferry_fuzz::query(data));
