"""State has one address: every SQL statement stands, named, in a file of `queries/`.

`migrations/<database>-NNNN-<what>.sql` are applied in order, once each; a schema is their sum. Both are written once,
in SQLite's words; where PostgreSQL has others, `postgresql.py` translates. So that a statement means the same to both:
ask rows for columns by name, take times as REAL, and compare text by its bytes (which both do here).
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import aiosql

from groundfog.engine.errors import Unfit
from groundfog.engine.state.sqlite import SQLite

_HERE = Path(__file__).parent


class Row(Protocol):
    def __getitem__(self, column: str, /) -> Any: ...


class Connection(Protocol):
    """What the two drivers have in common."""

    def execute(self, statement: str, values: Any = ..., /) -> Any: ...

    def close(self) -> None: ...


class Dialect(Protocol):
    """What one database does otherwise than another: `sqlite.py`, `postgresql.py`."""

    driver: str
    """As aiosql calls it."""
    violated: type[Exception]
    """Raised by a statement that a constraint forbids."""

    def connect(self) -> Connection:
        """In autocommit mode."""
        ...

    def lives(self, connection: Connection) -> bool:
        """Whether a connection that was idle can still be used."""
        ...

    def begin(self, connection: Connection) -> None:
        """A transaction, once it is this one's turn: there is one at a time."""
        ...

    def spell(self, statement: str) -> str:
        """A statement with `?` where values go."""
        ...

    def run_script(self, connection: Connection, script: str) -> None: ...

    def settle_in(self, connection: Connection) -> None:
        """Inside a transaction, before migrations: whatever the database needs to know."""
        ...

    def own(self, connection: Connection) -> None:
        """Keep other servers out for as long as this process lives. Raises Busy."""
        ...


class Database:
    """A SQLite file, or a PostgreSQL database by its URL: a connection for each thread, and the queries of
    `queries/<name>/`.

    Use as `db.queries.find_resource(db.here, kind=..., name=...)`; several statements that belong together go
    inside `with db.transaction():`. A statement that a constraint forbids raises `db.violated`.
    """

    def __init__(self, place: Path | str, name: str, *, durable: bool = False, alone: bool = False) -> None:
        """`alone`: no other server over the same database. Raises Unfit, and Busy where there is one."""
        self._dialect = _dialect(place, durable)
        self._local = threading.local()
        self._opened: dict[threading.Thread, Connection] = {}
        self._opening = threading.Lock()
        self.violated = self._dialect.violated
        self.queries: Any = aiosql.from_path(_HERE / "queries" / name, self._dialect.driver, mandatory_parameters=False)
        try:
            if alone:
                self._dialect.own(self.here)
            self._migrate(name)
        except BaseException:
            self.close()
            raise

    @property
    def here(self) -> Connection:
        """This thread's connection, in autocommit mode unless inside a transaction."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None or not (self._inside or self._dialect.lives(connection)):
            connection = self._local.connection = self._dialect.connect()
            self._remember(connection)
        return connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All of it or nothing. No reading of files and no waiting inside: others queue behind it."""
        here = self.here
        self._dialect.begin(here)
        self._local.inside = True
        try:
            yield here
            here.execute("COMMIT")
        except BaseException:
            self._roll_back(here)
            raise
        finally:
            self._local.inside = False

    def select(self, statement: str, values: Sequence[Any]) -> list[Row]:
        """For the one statement that has no name, since it is put together as needed. Values go where `?` stands."""
        rows: list[Row] = self.here.execute(self._dialect.spell(statement), values).fetchall()
        return rows

    def close(self) -> None:
        for connection in self._opened.values():
            connection.close()
        self._opened.clear()

    @property
    def _inside(self) -> bool:
        return getattr(self._local, "inside", False)

    def _remember(self, connection: Connection) -> None:
        """And let go of those whose threads have ended: a database server counts them."""
        with self._opening:
            for thread in [thread for thread in self._opened if not thread.is_alive()]:
                self._opened.pop(thread).close()
            replaced = self._opened.get(threading.current_thread())
            self._opened[threading.current_thread()] = connection
        if replaced is not None:
            replaced.close()

    def _roll_back(self, here: Connection) -> None:
        """Where that fails, so has the connection, and the database does it for us; what failed before says more."""
        try:
            here.execute("ROLLBACK")
        except Exception:
            here.close()

    def _migrate(self, name: str) -> None:
        with self.transaction() as here:
            self._dialect.settle_in(here)
            here.execute("CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY)")
            done = {row["name"] for row in here.execute("SELECT name FROM migration")}
            for file in sorted((_HERE / "migrations").glob(f"{name}-*.sql")):
                if file.stem in done:
                    continue
                self._dialect.run_script(here, file.read_text())
                here.execute(self._dialect.spell("INSERT INTO migration VALUES (?)"), (file.stem,))


def _dialect(place: Path | str, durable: bool) -> Dialect:
    if isinstance(place, Path):
        return SQLite(place, durable=durable)
    try:
        from groundfog.engine.state.postgresql import PostgreSQL
    except ImportError as missing:
        raise Unfit(f"a PostgreSQL database needs an extra: pip install 'groundfog[postgresql]' ({missing})") from None
    return PostgreSQL(place)
