//! The command people type: run, check, init, send, search, bench.
