"""`python -m groundfog.opt_ml.inference TOOLKIT [--python PYTHON]`: front and workers."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from groundfog.opt_ml import asgi, redirect
from groundfog.opt_ml.inference.front import Front
from groundfog.opt_ml.inference.pool import Pool
from groundfog.opt_ml.layout import Layout

TOOLKITS = tuple(sorted(file.stem for file in Path(__file__).with_name("defaults").glob("[a-z]*.py")))
_SECONDS = "60"


def main() -> None:
    parser = argparse.ArgumentParser(prog="groundfog.opt_ml.inference")
    parser.add_argument("toolkit", choices=TOOLKITS)
    parser.add_argument("--python", default=sys.executable, help="what runs the user's code")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    worker = str(Path(__file__).with_name("worker.py"))
    os.environ.update(redirect.environment(os.environ))
    sys.exit(asyncio.run(_serve([given.python, worker, given.toolkit], *limits(given.toolkit, os.environ))))


def limits(toolkit: str, given: Mapping[str, str]) -> tuple[int, float]:
    """How many workers, and the seconds for an answer. PyTorch's toolkit has names of its own for them, TorchServe's,
    which are stronger there."""

    def setting(name: str, of_torchserve: str, default: str) -> str:
        own = given.get(of_torchserve) if toolkit == "pytorch" else ""
        return own or given.get(name) or default

    workers = setting("SAGEMAKER_MODEL_SERVER_WORKERS", "SAGEMAKER_TS_MIN_WORKERS", "1")
    seconds = setting("SAGEMAKER_MODEL_SERVER_TIMEOUT", "SAGEMAKER_TS_RESPONSE_TIMEOUT", _SECONDS)
    return max(1, int(workers)), float(seconds)


async def _serve(command: list[str], workers: int, seconds: float) -> int:
    """The exit code. It listens when a worker is ready: so who answers /ping can predict."""
    pool = Pool(command, workers, seconds)
    pool.start()
    try:
        if not await pool.is_ready():
            return 1
        # From here on uvicorn stops as is proper; afterwards it hands the signal on to whom it had before.
        signal.signal(signal.SIGTERM, lambda *_: None)
        logging.info("The model is loaded: ready to predict.")
        server = asgi.server(Front(pool))
        serving = asyncio.ensure_future(server.serve(sockets=asgi.sockets(Layout.here())))
        broken = asyncio.ensure_future(pool.until_broken())
        await asyncio.wait({serving, broken}, return_when=asyncio.FIRST_COMPLETED)
        code = int(broken.done())
        server.should_exit = True
        await serving
        broken.cancel()
        return code
    finally:
        await pool.close()


if __name__ == "__main__":
    main()
