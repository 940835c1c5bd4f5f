//! Fuzzes [`fuzz::row`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzz::row(bytes);
});
