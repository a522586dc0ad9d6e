"""The hosts of one job: started together, ended together."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from groundfog.engine.environments import Environment
from groundfog.engine.jobs.documents import Job, job_of, progress_of
from groundfog.engine.launch import Host, Launcher, Program
from groundfog.engine.mirrors import Mirroring
from groundfog.engine.objects import Objects
from groundfog.engine.resources import Resource
from groundfog.engine.sandbox import within
from groundfog.opt_ml.layout import Layout
from groundfog.opt_ml.mpi import SECRET


@dataclass(frozen=True)
class Hosts:
    """`directories` are in the order of the job's hosts; the first is who the others look for."""

    launcher: Launcher
    job: Job
    directories: Sequence[Path]
    environment: Environment | None = None
    ran: float = 0.0
    """Seconds that earlier ones did, which were taken away."""

    @classmethod
    def of(cls, launcher: Launcher, resource: Resource) -> "Hosts":
        """Those that the job has now: none before it downloads."""
        progress = progress_of(resource)
        directories = [Path(directory) for directory in progress.directories]
        return cls(launcher, job_of(resource), directories, progress.environment, progress.spent("Training"))

    @property
    def layouts(self) -> list[Layout]:
        return [Layout(directory / "opt_ml") for directory in self.directories]

    @property
    def named(self) -> Iterator[tuple[str, Path]]:
        return zip(self.job.hosts, self.directories, strict=True)

    def mirrorings(self, objects: Objects) -> list[Mirroring]:
        return [Mirroring(objects, mirror, directory) for directory in self.directories for mirror in self.job.mirrors]

    def start(self) -> None:
        """Those that do not run yet. Raises Unfit if they may not run here."""
        for host, directory in self.named:
            if self.launcher.poll(directory).phase == "starting":
                self.launcher.start(directory, self._program(host))

    def poll(self) -> list[Host]:
        return [self.launcher.poll(directory) for directory in self.directories]

    def stop(self) -> None:
        """Ask for the end. Returns at once."""
        for directory in self.directories:
            self.launcher.stop(directory)

    def renew(self) -> None:
        """Ready to be started over what they have written; for hosts that have ended or were lost. Raises Unfit."""
        for directory, layout in zip(self.directories, self.layouts, strict=True):
            # Why they failed before is not why they may fail again.
            told = within(directory, layout.failure)
            shutil.rmtree(told) if told.is_dir() else told.unlink(missing_ok=True)
            self.launcher.renew(directory)

    def remove(self) -> None:
        for directory in self.directories:
            self.launcher.remove(directory)

    def _program(self, host: str) -> Program:
        first = "" if host == self.job.hosts[0] else str(self.directories[0])
        secret = hashlib.sha256(self.directories[0].name.encode()).hexdigest()
        most = self.job.program.max_seconds
        program = replace(
            self.job.program,
            max_seconds=None if most is None else max(1.0, most - self.ran),
            host=host,
            hosts=self.job.hosts,
            neighbour=first,
            mirrored=tuple(mirror.folder for mirror in self.job.mirrors),
            # Nobody outside the job sees the directory's name, by which its hosts know each other.
            environment={**self.job.program.environment, SECRET: secret},
        )
        return program if self.environment is None else self.environment.around(program)


def at_work(hosts: Sequence[Host]) -> bool:
    return any(host.phase in ("starting", "running") for host in hosts)


def fell(hosts: Sequence[Host]) -> bool:
    """Whether one is gone without whom the others are of no use."""
    return any(host.phase == "lost" or host.exit_code for host in hosts)
