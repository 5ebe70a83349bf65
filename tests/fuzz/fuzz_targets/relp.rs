//! libFuzzer's entry to [`logferry_fuzz::relp`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| logferry_fuzz::relp(data));
