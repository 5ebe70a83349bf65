-- Accounts of the pages, in a file of their own. Times are microseconds since 1970 in UTC; hashes are SHA-256 of
-- random secrets.

CREATE TABLE IF NOT EXISTS users (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS sessions (
    hash BLOB PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    since INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    address TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_user ON sessions (user_name);

CREATE TABLE IF NOT EXISTS tokens (
    id BLOB PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- Words with a space between them.
    scopes TEXT NOT NULL,
    query TEXT,
    made_by TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    made_at INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    last_used INTEGER
) STRICT;

CREATE TABLE IF NOT EXISTS invitations (
    hash BLOB PRIMARY KEY,
    role TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
