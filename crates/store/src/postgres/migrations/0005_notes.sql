-- What people write down on the pages. Times are microseconds since 1970 in UTC; bodies are JSON of the pages.

CREATE TABLE notes (
    subject text NOT NULL,
    key text NOT NULL,
    author text NOT NULL,
    at bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (subject, key)
);
CREATE INDEX notes_at ON notes (subject, at);
