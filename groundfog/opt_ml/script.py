"""Script mode: run a user's script as AWS's training toolkit does.

    python -m groundfog.opt_ml.script

The source directory lies in `/opt/ml/code`, and what its requirements.txt and setup.py ask for is installed: whoever
started this program saw to both. The script is told of its job in arguments and variables (`script_environment`); it
is Python, or with a setup.py a module of that package, or else a command for the shell.

A script that fails leaves the end of what it said on standard error in the failure file, in the toolkit's words.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from groundfog.opt_ml import own_packages, script_environment
from groundfog.opt_ml.distribution import launch
from groundfog.opt_ml.layout import Layout
from groundfog.opt_ml.run import ClientFault
from groundfog.opt_ml.script_environment import Environment
from groundfog.opt_ml.script_process import ScriptFailed, run

FAILURE = 1
"""The exit code for every failure; the script's own stands in the failure file."""


def main() -> int:
    """The exit code."""
    layout = Layout.here()
    try:
        _train(script_environment.read(layout))
    except ScriptFailed as failure:
        return _fail(layout, str(failure))
    except ClientFault as fault:
        return _fail(layout, f"ClientError: {fault}")
    except Exception as error:
        return _fail(layout, f"Framework Error: \n{traceback.format_exc()}\n{error}")
    (layout.failure.parent / "success").touch()
    return 0


def _train(environment: Environment) -> None:
    code, arguments = environment.layout.code, environment.arguments
    launched = launch(environment, command(code, environment.entry_point, arguments))
    # The source directory is first on the path, so that the entry point's neighbours are found from wherever it lies.
    own = own_packages.provide(os.environ, str(code))
    variables = {**os.environ, **environment.to_variables(), **launched.variables, **own}
    if environment.log_level <= script_environment.INFO:
        _say(launched.command)
    run(launched.command, folder=code, variables=variables, change=launched.line, end=launched.end)


def command(code: Path, entry_point: str, arguments: list[str]) -> list[str]:
    """How to start the script in its folder. Raises ClientFault if it is not there."""
    if (code / "setup.py").exists():
        return [sys.executable, "-m", script_environment.module_name(entry_point), *arguments]
    file = code / entry_point
    if not file.is_file():
        there = ", ".join(sorted(path.name for path in code.iterdir())[:20]) or "nothing"
        raise ClientFault(f"The script {entry_point} is not in the source directory, which holds {there}.")
    if entry_point.endswith(".py"):
        return [sys.executable, entry_point, *arguments]
    file.chmod(0o777)
    return ["/bin/sh", "-c", " ".join([f"./{entry_point}", *map(shlex.quote, arguments)])]


def _say(told: Sequence[str]) -> None:
    print("Invoking script with the following command:\n", file=sys.stderr)  # noqa: T201
    print(shlex.join(told), end="\n\n", file=sys.stderr, flush=True)  # noqa: T201


def _fail(layout: Layout, text: str) -> int:
    """A script that has said why keeps the last word."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
    layout.failure.parent.mkdir(parents=True, exist_ok=True)
    if not layout.failure.exists():
        layout.failure.write_text(text)
    return FAILURE


if __name__ == "__main__":
    sys.exit(main())
