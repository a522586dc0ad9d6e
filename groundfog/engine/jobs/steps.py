"""The steps of a job. Each is recorded before it is done, and can be done again."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundfog.engine.archive import merged, pack
from groundfog.engine.channels import Channel, Share, fill, require_any
from groundfog.engine.channels.feed import order_feed, order_input
from groundfog.engine.environments import Environment, Environments
from groundfog.engine.errors import Busy, Missing, Unfit
from groundfog.engine.jobs.attendance import Attendance, Attendants
from groundfog.engine.jobs.documents import Job, deadline_of, job_of, progress_of
from groundfog.engine.jobs.hosts import Hosts, at_work, fell
from groundfog.engine.jobs.records import Records
from groundfog.engine.launch import Host, Launcher
from groundfog.engine.logs import Logs
from groundfog.engine.objects import Objects
from groundfog.engine.outcomes import STOPPED, WAITED_TOO_LONG, Outcome, failed, judge, message
from groundfog.engine.resources import Resource
from groundfog.engine.rounds import Rounds
from groundfog.engine.sandbox import within
from groundfog.opt_ml.layout import Layout

MOST_STARTS = 2
"""A job that lost a host is started once more, over its own checkpoints."""
_GLANCE = 0.05
"""Seconds between two looks at hosts that run."""
_HEED_EVERY = 1.0
"""Seconds between two looks at whether their job is to be interrupted."""


@dataclass(frozen=True)
class Steps:
    """`closing` is set when the server goes: then a step may be left at any point, for the next server to take."""

    records: Records
    objects: Objects
    launcher: Launcher
    logs: Logs
    closing: threading.Event
    attendants: Attendants
    environments: Environments | None = None

    def download(self, resource: Resource, interrupted: Callable[[], bool]) -> None:
        name, job = resource.name, job_of(resource)
        Hosts.of(self.launcher, resource).remove()
        hosts = self._make_hosts(resource)
        if job.bucket and not self.objects.has_bucket(job.bucket):
            raise Unfit(f"The bucket {job.bucket} of S3OutputPath does not exist. Create it, and start the job again.")
        interface = self.launcher.interface(job.program)
        for number, layout in enumerate(hosts.layouts):
            share = Share(number, len(job.hosts))
            self._bring(job, layout, share, interrupted)
            job.configure(layout, share, interface)
        for mirroring in hosts.mirrorings(self.objects):
            mirroring.fetch(interrupted)
        environment = self._prepare(name, hosts, interrupted)
        starts = progress_of(resource).starts + 1
        self.records.advance(
            name, "Training", only_from=("InProgress",), step="training", starts=starts, environment=environment
        )

    def train(self, resource: Resource) -> None:
        name, hosts = resource.name, Hosts.of(self.launcher, resource)
        if resource.status == "Stopping":
            hosts.stop()
        self._attach_logs(name, hosts)
        hosts.start()
        attendance, spot = self.attendants.attend(resource, hosts), Rounds(_HEED_EVERY)

        def look() -> None:
            attendance.look()
            if hosts.job.max_wait is not None:
                spot.due(lambda: self._heed(name, hosts))

        ends = self._watch(hosts, look)
        if ends is not None:
            self._end_training(name, hosts, ends, attendance)

    def wait_again(self, resource: Resource) -> None:
        """In line, with nothing left of the hosts: they were taken away."""
        Hosts.of(self.launcher, resource).remove()
        self.records.advance(
            resource.name, "Starting", only_from=("InProgress",), step="queued", directories=(), starts=0
        )

    def restart(self, resource: Resource) -> None:
        """All hosts, over what they have written: one of them was lost, and the others are of no use without it."""
        name, hosts = resource.name, Hosts.of(self.launcher, resource)
        if hosts.job.processing is not None:
            # On new ones: its program may have changed its input.
            self.records.advance(name, step="queued")
            return
        hosts.stop()
        if self._watch(hosts) is None:
            return
        if self.records.find(name).status != "Stopping":
            hosts.renew()
        self.records.advance(name, step="training", starts=progress_of(resource).starts + 1)

    def upload(self, resource: Resource) -> None:
        hosts, outcome, artifacts = Hosts.of(self.launcher, resource), progress_of(resource).outcome, None
        assert outcome is not None
        last_word = message(hosts.directories) if hosts.job.processing is not None else ""
        try:
            if hosts.job.bucket:
                artifacts = self._put_all(hosts, outcome)
        except Missing:
            raise Unfit(f"The bucket {hosts.job.bucket} of S3OutputPath does not exist any more.") from None
        except OSError as error:
            raise Unfit(f"What the program left cannot be read: {error}") from None
        if resource.status == "Stopping" and outcome.status == "Completed":
            outcome = STOPPED
        self.records.conclude(resource.name, outcome, artifacts=artifacts, message=last_word)

    def settle(self, resource: Resource) -> None:
        outcome = progress_of(resource).outcome
        if progress_of(resource).step != "settling" or outcome is None:
            return
        Hosts.of(self.launcher, resource).remove()
        self.records.advance(
            resource.name, outcome.secondary, outcome.status, step="settled", directories=(), ended=time.time()
        )

    def _make_hosts(self, resource: Resource) -> Hosts:
        """Raises Busy if the job was stopped meanwhile."""
        job = job_of(resource)
        hosts = Hosts(self.launcher, job, [self.launcher.make(warm=job.recipe is None) for _ in job.hosts])
        changes: dict[str, Any] = {
            "directories": tuple(map(str, hosts.directories)),
            "started": progress_of(resource).started or time.time(),
        }
        try:
            self.records.advance(resource.name, "Downloading", only_from=("InProgress",), step="downloading", **changes)
        except Busy:
            hosts.remove()
            raise
        return hosts

    def _prepare(self, name: str, hosts: Hosts, interrupted: Callable[[], bool]) -> Environment | None:
        """The user's source directory in each host, and the environment for all of them."""
        job, code = hosts.job, hosts.job.code
        if code is not None:
            for directory in hosts.directories:
                code.fetch(self.objects, directory)
        if job.recipe is None or self.environments is None:
            return None
        self.records.advance(name, "DownloadingTrainingImage", only_from=("InProgress",))
        self._attach_logs(name, hosts)
        folder = code.folder(hosts.layouts[0]) if code is not None else None
        return self.environments.ready(job.recipe, hosts.directories[0], code=folder, interrupted=interrupted)

    def _attach_logs(self, name: str, hosts: Hosts) -> None:
        began = progress_of(self.records.find(name)).began
        for host, directory in hosts.named:
            self.logs.attach(hosts.job.log_group, f"{name}/{host}-{began}", directory / "log")

    def _bring(self, job: Job, layout: Layout, share: Share, interrupted: Callable[[], bool]) -> None:
        """The channels, or what a host on another machine must know to fetch them."""
        directory, channels = layout.root.parent, job.channels_of(share)
        if not self.launcher.fetches_input:
            self._fill(job, channels, layout, share, interrupted)
            order_feed(directory, channels, {"folder": str(self.objects.root)}, share)
            return
        # What the user's code is made of is needed here too.
        code = [channel for channel in channels if channel.name in job.code_channels]
        self._fill(job, code, layout, share, interrupted)
        far = [channel for channel in channels if channel not in code]
        for channel in far:
            require_any(self.objects, channel)
        order_input(directory, far, share)

    def _fill(
        self, job: Job, channels: Iterable[Channel], layout: Layout, share: Share, interrupted: Callable[[], bool]
    ) -> None:
        for channel in channels:
            if channel.mode == "Pipe":
                require_any(self.objects, channel)
                continue
            fill(
                self.objects,
                channel,
                channel.folder(layout),
                link=self.launcher.shields_input and not job.is_scratch(channel),
                share=share,
                interrupted=interrupted,
            )

    def _watch(self, hosts: Hosts, meanwhile: Callable[[], None] = lambda: None) -> list[Host] | None:
        """Until all have ended, of which the first that fails sees to; None if the server closes before."""
        asked = False
        while at_work(now := hosts.poll()):
            if not asked and fell(now):
                hosts.stop()
                asked = True
            if self.closing.wait(_GLANCE):
                return None
            meanwhile()
        return now

    def _heed(self, name: str, hosts: Hosts) -> None:
        """That the hosts are to be taken away, or that the time is over in which the job had to end."""
        resource = self.records.find(name)
        deadline = deadline_of(resource)
        if deadline is not None and time.time() >= deadline and resource.status == "InProgress":
            self.records.advance(name, "Stopping", "Stopping", only_from=("InProgress",), overdue=True)
            hosts.stop()
        elif progress_of(resource).secondary == "Interrupted":
            hosts.stop()

    def _end_training(self, name: str, hosts: Hosts, ends: Sequence[Host], attendance: Attendance) -> None:
        progress = progress_of(self.records.find(name))
        if progress.step != "training":
            return  # It is to start again.
        outcome = judge(ends, dict(hosts.named), asked_to_stop=progress.asked_to_stop)
        metrics = attendance.last_look(well=outcome is not None and outcome.status != "Failed")
        if self.closing.is_set():
            return  # What was left to be looked at is for the next server.
        if progress.secondary == "Interrupted" and any(end.because == "stopped" or end.phase == "lost" for end in ends):
            self.records.advance(name, step="interrupted")
            return
        if outcome is None and progress.starts < MOST_STARTS:
            self.records.advance(name, step="restarting")
        elif outcome is None:
            text = f"InternalServerError: The program's host was lost {MOST_STARTS} times. Try the job again."
            self.records.conclude(name, failed(text))
        else:
            if progress.overdue and outcome == STOPPED:
                outcome = WAITED_TOO_LONG
            self.records.advance(name, "Uploading", step="uploading", outcome=outcome, metrics=metrics)

    def _put_all(self, hosts: Hosts, outcome: Outcome) -> str | None:
        """The key under which the model lies then, if there is one."""
        outputs = [layout.output_data for layout in hosts.layouts]
        if any(_holds_something(*pair) for pair in zip(hosts.directories, outputs, strict=True)):
            self._put("output", hosts, outputs)
        if outcome.status == "Failed":
            return None
        return self._put("model", hosts, [layout.model for layout in hosts.layouts])

    def _put(self, name: str, hosts: Hosts, folders: Sequence[Path]) -> str:
        """The key under which what the folders hold lies then."""
        job = hosts.job
        for directory, folder in zip(hosts.directories, folders, strict=True):
            within(directory, folder).mkdir(parents=True, exist_ok=True)
        if not job.compress:
            for path, relative in merged(folders):
                if path.is_file():
                    self.objects.put_file(job.bucket, f"{job.prefix}/{name}/{relative}", path)
            return f"{job.prefix}/{name}/"
        packed, key = hosts.directories[0] / f"{name}.tar.gz", f"{job.prefix}/{name}.tar.gz"
        pack(folders, packed)
        self.objects.put_file(job.bucket, key, packed)
        return key


def _holds_something(directory: Path, folder: Path) -> bool:
    return within(directory, folder).is_dir() and any(folder.iterdir())
