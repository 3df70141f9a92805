-- What became of events, where instances stand, and what somebody should know. Times: seconds since 1970, recorded_at milliseconds.
CREATE TABLE farandole_fates (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    reaction TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    at REAL NOT NULL,
    seconds REAL,
    emitted INTEGER,
    due REAL,
    reason TEXT NOT NULL,
    error TEXT NOT NULL,
    place TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    UNIQUE (correlation_id, id, reaction, state, at)
);
CREATE TABLE farandole_standings (
    correlation_id TEXT NOT NULL PRIMARY KEY,
    workflow TEXT NOT NULL,
    state TEXT NOT NULL,
    since REAL,
    began REAL,
    due REAL,
    changes_at REAL,
    field TEXT NOT NULL,
    key TEXT NOT NULL,
    waits_for TEXT NOT NULL,
    service TEXT NOT NULL,
    reason TEXT NOT NULL,
    number INTEGER NOT NULL
);
CREATE INDEX farandole_standings_order ON farandole_standings (workflow, state, coalesce(began, 0), number);
CREATE INDEX farandole_standings_change ON farandole_standings (changes_at, correlation_id) WHERE changes_at IS NOT NULL;
CREATE TABLE farandole_stood (number INTEGER NOT NULL);
INSERT INTO farandole_stood VALUES (0);
CREATE TABLE farandole_alerts (
    key TEXT NOT NULL PRIMARY KEY,
    rule TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    workflow TEXT NOT NULL,
    text TEXT NOT NULL,
    at REAL NOT NULL,
    resolved REAL,
    owed REAL
);
CREATE INDEX farandole_alerts_instance ON farandole_alerts (correlation_id);
CREATE INDEX farandole_alerts_open ON farandole_alerts (at) WHERE resolved IS NULL;
CREATE INDEX farandole_alerts_over ON farandole_alerts (at) WHERE resolved IS NOT NULL;
CREATE INDEX farandole_alerts_resolved ON farandole_alerts (resolved) WHERE resolved IS NOT NULL;
CREATE INDEX farandole_alerts_owed ON farandole_alerts (owed) WHERE owed IS NOT NULL;
