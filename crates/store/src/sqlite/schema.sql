-- One file holds the events that arrived on one day (UTC). Everything about them is in the same file, so that a
-- transaction is one file's matter and retention deletes files.

CREATE TABLE events (
    -- Microseconds of the day × 2^26 + place among the events of that microsecond: the order of arrival.
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    -- Microseconds since 1970.
    timestamp INTEGER,
    -- Digits of the second's fraction + 8 × (0 for Z, else the offset in minutes + 2048).
    timestamp_form INTEGER,
    facility INTEGER,
    severity INTEGER,
    hostname TEXT,
    app_name TEXT,
    procid TEXT,
    msgid TEXT,
    -- JSON object: SD-ID to an object of parameters.
    structured_data TEXT,
    message TEXT,
    has_bom INTEGER NOT NULL,
    -- JSON array of strings.
    tags TEXT,
    -- JSON object.
    fields TEXT,
    peer_addr TEXT NOT NULL,
    tls_peer TEXT,
    listener TEXT NOT NULL,
    route TEXT NOT NULL,
    raw BLOB,
    -- JSON array of strings.
    defects TEXT
) STRICT;

-- Severe events are few, so that this index costs little even while the file is written.
CREATE INDEX events_severe ON events (seq) WHERE severity <= 3;

-- Batches that are written. A batch seen twice is not written twice.
CREATE TABLE batches (
    id BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Who sends. Absent is ''; '*' holds those beyond the bound. last_seen may be five seconds behind. Times in microseconds since 1970.
CREATE TABLE sources (
    hostname TEXT NOT NULL,
    app_name TEXT NOT NULL,
    peer TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (hostname, app_name, peer)
) STRICT, WITHOUT ROWID;

-- Events by minute of arrival, a column for each severity and one for events without.
CREATE TABLE rollup_minute (
    minute INTEGER NOT NULL,
    emerg INTEGER NOT NULL,
    alert INTEGER NOT NULL,
    crit INTEGER NOT NULL,
    err INTEGER NOT NULL,
    warning INTEGER NOT NULL,
    notice INTEGER NOT NULL,
    info INTEGER NOT NULL,
    debug INTEGER NOT NULL,
    none INTEGER NOT NULL,
    PRIMARY KEY (minute)
) STRICT, WITHOUT ROWID;

-- The same by hour of arrival, host and application.
CREATE TABLE rollup_hour (
    hour INTEGER NOT NULL,
    hostname TEXT NOT NULL,
    app_name TEXT NOT NULL,
    emerg INTEGER NOT NULL,
    alert INTEGER NOT NULL,
    crit INTEGER NOT NULL,
    err INTEGER NOT NULL,
    warning INTEGER NOT NULL,
    notice INTEGER NOT NULL,
    info INTEGER NOT NULL,
    debug INTEGER NOT NULL,
    none INTEGER NOT NULL,
    PRIMARY KEY (hour, hostname, app_name)
) STRICT, WITHOUT ROWID;

-- The senders' times that the file spans, in one row.
CREATE TABLE span (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sent_first INTEGER NOT NULL,
    sent_last INTEGER NOT NULL
) STRICT;
