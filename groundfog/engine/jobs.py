"""Jobs: queued, given their input, trained, and what they made put away.

    queued → downloading → training → uploading → settling → settled

Each step is recorded before it is done, and can be done again: whatever the moment at which the server dies, `start`
goes on from the step that was recorded. A program that trains needs no server, and is found again.
"""

import contextlib
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from groundfog.engine.archive import contents, pack
from groundfog.engine.channels import Channel, Interrupted, fill
from groundfog.engine.errors import Busy, Missing, Unfit
from groundfog.engine.launch import Host, Launcher, Program
from groundfog.engine.logs import Logs
from groundfog.engine.metrics import Metric, last_metrics
from groundfog.engine.objects import Objects
from groundfog.engine.outcomes import STOPPED, Outcome, Secondary, Status, failed, judge
from groundfog.engine.resources import Document, Resource, Resources
from groundfog.engine.sandbox import within
from groundfog.opt_ml.layout import Layout

Step = Literal["queued", "downloading", "training", "uploading", "settling", "settled"]

MOST_STARTS = 2
"""A program whose host was lost is started once more, over its own checkpoints."""
_GLANCE = 0.05
"""Seconds between two looks at a program that runs."""
_MESSAGES: dict[Secondary, str] = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done. The three documents are what the program finds in `/opt/ml/input/config`."""

    program: Program
    channels: tuple[Channel, ...] = ()
    hyperparameters: dict[str, str] = field(default_factory=dict)
    input_data_config: dict[str, Any] = field(default_factory=dict)
    resource_config: dict[str, Any] = field(default_factory=dict)
    bucket: str
    prefix: str
    """Where the output goes: `<prefix>/model.tar.gz` and `<prefix>/output.tar.gz`."""
    compress: bool = True
    log_group: str
    metrics: dict[str, str] = field(default_factory=dict)
    """What to look for in the log: regular expressions by metric."""

    @classmethod
    def read(cls, document: Document) -> "Job":
        program = Program.read(document["program"])
        channels = tuple(Channel(**channel) for channel in document["channels"])
        return cls(**{**document, "program": program, "channels": channels})


@dataclass(frozen=True)
class Transition:
    """Times are seconds since the epoch."""

    status: Secondary
    message: str
    start: float
    end: float | None = None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is; with the Job and its owner's notes, the document of its resource."""

    step: Step = "queued"
    transitions: tuple[Transition, ...] = ()
    directory: str | None = None
    starts: int = 0
    started: float | None = None
    ended: float | None = None
    artifacts: str | None = None
    """Where the model went: a key in the job's bucket."""
    outcome: Outcome | None = None
    metrics: tuple[Metric, ...] = ()
    """The last of each that the program said."""

    @property
    def secondary(self) -> Secondary:
        return self.transitions[-1].status

    @classmethod
    def read(cls, document: Document) -> "Progress":
        return cls(
            **{
                **document,
                "transitions": tuple(Transition(**transition) for transition in document["transitions"]),
                "outcome": document["outcome"] and Outcome(**document["outcome"]),
                "metrics": tuple(Metric(**metric) for metric in document.get("metrics", ())),
            }
        )

    def entering(self, secondary: Secondary) -> "Progress":
        now = time.time()
        if self.transitions and self.secondary == secondary:
            return self
        ended = tuple(replace(one, end=one.end or now) for one in self.transitions)
        return replace(self, transitions=(*ended, Transition(secondary, _MESSAGES[secondary], now)))


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
        kind: str = "training-job",
    ) -> None:
        self._resources, self._objects, self._launcher, self._logs = resources, objects, launcher, logs
        self._kind = kind
        self._closing = threading.Event()
        self._at_once = at_once
        self._workers: ThreadPoolExecutor | None = None
        self._stopping: set[str] = set()
        """Names of jobs that this server was asked to stop; the status says so too, and survives it."""

    @property
    def sandboxed(self) -> str:
        """One line for the one who starts the server."""
        return self._launcher.describe()

    def start(self) -> None:
        """Go on with what an earlier server left, what was training first, and take new jobs."""
        # Not where the engine is put together: `groundfog status` does that beside a server at work.
        self._launcher.sweep(lambda directory: self._resources.mention(directory.name))
        self._workers = ThreadPoolExecutor(self._at_once, thread_name_prefix=self._kind)
        left = self._resources.in_status(self._kind, "InProgress", "Stopping")
        for resource in sorted(left, key=lambda one: progress_of(one).step == "queued"):
            self._workers.submit(self._run, resource.name)
        self._launcher.warm_up()

    def close(self) -> None:
        """Programs run on, and the next server finds them."""
        self._closing.set()
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)
        self._launcher.close()

    def submit(self, name: str, job: Job, *, notes: Document, tags: dict[str, str]) -> Resource:
        """`notes` are the caller's own, and come back with the resource. Raises Taken."""
        document = {"notes": notes, "job": asdict(job), "progress": asdict(Progress().entering("Starting"))}
        resource = self._resources.add(self._kind, name, document, status="InProgress", tags=tags)
        if self._workers is not None:
            self._workers.submit(self._run, name)
        return resource

    def stop(self, name: str) -> None:
        """Ask for the end; what was learned by then is kept. Raises Missing, and Busy if it ends or has ended."""
        progress = self._advance(name, "Stopping", "Stopping", only_from=("InProgress",))
        self._stopping.add(name)
        if progress.step == "queued":
            # It waits in line; whoever takes it out finds that there is nothing to do.
            with contextlib.suppress(Busy):
                self._conclude(name, STOPPED)
                self._settle(name)
        elif progress.step == "training" and progress.directory is not None:
            self._launcher.stop(Path(progress.directory))

    def _run(self, name: str) -> None:
        """From the step that is recorded to the end, or until the server closes."""
        try:
            while not self._closing.is_set():
                resource = self._resources.find(self._kind, name)
                progress = progress_of(resource)
                if progress.step == "settled":
                    break
                self._take_step(resource, progress)
        except Missing:
            return
        except Exception:
            _log.exception("%s %s", self._kind, name)
            self._conclude(name, failed("InternalServerError: The server failed; its log says how. Try the job again."))
            self._settle(name)
        finally:
            self._stopping.discard(name)

    def _take_step(self, resource: Resource, progress: Progress) -> None:
        job, stopping = Job.read(resource.document["job"]), resource.status == "Stopping"
        try:
            match progress.step:
                case "settling":
                    self._settle(resource.name)
                case "uploading":
                    self._upload(resource.name, job, progress, stopping)
                case "training":
                    self._train(resource.name, job, progress, stopping)
                case _ if stopping:
                    self._conclude(resource.name, STOPPED)
                case _:
                    self._download(resource.name, job, progress)
        except (Interrupted, Busy):
            pass  # It was stopped meanwhile, or the server closes: look again.
        except Unfit as unfit:
            self._conclude(resource.name, failed(f"ClientError: {unfit}"))

    def _download(self, name: str, job: Job, progress: Progress) -> None:
        if progress.directory is not None:
            self._launcher.remove(Path(progress.directory))
        directory = self._launcher.make()
        started = progress.started or time.time()
        changes: dict[str, Any] = {"step": "downloading", "directory": str(directory), "started": started}
        try:
            self._advance(name, "Downloading", only_from=("InProgress",), **changes)
        except Busy:
            self._launcher.remove(directory)
            raise
        if not self._objects.has_bucket(job.bucket):
            raise Unfit(f"The bucket {job.bucket} of S3OutputPath does not exist. Create it, and start the job again.")
        layout = Layout(directory / "opt_ml")
        for channel in job.channels:
            fill(
                self._objects,
                channel,
                layout.channel(channel.name),
                link=self._launcher.shields_input,
                interrupted=lambda: self._closing.is_set() or name in self._stopping,
            )
        layout.configure(job.hyperparameters, job.input_data_config, job.resource_config)
        self._advance(name, "Training", step="training", only_from=("InProgress",))

    def _train(self, name: str, job: Job, progress: Progress, stopping: bool) -> None:
        assert progress.directory is not None
        directory = Path(progress.directory)
        if stopping:
            self._launcher.stop(directory)
        host = self._launcher.poll(directory)
        if host.phase in ("starting", "lost"):
            if progress.starts >= MOST_STARTS:
                lost = f"InternalServerError: The program's host was lost {MOST_STARTS} times. Try the job again."
                self._conclude(name, failed(lost))
                return
            first = int(progress.started or time.time())
            self._logs.attach(job.log_group, f"{name}/algo-1-{first}", directory / "log")
            progress = self._advance(name, None, starts=progress.starts + 1)
            self._launcher.start(directory, job.program)
            host = self._launcher.poll(directory)
        while host.phase in ("starting", "running"):
            if self._closing.wait(_GLANCE):
                return
            host = self._launcher.poll(directory)
        if host.phase == "exited":
            self._end_training(name, job, host, directory)

    def _end_training(self, name: str, job: Job, host: Host, directory: Path) -> None:
        stopping = self._resources.find(self._kind, name).status == "Stopping"
        outcome = judge(host, directory, stopping=stopping)
        metrics = last_metrics(directory / "log", job.metrics)
        self._advance(name, "Uploading", step="uploading", outcome=outcome, metrics=metrics)

    def _upload(self, name: str, job: Job, progress: Progress, stopping: bool) -> None:
        assert progress.directory is not None and progress.outcome is not None
        outcome, directory = progress.outcome, Path(progress.directory)
        layout, artifacts = Layout(directory / "opt_ml"), None
        try:
            if outcome.status != "Failed":
                artifacts = self._put(job, "model", directory, layout.model)
            if within(directory, layout.output_data).is_dir() and any(layout.output_data.iterdir()):
                self._put(job, "output", directory, layout.output_data)
        except Missing:
            raise Unfit(f"The bucket {job.bucket} of S3OutputPath does not exist any more.") from None
        except OSError as error:
            raise Unfit(f"What the program left cannot be read: {error}") from None
        if stopping and outcome.status == "Completed":
            outcome = STOPPED
        self._conclude(name, outcome, artifacts)

    def _put(self, job: Job, name: str, directory: Path, folder: Path) -> str:
        """The key under which the folder lies then."""
        within(directory, folder).mkdir(parents=True, exist_ok=True)
        if not job.compress:
            for path, relative in contents(folder):
                if path.is_file():
                    self._objects.put_file(job.bucket, f"{job.prefix}/{name}/{relative}", path)
            return f"{job.prefix}/{name}/"
        packed, key = directory / f"{name}.tar.gz", f"{job.prefix}/{name}.tar.gz"
        pack(folder, packed)
        self._objects.put_file(job.bucket, key, packed)
        return key

    def _conclude(self, name: str, outcome: Outcome, artifacts: str | None = None) -> None:
        """What remains is to clear up and to say so."""
        self._advance(name, None, step="settling", outcome=outcome, artifacts=artifacts)

    def _settle(self, name: str) -> None:
        progress = progress_of(self._resources.find(self._kind, name))
        if progress.step != "settling" or progress.outcome is None:
            return
        if progress.directory is not None:
            self._launcher.remove(Path(progress.directory))
        outcome = progress.outcome
        self._advance(name, outcome.secondary, outcome.status, step="settled", directory=None, ended=time.time())

    def _advance(
        self,
        name: str,
        secondary: Secondary | None,
        status: Status | None = None,
        *,
        only_from: tuple[Status, ...] = ("InProgress", "Stopping"),
        **changes: Any,
    ) -> Progress:
        """Record, in one transaction. Raises Missing, and Busy unless in one of these statuses."""
        now: list[Progress] = []

        def change(document: Document) -> Document:
            progress = replace(Progress.read(document["progress"]), **changes)
            now.append(progress.entering(secondary) if secondary else progress)
            return {**document, "progress": asdict(now[0])}

        self._resources.change(self._kind, name, change, status=status, only_from=only_from)
        return now[0]


def progress_of(resource: Resource) -> Progress:
    return Progress.read(resource.document["progress"])
