-- Events, in the words of RFC 5424. Partitions cover a day or an hour of arrival (UTC) and are made ahead by whoever
-- writes; there is no default partition, since making another one would have to lock and search it.
CREATE TABLE events (
    -- A UUIDv7 of the arrival, the batch and the position in it: by (received_at, id) events are in order of arrival.
    id uuid NOT NULL,
    -- Our clock.
    received_at timestamptz NOT NULL,
    -- The sender's clock.
    "timestamp" timestamptz,
    -- How the sender wrote it: digits of the second's fraction + 8 × (0 for Z, else the offset in minutes + 2048).
    timestamp_form smallint,
    facility smallint,
    -- 0 (emerg) to 7 (debug).
    severity smallint,
    hostname text,
    app_name text,
    procid text,
    msgid text,
    -- SD-ID to an object of parameters; a name that stands more than once has an array.
    structured_data jsonb,
    message text,
    -- The message began with a byte order mark.
    has_bom boolean NOT NULL,
    tags text[],
    fields jsonb,
    -- Address and port of the sender's socket.
    peer_addr text NOT NULL,
    -- The name in the sender's certificate.
    tls_peer text,
    listener text NOT NULL,
    route text NOT NULL,
    -- The bytes as received, where they were kept; where not, and `defects` has `unstorable`: the event as JSON, as it was.
    raw bytea,
    defects text[]
) PARTITION BY RANGE (received_at);

-- The one index of a partition that is being written. Events of the same instant are few enough to be sorted by id.
CREATE INDEX events_arrival ON events (received_at);

-- What a clock before 2000 or after 2099 stamps; so such a clock makes no partitions.
CREATE TABLE events_before PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2000-01-01 00:00:00+00');
CREATE TABLE events_after PARTITION OF events FOR VALUES FROM ('2100-01-01 00:00:00+00') TO (MAXVALUE);

-- Batches that are written. A batch seen twice is not written twice. By the day on which intake minted the source's
-- id, which comes again with the batch.
CREATE TABLE batches (
    minted_on date NOT NULL,
    id uuid NOT NULL,
    PRIMARY KEY (minted_on, id)
) PARTITION BY RANGE (minted_on);

CREATE TABLE batches_before PARTITION OF batches FOR VALUES FROM (MINVALUE) TO ('2000-01-01');
CREATE TABLE batches_after PARTITION OF batches FOR VALUES FROM ('2100-01-01') TO (MAXVALUE);

-- Who sends. Absent is ''; '*' holds those beyond the bound. last_seen may be five seconds behind.
CREATE TABLE sources (
    hostname text NOT NULL,
    app_name text NOT NULL,
    -- The sender's address without its port.
    peer text NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    PRIMARY KEY (hostname, app_name, peer)
) WITH (fillfactor = 70);

-- Events by minute of arrival, a column for each severity and one for events without.
CREATE TABLE rollup_minute (
    minute timestamptz NOT NULL,
    emerg bigint NOT NULL,
    alert bigint NOT NULL,
    crit bigint NOT NULL,
    err bigint NOT NULL,
    warning bigint NOT NULL,
    notice bigint NOT NULL,
    info bigint NOT NULL,
    debug bigint NOT NULL,
    none bigint NOT NULL,
    PRIMARY KEY (minute)
) WITH (fillfactor = 70);

-- The same by hour of arrival, host and application.
CREATE TABLE rollup_hour (
    hour timestamptz NOT NULL,
    hostname text NOT NULL,
    app_name text NOT NULL,
    emerg bigint NOT NULL,
    alert bigint NOT NULL,
    crit bigint NOT NULL,
    err bigint NOT NULL,
    warning bigint NOT NULL,
    notice bigint NOT NULL,
    info bigint NOT NULL,
    debug bigint NOT NULL,
    none bigint NOT NULL,
    PRIMARY KEY (hour, hostname, app_name)
) WITH (fillfactor = 70);
