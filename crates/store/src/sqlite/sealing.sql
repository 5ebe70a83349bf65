-- What a file gets in the background, when some hours of its day are over. Everything stands in the file's own schema, so that rows which come later, and
-- rows that are deleted, find their way into the indexes whoever writes them.

-- How far the text index is: rows up to this seq are in it. The largest number there is says that the file is sealed.
CREATE TABLE IF NOT EXISTS index_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    upto INTEGER NOT NULL
) STRICT;

INSERT OR IGNORE INTO index_state (one, upto) VALUES (1, -1);

-- Routes that are kept for less and whose rows are deleted.
CREATE TABLE IF NOT EXISTS cleared (
    route TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Three characters in a row, in any case. The texts themselves are in events alone.
CREATE VIRTUAL TABLE IF NOT EXISTS message_index USING fts5(
    message, content = 'events', content_rowid = 'seq', tokenize = 'trigram', detail = 'none'
);

-- Larger pieces are sorted in memory than by default, and fewer have to be merged.
INSERT INTO message_index (message_index, rank) VALUES ('hashsize', 33554432);

CREATE TRIGGER IF NOT EXISTS message_added AFTER INSERT ON events
    WHEN NEW.seq <= (SELECT upto FROM index_state)
BEGIN
    INSERT INTO message_index (rowid, message) VALUES (NEW.seq, NEW.message);
END;

CREATE TRIGGER IF NOT EXISTS message_removed AFTER DELETE ON events
    WHEN OLD.seq <= (SELECT upto FROM index_state)
BEGIN
    INSERT INTO message_index (message_index, rowid, message) VALUES ('delete', OLD.seq, OLD.message);
END;
