"""The feeder's process, as the agent of a host sees it from one end and a program from the other."""

import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundfog.engine.channels import Channel
from groundfog.engine.channels.feed import command, failure, order_feed
from groundfog.engine.objects import Objects
from groundfog.opt_ml.layout import Layout


class Fed:
    """A host's directory with a feeder beside it."""

    def __init__(self, folder: Path) -> None:
        self.objects, self.directory = Objects(folder / "objects"), folder / "host"
        self.objects.create_bucket("b", "us-east-1")
        self.layout = Layout(self.directory / "opt_ml")
        self.layout.lay_out()
        self.held: dict[bytes, int] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *channels: Channel) -> None:
        order_feed(self.directory, channels, {"folder": str(self.objects.root)})
        order = command(self.directory)
        assert order is not None
        self.agent, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(order, stdin=theirs)
        theirs.close()
        threading.Thread(target=self._hold, daemon=True).start()

    def _hold(self) -> None:
        """What the agent does."""
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self.agent, 32, 1)
            except OSError:
                return
            if not message:
                return
            if message[:1] == b"+":
                self.held[message[1:]] = descriptors[0]
            else:
                os.close(self.held.pop(message[1:]))

    def read(self, channel: str, epoch: int) -> bytes:
        return self.fifo(channel, epoch).read_bytes()

    def fifo(self, channel: str, epoch: int) -> Path:
        return self.layout.fifo(channel, epoch)

    def names(self) -> set[str]:
        return {path.name for path in self.layout.data.iterdir()}

    def close(self) -> None:
        if self.process is not None:
            self.agent.shutdown(socket.SHUT_RDWR)
            assert self.process.wait(30) is not None
            self.agent.close()
        for descriptor in self.held.values():
            os.close(descriptor)
        self.objects.close()


@pytest.fixture
def fed(tmp_path: Path) -> Iterator[Fed]:
    fed = Fed(tmp_path)
    yield fed
    fed.close()


def channel(name: str, prefix: str, **further: Any) -> Channel:
    return Channel(name=name, bucket="b", prefix=prefix, mode="Pipe", if_empty="nothing", **further)


def until(true: Any) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


def test_epoch_after_epoch_and_only_one_at_a_time(fed: Fed) -> None:
    fed.objects.put("b", "x/a", b"fog")
    fed.start(channel("train", "x/"))
    assert fed.names() == {"train_0"}, "before anything runs"
    for epoch in range(5):
        assert fed.read("train", epoch) == b"fog"
        assert fed.names() == {f"train_{epoch + 1}"}
    until(lambda: not fed.held)


def test_a_reader_who_leaves_early_finds_the_next_epoch_whole(fed: Fed) -> None:
    whole = os.urandom(5 << 20)
    fed.objects.put("b", "x/a", whole)
    fed.start(channel("train", "x/"))
    for epoch in range(3):
        with fed.fifo("train", epoch).open("rb") as file:
            assert file.read(100) == whole[:100]
    assert fed.read("train", 3) == whole


def test_channels_do_not_wait_for_one_another(fed: Fed) -> None:
    whole = os.urandom(5 << 20)
    fed.objects.put("b", "x/a", whole)
    fed.start(*(channel(name, "x/") for name in ("never", "train", "half", "late")))
    with fed.fifo("half", 0).open("rb") as half:
        begun = half.read(3)
        for epoch in range(3):
            assert fed.read("train", epoch) == whole
        assert fed.read("late", 0) == whole
        assert begun + half.read() == whole
    assert fed.names() == {"never_0", "train_3", "half_1", "late_1"}


def test_what_is_put_between_epochs_is_there_in_the_next(fed: Fed) -> None:
    fed.objects.put("b", "x/a", b"1")
    fed.start(channel("train", "x/"))
    assert fed.read("train", 0) == b"1"
    fed.objects.put("b", "x/b", b"2")
    assert fed.read("train", 1) == b"12"


def test_a_fault_ends_the_feeder_with_its_reason_and_is_no_end_of_data(fed: Fed) -> None:
    fed.objects.put("b", "x/a", b"not packed")
    fed.start(channel("train", "x/", is_gzipped=True), channel("other", "x/"))
    reader = os.open(fed.fifo("train", 0), os.O_RDONLY)
    assert fed.process is not None and fed.process.wait(20) == 1
    assert failure(fed.directory).startswith("Channel 'train': 's3://b/x/a' is not gzipped as CompressionType says")
    readable, _, _ = select.select([reader], [], [], 0.2)
    assert readable == [], "a reader would see the end"
    os.close(reader)


def test_a_feeder_that_is_killed_is_no_end_of_data(fed: Fed) -> None:
    fed.objects.put("b", "x/a", os.urandom(5 << 20))
    fed.start(channel("train", "x/"))
    reader = os.open(fed.fifo("train", 0), os.O_RDONLY)
    assert len(os.read(reader, 10)) == 10
    assert fed.process is not None
    fed.process.kill()
    fed.process.wait()
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        while os.read(reader, 1 << 20):
            pass
    os.close(reader)
    assert failure(fed.directory) == ""


def test_it_ends_with_its_agent_whatever_it_waits_for(fed: Fed) -> None:
    fed.objects.put("b", "x/a", os.urandom(5 << 20))
    fed.start(channel("train", "x/"), channel("never", "x/"))
    with fed.fifo("train", 0).open("rb") as file:
        file.read(1)
        fed.agent.shutdown(socket.SHUT_RDWR)
        assert fed.process is not None and fed.process.wait(30) == 0


def test_a_second_start_begins_at_epoch_0(fed: Fed) -> None:
    fed.objects.put("b", "x/a", b"fog")
    fed.start(channel("train", "x/"))
    assert [fed.read("train", epoch) for epoch in range(2)] == [b"fog"] * 2
    fed.agent.shutdown(socket.SHUT_RDWR)
    assert fed.process is not None
    fed.process.wait(30)
    fed.agent.close()
    fed.layout.pipe_state.mkdir()
    (fed.layout.pipe_state / ".train-pipe_mode-state").write_text("2")
    fed.start(channel("train", "x/"))
    assert fed.names() == {"train_0"}
    assert not fed.layout.pipe_state.exists()
    assert fed.read("train", 0) == b"fog"


def test_a_link_in_place_of_the_state_leads_nowhere(fed: Fed, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    fed.layout.pipe_state.symlink_to(tmp_path / "precious")
    fed.objects.put("b", "x/a", b"fog")
    fed.start(channel("train", "x/"))
    assert (tmp_path / "precious" / "file").exists()
    assert fed.read("train", 0) == b"fog"


def test_channels_that_are_files_need_no_feeder(fed: Fed) -> None:
    order_feed(fed.directory, [Channel(name="train", bucket="b", prefix="x/", if_empty="")], {"folder": "/"})
    assert command(fed.directory) is None
