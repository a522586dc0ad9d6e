-- Everything that has a name: jobs, models, endpoints, roles. The document holds what its owner needs.
CREATE TABLE resource (
    kind     TEXT NOT NULL,
    name     TEXT NOT NULL,
    status   TEXT NOT NULL,
    document TEXT NOT NULL,
    created  REAL NOT NULL,
    modified REAL NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;

CREATE INDEX resource_by_creation ON resource (kind, created, name);

CREATE INDEX resource_by_status ON resource (kind, status);

CREATE TABLE tag (
    kind  TEXT NOT NULL,
    name  TEXT NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, name, key),
    FOREIGN KEY (kind, name) REFERENCES resource ON DELETE CASCADE
) WITHOUT ROWID;
