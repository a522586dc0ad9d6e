import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.hosts import wait_until
from engine.jobhouse import House

from groundfog.engine.channels import Channel, Interrupted
from groundfog.engine.errors import Busy, Missing, Taken
from groundfog.engine.jobs import steps
from groundfog.engine.sandbox import Sandbox

TRAIN = (Channel(name="train", bucket="b", prefix="in/", if_empty="nothing there"),)


def test_a_job_goes_from_objects_to_a_model(house: House) -> None:
    house.objects.put("b", "in/a", b"fog")
    house.objects.put("b", "in/deep/b", b"ground")
    before = time.time()
    house.submit("j", "learn", channels=TRAIN, hyperparameters={"greeting": "hello"})
    progress = house.settled("j")
    assert house.find("j").status == "Completed"
    assert house.statuses("j") == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    times = [time for transition in progress.transitions for time in (transition.start, transition.end)]
    assert times[-1] is None and times[:-1] == sorted(times[:-1]) and times[0] >= before
    assert progress.artifacts == "out/j/output/model.tar.gz"
    assert house.archive("out/j/output/model.tar.gz") == {"weights": "hello fog ground"}
    assert house.archive("out/j/output/output.tar.gz") == {"notes": "j"}
    assert list((house.home / "runs").iterdir()) == []


def test_behind_the_wall_input_is_linked_and_all_works_the_same(tmp_path: Path, walled: Sandbox) -> None:
    house = House(tmp_path, walled)
    house.start()
    house.objects.put("b", "in/a", b"fog")
    house.submit("j", "learn", channels=TRAIN, hyperparameters={"greeting": "hello"})
    assert house.settled("j").outcome.reason is None  # type: ignore[union-attr]
    assert house.archive("out/j/output/model.tar.gz") == {"weights": "hello fog"}
    house.leave()


def test_without_compression_files_are_put_as_they_are(house: House) -> None:
    house.submit("j", "succeed", compress=False)
    assert house.settled("j").artifacts == "out/j/output/model/"
    assert house.objects.read("b", "out/j/output/model/weights") == b"42"


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (("fail", "no idea"), "AlgorithmError: no idea, exit code: 1"),
        (("fail", "ClientError: epochs must be a number"), "ClientError: epochs must be a number"),
        (("end", "3"), "AlgorithmError: , exit code: 3"),
        (("kill_itself",), "AlgorithmError: The program was killed, most likely because it needed more memory than"),
        (("no_such_wish",), "AlgorithmError: KeyError: 'no_such_wish', exit code: 1"),
        (("fail", "x" * 5000), "AlgorithmError: " + "x" * 900),
    ],
)
def test_a_failure_says_why(house: House, wish: tuple[str, ...], reason: str) -> None:
    house.submit("j", *wish)
    outcome = house.settled("j").outcome
    assert outcome is not None and outcome.reason is not None
    assert outcome.reason.startswith(reason) and len(outcome.reason) <= 1024
    assert house.find("j").status == "Failed"
    assert house.statuses("j")[-2:] == ["Uploading", "Failed"]
    with pytest.raises(Missing):
        house.objects.find("b", "out/j/output/model.tar.gz")


def test_a_channel_without_objects_fails_the_job_before_it_trains(house: House) -> None:
    house.submit("j", "learn", channels=TRAIN)
    outcome = house.settled("j").outcome
    assert outcome is not None and outcome.reason == "ClientError: nothing there"
    assert house.statuses("j") == ["Starting", "Downloading", "Failed"]


def test_a_missing_output_bucket_fails_the_job_before_it_trains(house: House) -> None:
    house.submit("j", "succeed", bucket="nowhere")
    outcome = house.settled("j").outcome
    assert outcome is not None and "The bucket nowhere of S3OutputPath does not exist" in str(outcome.reason)
    assert "Training" not in house.statuses("j")


def test_a_stopped_job_keeps_what_it_learned(house: House) -> None:
    house.submit("j", "wait_for_the_end")
    house.waits("j")
    house.jobs.stop("j")
    assert house.find("j").status == "Stopping"
    house.settled("j")
    assert house.find("j").status == "Stopped"
    assert house.statuses("j") == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    assert house.archive("out/j/output/model.tar.gz") == {"weights": "best so far"}
    with pytest.raises(Busy):
        house.jobs.stop("j")
    with pytest.raises(Missing):
        house.jobs.stop("no such job")


def test_a_job_that_is_stopped_while_it_downloads_never_trains(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*_: Any, interrupted: Callable[[], bool], **__: Any) -> None:
        wait_until(interrupted)
        raise Interrupted

    monkeypatch.setattr(steps, "fill", slowly)
    house.submit("j", "learn", channels=TRAIN)
    wait_until(lambda: house.progress("j").step == "downloading")
    house.jobs.stop("j")
    house.settled("j")
    assert house.find("j").status == "Stopped"
    assert house.statuses("j") == ["Starting", "Downloading", "Stopping", "Stopped"]
    assert list((house.home / "runs").iterdir()) == []


def test_a_server_that_closes_while_it_downloads_leaves_the_step_to_the_next(
    tmp_path: Path, unwalled: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*_: Any, interrupted: Callable[[], bool], **__: Any) -> None:
        wait_until(interrupted)
        raise Interrupted

    house = House(tmp_path, unwalled)
    house.start()
    house.objects.put("b", "in/a", b"fog")
    with monkeypatch.context() as patched:
        patched.setattr(steps, "fill", slowly)
        house.submit("j", "learn", channels=TRAIN, hyperparameters={"greeting": "hello"})
        wait_until(lambda: house.progress("j").step == "downloading")
        house.leave()
    house = house.again()
    house.settled("j")
    assert house.find("j").status == "Completed"
    house.leave()


