//! Raw batches to event batches: syslog grammar, rules, routing.
