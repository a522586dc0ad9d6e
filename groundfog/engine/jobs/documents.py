"""What is known of a job: what is to be done, and how far it is."""

import time
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from groundfog.engine.channels import Channel, Share
from groundfog.engine.environments import Environment, Recipe
from groundfog.engine.jobs.code import Code, code_channels
from groundfog.engine.launch import Program
from groundfog.engine.metrics import FinalMetric, MetricDefinitions
from groundfog.engine.mirrors import Mirror
from groundfog.engine.outcomes import Outcome, Secondary
from groundfog.engine.resources import Document, Resource
from groundfog.opt_ml.layout import Layout

Step = Literal["queued", "downloading", "training", "interrupted", "restarting", "uploading", "settling", "settled"]

_MESSAGES: dict[Secondary, str] = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "DownloadingTrainingImage": "Downloading the training image",
    "Training": "Training image download completed. Training in progress.",
    "Interrupted": "The instances were taken away. The job starts again from its checkpoints when there are others.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job exceeded MaxWaitTimeInSeconds provided",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done. The three documents are what the program finds in `/opt/ml/input/config`."""

    program: Program
    channels: tuple[Channel, ...] = ()
    hyperparameters: dict[str, str] = field(default_factory=dict)
    input_data_config: dict[str, Any] = field(default_factory=dict)
    resource_config: dict[str, Any] = field(default_factory=dict)
    """As the first host reads it. The names in `hosts` are what the job has of hosts."""
    bucket: str = ""
    prefix: str = ""
    """Where the output goes: `<prefix>/model.tar.gz` and `<prefix>/output.tar.gz`. Without a bucket there is none but
    what `mirrors` keep."""
    compress: bool = True
    log_group: str
    """The namespace, too, of the metrics that say what its hosts take of the machine."""
    metrics: MetricDefinitions | None = None
    """What to look for in the log."""
    max_wait: float | None = None
    """For a job whose hosts may be taken away: seconds from its creation until it must have ended."""
    mirrors: tuple[Mirror, ...] = ()
    """Folders of each host that are kept in objects while it runs."""
    further_config: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further files of `input/config`, by name."""
    processing: dict[str, Any] | None = None
    """Of a processing job, which finds other documents than those of `input/config`: this one, and which host it is."""
    recipe: Recipe | None = None
    """The environment that the program needs; None: it runs in the server's own."""
    code: Code | None = None
    """The user's source directory, where the program is one that runs a script."""

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(self.resource_config.get("hosts", ("algo-1",)))

    def configure(self, layout: Layout, share: Share, interface: str) -> None:
        """Write what this host is told of the job; `interface` is how it finds the others."""
        host = self.hosts[share.host]
        if self.processing is not None:
            layout.configure_processing(self.processing, {"current_host": host, "hosts": list(self.hosts)})
            return
        resources = {**self._resource_config_of(host), "network_interface_name": interface}
        layout.configure(self.hyperparameters, self._input_data_config_of(share), resources, self.further_config)

    @property
    def code_channels(self) -> frozenset[str]:
        return code_channels(self.program, self.code)

    def is_scratch(self, channel: Channel) -> bool:
        """Whether the program may write where the channel's files lie."""
        return bool(channel.path) or channel.name in self.program.scratch_channels

    def channels_of(self, share: Share) -> list[Channel]:
        """Those that this host gets."""
        return [channel for channel in self.channels if share.has(channel)]

    def _input_data_config_of(self, share: Share) -> dict[str, Any]:
        """As this host reads it."""
        left_out = {channel.name for channel in self.channels if not share.has(channel)}
        return {name: told for name, told in self.input_data_config.items() if name not in left_out}

    def _resource_config_of(self, host: str) -> dict[str, Any]:
        """As this host reads it."""
        groups = self.resource_config.get("instance_groups", [])
        own = next((group for group in groups if host in group["hosts"]), None)
        mine = own and {
            "current_instance_type": own["instance_type"],
            "current_group_name": own["instance_group_name"],
        }
        return {**self.resource_config, "current_host": host, **(mine or {})}

    @classmethod
    def read(cls, document: Document) -> "Job":
        return cls(
            **{
                **document,
                "program": Program.read(document["program"]),
                "channels": tuple(map(Channel.read, document["channels"])),
                "mirrors": tuple(map(Mirror.read, document.get("mirrors", ()))),
                "metrics": MetricDefinitions.read(document["metrics"]),
                "recipe": Recipe.read(document["recipe"]) if document.get("recipe") else None,
                "code": Code(**document["code"]) if document.get("code") else None,
            }
        )


