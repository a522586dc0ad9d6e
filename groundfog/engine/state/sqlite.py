"""A database in a file.

In WAL mode it survives `kill -9` at any moment; with `durable` each commit is on the platter before it returns, so
that it survives a power cut too.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class SQLite:
    driver = "sqlite3"
    violated: type[Exception] = sqlite3.IntegrityError

    def __init__(self, path: Path, *, durable: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._durable = path, durable

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=30, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def lives(self, connection: Any) -> bool:
        return True

    def begin(self, connection: Any) -> None:
        connection.execute("BEGIN IMMEDIATE")

    def spell(self, statement: str) -> str:
        return statement

    def run_script(self, connection: Any, script: str) -> None:
        """`executescript` would commit the transaction under our feet, so it is run statement by statement."""
        for statement in _statements(script):
            connection.execute(statement)

    def settle_in(self, connection: Any) -> None:
        pass

    def own(self, connection: Any) -> None:
        """The file lies in the server's home, which only one has (`app.owned`)."""


def _statements(script: str) -> Iterator[str]:
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
