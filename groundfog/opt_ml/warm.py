"""An interpreter that has imported what takes long, and waits to become a program.

`python -m groundfog.opt_ml.warm MODULE...` imports each module that is there, with the names that it offers, since a
package may load them on demand. Then it reads one line from standard input, `{"module": ..., "arguments": [...],
"environment": {...}}`, and goes on as `python -m module arguments` would.
"""

import atexit
import contextlib
import importlib
import json
import os
import runpy
import sys
import threading
import traceback
from pathlib import Path


def main(modules: list[str]) -> None:
    for module in modules:
        with contextlib.suppress(Exception):
            loaded = importlib.import_module(module)
            for name in getattr(loaded, "__all__", ()) if loaded.__name__.startswith("groundfog.") else ():
                getattr(loaded, name)
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv[1:] = order["arguments"]
    _leave(_run(order["module"]))


def _run(module: str) -> int:
    """The exit code, as `python -m` would have it."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)  # noqa: T201
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _leave(code: int) -> None:
    """As an interpreter ends, but without taking apart the hundreds of modules of torch, which takes a second."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