@dataclass(frozen=True)
class Transition:
    """Times are seconds since the epoch."""

    status: Secondary
    message: str
    start: float
    end: float | None = None


@dataclass(frozen=True)
class Interruption:
    """The hosts are taken away, and `until` then there are no others."""

    until: float


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is; with the Job and its owner's notes, the document of its resource."""

    step: Step = "queued"
    transitions: tuple[Transition, ...] = ()
    directories: tuple[str, ...] = ()
    """One for each of the job's hosts, in their order, while there are any."""
    environment: Environment | None = None
    """In which the program runs, where the job has a recipe."""
    starts: int = 0
    started: float | None = None
    ended: float | None = None
    interruption: Interruption | None = None
    """What was asked for last; while the job is in line again, what it waits for."""
    overdue: bool = False
    """It was stopped because it did not end in time."""
    message: str = ""
    """The last word of a processing job's program."""
    artifacts: str | None = None
    """Where the model went: a key in the job's bucket."""
    outcome: Outcome | None = None
    metrics: tuple[FinalMetric, ...] = ()
    """The last of each that the program said."""

    @property
    def secondary(self) -> Secondary:
        return self.transitions[-1].status

    @property
    def began(self) -> int:
        """The second in which the present run did: another for each, since hosts may be taken away or lost."""
        began = 0
        for one in self.transitions:
            if one.status == "Downloading":
                began = max(began + 1, int(one.start))
        return began

    def spent(self, *statuses: Secondary) -> float:
        """Seconds in these, as far as they are over."""
        return sum(one.end - one.start for one in self.transitions if one.status in statuses and one.end is not None)

    @property
    def asked_to_stop(self) -> float | None:
        """When, if it was."""
        return next((one.start for one in self.transitions if one.status == "Stopping"), None)

    @classmethod
    def read(cls, document: Document) -> "Progress":
        known = {name: value for name, value in document.items() if name != "directory"}
        # Jobs of before this field have one host, whose directory has a name of its own.
        alone = document.get("directory")
        return cls(
            **{
                **known,
                "directories": tuple(document.get("directories", (alone,) if alone else ())),
                "environment": Environment.read(known["environment"]) if known.get("environment") else None,
                "interruption": Interruption(**document["interruption"]) if document.get("interruption") else None,
                "transitions": tuple(Transition(**transition) for transition in document["transitions"]),
                "outcome": document["outcome"] and Outcome(**document["outcome"]),
                "metrics": tuple(FinalMetric(**metric) for metric in document.get("metrics", ())),
            }
        )

    def entering(self, secondary: Secondary) -> "Progress":
        now = time.time()
        if self.transitions and self.secondary == secondary:
            return self
        ended = tuple(replace(one, end=one.end or now) for one in self.transitions)
        return replace(self, transitions=(*ended, Transition(secondary, _MESSAGES[secondary], now)))


def job_of(resource: Resource) -> Job:
    return Job.read(resource.document["job"])


def deadline_of(resource: Resource) -> float | None:
    """When a job that may be interrupted must have ended."""
    wait = job_of(resource).max_wait
    return None if wait is None else resource.created + wait


def progress_of(resource: Resource) -> Progress:
    return Progress.read(resource.document["progress"])
