"""`groundfog tensorboard`: a job's curves, wherever its files are just now."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from groundfog.cli.options import HOME, options, settings_of
from groundfog.cli.servers import engine_to_read, environment
from groundfog.settings import Settings

if TYPE_CHECKING:
    from groundfog.engine import Engine
    from groundfog.engine.resources import Resource

_EVENTS = "tfevents"
"""What TensorBoard's files have in their names."""
_EVERY = 2.0
_GRACE = 3.0
"""How long TensorBoard has to end."""


@click.command(context_settings={"ignore_unknown_options": True})
@HOME
@options("database")
@click.option("--port", default=6006, show_default=True, help="Where TensorBoard answers; 0 takes a free port.")
@click.argument("what", metavar="JOB|s3://PREFIX")
@click.argument("further", nargs=-1, type=click.UNPROCESSED)
def tensorboard(what: str, port: int, further: tuple[str, ...], **given: str | None) -> None:
    """Start TensorBoard on what the training job JOB writes or wrote, or on a prefix: s3://bucket/logs.

    Further arguments are TensorBoard's own.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise click.ClickException("TensorBoard is not installed: pip install 'groundfog[tensorboard]'")
    settings = settings_of(given)
    with _log_folder(settings, what) as folder:
        # Its fast reader knows no S3, and one run may have written several files.
        command = [sys.executable, "-m", "tensorboard.main", "--load_fast=false", "--reload_multifile=true"]
        command += ["--logdir", folder, "--port", str(port), "--window_title", f"{what} · Groundfog", *further]
        around = environment(settings) if folder.startswith("s3://") else {}
        shown = folder if folder.startswith("s3://") else f"what {what} writes with its output"
        click.echo(f"groundfog: TensorBoard reads {shown}", err=True)
        sys.exit(_run(command, os.environ | around))


def _run(command: list[str], around: dict[str, str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with subprocess.Popen(command, env=around) as running:
        try:
            return running.wait()
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        finally:
            running.terminate()
            # It says so before it ends. Where nobody listens any more, that can be lost, and its end with it.
            try:
                running.wait(_GRACE)
            except subprocess.TimeoutExpired:
                running.kill()


@contextmanager
def _log_folder(settings: Settings, what: str) -> Iterator[str]:
    """What TensorBoard is to read, for as long as the block lasts."""
    if what.startswith("s3://"):
        yield what
        return
    engine = engine_to_read(settings)
    job = _job(engine, what, settings)
    kept = _kept(job)
    if kept:
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="groundfog-tensorboard-") as folder:
        if job.status in ("InProgress", "Stopping"):
            with _followed(engine, what, Path(folder)):
                yield folder
        else:
            _unpack_output(engine, job, Path(folder))
            yield folder


def _job(engine: "Engine", name: str, settings: Settings) -> "Resource":
    from groundfog.engine.errors import Missing

    try:
        return engine.resources.find("training-job", name)
    except Missing:
        raise click.ClickException(f"no training job {name} in {settings.home}: see `groundfog status`") from None


def _kept(job: "Resource") -> str:
    """Where its TensorBoardOutputConfig keeps them; empty where it has none."""
    from groundfog.engine.jobs import job_of

    return next((f"s3://{one.bucket}/{one.prefix}" for one in job_of(job).mirrors if one.grows), "")


def _unpack_output(engine: "Engine", job: "Resource", folder: Path) -> None:
    from groundfog.engine.archive import unpack
    from groundfog.engine.errors import Missing, Unfit
    from groundfog.engine.jobs import job_of

    order, packed = job_of(job), folder / "output.tar.gz"
    try:
        engine.objects.fetch(engine.objects.find(order.bucket, f"{order.prefix}/output.tar.gz"), packed, link=False)
        unpack(packed, folder)
        packed.unlink()
    except (Missing, Unfit):
        pass
    if not any(_EVENTS in file.name for file in folder.rglob("*")):
        raise click.ClickException(
            f"{job.name} left nothing for TensorBoard with its output: give it a TensorBoardOutputConfig, or let it "
            "write to /opt/ml/output/data. Where it wrote to S3 itself: groundfog tensorboard s3://bucket/prefix"
        )


@contextmanager
def _followed(engine: "Engine", name: str, folder: Path) -> Iterator[None]:
    """While the job runs, what it writes with its output is copied as it grows."""
    over = threading.Event()

    def follow() -> None:
        while not over.wait(_EVERY):
            _copy_new(engine, name, folder)

    _copy_new(engine, name, folder)
    following = threading.Thread(target=follow, daemon=True)
    following.start()
    try:
        yield
    finally:
        over.set()
        following.join()


def _copy_new(engine: "Engine", name: str, folder: Path) -> None:
    from groundfog.engine.errors import Missing
    from groundfog.engine.jobs import job_of, progress_of
    from groundfog.engine.mirrors.folder import walk

    try:
        job = engine.resources.find("training-job", name)
        hosts = zip(job_of(job).hosts, progress_of(job).directories, strict=False)
        for host, directory in hosts:
            for found in walk(Path(directory), "opt_ml/output"):
                if _EVENTS in found.name:
                    with found.opened() as file:
                        _append(file, folder / host / found.name)
    except (Missing, OSError):
        pass  # It has just ended, and its folders are gone: what was copied remains.


def _append(source: int, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("ab") as copy, os.fdopen(os.dup(source), "rb") as more:
        more.seek(copy.tell())
        shutil.copyfileobj(more, copy)
