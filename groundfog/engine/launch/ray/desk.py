"""What the server and its relay tell each other beyond the hosts' directories."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "dismissed").mkdir(exist_ok=True)

    @property
    def seen(self) -> float:
        """When the relay last had the cluster in sight."""
        try:
            return (self.folder / "seen").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def see(self) -> None:
        (self.folder / "seen").touch()

    def dismiss(self, actors: Sequence[str]) -> None:
        for actor in actors:
            (self.folder / "dismissed" / actor).touch()

    @property
    def dismissed(self) -> list[Path]:
        return list((self.folder / "dismissed").iterdir())

    @contextmanager
    def turn(self) -> Iterator[int | None]:
        """A lock that the relay is to inherit; None while there is a relay that has it."""
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield lock
        except BlockingIOError:
            yield None
        finally:
            os.close(lock)
