"""How busy the GPUs are. For the agent: see `__main__.py`."""

import contextlib
import os
import subprocess

_QUERY = "utilization.gpu,memory.used,memory.total"


class Gpus:
    """Asked of nvidia-smi, which may take a second; `visible` are those that the program has, None all."""

    def __init__(self, visible: str | None) -> None:
        self._command = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
        self._command += [f"--id={visible}"] if visible else []
        self._are_there = visible != "" and os.path.exists("/dev/nvidiactl")
        self._asked: subprocess.Popen[str] | None = None

    def ask(self) -> bool:
        """False where there are none."""
        if self._are_there:
            with contextlib.suppress(OSError):
                self._asked = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
        return self.are_asked

    @property
    def are_asked(self) -> bool:
        return self._asked is not None

    def are_silent(self) -> bool:
        """There is no answer yet."""
        return self._asked is not None and self._asked.poll() is None

    def answer(self) -> dict[str, float]:
        """Each GPU adds up to 100, as each core does."""
        assert self._asked is not None
        said, _ = self._asked.communicate()
        self._asked = None
        return told(said)

    def close(self) -> None:
        if self._asked is not None:
            self._asked.kill()
            self._asked.communicate()
            self._asked = None


def told(said: str) -> dict[str, float]:
    """Of what nvidia-smi says; what it does not know, it says in letters."""
    busy, full = [], []
    for line in said.splitlines():
        with contextlib.suppress(ValueError, ZeroDivisionError):
            share, used, whole = map(float, line.split(","))
            busy.append(share)
            full.append(100 * used / whole)
    return {"GPUUtilization": sum(busy), "GPUMemoryUtilization": sum(full)} if busy else {}
