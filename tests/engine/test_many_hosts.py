import os
import signal
from pathlib import Path

import pytest
from engine.hosts import wait_until
from engine.jobhouse import House

from groundfog.engine.channels import Channel, Share
from groundfog.engine.errors import Missing
from groundfog.engine.jobs import Job, Progress
from groundfog.engine.launch import Program
from groundfog.engine.sandbox import Sandbox
from groundfog.opt_ml.layout import Layout

HALVES = Channel(name="train", bucket="b", prefix="in/", is_sharded=True, if_empty="nothing there")


def agent_of(directory: Path) -> int:
    return int((directory / "lock").read_text())


def test_each_host_knows_its_name_and_has_its_share(house: House) -> None:
    for name in "abcd":
        house.objects.put("b", f"in/{name}", name.encode())
    house.submit("j", "show_itself", hosts=2, channels=(HALVES,))
    house.settled("j")
    assert house.find("j").status == "Completed"
    assert house.says("j", 1) == ["algo-1 of algo-1 algo-2 has a c"]
    assert house.says("j", 2) == ["algo-2 of algo-1 algo-2 has b d"]


def test_the_model_is_what_all_hosts_left_the_first_ones_first(house: House) -> None:
    first, second = "write weights=1 both=1 deep/a=1", "write weights=2 more=2 both/b=2 deep/b=2"
    house.submit("j", "by_host", first, second, hosts=2)
    house.settled("j")
    files = {"weights": "1", "both": "1", "deep/a": "1", "more": "2", "deep/b": "2"}
    assert house.files("out/j/output/model.tar.gz") == files


def test_one_that_fails_takes_the_others_with_it_and_gives_the_reason(house: House) -> None:
    house.submit("j", "by_host", "wait_for_the_end", "fail_when_told because", "wait_for_the_end", hosts=3)
    house.waits("j", hosts=3)
    (house.directories("j")[1] / "opt_ml" / "checkpoints" / "told").touch()
    outcome = house.settled("j").outcome
    assert outcome is not None and outcome.reason == "AlgorithmError: because, exit code: 1 on algo-2"
    assert house.find("j").status == "Failed"
    for host in (1, 3):
        assert house.says("j", host) == ["waiting", "asked to end"]
    with pytest.raises(Missing):
        house.objects.find("b", "out/j/output/model.tar.gz")


def test_one_that_is_done_waits_for_the_others(house: House) -> None:
    house.submit("j", "by_host", "take_a_second", "succeed", hosts=2)
    progress = house.settled("j")
    assert house.find("j").status == "Completed"
    assert progress.starts == 1 and house.says("j", 1) == ["begun", "done"]


def test_stop_stops_all_and_keeps_what_they_learned(house: House) -> None:
    house.submit("j", "wait_for_the_end", hosts=2)
    house.waits("j", hosts=2)
    house.jobs.stop("j")
    house.settled("j")
    assert house.find("j").status == "Stopped"
    assert house.says("j", 1) == house.says("j", 2) == ["waiting", "asked to end"]
    assert house.archive("out/j/output/model.tar.gz") == {"weights": "best so far"}


def test_the_next_server_finds_all_hosts(tmp_path: Path, house: House) -> None:
    house.submit("j", "wait_for_the_end", hosts=2)
    house.waits("j", hosts=2)
    before = house.directories("j")
    house = house.again()
    assert house.directories("j") == before
    house.jobs.stop("j")
    house.settled("j")
    assert house.find("j").status == "Stopped"
    assert house.says("j", 2) == ["waiting", "asked to end"]
    assert list((tmp_path / "runs").iterdir()) == []
    house.leave()


def test_a_lost_host_starts_all_once_more_over_their_checkpoints(house: House) -> None:
    house.submit("j", "by_host", "resume", hosts=2)
    for host in (1, 2):
        wait_until(lambda: house.says("j", host) == ["run 1"])  # noqa: B023
    os.kill(agent_of(house.directories("j")[1]), signal.SIGKILL)
    progress = house.settled("j")
    assert house.find("j").status == "Completed" and progress.starts == 2
    assert house.says("j", 1) == house.says("j", 2) == ["run 1", "run 2"]


