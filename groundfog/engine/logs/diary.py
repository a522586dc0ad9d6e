"""A stream of the server's own: what it has to say beside a program."""

import contextlib
import time

from groundfog.engine.errors import Missing, Taken
from groundfog.engine.logs.file import Event
from groundfog.engine.logs.store import Logs


class Diary:
    """Goes on with a stream that is there. Whose group or stream was deleted is no longer written."""

    def __init__(self, logs: Logs, group: str, stream: str) -> None:
        self._logs, self._group, self._stream = logs, group, stream
        with contextlib.suppress(Missing, Taken):
            logs.create_stream(group, stream)

    def write(self, text: str) -> None:
        now = int(time.time() * 1000)
        with contextlib.suppress(Missing):
            self._logs.put(self._group, self._stream, [Event(now, text, now)])
