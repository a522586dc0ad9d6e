"""Call a train function by the treaty.

    if __name__ == "__main__":
        run.train(train)         # train(layout, stopping) -> None

A return is exit code 0. SIGTERM sets `stopping`: the function writes its checkpoint and its best model so far, and
returns; it has the grace of two minutes. An exception becomes the failure file, which AWS shows as FailureReason,
and exit code 1.
"""

import signal
import sys
import threading
import traceback
from collections.abc import Callable

from groundfog.opt_ml.layout import Layout

LONGEST_FAILURE = 1024


class ClientFault(Exception):
    """What the user can put right: a hyperparameter, a channel, a record. The text names it and what it may be."""


def train(function: Callable[[Layout, threading.Event], None]) -> None:
    """Raises SystemExit where the function raises."""
    layout, stopping = Layout.here(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    try:
        function(layout, stopping)
    except ClientFault as fault:
        _fail(layout, f"ClientError: {fault}")
    except Exception as error:
        traceback.print_exc()
        _fail(layout, f"{type(error).__name__}: {error}")


def _fail(layout: Layout, text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
    layout.failure.parent.mkdir(parents=True, exist_ok=True)
    layout.failure.write_text(text[:LONGEST_FAILURE])
    raise SystemExit(1)
