//! Where events are kept and searched: PostgreSQL and SQLite.
