"""The server that runs over a home: found, reached, or started for a while."""

import configparser
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundfog.settings import Settings

if TYPE_CHECKING:
    from groundfog.engine import Engine


def running(home: Path) -> dict[str, Any] | None:
    """What `server.json` says, if that process still lives."""
    try:
        server: dict[str, Any] = json.loads((home / "server.json").read_text())
        os.kill(server["pid"], 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        pass  # it lives, and is another user's
    return server


def environment(settings: Settings) -> dict[str, str]:
    """What AWS's clients look at. Raises if no server runs."""
    server = running(settings.home)
    if server is None:
        at = "" if settings.home == Settings.home else f" --home {settings.home}"
        raise click.ClickException(f"no server is running over {settings.home}: start one with `groundfog serve{at}`")
    kept = configparser.ConfigParser(interpolation=None)
    kept.read(settings.home / "credentials")
    return {
        "AWS_ENDPOINT_URL": server["url"],
        "AWS_ACCESS_KEY_ID": kept["default"]["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": kept["default"]["aws_secret_access_key"],
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_REGION": settings.region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def server_of_our_own(settings: Settings) -> Iterator[None]:
    """A server of our own on a free port, for as long as the block lasts. The terminal's Ctrl-C does not reach it."""
    command = [sys.executable, "-m", "groundfog", "serve", "--port", "0", "--home", str(settings.home)]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=complaints, start_new_session=True) as server,
    ):
        try:
            while (running(settings.home) or {}).get("pid") != server.pid:
                if server.poll() is not None:
                    complaints.seek(0)
                    raise click.ClickException(f"the server did not start\n{complaints.read().strip()}")
                time.sleep(0.02)
            click.echo(f"groundfog: a server for this command, with its state in {settings.home}", err=True)
            yield
        finally:
            server.terminate()


def engine_to_read(settings: Settings) -> "Engine":
    """The engine's state to read, beside the server that writes it; nothing is started."""
    from groundfog import app
    from groundfog.engine.errors import EngineError

    if not has_state(settings):
        raise click.ClickException(f"there is nothing in {settings.home} yet: start a server with `groundfog serve`")
    try:
        return app.assemble(settings)
    except EngineError as refused:
        raise click.ClickException(str(refused)) from None


def has_state(settings: Settings) -> bool:
    return bool(settings.database) or (settings.home / "state.db").exists()
