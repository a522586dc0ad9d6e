"""A host's directory on the server, where the host itself is on a node.

attempts     how often it was started
order.json   what to run (written by the server, like `stop`)
stop         there once the program was asked to end
placed       a node has taken it
began, log, usage, exit.json, feed.failure   as the node's agent writes them
lost         why there will be no end
"""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from groundfog.engine.channels import feed
from groundfog.opt_ml.layout import Layout

Order = dict[str, Any]


class Mirror:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.layout = Layout(directory / "opt_ml")
        self.log, self.usage = directory / "log", directory / "usage"

    def place_order(self, what: Order) -> None:
        """For one that was not started, or was lost. While there is an order, the relay acts upon it."""
        for name in ("order.json", "placed", "began", "lost", feed.FAILURE):
            (self.directory / name).unlink(missing_ok=True)
        attempt = self._attempts + 1
        self._write("attempts", str(attempt))
        self.usage.touch()
        known = {"log": self.log.stat().st_size, "usage": self.usage.stat().st_size}
        self._write("order.json", json.dumps({**what, "attempt": attempt, **known, "at": time.time()}))

    def forget(self) -> None:
        """How it ended last: until that is gone, the host counts as ended or as lost."""
        for name in ("order.json", "stop", "began", "placed", feed.FAILURE, "lost", "exit.json"):
            (self.directory / name).unlink(missing_ok=True)

    @property
    def order(self) -> Order:
        """Empty if there is none."""
        order: Order = json.loads(self._read("order.json") or "{}")
        return order

    @property
    def awaited(self) -> bool:
        """Whether there is a program whose end is not known."""
        there = (self.directory / name for name in ("exit.json", "lost"))
        return (self.directory / "order.json").exists() and not any(file.exists() for file in there)

    @property
    def actor(self) -> str:
        """The name of the attempt that is ordered."""
        return self._name(self.order.get("attempt", 0))

    @property
    def actors(self) -> list[str]:
        """The names of all attempts."""
        return [self._name(attempt) for attempt in range(1, self._attempts + 1)]

    @property
    def stopped(self) -> bool:
        return (self.directory / "stop").exists()

    @property
    def placed(self) -> bool:
        return (self.directory / "placed").exists()

    @property
    def address(self) -> str:
        """Of the node that has it; empty until then."""
        return self._read("placed").partition(" ")[0]

    @property
    def lost(self) -> str:
        return self._read("lost")

    @property
    def began(self) -> float | None:
        text = self._read("began")
        return float(text) if text else None

    @property
    def ended(self) -> dict[str, Any]:
        """How; empty if it has not."""
        ended: dict[str, Any] = json.loads(self._read("exit.json") or "{}")
        return ended

    def place(self, node: str) -> None:
        self._write("placed", node)

    def begin(self, when: float) -> None:
        if self.began is None:
            self._write("began", repr(when))

    def say(self, lines: bytes, usage: bytes) -> None:
        for file, news in ((self.log, lines), (self.usage, usage)):
            if news:
                with file.open("ab") as opened:
                    opened.write(news)

    def lose(self, why: str) -> None:
        self._write("lost", why or "lost")

    def end(self, how: dict[str, Any], failure: str = "") -> None:
        if failure:
            feed.fail(self.directory, failure)
        self._write("exit.json", json.dumps(how))

    @property
    def _attempts(self) -> int:
        return int(self._read("attempts") or 0)

    def _name(self, attempt: int) -> str:
        return f"{self.directory.name}-{attempt}"

    def _read(self, name: str) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / name).read_text()
        return ""

    def _write(self, name: str, text: str) -> None:
        new = self.directory / f"{name}.new"
        new.write_text(text)
        new.replace(self.directory / name)
