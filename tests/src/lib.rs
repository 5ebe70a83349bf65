//! Whole-system tests live in `tests/` beside this file.
