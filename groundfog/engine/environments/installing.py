"""pip at work, in a host of its own behind the wall: a setup.py is a user's program like any other.

It may reach the package index whatever programs may reach otherwise. What it says goes to the log of the job that
waits for it.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from groundfog.engine.channels import Interrupted
from groundfog.engine.environments.index import Index
from groundfog.engine.environments.layer import Layer
from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Launcher, Program
from groundfog.engine.sandbox import within
from groundfog.opt_ml.layout import Layout

MOST_SECONDS = 3600.0
_GLANCE = 0.1
_SHOWN = 600
"""Characters of pip's complaint in a failure."""


@dataclass(frozen=True)
class Installer:
    launcher: Launcher
    index: Index

    def install(
        self,
        layer: Layer,
        arguments: Sequence[str],
        *,
        code: Path | None,
        readable: Sequence[str],
        say: Callable[[str], None],
        interrupted: Callable[[], bool],
    ) -> None:
        """Let pip install into the layer. Raises Unfit with what pip says, Interrupted."""
        directory = self.launcher.make(warm=False)
        layer.built_in(directory)
        try:
            layout = Layout(directory / "opt_ml")
            if code is not None:
                shutil.copytree(code, layout.code, symlinks=True, dirs_exist_ok=True)
            self.launcher.start(directory, self._program(layer, arguments, readable))
            self._see_through(directory, arguments, say, interrupted)
            # Environments may be kept on another disk than jobs.
            shutil.move(within(directory, layout.model), layer.installed)
        finally:
            self.launcher.remove(directory)

    def clear(self, layer: Layer) -> None:
        """Of one that was left half full: end who fills it."""
        if layer.builder is not None:
            self.launcher.remove(layer.builder)

    def _program(self, layer: Layer, arguments: Sequence[str], readable: Sequence[str]) -> Program:
        variables: Mapping[str, str] = {**self.index.variables, "PATH": layer.path}
        return Program(
            module="groundfog.opt_ml.install",
            arguments=tuple(arguments),
            environment=variables,
            max_seconds=MOST_SECONDS,
            grace_seconds=5.0,
            python=str(layer.python),
            readable=(*readable, *self.index.readable),
            network="open",
        )

    def _see_through(
        self, directory: Path, arguments: Sequence[str], say: Callable[[str], None], interrupted: Callable[[], bool]
    ) -> None:
        said: list[str] = []
        with (directory / "log").open(encoding="utf-8", errors="replace") as log:
            while True:
                host = self.launcher.poll(directory)
                for line in _lines(log.read()):
                    said.append(line)
                    say(line)
                if host.phase not in ("starting", "running"):
                    break
                if interrupted():
                    raise Interrupted
                time.sleep(_GLANCE)
        if host.exit_code != 0:
            raise Unfit(_complaint(arguments, host.exit_code, said))


def _lines(text: str) -> list[str]:
    """Without their times, and without what only says that there was nothing to do."""
    lines = [line.partition("\t")[2] for line in text.splitlines()]
    return [line for line in lines if line.strip() and not line.startswith("Requirement already satisfied")]


def _complaint(arguments: Sequence[str], code: int | None, said: Sequence[str]) -> str:
    """In the words of AWS's toolkit."""
    errors = [line for line in said if line.startswith("ERROR:")] or list(said[-5:])
    text = "\n".join(errors)[-_SHOWN:]
    command = " ".join(("pip install", *arguments))
    return f'InstallRequirementsError:\nExitCode {code}\nErrorMessage "{text}"\nCommand "{command}"'
