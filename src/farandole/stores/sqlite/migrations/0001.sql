-- The inbox: one row per (reaction, event). A row of a handled event is a mark: only the first five columns are set.
-- `blocks` is 1 or NULL. `due` is when somebody may take the row: a parked row's next run, a claimed row's end of lease.
CREATE TABLE farandole_inbox (
    seq INTEGER PRIMARY KEY,
    reaction TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    handled_at INTEGER NOT NULL,
    key TEXT,
    topic TEXT,
    body BLOB,
    attempts INTEGER,
    due INTEGER,
    blocks INTEGER,
    reason TEXT,
    place TEXT,
    error TEXT,
    token TEXT,
    receipt BLOB,
    UNIQUE (reaction, id)
);
-- Marks stand in none of these.
CREATE INDEX farandole_inbox_open ON farandole_inbox (state, reaction) WHERE key IS NOT NULL;
CREATE INDEX farandole_inbox_blocks ON farandole_inbox (reaction, key, seq) WHERE blocks = 1;
CREATE INDEX farandole_inbox_due ON farandole_inbox (reaction, due) WHERE due IS NOT NULL;

CREATE TABLE farandole_outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket INTEGER NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    body BLOB NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE INDEX farandole_outbox_bucket ON farandole_outbox (bucket, seq);

-- One row per live relay; `buckets` is a JSON array.
CREATE TABLE farandole_outbox_leases (
    token TEXT PRIMARY KEY,
    buckets TEXT NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;
