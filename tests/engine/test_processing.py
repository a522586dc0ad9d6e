import os
import signal

from engine.hosts import wait_until
from engine.jobhouse import House

from groundfog.engine.channels import Channel
from groundfog.engine.mirrors import Mirror

INPUT = (Channel(name="in", path="processing/in", bucket="b", prefix="in/", if_empty="nothing there"),)
OUTPUT = (Mirror(path="/opt/ml/processing/out", bucket="b", prefix="kept/", at_end=True),)


def test_a_lost_host_is_replaced_by_one_with_all_the_input(house: House) -> None:
    """Its program may have changed the first one's."""
    house.objects.put("b", "in/letter", b"a")
    house.submit("j", "consume", bucket="", processing={}, channels=INPUT, mirrors=OUTPUT)
    for times in (1, 2):
        wait_until(lambda: house.says("j") == ["read a"] * times)  # noqa: B023
        (directory,) = house.directories("j")
        os.kill(int((directory / "lock").read_text()), signal.SIGKILL)
    outcome = house.settled("j").outcome
    assert outcome is not None and "lost 2 times" in str(outcome.reason)
    assert house.objects.read("b", "in/letter") == b"a"
    assert list(house.objects.page("b", "kept/", "")) == []
    assert list((house.home / "runs").iterdir()) == []


def test_a_bucket_for_what_comes_out_must_be_there_before_it_begins(house: House) -> None:
    nowhere = (Mirror(path="/opt/ml/processing/out", bucket="nowhere", prefix="", at_end=True),)
    house.submit("j", "succeed", bucket="", processing={}, mirrors=nowhere)
    outcome = house.settled("j").outcome
    assert outcome is not None and "The bucket nowhere, where /opt/ml/processing/out" in str(outcome.reason)


def test_an_output_cannot_lie_where_an_input_has_put_a_file(house: House) -> None:
    house.objects.put("b", "in/out", b"a file")
    place = (Channel(name="in", path="processing", bucket="b", prefix="in/", if_empty="nothing there"),)
    house.submit("j", "succeed", bucket="", processing={}, channels=place, mirrors=OUTPUT)
    outcome = house.settled("j").outcome
    assert outcome is not None and "an input has put a file in its place" in str(outcome.reason)


def test_the_next_server_finds_what_runs(house: House) -> None:
    house.objects.put("b", "in/letter", b"a")
    house.submit("j", "consume", bucket="", processing={}, channels=INPUT, mirrors=OUTPUT)
    wait_until(lambda: house.says("j") == ["read a"])
    house = house.again()
    house.jobs.stop("j")
    house.settled("j")
    assert house.find("j").status == "Stopped"
    assert house.objects.read("b", "kept/half") == b"half"
    house.leave()
