//! The rule chain: VRL programs with Logferry's own functions.
