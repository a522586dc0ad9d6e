"""What hosts take of the machine: measured by their agents, and kept once."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine.hosts import log_of, program, wait_for_the_end, wait_until

from groundfog.engine.launch.agent import gpus
from groundfog.engine.launch.local import Local
from groundfog.engine.measurements import Gauge, Measurements, Metric
from groundfog.engine.state import Database

WORDS = (("Host", "words/algo-1"),)
NOW = int(time.time())
SEEN = ("CPU", "Memory", "Disk")
Anew = Callable[..., Gauge]


def looks(directory: Path) -> list[dict[str, float]]:
    file = directory / "usage"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_program_that_computes_fills_a_core_and_takes_memory(launcher: Local) -> None:
    directory = launcher.make()
    launcher.start(directory, program("compute", "150"))
    seen = wait_until(lambda: looks(directory) or None)
    launcher.stop(directory)
    wait_for_the_end(launcher, directory)
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert max(look["CPUUtilization"] for look in seen) > 5  # where others work too, it may not have all of a core
    assert all(0 <= look["CPUUtilization"] < 100 * ((os.cpu_count() or 1) + 1) for look in seen)
    assert 100 * 150e6 / whole < max(look["MemoryUtilization"] for look in seen) < 100
    assert all(abs(look["at"] - time.time()) < 60 for look in seen)


def test_one_that_ends_soon_leaves_a_look_with_all_there_is_to_say(launcher: Local) -> None:
    directory = launcher.make()
    launcher.start(directory, program("take_a_second"))
    assert wait_for_the_end(launcher, directory).exit_code == 0, log_of(directory)
    found = looks(directory)
    assert {name for look in found for name in look} == {"at", *(f"{what}Utilization" for what in SEEN)}
    assert max(look.get("CPUUtilization", 0) for look in found) > 0


@pytest.fixture
def anew(tmp_path: Path) -> Iterator[Anew]:
    """Gauges of one host after another, as servers come and go."""
    measurements = Measurements(Database(tmp_path / "state.db", "state"))

    def gauge(**further: float) -> Gauge:
        return Gauge(tmp_path, "jobs", WORDS, measurements, **further)

    yield gauge


def write(folder: Path, *looks: tuple[float, float], end: str = "\n") -> None:
    with (folder / "usage").open("a") as file:
        file.write("\n".join(json.dumps({"at": NOW + at, "CPUUtilization": cpu}) for at, cpu in looks) + end)


def kept(gauge: Gauge) -> dict[float, float]:
    """How often each value came."""
    points = gauge._measurements.points(Metric("jobs", "CPUUtilization", WORDS), NOW - 60, NOW + 600)
    assert {point.unit for point in points} <= {"Percent"}
    return {value: count for point in points for value, count in (point.summary.tally or {}).items()}


def test_each_look_counts_once_though_servers_come_and_go(anew: Anew, tmp_path: Path) -> None:
    anew().look()
    write(tmp_path, (0, 1), (10, 2))
    first = anew()
    first.look()
    write(tmp_path, (20, 4), end="")
    first.look()
    assert kept(first) == {1: 1, 2: 1}
    write(tmp_path, end="\n")
    for _ in range(2):
        anew().look()
    assert kept(first) == {1: 1, 2: 1, 4: 1}


def test_half_a_line_costs_the_others_nothing(anew: Anew, tmp_path: Path) -> None:
    write(tmp_path, (0, 1))
    with (tmp_path / "usage").open("ab") as file:
        file.write(b'{"at": 17\0\0\0\xff\n')
    write(tmp_path, (20, 4))
    gauge = anew()
    gauge.look()
    assert kept(gauge) == {1: 1, 4: 1}


def test_another_host_of_the_same_metrics_counts_from_its_beginning(anew: Anew, tmp_path: Path) -> None:
    write(tmp_path, (0, 1))
    anew().look()
    shared = anew(began=NOW - 1)
    shared.look()
    assert kept(shared) == {1: 2}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("50, 100, 400\n100, 200, 400\n", {"GPUUtilization": 150.0, "GPUMemoryUtilization": 75.0}),
        ("[N/A], 100, 400\n", {}),
        ("No devices were found\n", {}),
    ],
)
def test_gpus_add_up_and_what_is_not_known_is_left_out(said: str, told: dict[str, float]) -> None:
    assert gpus.told(said) == told
