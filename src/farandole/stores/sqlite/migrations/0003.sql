-- Instances of joins and deadlines. `have` is a JSON object: how many parts have come, by type. An instance that is over stays as a
-- tombstone for the window, so that what comes late is known to be late.
CREATE TABLE farandole_instances (
    reaction TEXT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    timer TEXT,
    runner TEXT,
    have TEXT NOT NULL,
    expected INTEGER,
    since INTEGER NOT NULL,
    PRIMARY KEY (reaction, key)
) WITHOUT ROWID;
CREATE INDEX farandole_instances_over ON farandole_instances (since) WHERE state NOT IN ('open', 'full');

-- The events that an instance has so far, with their exact bytes.
CREATE TABLE farandole_parts (
    number INTEGER PRIMARY KEY,
    reaction TEXT NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (reaction, key, id)
);
