"""A program of the tests' own behind the treaty, and how to wait for it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from groundfog.engine.launch import Host, Launcher, Program

PROGRAMS = Path(__file__).parent / "programs"
T = TypeVar("T")


def wait_until(question: Callable[[], T | None], seconds: float = 20.0) -> T:
    """The first true answer."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)
    return answer


def wait_for_the_end(launcher: Launcher, directory: Path) -> Host:
    def ended() -> Host | None:
        host = launcher.poll(directory)
        return host if host.phase in ("exited", "lost") else None

    return wait_until(ended)


def log_of(directory: Path) -> list[str]:
    return [line.split("\t", 1)[1] for line in (directory / "log").read_text().splitlines()]


def program(*arguments: str, **further: object) -> Program:
    return Program(module="probe_program", arguments=arguments, **{"trusted": True, **further})  # type: ignore[arg-type]
