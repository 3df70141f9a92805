-- What was changed by hand in dead letters: who, when, why, and the event's bytes before.
CREATE TABLE farandole_edits (
    number INTEGER PRIMARY KEY,
    reaction TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX farandole_edits_id ON farandole_edits (id);
CREATE INDEX farandole_edits_at ON farandole_edits (at);
