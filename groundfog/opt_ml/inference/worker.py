"""A process with the user's module in it: it loads the model, says that it is ready, and answers request by request.

The pool starts it as a file, `worker.py TOOLKIT DESCRIPTOR`, in the Python that the user's code wants: nothing of ours
need be installed there, and nothing but the standard library is used.
"""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from groundfog.opt_ml.inference.handler import Answer, Handler

_LOGGED = "%(asctime)s %(levelname)s - %(name)s - %(message)s"


def main(toolkit: str, descriptor: int) -> None:
    os.set_inheritable(descriptor, False)
    level = os.environ.get("SAGEMAKER_CONTAINER_LOG_LEVEL", "")
    logging.basicConfig(level=int(level) if level.isdigit() else logging.INFO, format=_LOGGED)
    handler = _load(toolkit)
    from groundfog.opt_ml.inference import frames

    line = socket.socket(fileno=descriptor)
    with line, line.makefile("rb") as heard:
        line.sendall(frames.frame(frames.READY))
        while True:
            try:
                headers, body = frames.read_request(heard)
            except EOFError:
                return
            _say(line, handler.answer(headers, body))


def _load(toolkit: str) -> Handler:
    from groundfog.opt_ml.inference import handler, module
    from groundfog.opt_ml.layout import Layout

    layout = Layout.here()
    user = module.load(layout)
    defaults = importlib.import_module(f"groundfog.opt_ml.inference.defaults.{toolkit}")
    kind = handler.HuggingFaceHandler if toolkit == "huggingface" else handler.Handler
    return kind(user, defaults, str(layout.model))


def _say(line: socket.socket, answer: Answer) -> None:
    from groundfog.opt_ml.inference import frames

    headers = {**answer.headers, "Content-Type": answer.content_type}
    body = answer.body
    if isinstance(body, bytes):
        headers["Content-Length"] = str(len(body))
    line.sendall(frames.head({"status": answer.status, "headers": headers}))
    try:
        for part in [body] if isinstance(body, bytes) else body:
            for frame in frames.parts(part):
                line.sendall(frame)
    except Exception as problem:
        traceback.print_exc()
        line.sendall(frames.frame(frames.BROKEN, str(problem).encode()))
    else:
        line.sendall(frames.frame(frames.END))


def _be_found() -> None:
    """Our package is found without being installed, and of it the treaty alone; this file's neighbours are not on the
    path, where their names would stand in the way of the user's."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [folder for folder in sys.path if folder != str(here)]
    package = here.parents[1]
    for name, folder in (("groundfog", package), ("groundfog.opt_ml", package / "opt_ml")):
        found = ModuleType(name)
        found.__path__ = [str(folder)]
        sys.modules[name] = found


if __name__ == "__main__":
    _be_found()
    main(sys.argv[1], int(sys.argv[2]))
