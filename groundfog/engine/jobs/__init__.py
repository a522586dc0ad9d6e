"""Jobs, that train or process: queued, given their input, run, and what they made put away.

    queued → downloading → training → uploading → settling → settled
      ↑                     ↓ ↑   ↓
      └──── interrupted ────┘ restarting

Each step is recorded before it is done, and can be done again: whatever the moment at which the server dies, `start`
goes on from the step that was recorded. A program that trains needs no server, and is found again.

    code        a user's source directory
    attendance  what is seen to while hosts run
    clock       what is to be done at a certain time
    documents   what is to be done, and how far it is
    records     where a job stands, written down in one transaction
    steps       what is done
    hosts       the machines of one job: started together, ended together
"""

import contextlib
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from groundfog.engine.channels import Interrupted
from groundfog.engine.environments import Environments
from groundfog.engine.errors import Busy, Missing, Unfit, Unreachable
from groundfog.engine.jobs.attendance import Attendants
from groundfog.engine.jobs.clock import Clock
from groundfog.engine.jobs.code import Code, code_channels
from groundfog.engine.jobs.documents import Job, Progress, Step, Transition, deadline_of, job_of, progress_of
from groundfog.engine.jobs.hosts import Hosts
from groundfog.engine.jobs.records import Records
from groundfog.engine.jobs.steps import Steps
from groundfog.engine.launch import Launcher
from groundfog.engine.logs import Logs
from groundfog.engine.measurements import Measurements
from groundfog.engine.objects import Objects
from groundfog.engine.outcomes import STOPPED, WAITED_TOO_LONG, Outcome, failed
from groundfog.engine.resources import Document, Resource, Resources

__all__ = ["Code", "Job", "Jobs", "Progress", "Step", "Transition", "code_channels", "job_of", "progress_of"]

_PATIENCE = 1.0
"""Seconds until a state that could not be reached is asked again."""

_log = logging.getLogger(__name__)


