"""`groundfog serve`, but every image is a small program of the tests, and a step can be held while it is under way.

    python held_server.py STEP serve ...       STEP: fill, pack or none

The step, once begun, writes HOME/held and does not go on.
"""

import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from groundfog import app, cli
from groundfog.engine.jobs import steps
from groundfog.engine.launch import Program
from groundfog.engine.launch.ray import Cluster
from groundfog.engine.sandbox import Sandbox
from groundfog.services.sagemaker import images

PROGRAMS = Path(__file__).parents[1] / "engine" / "programs"


def main() -> None:
    step, home = sys.argv.pop(1), Path(sys.argv[sys.argv.index("--home") + 1])
    images.program = lambda image, command: Program(  # type: ignore[assignment]
        module="probe_program", arguments=(image.partition(":")[0],), trusted=True
    )
    images.is_built_in = lambda image: True
    app.Cluster = partial(Cluster, modules=(str(PROGRAMS),))  # type: ignore[assignment, misc]
    app.Sandbox = lambda mode, **more: Sandbox(mode, modules=[PROGRAMS], **more)  # type: ignore[assignment, misc]
    if step != "none":
        setattr(steps, step, held(getattr(steps, step), home / "held"))
    cli.main()


def held(function: Any, said: Path) -> Any:
    def wait(*args: Any, **kwargs: Any) -> Any:
        said.touch()
        while True:
            time.sleep(1)
        return function(*args, **kwargs)

    return wait


main()
