"""One layer on disk: a virtual environment, what was installed for it, and the layers below that it sees.

<name>/bin/python            of the machine's Python, by a link
<name>/lib/.../groundfog.pth what else is on the path: installed, the layers below, what is shared, pip
<name>/shared/               links to distributions of the server's
<name>/installed/            what pip installed, moved here whole
<name>/builder               while it is made: the directory of the host in which pip works
<name>/holders/              who uses it: a file for each host, with the host's directory in it
<name>/environment.json      written last: without it, all this is rubbish
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from groundfog.engine.environments import sharing
from groundfog.engine.environments.pythons import Python
from groundfog.engine.environments.recipe import digest
from groundfog.engine.errors import Unfit


@dataclass(frozen=True)
class Layer:
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def installed(self) -> Path:
        return self.folder / "installed"

    @property
    def path(self) -> str:
        """Where its commands are, for PATH."""
        return f"{self.installed / 'bin'}:{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin"

    @property
    def is_ready(self) -> bool:
        return self._notes.exists()

    @property
    def used(self) -> float:
        """When it was last asked for, in seconds since the epoch."""
        return self._notes.stat().st_mtime

    @property
    def size(self) -> int:
        return int(self._read()["bytes"])

    @property
    def below(self) -> list[str]:
        """Names of the layers that it sees."""
        return list(self._read()["below"])

    def lay_out(self, python: Python, below: Sequence["Layer"], shared: Sequence[Distribution]) -> None:
        """The virtual environment, with nothing installed in it. Raises Unfit if this Python cannot make any."""
        shutil.rmtree(self.folder, ignore_errors=True)
        made = subprocess.run(
            [python.executable, "-I", "-m", "venv", "--without-pip", "--symlinks", self.folder],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise Unfit(f"{python.executable} makes no virtual environment: {made.stderr.strip()[-300:]}")
        sharing.link(shared, self.folder / "shared")
        # From a wheel it works too, but must be compiled each time.
        for part in python.pip.glob("pip-*.dist-info") if python.pip.is_dir() else ():
            (self.folder / "shared" / "pip").symlink_to(python.pip / "pip")
            (self.folder / "shared" / part.name).symlink_to(part)
        sites = [layer.installed / python.site_packages for layer in (self, *below)]
        plain = [self.folder / "shared", *(layer.folder / "shared" for layer in below)]
        plain += [python.pip] if python.pip.is_file() else []
        lines = [*(f"import site; site.addsitedir({str(site)!r})" for site in sites), *map(str, plain)]
        (self.folder / python.site_packages / "groundfog.pth").write_text("\n".join(lines) + "\n")
        for name in ("pip", "pip3"):
            command = self.folder / "bin" / name
            command.write_text(f'#!/bin/sh\nexec "{self.python}" -m pip "$@"\n')
            command.chmod(0o755)

    def built_in(self, directory: Path) -> None:
        """Note which host fills it, for whoever finds it half full."""
        self._builder.write_text(str(directory))

    @property
    def builder(self) -> Path | None:
        return Path(self._builder.read_text()) if self._builder.exists() else None

    def finish(self, below: Sequence["Layer"]) -> None:
        """From here on it is ready."""
        self._builder.unlink(missing_ok=True)
        (self.folder / "holders").mkdir()
        notes = {"bytes": _size(self.folder), "below": [layer.folder.name for layer in below]}
        new = self._notes.with_suffix(".new")
        with new.open("w") as file:
            json.dump(notes, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._notes)

    def hold(self, directory: Path) -> None:
        """It is used for as long as this directory is there."""
        os.utime(self._notes)
        (self.folder / "holders" / digest(str(directory))).write_text(str(directory))

    @property
    def is_held(self) -> bool:
        held = False
        for holder in (self.folder / "holders").iterdir():
            if Path(holder.read_text()).exists():
                held = True
            else:
                holder.unlink()
        return held

    def remove(self) -> None:
        """First what makes it one, so that half of it is none."""
        self._notes.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _notes(self) -> Path:
        return self.folder / "environment.json"

    @property
    def _builder(self) -> Path:
        return self.folder / "builder"

    def _read(self) -> dict[str, Any]:
        notes: dict[str, Any] = json.loads(self._notes.read_text())
        return notes


def _size(folder: Path) -> int:
    total = 0
    for path, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                total += Path(path, file).lstat().st_size
    return total
