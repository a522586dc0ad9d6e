"""What a host may take of the machine."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from engine.hosts import PROGRAMS, log_of, wait_for_the_end
from hypothesis import given
from hypothesis import strategies as st

from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Host, Launcher, Program
from groundfog.engine.launch.local import Local
from groundfog.engine.launch.ray import Ray
from groundfog.engine.outcomes import judge
from groundfog.engine.sandbox import Amount, Limits, Sandbox, limits

Run = Callable[..., tuple[Path, Host]]


@pytest.fixture(params=["walled", pytest.param("ray", marks=pytest.mark.slow)])
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Limits], Launcher]:
    """The launchers that have a wall, with these limits."""
    if request.param == "walled":
        request.getfixturevalue("walled")
        return lambda limits: Local(tmp_path / "runs", sandbox=Sandbox(modules=[PROGRAMS], limits=limits))
    runs, cluster = request.getfixturevalue("ray_runs")
    return lambda limits: Ray(runs, replace(cluster, limits=limits))


@pytest.fixture
def run(limited: Callable[[Limits], Launcher]) -> Iterator[Run]:
    """Runs a program with these limits to its end."""
    ran = []

    def run(limits: Limits, *wish: str) -> tuple[Path, Host]:
        launcher = limited(limits)
        directory = launcher.make()
        ran.append((launcher, directory))
        launcher.start(directory, Program(module="greedy_program", arguments=wish))
        return directory, wait_for_the_end(launcher, directory)

    yield run
    for launcher, directory in ran:
        launcher.remove(directory)
        launcher.close()


@pytest.mark.parametrize("wish", [("fill_memory",), ("fill_memory", "in a child")])
def test_who_takes_more_memory_than_it_may_fails_and_learns_why(run: Run, wish: tuple[str, ...]) -> None:
    directory, host = run(Limits(memory=Amount("200M")), *wish)
    outcome = judge([host], {"algo-1": directory}, asked_to_stop=None)
    assert outcome is not None and outcome.status == "Failed" and outcome.reason is not None
    if limits._groups() is None:
        assert host.exit_code and "MemoryError" in "".join(log_of(directory))
    else:
        assert host.because == "memory"
        assert "more memory than a job may have" in outcome.reason
        assert not (limits._groups() / limits._name(directory)).exists()


@pytest.mark.parametrize("path", ["model/weights", "elsewhere/opt_ml/input/weights"])
def test_who_writes_more_than_it_may_is_ended_and_learns_why(run: Run, path: str) -> None:
    directory, host = run(Limits(disk=Amount("50M")), "fill_disk", path)
    assert (host.exit_code, host.because) == (137, "disk")
    outcome = judge([host], {"algo-1": directory}, asked_to_stop=None)
    assert outcome is not None and "wrote more than a job may" in (outcome.reason or "")


def test_there_are_no_more_processes_than_there_may_be(run: Run) -> None:
    directory, host = run(Limits(processes=40), "multiply")
    assert host.exit_code == 0
    (line,) = log_of(directory)
    assert 20 < int(line.removeprefix("no more than ")) <= 40


@given(st.integers(0, 10**15), st.sampled_from(["", "K", "M", "G", "T", "k", "GB", "GiB", " MB"]))
def test_an_amount_in_bytes(number: int, unit: str) -> None:
    letter = unit.strip().upper()[:1]
    assert Amount(f"{number}{unit}").of(5) == number * 1024 ** (" KMGT".index(letter) if letter else 0)


@given(st.integers(0, 100), st.integers(0, 10**15))
def test_an_amount_that_is_a_share(percent: int, whole: int) -> None:
    assert Amount(f"{percent}%").of(whole) == pytest.approx(whole * percent / 100, abs=1)


@pytest.mark.parametrize("text", ["", "much", "-1", "10 elephants", "%", "5 %%", "1e9"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(Unfit, match="is no amount"):
        Amount(text)


def test_no_limit() -> None:
    assert Amount("none").of(100) is None


def test_limits_come_through_to_another_machine() -> None:
    limits = Limits(memory=Amount("none"), disk=Amount("5G"), processes=7)
    assert Limits.read(json.loads(json.dumps(asdict(limits)))) == limits
