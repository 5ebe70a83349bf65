-- What people write down on the pages, in the file of their accounts. Times are microseconds since 1970 in UTC; bodies
-- are JSON of the pages.

CREATE TABLE IF NOT EXISTS notes (
    subject TEXT NOT NULL,
    key TEXT NOT NULL,
    author TEXT NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (subject, key)
) STRICT;
CREATE INDEX IF NOT EXISTS notes_at ON notes (subject, at);
