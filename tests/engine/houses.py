"""A house in which endpoints of mirrors live, and patience."""

import asyncio
import io
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundfog.engine.endpoints import Answer, Deployment, Endpoints, Pace, Question, Variant
from groundfog.engine.launch import Program
from groundfog.engine.launch.local import Local
from groundfog.engine.objects import Objects
from groundfog.engine.resources import Resources
from groundfog.engine.sandbox import Sandbox
from groundfog.engine.state import Database

MODELS = Path(__file__).parent / "models"
MIRROR = Program(module="mirror_model", arguments=("serve",), trusted=True, grace_seconds=5)
QUICK = Pace(start=20, check=0.05, backoff=0.05, answer=10, patience=5)


@dataclass
class KeptLogs:
    """Which streams were begun."""

    streams: list[tuple[str, str]] = field(default_factory=list)

    def attach(self, group: str, stream: str, file: Path) -> None:
        assert file.name == "log"
        self.streams.append((group, stream))


class House:
    """Endpoints over a folder, and what a test asks of them."""

    def __init__(self, folder: Path, pace: Pace = QUICK) -> None:
        self.state = Database(folder / "state.db", "state")
        self.resources, self.objects = Resources(self.state), Objects(folder / "objects")
        self.launcher = Local(folder / "runs", sandbox=Sandbox("none", modules=[MODELS]))
        self.launcher.sweep(lambda directory: self.resources.mention(directory.name))
        self.logs = KeptLogs()
        self.endpoints = Endpoints(self.resources, self.objects, self.launcher, self.logs, wait=20, pace=pace)  # type: ignore[arg-type]
        self.runs = folder / "runs"
        if not self.objects.has_bucket("models"):
            self.objects.create_bucket("models", "us-east-1")

    def start(self) -> "House":
        self.endpoints.start()
        return self

    def close(self, *, stop_replicas: bool = True) -> None:
        self.endpoints.close(stop_replicas=stop_replicas)
        self.launcher.close()
        self.state.close()

    def model(self, prefix: str, **files: str) -> tuple[str, str]:
        """A model that puts `prefix` before its answers."""
        self.objects.put("models", f"{prefix}.tar.gz", archive({"prefix": prefix, **files}))
        return "models", f"{prefix}.tar.gz"

    def variant(self, name: str, *, weight: float = 1, instances: int = 1, **files: str) -> Variant:
        """It answers with its name before the words, said backwards."""
        return Variant(
            name=name,
            program=MIRROR,
            model=self.model(f"{name}-", **files),
            weight=weight,
            instances=instances,
            image="mirror",
        )

    def create(self, *variants: Variant, name: str = "mirror") -> None:
        self.endpoints.create(name, Deployment(name="first", variants=variants), {})

    def status(self, name: str = "mirror") -> str:
        return self.resources.find("endpoint", name).status

    def replicas(self, name: str = "mirror") -> list[Path]:
        return [Path(one["directory"]) for one in self.resources.find("endpoint", name).document["replicas"]]

    async def create_and_wait(self, *variants: Variant, name: str = "mirror") -> None:
        await asyncio.to_thread(self.create, *variants, name=name)
        await self.endpoints.until_settled(name)
        assert self.status(name) == "InService", self.resources.find("endpoint", name).document["failure"]

    async def say(self, words: str, variant: str | None = None) -> str:
        answer = await self.ask(words, variant)
        assert answer.reply.status == 200, answer.reply.body
        return answer.reply.body.decode()

    async def ask(self, words: str, variant: str | None = None) -> Answer:
        return await self.endpoints.invoke("mirror", Question(words.encode(), {"Content-Type": "text/plain"}, variant))


def archive(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


@asynccontextmanager
async def housed(folder: Path, pace: Pace = QUICK, *, stop_replicas: bool = True) -> AsyncIterator[House]:
    house = House(folder, pace).start()
    try:
        yield house
    finally:
        house.close(stop_replicas=stop_replicas)
        await asyncio.sleep(0.01)  # The connections to the replicas end on this loop.


async def until(true: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.01)
