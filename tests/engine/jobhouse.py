"""A house in which jobs of the probe program run."""

import io
import tarfile
from pathlib import Path
from typing import Any

from engine.hosts import program, wait_until

from groundfog.engine.jobs import Job, Jobs, Progress, progress_of
from groundfog.engine.launch.local import Local
from groundfog.engine.logs import Logs, Span
from groundfog.engine.objects import Objects
from groundfog.engine.resources import Resource, Resources
from groundfog.engine.sandbox import Sandbox
from groundfog.engine.state import Database


class House:
    """An engine over a folder, as a server has it; `again` is the next server over the same folder."""

    def __init__(self, home: Path, sandbox: Sandbox, at_once: int = 2) -> None:
        self.home, self.sandbox, self.at_once = home, sandbox, at_once
        state = Database(home / "state.db", "state")
        self.resources, self.logs = Resources(state), Logs(home / "logs", state)
        self.objects = Objects(home / "objects")
        self.launcher = Local(home / "runs", sandbox=sandbox)
        self.jobs = Jobs(self.resources, self.objects, self.launcher, self.logs, at_once=at_once)
        if not self.objects.has_bucket("b"):
            self.objects.create_bucket("b", "us-east-1")

    def start(self) -> None:
        self.launcher.sweep(lambda directory: self.resources.mention(directory.name))
        self.jobs.start()

    def leave(self) -> None:
        """Programs run on."""
        self.jobs.close()
        self.launcher.close()

    def close(self) -> None:
        """And clear up, which a server that closes leaves to the next."""
        self.leave()
        for directory in (self.home / "runs").iterdir():
            self.launcher.remove(directory)

    def again(self) -> "House":
        self.leave()
        house = House(self.home, self.sandbox, self.at_once)
        house.start()
        return house

    def submit(self, name: str, *wish: str, hosts: int = 1, **further: Any) -> None:
        limits = {key: further.pop(key) for key in ("max_seconds", "grace_seconds") if key in further}
        environment = {"TRAINING_JOB_NAME": name}
        job = Job(
            program=program(*wish, environment=environment, **limits),
            bucket=further.pop("bucket", "b"),
            prefix=f"out/{name}/output",
            log_group="/jobs",
            resource_config={"hosts": [f"algo-{number}" for number in range(1, hosts + 1)]},
            **further,
        )
        self.jobs.submit(name, job, notes={}, tags={})

    def find(self, name: str) -> Resource:
        return self.resources.find("training-job", name)

    def progress(self, name: str) -> Progress:
        return progress_of(self.find(name))

    def settled(self, name: str) -> Progress:
        wait_until(lambda: self.progress(name).step == "settled")
        return self.progress(name)

    def statuses(self, name: str) -> list[str]:
        return [transition.status for transition in self.progress(name).transitions]

    def directories(self, name: str) -> list[Path]:
        return [Path(directory) for directory in self.progress(name).directories]

    def says(self, name: str, host: int = 1) -> list[str]:
        if "/jobs" not in [group.name for group in self.logs.groups()]:
            return []
        streams = self.logs.streams("/jobs", prefix=f"{name}/algo-{host}-")
        pages = [self.logs.read("/jobs", stream.name, limit=100, span=Span()) for stream in streams]
        return [event.message for page in pages for event in page.events]

    def waits(self, name: str, hosts: int = 1) -> None:
        wait_until(lambda: self.progress(name).step == "training")
        for host in range(1, hosts + 1):
            wait_until(lambda: "waiting" in self.says(name, host))  # noqa: B023

    def files(self, key: str) -> dict[str, str]:
        """Of an archive, without its folders."""
        with tarfile.open(fileobj=io.BytesIO(self.objects.read("b", key))) as tar:
            return {one.name: tar.extractfile(one).read().decode() for one in tar if one.isfile()}  # type: ignore[union-attr]

    def archive(self, key: str) -> dict[str, str]:
        with tarfile.open(fileobj=io.BytesIO(self.objects.read("b", key))) as tar:
            return {member.name: tar.extractfile(member).read().decode() for member in tar}  # type: ignore[union-attr]