class Jobs:
    """Runs at most `at_once` jobs of a kind, first come, first served."""

    def __init__(
        self,
        resources: Resources,
        objects: Objects,
        launcher: Launcher,
        logs: Logs,
        *,
        at_once: int = 1,
        most_hosts: int = 16,
        environments: Environments | None = None,
        measurements: Measurements | None = None,
        kind: str = "training-job",
    ) -> None:
        """`kind` is of their resources."""
        self.most_hosts = most_hosts
        """Of one job; for the callers of `submit` to heed."""
        self._resources, self._launcher = resources, launcher
        self._kind = kind
        self._closing = threading.Event()
        self._records = Records(resources, kind)
        attendants = Attendants(objects, logs, measurements, self._closing)
        self._steps = Steps(self._records, objects, launcher, logs, self._closing, attendants, environments)
        self._at_once, self._clock = at_once, Clock(f"{kind}-clock")
        self._workers: ThreadPoolExecutor | None = None
        self._stopping: set[str] = set()
        """Names of jobs that this server was asked to stop; the status says so too, and survives it."""

    def start(self) -> None:
        """Go on with what an earlier server left, what was training first, and take new jobs."""
        self._workers = ThreadPoolExecutor(self._at_once, thread_name_prefix=self._kind)
        for resource in self._records.unfinished():
            self._line_up(resource)

    def close(self) -> None:
        """Programs run on, and the next server finds them."""
        self._closing.set()
        self._clock.close()
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)

    def submit(self, name: str, job: Job, *, notes: Document, tags: dict[str, str]) -> Resource:
        """`notes` are the caller's own, and come back with the resource. Raises Taken."""
        resource = self._records.add(name, job, notes=notes, tags=tags)
        if self._workers is not None:
            self._line_up(resource)
        return resource

    def stop(self, name: str) -> None:
        """Ask for the end; what was learned by then is kept. Raises Missing, and Busy if it ends or has ended."""
        progress = self._records.advance(name, "Stopping", "Stopping", only_from=("InProgress",))
        self._stopping.add(name)
        if progress.step == "queued":
            # It waits in line; whoever takes it out finds that there is nothing to do.
            with contextlib.suppress(Busy):
                self._records.conclude(name, STOPPED)
                self._steps.settle(self._records.find(name))
        elif progress.step == "training":
            Hosts.of(self._launcher, self._records.find(name)).stop()

    def interrupt(self, name: str, *, away: float = 0.0) -> None:
        """Take the hosts of a job away, as happens to spot instances; there are others after `away` seconds.

        Also for another process over the same state: the server sees to it. Raises Missing, Unfit for a job that may
        not be interrupted, and Busy unless its program runs.
        """
        self._records.interrupt(name, time.time() + away)

    def _line_up(self, resource: Resource) -> None:
        if (deadline := deadline_of(resource)) is not None:
            self._clock.at(deadline, lambda: self._overdue(resource.name))
        self._get_in_line(resource)

    def _get_in_line(self, resource: Resource) -> None:
        """At once, or when there will be hosts again: until then others may work."""
        progress = progress_of(resource)
        if progress.step == "queued" and progress.interruption and progress.interruption.until > time.time():
            self._clock.at(progress.interruption.until, lambda: self._submit(resource.name))
        else:
            self._submit(resource.name)

    def _submit(self, name: str) -> None:
        if self._workers is not None and not self._closing.is_set():
            # Closed right here, it runs no more; the next server lines the job up.
            with contextlib.suppress(RuntimeError):
                self._workers.submit(self._run, name)

    def _overdue(self, name: str) -> None:
        """A job that waits in line when its time is over is not begun any more."""
        with contextlib.suppress(Busy, Missing, Unreachable):
            if progress_of(self._records.find(name)).step == "queued":
                self._end_in_line(name, WAITED_TOO_LONG)

    def _end_in_line(self, name: str, outcome: Outcome) -> None:
        self._records.advance(name, "Stopping", "Stopping", only_from=("InProgress",))
        self._records.conclude(name, outcome)
        self._steps.settle(self._records.find(name))

    def _run(self, name: str) -> None:
        """From the step that is recorded to the end, or until the server closes."""
        try:
            while not self._closing.is_set():
                resource = self._records.find(name)
                step = progress_of(resource).step
                if step == "settled":
                    break
                self._take_step(resource)
                if step == "interrupted":
                    self._get_in_line(self._records.find(name))
                    break
        except Missing:
            return
        except Unreachable:
            self._go_on_later(name)
        except Exception:
            _log.exception("%s %s", self._kind, name)
            text = "InternalServerError: The server failed; its log says how. Try the job again."
            self._records.conclude(name, failed(text))
            self._steps.settle(self._records.find(name))
        finally:
            self._stopping.discard(name)

    def _go_on_later(self, name: str) -> None:
        """The state could not be reached. The program runs on, and the step that was recorded can be done again."""
        _log.warning("%s %s waits for the database", self._kind, name, exc_info=True)
        self._closing.wait(_PATIENCE)
        self._submit(name)

    def _take_step(self, resource: Resource) -> None:
        name = resource.name
        try:
            match progress_of(resource).step:
                case "settling":
                    self._steps.settle(resource)
                case "uploading":
                    self._steps.upload(resource)
                case "restarting":
                    self._steps.restart(resource)
                case "training":
                    self._steps.train(resource)
                case _ if resource.status == "Stopping":
                    self._records.conclude(name, STOPPED)
                case "interrupted":
                    self._steps.wait_again(resource)
                case "queued" if (deadline := deadline_of(resource)) is not None and time.time() >= deadline:
                    self._end_in_line(name, WAITED_TOO_LONG)
                case _:
                    self._steps.download(resource, lambda: self._closing.is_set() or name in self._stopping)
        except (Interrupted, Busy):
            pass  # It was stopped meanwhile, or the server closes: look again.
        except Unfit as unfit:
            self._records.conclude(name, failed(f"ClientError: {unfit}"))
