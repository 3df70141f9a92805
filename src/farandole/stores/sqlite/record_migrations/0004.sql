-- What measures have counted, and what they know of each instance. Times: seconds since 1970.
CREATE TABLE farandole_tallies (
    measure TEXT NOT NULL PRIMARY KEY,
    upto INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    done INTEGER NOT NULL,
    total REAL NOT NULL,
    buckets TEXT NOT NULL
);
CREATE TABLE farandole_parts (
    measure TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    began REAL,
    ended REAL,
    value REAL NOT NULL,
    PRIMARY KEY (correlation_id, measure)
) WITHOUT ROWID;
CREATE INDEX farandole_parts_open ON farandole_parts (measure, value) WHERE began IS NOT NULL AND ended IS NULL;
