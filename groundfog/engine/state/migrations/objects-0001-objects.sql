-- Keys are TEXT in SQLite's BINARY collation: the order of their UTF-8 bytes.
CREATE TABLE bucket (
    name    TEXT PRIMARY KEY,
    region  TEXT NOT NULL,
    created REAL NOT NULL
) WITHOUT ROWID;

-- `attributes` is what the writer wants to get back with the bytes: content type, metadata, tags.
CREATE TABLE object (
    bucket     TEXT NOT NULL REFERENCES bucket,
    key        TEXT NOT NULL,
    blob       TEXT NOT NULL,
    size       INTEGER NOT NULL,
    etag       TEXT NOT NULL,
    modified   REAL NOT NULL,
    attributes TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;

-- A blob belongs to one object.
CREATE UNIQUE INDEX object_of_blob ON object (blob);

CREATE TABLE upload (
    id         TEXT PRIMARY KEY,
    bucket     TEXT NOT NULL REFERENCES bucket,
    key        TEXT NOT NULL,
    created    REAL NOT NULL,
    attributes TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX upload_by_key ON upload (bucket, key, id);

CREATE TABLE part (
    upload   TEXT NOT NULL REFERENCES upload ON DELETE CASCADE,
    number   INTEGER NOT NULL,
    blob     TEXT NOT NULL,
    size     INTEGER NOT NULL,
    etag     TEXT NOT NULL,
    modified REAL NOT NULL,
    checksums TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;

CREATE UNIQUE INDEX part_of_blob ON part (blob);
