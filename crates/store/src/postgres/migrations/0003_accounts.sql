-- Accounts of the pages. Times are microseconds since 1970 in UTC; hashes are SHA-256 of random secrets.

CREATE TABLE users (
    name text PRIMARY KEY,
    role text NOT NULL,
    password_hash text NOT NULL,
    made_at bigint NOT NULL
);

CREATE TABLE sessions (
    hash bytea PRIMARY KEY,
    user_name text NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    since bigint NOT NULL,
    last_seen bigint NOT NULL,
    expires bigint NOT NULL,
    address text NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_name);

CREATE TABLE tokens (
    id uuid PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    name text NOT NULL,
    -- Words with a space between them.
    scopes text NOT NULL,
    query text,
    made_by text NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    made_at bigint NOT NULL,
    expires bigint NOT NULL,
    last_used bigint
);

CREATE TABLE invitations (
    hash bytea PRIMARY KEY,
    role text NOT NULL,
    expires bigint NOT NULL
);
