"""Hosts with Pipe channels on this machine, with a wall and without: what feeds them lives and dies beside them."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.hosts import log_of, program, wait_for_the_end, wait_until
from feeding import feeders

from groundfog.engine.channels import Channel
from groundfog.engine.channels.feed import failure, order_feed
from groundfog.engine.launch.local import Local
from groundfog.engine.objects import Objects
from groundfog.opt_ml.layout import Layout

LONG = 5 << 20
"""Bytes, more than a pipe holds."""


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    objects = Objects(tmp_path / "objects")
    objects.create_bucket("b", "us-east-1")
    objects.put("b", "x/a", bytes(LONG))
    yield objects
    objects.close()


def fed(launcher: Local, objects: Objects, **further: Any) -> Path:
    """A host's directory, with a channel that is to be fed."""
    directory = launcher.make()
    channel = Channel(name="train", bucket="b", prefix="x/", mode="Pipe", if_empty="", **further)
    Layout(directory / "opt_ml").configure({}, {"train": {"TrainingInputMode": "Pipe"}}, {"current_host": "algo-1"})
    order_feed(directory, [channel], {"folder": str(objects.root)})
    return directory


def begun(launcher: Local, directory: Path) -> int:
    """Start one that reads the rest when told; its feeder."""
    launcher.start(directory, program("read_when_told"))
    wait_until(lambda: "reading" in log_of(directory))
    (feeder,) = feeders(directory)
    return feeder


def test_a_program_reads_to_the_end_and_its_feeder_ends_with_it(launcher: Local, objects: Objects) -> None:
    directory = fed(launcher, objects)
    begun(launcher, directory)
    (directory / "opt_ml" / "checkpoints" / "go").touch()
    assert wait_for_the_end(launcher, directory).exit_code == 0
    assert (directory / "opt_ml" / "model" / "length").read_text() == str(LONG)
    assert feeders(directory) == []


def test_what_cannot_be_fed_ends_the_program(launcher: Local, objects: Objects) -> None:
    directory = fed(launcher, objects, is_gzipped=True)
    launcher.start(directory, program("read_channels"))
    host = wait_for_the_end(launcher, directory)
    assert (host.phase, host.because) == ("exited", "input")
    assert failure(directory).startswith("Channel 'train': 's3://b/x/a' is not gzipped")
    assert not (directory / "opt_ml" / "model" / "algo-1").exists(), "it took the fault for the end"


def test_a_dead_feeder_is_a_lost_host_that_starts_again(launcher: Local, objects: Objects) -> None:
    directory = fed(launcher, objects)
    os.kill(begun(launcher, directory), signal.SIGKILL)
    assert wait_for_the_end(launcher, directory).phase == "lost"
    assert log_of(directory)[-1].startswith("What feeds the Pipe channels of this host died")
    assert not (directory / "opt_ml" / "model" / "length").exists()
    launcher.start(directory, program("read_when_told"))
    (directory / "opt_ml" / "checkpoints" / "go").touch()
    assert wait_for_the_end(launcher, directory).exit_code == 0
    assert (directory / "opt_ml" / "model" / "length").read_text() == str(LONG)


def test_even_an_agent_that_is_slow_to_notice_keeps_the_end_from_being_seen(launcher: Local, objects: Objects) -> None:
    directory = fed(launcher, objects)
    feeder, agent = begun(launcher, directory), int((directory / "lock").read_text())
    os.kill(agent, signal.SIGSTOP)
    os.kill(feeder, signal.SIGKILL)
    (directory / "opt_ml" / "checkpoints" / "go").touch()
    time.sleep(0.5)  # Time enough to read what is left in the pipe, and what comes after it.
    assert not (directory / "opt_ml" / "model" / "length").exists(), "it took a dead feeder for the end"
    os.kill(agent, signal.SIGCONT)
    assert wait_for_the_end(launcher, directory).phase == "lost"


def test_a_feeder_goes_with_its_agent(launcher: Local, objects: Objects) -> None:
    directory = fed(launcher, objects)
    begun(launcher, directory)
    os.kill(int((directory / "lock").read_text()), signal.SIGKILL)
    assert wait_for_the_end(launcher, directory).phase == "lost"
    wait_until(lambda: feeders(directory) == [] or None)
    launcher.remove(directory)
    assert not directory.exists()


def test_remove_leaves_nothing_of_it(launcher: Local, objects: Objects) -> None:
    directory = fed(launcher, objects)
    begun(launcher, directory)
    launcher.remove(directory)
    wait_until(lambda: feeders(directory) == [] or None)
    assert not directory.exists()
