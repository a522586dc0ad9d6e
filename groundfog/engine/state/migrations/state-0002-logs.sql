-- Which log streams there are. What was said stands in files, which the agents of running programs write.
CREATE TABLE log_group (
    name    TEXT NOT NULL PRIMARY KEY,
    created REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE log_stream (
    log_group TEXT NOT NULL REFERENCES log_group ON DELETE CASCADE,
    name      TEXT NOT NULL,
    file      TEXT NOT NULL UNIQUE,
    created   REAL NOT NULL,
    PRIMARY KEY (log_group, name)
) WITHOUT ROWID;
