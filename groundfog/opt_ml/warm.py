"""An interpreter that has imported what takes long, and waits to become a program.

`python -m groundfog.opt_ml.warm MODULE...` imports each module that is there, with the names that it offers, since a
package may load them on demand. Then it reads one line from standard input, `{"module": ..., "arguments": [...],
"environment": {...}}`, and goes on as `python -m module arguments` would.
"""

import contextlib
import importlib
import json
import os
import runpy
import sys
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
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
