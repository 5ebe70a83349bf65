//! Listeners and clients: TCP, UDP, TLS, RELP sessions. Does not know the broker.
