"""Transform jobs: queued, running, ended. Whatever the moment at which the server dies, the next one goes on.

Finished objects are recorded, and not done again; model servers of a server that died are recorded too, and ended.
"""

import asyncio
import contextlib
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from groundfog.engine.channels import Interrupted
from groundfog.engine.endpoints.furnishing import Furnisher
from groundfog.engine.endpoints.seat import Pace
from groundfog.engine.environments import Environments
from groundfog.engine.errors import Busy, Missing, Unfit, Unreachable
from groundfog.engine.launch import Launcher
from groundfog.engine.logs import Logs
from groundfog.engine.measurements import Measurements
from groundfog.engine.objects import Objects
from groundfog.engine.outcomes import LONGEST_REASON
from groundfog.engine.resources import Document, Resource, Resources
from groundfog.engine.transforms.order import Transform
from groundfog.engine.transforms.run import Broken, Run, Workshop

KIND = "transform-job"
_LIVING = ("InProgress", "Stopping")
_PATIENCE = 1.0
"""Seconds until a state that could not be reached is asked again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is. Times are seconds since the epoch."""

    started: float | None = None
    ended: float | None = None
    done: str = ""
    """All objects up to this key are finished."""
    directories: tuple[str, ...] = ()
    """Of its hosts, all those that may still be there."""
    reason: str | None = None

    @classmethod
    def read(cls, document: Document) -> "Progress":
        return cls(**{**document, "directories": tuple(document["directories"])})


class Transforms:
    """Runs at most `at_once` jobs, first come, first served."""

    def __init__(
        self,
        resources: Resources,
        objects: Objects,
        launcher: Launcher,
        logs: Logs,
        *,
        at_once: int = 1,
        pace: Pace | None = None,
        environments: Environments | None = None,
        measurements: Measurements | None = None,
    ) -> None:
        self._resources, self._launcher = resources, launcher
        self._workshop = Workshop(
            objects=objects,
            furnisher=Furnisher(objects, environments),
            launcher=launcher,
            logs=logs,
            pace=pace or Pace(),
            measurements=measurements,
        )
        self._at_once = at_once
        self._closing = threading.Event()
        self._workers: ThreadPoolExecutor | None = None
        self._running: set[str] = set()
        self._stopping: set[str] = set()

    def start(self) -> None:
        """Go on with what an earlier server left, what was running first, and take new jobs."""
        self._workers = ThreadPoolExecutor(self._at_once, thread_name_prefix=KIND)
        left = self._resources.in_status(KIND, *_LIVING)
        for resource in sorted(left, key=lambda one: progress_of(one).started is None):
            self._workers.submit(self._run, resource.name)

    def close(self) -> None:
        """What runs is broken off, and gone on with by the next server. The launcher is the caller's to close."""
        self._closing.set()
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)

    def submit(self, name: str, order: Transform, *, notes: Document, tags: dict[str, str]) -> None:
        """`notes` are the caller's own, and come back with the resource. Raises Taken."""
        document = {"notes": notes, "order": asdict(order), "progress": asdict(Progress())}
        self._resources.add(KIND, name, document, status="InProgress", tags=tags)
        if self._workers is not None:
            self._workers.submit(self._run, name)

    def stop(self, name: str) -> None:
        """Ask for the end; what was written by then is kept. Raises Missing, and Busy if it ends or has ended."""
        self._resources.change(KIND, name, status="Stopping", only_from=("InProgress",))
        self._stopping.add(name)
        if name not in self._running:
            # It waits in line; whoever takes it out finds that there is nothing to do.
            self._settle(name, "Stopped")

    def _run(self, name: str) -> None:
        self._running.add(name)
        try:
            resource = self._resources.find(KIND, name)
            if resource.status in _LIVING:
                self._clear(name, progress_of(resource))
                self._go(resource)
        except Missing:
            return
        except Interrupted:
            if not self._closing.is_set():
                self._settle(name, "Stopped")
        except Unfit as unfit:
            self._settle(name, "Failed", f"ClientError: {unfit}")
        except Broken as broken:
            self._settle(name, "Failed", str(broken))
        except Unreachable:
            self._go_on_later(name)
        except Exception:
            _log.exception("Transform job %s", name)
            self._settle(name, "Failed", "InternalServerError: The server failed; its log says how. Try the job again.")
        finally:
            self._running.discard(name)
            self._stopping.discard(name)

    def _go_on_later(self, name: str) -> None:
        """The state could not be reached; what was finished by then is known."""
        _log.warning("Transform job %s waits for the database", name, exc_info=True)
        self._closing.wait(_PATIENCE)
        if self._workers is not None and not self._closing.is_set():
            self._workers.submit(self._run, name)

    def _go(self, resource: Resource) -> None:
        name, before = resource.name, progress_of(resource)
        if self._resources.find(KIND, name).status == "Stopping":
            raise Interrupted
        started = before.started or time.time()
        self._record(name, started=started)
        run = Run(
            name,
            Transform.read(resource.document["order"]),
            self._workshop,
            started=lambda directory: self._began(name, directory),
            done=lambda key: self._record(name, done=key),
        )
        asyncio.run(run.work(before.done, started, lambda: self._closing.is_set() or name in self._stopping))
        self._settle(name, "Completed")

    def _began(self, name: str, directory: Path) -> None:
        def change(progress: Progress) -> Progress:
            return replace(progress, directories=(*progress.directories, str(directory)))

        self._change(name, change)

    def _clear(self, name: str, progress: Progress) -> None:
        for directory in progress.directories:
            self._launcher.remove(Path(directory))
        self._record(name, directories=())

    def _settle(self, name: str, status: Literal["Completed", "Failed", "Stopped"], reason: str | None = None) -> None:
        changes = {"ended": time.time(), "directories": (), "reason": reason and reason[:LONGEST_REASON]}
        with contextlib.suppress(Busy, Missing):
            self._change(name, lambda progress: replace(progress, **changes), status)

    def _record(self, name: str, **changes: Any) -> None:
        self._change(name, lambda progress: replace(progress, **changes))

    def _change(self, name: str, change: Any, status: str | None = None) -> None:
        def anew(document: Document) -> Document:
            return {**document, "progress": asdict(change(Progress.read(document["progress"])))}

        self._resources.change(KIND, name, anew, status=status, only_from=_LIVING)


def progress_of(resource: Resource) -> Progress:
    return Progress.read(resource.document["progress"])
