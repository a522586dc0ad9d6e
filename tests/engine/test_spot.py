"""Jobs whose hosts are taken away: they wait, begin again with what they had kept, and end in time or not at all."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine.hosts import wait_until
from engine.jobhouse import House

from groundfog.engine.errors import Busy, Missing, Unfit
from groundfog.engine.jobs import progress_of
from groundfog.engine.mirrors import Mirror
from groundfog.engine.sandbox import Sandbox

KEPT = (Mirror(path="/opt/ml/checkpoints", bucket="b", prefix="kept/", fetched=True),)
ONCE = ["Starting", "Downloading", "Training", "Interrupted"]


@pytest.fixture
def house(tmp_path: Path, unwalled: Sandbox) -> Iterator[House]:
    made = House(tmp_path, unwalled, at_once=1)
    made.start()
    yield made
    made.close()


def runs(house: House, name: str = "j") -> None:
    """Wait until the program has begun to count its runs."""
    wait_until(lambda: house.statuses(name)[-1] == "Training" and any("run " in line for line in house.says(name)))


def test_an_interrupted_job_goes_on_from_its_checkpoints(house: House) -> None:
    house.submit("j", "resume", max_wait=600, mirrors=KEPT)
    runs(house)
    (first,) = house.directories("j")
    house.jobs.interrupt("j")
    progress = house.settled("j")
    assert house.find("j").status == "Completed"
    assert house.statuses("j") == [*ONCE, "Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert house.archive("out/j/output/model.tar.gz") == {"weights": "after 2 runs"}
    assert house.objects.read("b", "kept/runs") == b"2"
    assert not first.exists()
    assert sorted(house.says("j")) == ["run 1", "run 2"]
    assert progress.ended is not None and progress.started is not None
    assert progress.spent("Training", "Interrupted") < progress.ended - progress.started


def test_without_checkpoints_it_begins_anew(house: House) -> None:
    house.submit("j", "resume", max_wait=600)
    runs(house)
    house.jobs.interrupt("j")
    wait_until(lambda: house.statuses("j")[-3:] == ["Starting", "Downloading", "Training"])
    wait_until(lambda: house.says("j") == ["run 1", "run 1"])
    house.jobs.stop("j")
    assert house.settled("j").outcome.status == "Stopped"  # type: ignore[union-attr]


def test_others_work_while_it_waits_for_hosts(house: House) -> None:
    house.submit("j", "resume", max_wait=600, mirrors=KEPT)
    runs(house)
    house.jobs.interrupt("j", away=3600)
    wait_until(lambda: house.statuses("j") == [*ONCE, "Starting"])
    house.submit("other", "succeed")
    house.settled("other")
    assert house.statuses("j") == [*ONCE, "Starting"]
    house.jobs.stop("j")
    assert house.statuses("j") == [*ONCE, "Starting", "Stopping", "Stopped"]


def test_the_next_server_goes_on_with_an_interruption(house: House) -> None:
    house.submit("j", "resume", max_wait=600, mirrors=KEPT)
    runs(house)
    house.leave()
    House(house.home, house.sandbox).jobs.interrupt("j", away=0.2)
    again = house.again()
    assert again.settled("j").outcome.status == "Completed"  # type: ignore[union-attr]
    assert again.objects.read("b", "kept/runs") == b"2"
    again.close()


def test_it_ends_when_its_time_is_over_while_it_trains(house: House) -> None:
    house.submit("j", "wait_for_the_end", max_wait=2)
    progress = house.settled("j")
    assert progress.outcome is not None
    assert (progress.outcome.status, progress.outcome.secondary) == ("Stopped", "MaxWaitTimeExceeded")
    assert house.statuses("j")[-2:] == ["Uploading", "MaxWaitTimeExceeded"]
    assert house.archive("out/j/output/model.tar.gz") == {"weights": "best so far"}


@pytest.mark.parametrize("away", [0, 3600])
def test_it_ends_when_its_time_is_over_in_line(house: House, away: float) -> None:
    house.submit("j", "resume", max_wait=4, mirrors=KEPT)
    runs(house)
    if not away:  # It waits for another job then, not for hosts.
        house.submit("other", "wait_for_the_end")
    house.jobs.interrupt("j", away=away)
    progress = house.settled("j")
    assert progress.outcome is not None and progress.outcome.secondary == "MaxWaitTimeExceeded"
    assert house.statuses("j") == [*ONCE, "Starting", "Stopping", "MaxWaitTimeExceeded"]
    assert time.time() >= house.find("j").created + 4


def test_a_job_that_ended_by_itself_was_not_interrupted(house: House) -> None:
    house.submit("j", "take_a_second", max_wait=600)
    wait_until(lambda: house.says("j") == ["begun"])
    wait_until(lambda: house.says("j")[-1] == "done")
    try:
        house.jobs.interrupt("j")
    except Busy:
        assert house.progress("j").step != "training"
    assert house.settled("j").outcome.status == "Completed"  # type: ignore[union-attr]


def test_who_cannot_be_interrupted_is_told_why(house: House) -> None:
    with pytest.raises(Missing):
        house.jobs.interrupt("nobody")
    house.submit("firm", "wait_for_the_end")
    wait_until(lambda: house.says("firm") == ["waiting"])
    with pytest.raises(Unfit, match="does not train on spot instances"):
        house.jobs.interrupt("firm")
    house.submit("waits", "succeed", max_wait=600)
    with pytest.raises(Busy):
        house.jobs.interrupt("waits")
    assert progress_of(house.find("waits")).interruption is None
    house.jobs.stop("firm")
    house.settled("waits")
    with pytest.raises(Busy):
        house.jobs.interrupt("waits")
