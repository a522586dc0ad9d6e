"""The command: serve · env · exec · status · logs, and the algorithms' own commands."""

import importlib
import json
import logging
import logging.handlers
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundfog import __version__
from groundfog.settings import Settings

if TYPE_CHECKING:
    from groundfog.engine import Engine

_HOME = click.option(
    "--home", type=click.Path(file_okay=False), help="Where everything is kept.  [default: ~/.groundfog]"
)


def _options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One option for each of these settings, with the sentence that `settings.py` has for it."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(names):
            setting = Settings.__dataclass_fields__[name]
            text = f"{setting.metadata['sentence']}  [default: {setting.default}]"
            command = click.option(f"--{name.replace('_', '-')}", metavar=name.upper(), help=text)(command)
        return command

    return add


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="groundfog")
def main() -> None:
    """AWS's machine-learning APIs on machines you own, really doing the work."""


class _Algorithm(click.Group):
    """The commands that an algorithm brings along, imported when one is asked for: the others are to answer at once."""

    def _theirs(self) -> click.Group:
        theirs = getattr(importlib.import_module(f"groundfog.algorithms.{self.name}.command"), str(self.name))
        assert isinstance(theirs, click.Group)
        return theirs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self._theirs().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._theirs().get_command(ctx, cmd_name)


main.add_command(
    _Algorithm("seq2seq", help="Learn to turn lines into other lines, on plain text and without a server.")
)


@main.command()
@_HOME
@_options("host", "port", "account", "region", "jobs_at_once", "sandbox", "warm", "durable", "endpoint_wait")
def serve(**given: Any) -> None:
    """Answer AWS's clients until stopped."""
    settings = _settings(given)
    # Imported here: the other commands need none of it, and are to answer at once.
    import uvicorn

    from groundfog import app

    _log_to(settings.home)
    # uvicorn stops in order and then raises the signal again, for whoever wants to die of it; before uvicorn runs,
    # there is nothing to stop in order. Either way the end is a good one.
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: sys.exit(0))
    try:
        with app.owned(settings.home), _listening(settings) as listening:
            engine = app.assemble(settings)
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
            url = f"http://{_named(settings.host)}:{listening.getsockname()[1]}"
            with app.announced(settings.home, url):
                _greet(settings, url, engine)
                _build_kernels()
                uvicorn.Server(config).run(sockets=[listening])
    except BlockingIOError:
        raise click.ClickException(
            f"another server has {settings.home} already: `groundfog status --home {settings.home}` says where; "
            "or give this one another --home"
        ) from None


@main.command()
@_HOME
def env(home: str | None) -> None:
    """Print what to export: eval $(groundfog env)."""
    for name, value in _environment(_settings({"home": home})).items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo("unset AWS_PROFILE AWS_SESSION_TOKEN")


