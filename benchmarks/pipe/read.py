"""A Pipe channel beside `cat` of the same files through a FIFO, and its first batch beside File mode's.

    python benchmarks/pipe/read.py [--gib 2] [--objects 16] [--record 4096] [--rounds 3] [--folder /tmp]

Three questions, each answered with its peer in the same run:

    raw       bytes/s that a reader gets who only reads, from the feeder and from cat
    dataset   bytes/s through PipeModeDataset, TFRecord's checksums looked at, from the feeder and from cat
    first     seconds to the first batch of 256 records from a store on another machine: in Pipe mode, and in File mode,
              which fetches everything before. The other machine is a `groundfog serve` of its own, asked by HTTP over
              loopback, so that nothing but the two programs limits the speed: a network makes File mode only slower

Give more --gib than there is memory, and files come from the disk; otherwise they are in the page cache for both.
"""

import argparse
import itertools
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anycrc
from torch.utils.data import DataLoader

from groundfog.engine.channels import Channel, fill
from groundfog.engine.channels.feed import command, order_feed
from groundfog.engine.channels.remote import RemoteStore
from groundfog.engine.objects import Objects
from groundfog.opt_ml.layout import Layout
from groundfog.opt_ml.pipe import PipeModeDataset
from groundfog.opt_ml.records import tfrecord

CHANNEL = Channel(name="train", bucket="data", prefix="train/", mode="Pipe", if_empty="nothing")
BATCH = 256
MIB = 1 << 20


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gib", type=float, default=2)
    options.add_argument("--objects", type=int, default=16)
    options.add_argument("--record", type=int, default=4096, help="bytes of each record")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--ask", default="raw,dataset,first", help="which of the questions")
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        root = Path(folder)
        size = make(root / "home" / "objects", int(given.gib * (1 << 30)), given.objects, given.record)
        print(f"{size / (1 << 30):.1f} GiB in {given.objects} objects, TFRecords of {given.record} bytes")
        asked = given.ask.split(",")
        if "raw" in asked:
            compare("raw", root, size, given.rounds, lambda host: read_raw(host.fifo("train", 0)))
        if "dataset" in asked:
            compare("dataset", root, size, given.rounds, read_records)
        if "first" in asked:
            first(root)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")


def make(store: Path, size: int, objects: int, record: int) -> int:
    """Objects of records; returns how many bytes they have."""
    crc = anycrc.Model("CRC32C").calc
    kept, made = Objects(store), 0
    kept.create_bucket(CHANNEL.bucket, "us-east-1")
    for number in range(objects):
        with kept.draft() as draft:
            while draft.size * objects < size:
                draft.write(tfrecord(os.urandom(record), crc))
            kept.keep(draft, CHANNEL.bucket, f"{CHANNEL.prefix}{number:05}")
            made += draft.size
    kept.close()
    return made


def compare(what: str, root: Path, size: int, rounds: int, read: Callable[[Layout], object]) -> None:
    """In turn, so that whatever else the machine does is done to both."""
    speeds: dict[str, list[float]] = {"feeder": [], "cat": []}
    for number, by in itertools.product(range(rounds), speeds):
        with host(root / f"{what}-{number}-{by}") as layout, (fed if by == "feeder" else catted)(root, layout):
            began = time.perf_counter()
            read(layout)
            speeds[by].append(size / (time.perf_counter() - began) / MIB)
    ours, cats = (statistics.median(speeds[by]) for by in ("feeder", "cat"))
    print(f"{what:<8} {ours:7.0f} MiB/s from the feeder, {cats:7.0f} MiB/s from cat: {ours / cats:.0%}")


def read_raw(fifo: Path) -> None:
    buffer = bytearray(MIB)
    with fifo.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def read_records(layout: Layout) -> None:
    for _ in PipeModeDataset("train", "TFRecord", layout=layout):
        pass


