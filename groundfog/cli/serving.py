"""`groundfog serve`."""

import logging
import logging.handlers
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundfog import __version__
from groundfog.cli.options import HOME, options, settings_of
from groundfog.settings import Settings

if TYPE_CHECKING:
    from groundfog.engine import Engine


@click.command()
@HOME
@options(
    "database",
    "host",
    "port",
    "account",
    "region",
    "jobs_at_once",
    "most_instances",
    "launcher",
    "ray_address",
    "reached_at",
    "environments",
    "environments_room",
    "sandbox",
    "network",
    "job_memory",
    "job_disk",
    "job_processes",
    "warm",
    "durable",
    "endpoint_wait",
)
def serve(**given: Any) -> None:
    """Answer AWS's clients until stopped."""
    settings = settings_of(given)
    # Imported here: the other commands need none of it, and are to answer at once.
    import uvicorn

    from groundfog import app
    from groundfog.engine.errors import EngineError

    _log_to(settings.home)
    # uvicorn stops in order and then raises the signal again, for whoever wants to die of it; before uvicorn runs,
    # there is nothing to stop in order. Either way the end is a good one.
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: sys.exit(0))
    try:
        with app.owned(settings.home), _listening(settings) as listening, app.door(settings.home) as door:
            url = f"http://{_named(settings.host)}:{listening.getsockname()[1]}"
            engine = app.assemble(settings, alone=True, url=url)
            config = uvicorn.Config(
                app.build(engine, settings),
                loop="uvloop",
                http="httptools",
                log_config=None,
                access_log=False,
                lifespan="on",
                timeout_graceful_shutdown=5,
                server_header=False,
            )
            with app.announced(settings.home, url):
                _greet(settings, url, engine)
                _build_kernels()
                uvicorn.Server(config).run(sockets=[listening, door])
    except BlockingIOError:
        raise click.ClickException(
            f"another server has {settings.home} already: `groundfog status --home {settings.home}` says where; "
            "or give this one another --home"
        ) from None
    except EngineError as refused:
        raise click.ClickException(str(refused)) from None


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((settings.host, settings.port))
        except OSError as why:
            raise click.ClickException(
                f"cannot listen on {settings.host}:{settings.port} ({why.strerror}); --port 0 takes a free port"
            ) from None
        listening.listen(2048)
        yield listening


def _named(host: str) -> str:
    """How a client on this machine reaches it."""
    if host in ("0.0.0.0", "::"):  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _greet(settings: Settings, url: str, engine: "Engine") -> None:
    at = "" if settings.home == Settings.home else f" --home {settings.home}"
    click.echo(f"Groundfog {__version__} answers at {url}")
    click.echo(f"  state    {settings.home}")
    click.echo(f"  sandbox  {engine.launcher.describe()}")
    click.echo(f"  clients  eval $(groundfog env{at})")
    if settings.host not in ("127.0.0.1", "::1", "localhost"):
        click.echo("  note     not on loopback: whoever reaches this port and has a key can use it, without TLS")
    sys.stdout.flush()


def _build_kernels() -> None:
    """In the background, what seq2seq compiles for this processor: behind its wall each job would build its own."""
    command = [sys.executable, "-m", "groundfog.algorithms.seq2seq.kernels"]
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    threading.Thread(target=subprocess.run, args=(command,), kwargs=quiet, daemon=True).start()


def _log_to(home: Path) -> None:
    """The server's log: warnings and worse on the terminal, everything that we log in `server.log`."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = logging.handlers.RotatingFileHandler(home / "server.log", maxBytes=10_000_000, backupCount=3)
    said = logging.StreamHandler()
    said.setLevel(logging.WARNING)
    logging.basicConfig(
        level=logging.INFO, handlers=[kept, said], format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
