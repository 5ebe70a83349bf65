//! Intake: syslog by RELP, TCP, TLS and UDP into raw batches.