@contextmanager
def host(directory: Path) -> Iterator[Layout]:
    layout = Layout(directory / "opt_ml")
    layout.lay_out()
    layout.configure({}, {"train": {"TrainingInputMode": "Pipe"}}, {})
    yield layout
    shutil.rmtree(directory)


@contextmanager
def fed(root: Path, layout: Layout, source: dict[str, object] | None = None) -> Iterator[None]:
    """The feeder, as an agent starts it."""
    directory = layout.root.parent
    order_feed(directory, [CHANNEL], source or {"folder": str(root / "home" / "objects")})
    order = command(directory)
    assert order is not None
    agent, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(order, stdin=theirs)
    theirs.close()
    threading.Thread(target=hold, args=(agent,), daemon=True).start()
    try:
        if source is None:
            time.sleep(1.0)  # For raw speed, not for how soon it begins.
        yield
    finally:
        agent.shutdown(socket.SHUT_RDWR)
        process.wait()


def hold(agent: socket.socket) -> None:
    """What the agent does: a second hold on what is being written."""
    held: dict[bytes, int] = {}
    while True:
        message, pipes, _, _ = socket.recv_fds(agent, 32, 1)
        if not message:
            return
        if message[:1] == b"+":
            held[message[1:]] = pipes[0]
        else:
            os.close(held.pop(message[1:]))


@contextmanager
def catted(root: Path, layout: Layout) -> Iterator[None]:
    store = Objects(root / "home" / "objects")
    blobs = [str(found.blob) for found in store.page(CHANNEL.bucket, CHANNEL.prefix)]
    store.close()
    fifo = layout.fifo("train", 0)
    os.mkfifo(fifo)
    cat = subprocess.Popen(["sh", "-c", 'exec cat "$@" > "$0"', str(fifo), *blobs])
    try:
        yield
    finally:
        cat.wait()


def first(root: Path) -> None:
    with served(root / "home") as where:
        with host(root / "pipe") as layout:
            began = time.perf_counter()
            with fed(root, layout, {"s3": where}):
                batch(PipeModeDataset("train", "TFRecord", layout=layout))
                piped = time.perf_counter() - began
        with host(root / "file") as layout:
            began = time.perf_counter()
            fill(RemoteStore(where), CHANNEL, layout.channel("train"), link=False)
            os.mkfifo(layout.fifo("train", 0))
            files = [str(path) for path in sorted(layout.channel("train").iterdir())]
            with subprocess.Popen(["sh", "-c", 'exec cat "$@" > "$0"', str(layout.fifo("train", 0)), *files]):
                batch(PipeModeDataset("train", "TFRecord", layout=layout))
                filed = time.perf_counter() - began
    print(f"first    {piped:.2f} s in Pipe mode, {filed:.2f} s in File mode: {filed / piped:.0f} times sooner")


def batch(dataset: PipeModeDataset) -> None:
    loader = iter(DataLoader(dataset, batch_size=BATCH))
    assert len(next(loader)) == BATCH


@contextmanager
def served(home: Path) -> Iterator[dict[str, str]]:
    """A server over the objects; how to ask it."""
    serving = subprocess.Popen(
        [sys.executable, "-m", "groundfog", "serve", "--home", str(home), "--port", "0", "--warm", "0"],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not (home / "server.json").exists():
            time.sleep(0.05)
        printed = subprocess.run(
            [sys.executable, "-m", "groundfog", "env", "--home", str(home)], capture_output=True, text=True, check=True
        ).stdout
        exports = (line.removeprefix("export ") for line in printed.splitlines() if line.startswith("export "))
        given = dict(export.split("=", 1) for export in exports)
        where = {
            "url": given["AWS_ENDPOINT_URL"],
            "region": given["AWS_REGION"],
            "access_key": given["AWS_ACCESS_KEY_ID"],
            "secret": given["AWS_SECRET_ACCESS_KEY"],
            "token": "",
        }
        yield where
    finally:
        serving.terminate()
        serving.wait()


if __name__ == "__main__":
    main()