def test_what_a_host_said_when_it_was_asked_to_end_is_not_why_it_fails_later(house: House) -> None:
    house.submit("j", "by_host", "wait_for_the_end", "fail_again interrupted because", hosts=2)
    house.waits("j", hosts=2)
    os.kill(agent_of(house.directories("j")[0]), signal.SIGKILL)
    outcome = house.settled("j").outcome
    assert outcome is not None and outcome.reason == "AlgorithmError: because, exit code: 1 on algo-2"


def test_behind_the_wall_hosts_find_each_other_again_when_the_first_was_lost(tmp_path: Path, walled: Sandbox) -> None:
    house = House(tmp_path, walled)
    house.start()
    house.submit("j", "by_host", "resume", hosts=2)
    for host in (1, 2):
        wait_until(lambda: house.says("j", host) == ["run 1"])  # noqa: B023
    os.kill(agent_of(house.directories("j")[0]), signal.SIGKILL)
    house.settled("j")
    assert house.find("j").status == "Completed", house.progress("j").outcome
    assert house.says("j", 1) == house.says("j", 2) == ["run 1", "run 2"]
    house.close()


def test_hosts_that_are_lost_again_and_again_fail_the_job(house: House) -> None:
    house.submit("j", "wait_for_the_end", hosts=2)
    for times in (1, 2):
        wait_until(lambda: house.progress("j").starts == times and house.says("j", 2).count("waiting") == times)  # noqa: B023
        os.kill(agent_of(house.directories("j")[1]), signal.SIGKILL)
    outcome = house.settled("j").outcome
    assert outcome is not None and "lost 2 times" in str(outcome.reason)


def test_a_job_stopped_while_it_starts_again_ends_stopped(house: House) -> None:
    house.submit("j", "by_host", "leave_when_told", "wait_for_the_end", hosts=2)
    house.waits("j", hosts=2)
    first, second = house.directories("j")
    os.kill(agent_of(second), signal.SIGKILL)
    wait_until(lambda: "asked to end" in house.says("j", 1))
    house.jobs.stop("j")
    (first / "opt_ml" / "checkpoints" / "told").touch()
    house.settled("j")
    assert house.find("j").status == "Stopped"
    assert house.says("j", 2) == ["waiting"]


def test_documents_of_the_time_when_a_job_had_one_host_are_read() -> None:
    old = {"step": "training", "transitions": [], "directory": "/home/runs/x", "starts": 1, "outcome": None}
    assert Progress.read(old).directories == ("/home/runs/x",)
    assert Progress.read({**old, "directory": None}).directories == ()
    job = {
        "program": {
            "module": "groundfog.algorithms.seq2seq",
            "arguments": ["train"],
            "environment": {"TRAINING_JOB_NAME": "j"},
            "max_seconds": 60,
            "grace_seconds": 120.0,
            "trusted": True,
        },
        "channels": [
            {"name": "train", "bucket": "b", "prefix": "", "is_manifest": False, "is_gzipped": False, "if_empty": "no"}
        ],
        "hyperparameters": {},
        "input_data_config": {},
        "resource_config": {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"},
        "bucket": "b",
        "prefix": "out",
        "compress": True,
        "log_group": "/jobs",
        "metrics": {"train:perplexity": "perplexity=(.*)"},
    }
    read = Job.read(job)
    assert read.hosts == ("algo-1",) and read.program.arguments == ("train",)
    assert read.channels[0].mode == "File"


def test_a_host_reads_of_its_own_group(tmp_path: Path) -> None:
    groups = [
        {"instance_group_name": "g1", "instance_type": "ml.m5.large", "hosts": ["algo-1"]},
        {"instance_group_name": "g2", "instance_type": "ml.p3.2xlarge", "hosts": ["algo-2", "algo-3"]},
    ]
    config = {"hosts": ["algo-1", "algo-2", "algo-3"], "instance_groups": groups, "current_host": "algo-1"}
    job = Job(program=Program(module="m", arguments=()), bucket="b", prefix="p", log_group="g", resource_config=config)
    layout = Layout(tmp_path)
    layout.lay_out()
    job.configure(layout, Share(2, 3), "eth0")
    told = layout.resource_config()
    assert told["network_interface_name"] == "eth0"
    assert (told["current_host"], told["current_group_name"], told["current_instance_type"]) == (
        "algo-3",
        "g2",
        "ml.p3.2xlarge",
    )
