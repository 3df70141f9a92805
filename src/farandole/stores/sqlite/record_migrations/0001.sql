-- Every event of a choreography, in the order in which it was recorded. Times: seconds since 1970 as the event says, and milliseconds as we do.
CREATE TABLE farandole_record (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    source TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    causationid TEXT NOT NULL,
    time REAL,
    field TEXT NOT NULL,
    key TEXT NOT NULL,
    topic TEXT NOT NULL,
    body BLOB NOT NULL,
    recorded_at INTEGER NOT NULL
);
CREATE INDEX farandole_record_instance ON farandole_record (correlation_id, number);
CREATE INDEX farandole_record_type ON farandole_record (type, time);
CREATE INDEX farandole_record_key ON farandole_record (key, field, number) WHERE field <> '';
