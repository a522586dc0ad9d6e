"""A model server of the tests' own: each line of a request in capitals, as text, JSON lines or CSV."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from groundfog.opt_ml.serve import Refused, serve


class Shout:
    max_batch = 1000

    def decode(self, body: bytes, content_type: str, accept: str) -> tuple[list[str], str]:
        if content_type == "application/octet-stream":
            return [f"{len(body)} bytes"], content_type
        lines = body.decode().splitlines()
        if "bad" in body.decode():
            number = next(number for number, line in enumerate(lines, start=1) if "bad" in line)
            raise Refused(400, f"Line {number} is bad")
        return lines, content_type

    def predict(self, instances: list[str]) -> list[str]:
        for line in instances:
            if "die" in line:
                os.kill(os.getpid(), signal.SIGKILL)
            if "sleep" in line:
                time.sleep(float(line.rpartition(":")[2].strip('"}')))
        return [line.upper() for line in instances]

    def encode(self, answers: list[str], reply: str) -> tuple[bytes, str]:
        if reply == "application/jsonlines":
            answers = [json.dumps({"said": answer, "together": len(answers)}) for answer in answers]
        return "".join(answer + "\n" for answer in answers).encode(), reply


def load(folder: Path) -> Shout:
    if (folder / "broken").exists():
        raise RuntimeError("these weights are for another model")
    return Shout()


if __name__ == "__main__":
    assert sys.argv[1:] == ["serve"], sys.argv
    serve(load)
