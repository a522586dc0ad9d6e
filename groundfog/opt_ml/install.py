"""`python -m groundfog.opt_ml.install ARGUMENTS`: into `/opt/ml/model`, which becomes a layer of an environment.

The arguments are those of `pip install`, and paths in them are relative to `/opt/ml/code`. What is on this Python's
path already is not installed again, and every command of it gets one here: its own would not see this layer.
"""

from __future__ import annotations

import site
import subprocess
import sys
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

from groundfog.opt_ml.layout import Layout

_COMMAND = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys
from {module} import {first}
sys.argv[0] = {name!r}
sys.exit({function}())
"""
"""The shell starts Python, because a path after `#!` must be short and without spaces; Python passes over that line."""


def main(arguments: list[str]) -> int:
    """pip's exit code."""
    layout = Layout.here()
    pip = [sys.executable, "-m", "pip", "install", "--prefix", str(layout.model), "--no-warn-script-location"]
    quiet = ["--disable-pip-version-check", "--no-input", "--no-cache-dir", "--progress-bar", "off"]
    ended = subprocess.run([*pip, *quiet, *arguments], cwd=layout.code)
    if ended.returncode == 0:
        for packages in layout.model.glob("lib*/python*/site-packages"):
            site.addsitedir(str(packages))
        _write_commands(layout.model / "bin")
    return ended.returncode


def _write_commands(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for command in (one for found in distributions() for one in found.entry_points if one.group == "console_scripts"):
        file = folder / Path(command.name).name
        if not file.exists() and command.name not in ("pip", "pip3"):
            file.write_text(_text(command))
            file.chmod(0o755)


def _text(command: EntryPoint) -> str:
    module, _, function = command.value.partition("[")[0].strip().partition(":")
    first = function.partition(".")[0]
    return _COMMAND.format(
        python=sys.executable, module=module.strip(), first=first, function=function, name=command.name
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