def test_a_bug_of_ours_fails_the_job_and_not_the_server(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(steps, "fill", fail)
        house.submit("j", "learn", channels=TRAIN)
        outcome = house.settled("j").outcome
    assert outcome is not None and str(outcome.reason).startswith("InternalServerError: ")
    house.submit("k", "succeed")
    house.settled("k")
    assert house.find("k").status == "Completed"


def test_a_bucket_that_goes_while_the_job_trains_fails_it(house: House) -> None:
    house.objects.create_bucket("going", "us-east-1")
    house.submit("j", "wait_for_the_end", bucket="going")
    house.waits("j")
    house.objects.delete_bucket("going")
    house.jobs.stop("j")
    outcome = house.settled("j").outcome
    assert outcome is not None
    assert outcome.reason == "ClientError: The bucket going of S3OutputPath does not exist any more."


def test_the_time_limit_stops_a_job_and_keeps_what_it_learned(house: House) -> None:
    house.submit("j", "wait_for_the_end", max_seconds=1.5)
    house.settled("j")
    assert house.find("j").status == "Stopped"
    assert house.statuses("j")[-1] == "MaxRuntimeExceeded"
    assert house.archive("out/j/output/model.tar.gz") == {"weights": "best so far"}


def test_jobs_wait_in_line_and_a_waiting_one_is_stopped_at_once(tmp_path: Path, unwalled: Sandbox) -> None:
    house = House(tmp_path, unwalled, at_once=1)
    house.start()
    house.submit("first", "wait_for_the_end")
    for name in ("second", "third", "fourth"):
        house.submit(name, "succeed")
    house.waits("first")
    house.jobs.stop("third")
    assert house.find("third").status == "Stopped"
    assert house.statuses("third") == ["Starting", "Stopping", "Stopped"]
    assert house.progress("second").step == house.progress("fourth").step == "queued"
    house.jobs.stop("first")
    second, fourth = house.settled("second"), house.settled("fourth")
    assert second.ended is not None and fourth.started is not None and second.ended <= fourth.started
    house.leave()


def test_a_name_is_taken_once(house: House) -> None:
    house.submit("j", "succeed")
    with pytest.raises(Taken):
        house.submit("j", "succeed")


def test_the_next_server_goes_on_with_what_trains_and_what_waits(tmp_path: Path, unwalled: Sandbox) -> None:
    house = House(tmp_path, unwalled, at_once=1)
    house.start()
    house.submit("trains", "wait_for_the_end")
    house.submit("waits", "succeed")
    house.waits("trains")
    house = house.again()
    assert house.statuses("trains") == ["Starting", "Downloading", "Training"]
    house.jobs.stop("trains")
    house.settled("trains")
    house.settled("waits")
    assert house.says("trains") == ["waiting", "asked to end"]
    assert house.find("waits").status == "Completed"
    house.leave()


def test_a_stop_is_not_forgotten_by_the_next_server(tmp_path: Path, unwalled: Sandbox) -> None:
    house = House(tmp_path, unwalled, at_once=1)
    house.start()
    house.submit("trains", "not_listen", grace_seconds=2.0)
    house.waits("trains")
    house.jobs.stop("trains")
    house = house.again()
    house.settled("trains")
    assert house.find("trains").status == "Stopped"
    house.leave()


def test_a_lost_host_is_started_once_more_over_its_checkpoints(house: House) -> None:
    house.submit("j", "resume")
    wait_until(lambda: house.progress("j").step == "training" and _agent_of(house, "j"))
    wait_until(lambda: house.says("j") == ["run 1"])
    os.kill(_agent_of(house, "j"), signal.SIGKILL)
    house.settled("j")
    assert house.find("j").status == "Completed"
    assert house.says("j") == ["run 1", "run 2"]
    assert house.archive("out/j/output/model.tar.gz") == {"weights": "after 2 runs"}


def test_a_host_that_is_lost_again_and_again_fails_the_job(house: House) -> None:
    house.submit("j", "wait_for_the_end")
    for times in (1, 2):
        wait_until(lambda: house.progress("j").starts == times and house.says("j") == ["waiting"] * times)  # noqa: B023
        os.kill(_agent_of(house, "j"), signal.SIGKILL)
    outcome = house.settled("j").outcome
    assert outcome is not None and "lost 2 times" in str(outcome.reason)


def test_a_folder_in_the_place_of_the_failure_file_says_nothing(house: House) -> None:
    house.submit("j", "fail_with_a_folder")
    wait_until(lambda: house.says("j") == ["waiting"])
    os.kill(_agent_of(house, "j"), signal.SIGKILL)
    outcome = house.settled("j").outcome
    assert outcome is not None and outcome.reason == "AlgorithmError: no words, exit code: 3"


def test_links_that_a_program_leaves_are_not_followed(house: House) -> None:
    house.submit("j", "leave_links")
    progress = house.settled("j")
    assert house.find("j").status == "Failed"
    assert progress.outcome is not None and "symbolic link" in str(progress.outcome.reason)


def _agent_of(house: House, name: str) -> int:
    (directory,) = house.progress(name).directories
    try:
        return int((Path(directory) / "lock").read_text())
    except (FileNotFoundError, ValueError):
        return 0
