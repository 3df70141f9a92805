-- What measures have counted, and what they know of each instance. Times: seconds since 1970.
CREATE TABLE farandole_tallies (
    measure text COLLATE "C" NOT NULL PRIMARY KEY,
    upto bigint NOT NULL,
    begun bigint NOT NULL,
    done bigint NOT NULL,
    total double precision NOT NULL,
    buckets bigint[] NOT NULL
);
CREATE TABLE farandole_parts (
    measure text COLLATE "C" NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    began double precision,
    ended double precision,
    value double precision NOT NULL,
    PRIMARY KEY (measure, correlation_id)
);
CREATE INDEX farandole_parts_open ON farandole_parts (measure) INCLUDE (value) WHERE began IS NOT NULL AND ended IS NULL;
