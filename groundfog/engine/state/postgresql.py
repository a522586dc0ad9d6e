"""A database of a PostgreSQL server, by its URL: `pip install 'groundfog[postgresql]'`.

Transactions mean what they mean in SQLite: one at a time, and what is read inside stays true until its end. They take
turns by a lock of the schema rather than by the rows they touch, so that no query has to say which rows it will change.

One server at a time: each of its connections holds a shared lock and has seen, with the lock held, that this server is
the one that serves. A server that starts needs the same lock for itself alone. So none can begin while a connection of
another lives, and one that was cut off and replaced gets no connection any more.
"""

import re
import secrets
import select
import time
from pathlib import Path
from typing import Any

import aiosql
import psycopg
from psycopg.rows import dict_row

from groundfog.engine.errors import Busy, Unfit, Unreachable

_PATIENCE = 10.0
"""Seconds to wait for a database that went away."""
_TO_END = 3.0
"""Seconds in which the connections of a server that was killed end."""
_SPELLED = {
    # Text is to be compared by its bytes, and times are to keep their microseconds.
    r"\bTEXT\b": 'TEXT COLLATE "C"',
    r"\bREAL\b": "DOUBLE PRECISION",
    r"\bINTEGER\b": "BIGINT",
    r"\bBLOB\b": "BYTEA",
    r"\bWITHOUT ROWID\b": "",
}
_WATCHFUL = "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4"
"""A server whose machine is gone is to be known as gone within a minute, or its successor could not begin."""


class _Cursor(psycopg.Cursor[dict[str, Any]]):
    """Says in the engine's words that the database is out of reach."""

    def execute(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().execute(*arguments, **options)
        except psycopg.OperationalError as error:
            raise Unreachable(f"The database does not answer: {error}") from error


class PostgreSQL:
    driver = "psycopg"
    violated: type[Exception] = psycopg.IntegrityError

    def __init__(self, url: str) -> None:
        self._url = url
        self._server: str | None = None
        words = Path(__file__).parent / "queries" / "postgresql"
        self._queries: Any = aiosql.from_path(words, self.driver, mandatory_parameters=False)
        try:
            self._open().close()
        except (psycopg.Error, Unreachable) as error:
            raise Unfit(f"The database cannot be used: {error}") from None

    def connect(self) -> psycopg.Connection[dict[str, Any]]:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._admitted(self._open())
            except (psycopg.OperationalError, Unreachable) as error:
                if time.monotonic() > end:
                    raise Unreachable(f"The database cannot be reached: {error}") from error
                time.sleep(0.1)

    def lives(self, connection: Any) -> bool:
        """Nothing comes from an idle connection but its end."""
        if connection.closed:
            return False
        waiting = select.poll()
        waiting.register(connection.fileno(), select.POLLIN)
        if not waiting.poll(0):
            return True
        try:
            connection.execute("SELECT 1")
        except Unreachable:
            return False
        return True

    def begin(self, connection: Any) -> None:
        self._queries.begin(connection)
        self._queries.take_turn(connection)

    def spell(self, statement: str) -> str:
        return statement.replace("?", "%s")

    def run_script(self, connection: Any, script: str) -> None:
        for word, spelled in _SPELLED.items():
            script = re.sub(word, spelled, script)
        connection.execute(script)

    def settle_in(self, connection: Any) -> None:
        self._queries.learn_words(connection)

    def own(self, connection: Any) -> None:
        end = time.monotonic() + _TO_END
        while not self._queries.shut_others_out(connection):
            if time.monotonic() > end:
                raise Busy("another server serves from this database: stop it, or give this one a database of its own")
            time.sleep(0.1)
        self._server = secrets.token_hex(8)
        self._queries.set_up_serving(connection)
        self._queries.begin_to_serve(connection, server=self._server)
        self._queries.forget_earlier_servers(connection, server=self._server)
        self._queries.be_there(connection)
        self._queries.let_own_in(connection)

    def _open(self) -> psycopg.Connection[dict[str, Any]]:
        connection = psycopg.connect(
            self._url, autocommit=True, row_factory=dict_row, cursor_factory=_Cursor, connect_timeout=10
        )
        connection.execute(_WATCHFUL)
        return connection

    def _admitted(self, connection: psycopg.Connection[dict[str, Any]]) -> psycopg.Connection[dict[str, Any]]:
        """A connection that may write: nobody else has begun to serve."""
        if self._server is None:
            return connection
        if self._queries.be_there(connection) and self._queries.who_serves(connection) == self._server:
            return connection
        connection.close()
        raise Unreachable("another server serves from it by now, and this one must not write to it any more")
