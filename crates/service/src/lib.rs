//! The life of a process: arguments, tracing, metrics and health endpoint, signals, drain.
