"""A PostgreSQL server of our own for as long as the tests last, and a schema of it for each that asks."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_DEBIANS = Path("/usr/lib/postgresql")
_HASTY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=", "max_connections=60")


@dataclass
class Postgres:
    """Its data and its socket lie in one folder. It refuses to run as root, so there it runs as `postgres`."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> "Postgres":
        settings = [part for setting in _HASTY for part in ("-c", setting)]
        command = [_program("postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *settings]
        self.process = subprocess.Popen(command, **_user())
        ready = [_program("pg_isready"), "-q", "-h", str(self.folder)]
        while subprocess.run(ready, check=False).returncode != 0:
            assert self.process.poll() is None, "PostgreSQL did not start"
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=20)

    def schema(self) -> str:
        """The URL of a new, empty schema."""
        import psycopg

        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(self._url) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self._url}&options=-csearch_path%3D{name}"

    @property
    def _url(self) -> str:
        return (
            f"postgresql:///postgres?host={self.folder}&user={_user().get('user', pwd.getpwuid(os.getuid()).pw_name)}"
        )


def why_none() -> str:
    """Why there can be none here; empty if there can."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed"
    return "" if _DEBIANS.is_dir() or shutil.which("initdb") else "PostgreSQL is not installed"


@contextmanager
def a_postgres() -> Iterator[Postgres]:
    """In a folder with a short name, since a socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        data = ["-D", str(folder / "data"), "--no-sync", "--auth=trust", "--locale=C.UTF-8"]
        subprocess.run([_program("initdb"), *data], check=True, stdout=subprocess.DEVNULL, **_user())
        server = Postgres(folder).start()
        try:
            yield server
        finally:
            server.stop()


def _program(name: str) -> str:
    found = sorted(_DEBIANS.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3])) or [shutil.which(name)]
    return str(found[-1])


def _user() -> dict:
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
