-- What people are asked to do: a row for each event that a compensation, or a reaction that says so, gave up on. It is open until
-- `done_at` is set. `kind` is how it ended: 'dead' or 'exhausted'.
CREATE TABLE farandole_tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    opened_at INTEGER NOT NULL,
    reaction TEXT NOT NULL,
    event TEXT NOT NULL,
    key TEXT NOT NULL,
    correlation TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    reason TEXT NOT NULL,
    done_at INTEGER,
    who TEXT,
    why TEXT
);
CREATE UNIQUE INDEX farandole_tasks_open ON farandole_tasks (reaction, event) WHERE done_at IS NULL;
CREATE INDEX farandole_tasks_done ON farandole_tasks (done_at) WHERE done_at IS NOT NULL;

-- In which order actions happened, so that they are undone in the reverse one.
ALTER TABLE farandole_instances ADD COLUMN number INTEGER;
CREATE INDEX farandole_instances_number ON farandole_instances (number) WHERE number IS NOT NULL;
