"""Interpreters: what must be in sight for one to run, and where it finds what is ours.

The server's own has everything. Another one, of an environment that a job asked for, finds `groundfog.opt_ml` and
nothing else of ours, nor of what is installed beside us: that may be of another version, or for another Python.
"""

import os
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from groundfog.engine.launch import Program

_PACKAGE = Path(__file__).parents[2]
TREATY = (_PACKAGE / "__init__.py", _PACKAGE / "opt_ml")
"""What every interpreter may import."""


class Interpreter:
    def __init__(self, program: Program, modules: Sequence[Path] = ()) -> None:
        """`modules` are further folders of modules to import."""
        self._program, self._modules = program, tuple(modules)
        self.is_ours = program.python in ("", sys.executable)
        self.executable = Path(program.python or sys.executable)

    @property
    def command(self) -> list[str]:
        # -P, nothing to import from the working directory, is of 3.11 and later.
        safe = ["-P"] if self.is_ours else []
        return [str(self.executable), *safe, "-m", self._program.module, *self._program.arguments]

    @property
    def folders(self) -> list[Path]:
        """What must be readable, at the same place, none within another."""
        ours = [Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_path("purelib")), _PACKAGE]
        wanted = [*(ours if self.is_ours else ()), *_homes(self.executable), *map(Path, self._program.readable)]
        kept: list[Path] = []
        for folder in sorted(set(wanted)):
            if folder != Path("/") and not any(folder.is_relative_to(other) for other in (Path("/usr"), *kept)):
                kept.append(folder)
        return [*kept, *self._modules]

    def search(self, treaty: Path, given: Mapping[str, str]) -> dict[str, str]:
        """The variables that the program was given, and by which it finds executables and modules; `treaty` is where
        TREATY lies for others."""
        modules = [*map(str, self._modules), "" if self.is_ours else str(treaty), given.get("PYTHONPATH", "")]
        on_path = ":".join(filter(None, modules))
        return {
            "PATH": f"{self.executable.parent}:/usr/local/bin:/usr/bin:/bin",
            **given,
            **({"PYTHONPATH": on_path} if on_path else {}),
        }


def _homes(executable: Path) -> list[Path]:
    """Of the interpreter and of each that it is a link to: a virtual environment's lies elsewhere."""
    homes = [executable.parent.parent]
    step = executable
    while step.is_symlink():
        step = step.parent / step.readlink()
        homes.append(Path(os.path.normpath(step)).parents[1])
    return [*homes, step.resolve().parents[1]]
