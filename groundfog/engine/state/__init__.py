"""State has one address: every SQL statement stands, named, in a file of `queries/`.

`migrations/<database>-NNNN-<what>.sql` are applied in order, once each; a schema is their sum. SQLite in WAL
mode survives `kill -9` at any moment; with `durable=True` each commit is on the platter before it returns, so
that it survives a power cut too.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiosql

_HERE = Path(__file__).parent


class Database:
    """One SQLite file: a connection for each thread, and the named queries of `queries/<name>/`.

    Use as `db.queries.find_resource(db.here, kind=..., name=...)`; several statements that belong together go
    inside `with db.transaction():`.
    """

    def __init__(self, path: Path, name: str, *, durable: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._durable = path, durable
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self.queries: Any = aiosql.from_path(_HERE / "queries" / name, "sqlite3", mandatory_parameters=False)
        self._migrate(name)

    @property
    def here(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path, timeout=30, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
            self._opened.append(connection)
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing. No reading of files and no waiting inside: others queue behind it."""
        here = self.here
        here.execute("BEGIN IMMEDIATE")
        try:
            yield here
        except BaseException:
            here.execute("ROLLBACK")
            raise
        here.execute("COMMIT")

    def close(self) -> None:
        for connection in self._opened:
            connection.close()
        self._opened.clear()

    def _migrate(self, name: str) -> None:
        with self.transaction() as here:
            here.execute("CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY)")
            done = {row["name"] for row in here.execute("SELECT name FROM migration")}
            for file in sorted((_HERE / "migrations").glob(f"{name}-*.sql")):
                if file.stem in done:
                    continue
                for statement in _statements(file.read_text()):
                    here.execute(statement)
                here.execute("INSERT INTO migration VALUES (?)", (file.stem,))


def _statements(script: str) -> Iterator[str]:
    """`executescript` would commit the transaction under our feet, so a script is run statement by statement."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