@main.command(name="exec", context_settings={"ignore_unknown_options": True})
@_HOME
@click.option("--serve", "own", is_flag=True, help="Start a server on a free port for as long as the command runs.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(home: str | None, own: bool, command: tuple[str, ...]) -> None:
    """Run COMMAND with AWS's clients turned to this server: groundfog exec -- python train.py"""
    settings = _settings({"home": home})
    if own:
        with _server(settings):
            sys.exit(_run(settings, command))
    sys.exit(_run(settings, command))


@main.command()
@_HOME
def status(home: str | None) -> None:
    """Say whether a server runs, and what it is doing."""
    settings = _settings({"home": home})
    server = _running(settings.home)
    click.echo(f"server     {server['url']} (pid {server['pid']})" if server else "server     not running")
    click.echo(f"home       {settings.home}")
    if not (settings.home / "state.db").exists():
        return
    engine = _engine(settings)
    for kind, title in (
        ("training-job", "training jobs"),
        ("transform-job", "transform jobs"),
        ("endpoint", "endpoints"),
    ):
        from groundfog.engine.resources import Wanted

        found, more = engine.resources.page(kind, Wanted(limit=20))
        click.echo(f"\n{title}" + (" (the newest 20)" if more else "" if found else ": none"))
        for resource in found:
            created = time.strftime("%Y-%m-%d %H:%M", time.localtime(resource.created))
            click.echo(f"  {resource.status:<12} {created}  {resource.name}")


@main.command()
@_HOME
@click.argument("name")
@click.option("--follow", is_flag=True, help="Go on as lines appear, until the job ends.")
def logs(home: str | None, name: str, follow: bool) -> None:
    """Print what the training job, transform job or endpoint NAME has said."""
    from groundfog.engine.errors import Missing

    settings = _settings({"home": home})
    engine = _engine(settings)
    for kind, group, prefix in (
        ("training-job", "/aws/sagemaker/TrainingJobs", f"{name}/"),
        ("transform-job", "/aws/sagemaker/TransformJobs", f"{name}/"),
        ("endpoint", f"/aws/sagemaker/Endpoints/{name}", ""),
    ):
        try:
            engine.resources.find(kind, name)
        except Missing:
            continue
        for line in _lines(engine, kind, name, group, prefix, follow):
            click.echo(line)
        return
    raise click.ClickException(f"no job or endpoint {name} in {settings.home}: see `groundfog status`")


def _lines(engine: "Engine", kind: str, name: str, group: str, prefix: str, follow: bool) -> Iterator[str]:
    """What has been said, stream after stream; with `follow`, also what is being said, until it has ended."""
    from groundfog.engine.errors import Missing
    from groundfog.engine.logs import Span

    read: dict[str, int] = {}
    while True:
        try:
            living = engine.resources.find(kind, name).status in _LIVING
            streams = [stream.name for stream in engine.logs.streams(group, prefix=prefix)]
        except Missing:
            living, streams = engine.resources.has(kind, name), []
        for stream in streams:
            while events := (
                page := engine.logs.read(group, stream, start=read.get(stream, 0), limit=1000, span=Span())
            ).events:
                read[stream] = page.after
                yield from (event.message for event in events)
        if not (follow and living):
            return
        time.sleep(0.2)


_LIVING = ("InProgress", "Stopping", "Creating", "Updating", "SystemUpdating", "RollingBack", "InService")


def _settings(given: dict[str, Any]) -> Settings:
    try:
        return Settings.read(**given)
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None


def _engine(settings: Settings) -> "Engine":
    """The engine's state to read, beside the server that writes it; nothing is started."""
    from groundfog import app

    if not (settings.home / "state.db").exists():
        raise click.ClickException(f"there is nothing in {settings.home} yet: start a server with `groundfog serve`")
    return app.assemble(settings)


def _running(home: Path) -> dict[str, Any] | None:
    """What `server.json` says, if that process still lives."""
    try:
        server: dict[str, Any] = json.loads((home / "server.json").read_text())
        os.kill(server["pid"], 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        pass  # it lives, and is another user's
    return server


def _environment(settings: Settings) -> dict[str, str]:
    """What AWS's clients look at. Raises if no server runs."""
    server = _running(settings.home)
    if server is None:
        at = "" if settings.home == Settings.home else f" --home {settings.home}"
        raise click.ClickException(f"no server is running over {settings.home}: start one with `groundfog serve{at}`")
    import configparser

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


def _run(settings: Settings, command: tuple[str, ...]) -> int:
    """The command's exit code, as a shell has it. Ctrl-C is the command's to answer; we are there until it has."""
    around = {name: value for name, value in os.environ.items() if name not in ("AWS_PROFILE", "AWS_SESSION_TOKEN")}
    if shutil.which(command[0]) is None:
        raise click.ClickException(f"{command[0]}: no such command")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, lambda *_: None)
    code = subprocess.run(command, env=around | _environment(settings), check=False).returncode
    return code if code >= 0 else 128 - code


@contextmanager
def _server(settings: Settings) -> Iterator[None]:
    """A server of our own on a free port, for as long as the block lasts. The terminal's Ctrl-C does not reach it."""
    command = [sys.executable, "-m", "groundfog", "serve", "--port", "0", "--home", str(settings.home)]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=complaints, start_new_session=True) as server,
    ):
        try:
            while (_running(settings.home) or {}).get("pid") != server.pid:
                if server.poll() is not None:
                    complaints.seek(0)
                    raise click.ClickException(f"the server did not start\n{complaints.read().strip()}")
                time.sleep(0.02)
            click.echo(f"groundfog: a server for this command, with its state in {settings.home}", err=True)
            yield
        finally:
            server.terminate()


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
    click.echo(f"  sandbox  {engine.jobs.sandboxed}")
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
