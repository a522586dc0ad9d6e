-- `id` is a digest of namespace, name and dimensions (JSON, in the order of their names).
CREATE TABLE metric (
    id         TEXT NOT NULL PRIMARY KEY,
    namespace  TEXT NOT NULL,
    name       TEXT NOT NULL,
    dimensions TEXT NOT NULL,
    written    REAL NOT NULL,
    last_value REAL NOT NULL,
    last_at    REAL NOT NULL
) WITHOUT ROWID;

CREATE INDEX metric_in_order ON metric (namespace, name, dimensions, id);

CREATE INDEX metric_by_age ON metric (written);

-- What was measured from `at` on, `seconds` long; `tally` is JSON, or NULL where nobody said how often which value came.
CREATE TABLE metric_point (
    metric  TEXT NOT NULL REFERENCES metric ON DELETE CASCADE,
    at      INTEGER NOT NULL,
    seconds INTEGER NOT NULL,
    unit    TEXT NOT NULL,
    count   REAL NOT NULL,
    total   REAL NOT NULL,
    low     REAL NOT NULL,
    high    REAL NOT NULL,
    tally   TEXT,
    PRIMARY KEY (metric, at, seconds, unit)
) WITHOUT ROWID;

CREATE INDEX metric_point_by_age ON metric_point (seconds, at);

-- How far a log stream was searched for metrics: changes with what was found in it, in one transaction.
CREATE TABLE metric_bookmark (
    log_group  TEXT NOT NULL,
    log_stream TEXT NOT NULL,
    position   INTEGER NOT NULL,
    PRIMARY KEY (log_group, log_stream),
    FOREIGN KEY (log_group, log_stream) REFERENCES log_stream (log_group, name) ON DELETE CASCADE
) WITHOUT ROWID;
