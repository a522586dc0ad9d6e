"""A model server of the tests' own: it says words backwards, after the text in the model's file `prefix`."""

import os
import signal
import sys
import time
from pathlib import Path

from groundfog.opt_ml.serve import Refused, serve


class Mirror:
    max_batch = 8

    def __init__(self, folder: Path) -> None:
        self.prefix = (folder / "prefix").read_text() if (folder / "prefix").exists() else ""
        self.batches = 0

    def decode(self, body: bytes, content_type: str, accept: str) -> tuple[list[str], str]:
        if not content_type.startswith("text/plain"):
            raise Refused(415, f"{content_type} is not text")
        return body.decode().split(), accept

    def predict(self, instances: list[str]) -> list[str]:
        self.batches += 1
        return [self.prefix + self._answer(word, instances) for word in instances]

    def encode(self, answers: list[str], reply: str) -> tuple[bytes, str]:
        return " ".join(answers).encode(), "text/plain"

    def _answer(self, word: str, together: list[str]) -> str:
        what, _, value = word.partition(":")
        if what == "pid":
            return str(os.getpid())
        if what == "together":
            return str(len(together))
        if what == "sleep":
            time.sleep(float(value))
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "raise":
            raise ValueError("a word that cannot be said")
        return word[::-1]


def load(folder: Path) -> Mirror:
    if (folder / "broken").exists():
        raise RuntimeError("these weights are for another model")
    time.sleep(float(os.environ.get("LOADING_TAKES", "0")))
    return Mirror(folder)


if __name__ == "__main__":
    assert sys.argv[1:] == ["serve"], sys.argv
    serve(load)
