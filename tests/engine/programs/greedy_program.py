# ruff: noqa: T201
"""Takes of the machine whatever there is: `python -m greedy_program WISH...`."""

import os
import sys
import time
from pathlib import Path

HERE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def fill_memory(in_a_child: str = "") -> None:
    if in_a_child and os.fork():
        os.wait()
        raise SystemExit(9)
    taken = []
    while len(taken) < 1000:
        taken.append(bytearray(os.urandom(1 << 10)) * (8 << 10))


def fill_disk(path: str) -> None:
    """Below `/opt/ml`."""
    (HERE / path).parent.mkdir(parents=True, exist_ok=True)
    with (HERE / path).open("wb") as file:
        for _ in range(4_000):
            file.write(bytes(1 << 20))
            time.sleep(0.005)


def multiply() -> None:
    """As many processes as there may be."""
    count = 0
    try:
        while count < 5000:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            count += 1
    except OSError:
        print("no more than", count)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
