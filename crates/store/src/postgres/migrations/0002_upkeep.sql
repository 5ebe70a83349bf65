-- What sealing and retention have done to partitions of events.
CREATE TABLE partition_upkeep (
    name text PRIMARY KEY,
    -- It has the indexes for searching.
    sealed_at timestamptz,
    -- Routes that are kept for less and whose rows are deleted.
    cleared text[] NOT NULL DEFAULT '{}',
    -- It is detached, or about to be, and then dropped; with the time that it covered.
    retired_at timestamptz,
    covered_from timestamptz,
    covered_to timestamptz
);

-- Severe events are few, so that this index costs little even while the partition is written.
CREATE INDEX events_severe ON events (received_at) WHERE severity <= 3;
