"""What Docker is asked for; `tests/stories/test_containers.py` tells what comes of it."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import fake_docker
import pytest
from engine.hosts import wait_for_the_end, wait_until

from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Program
from groundfog.engine.launch.local import Local
from groundfog.engine.sandbox import Containers, Sandbox, prepare

PROGRAM = Program(module="", image="registry/trains:1", arguments=("train",), environment={"WISH": "learn"})


@pytest.fixture
def containers(tmp_path: Path) -> Containers:
    return Containers(str(fake_docker.install(tmp_path / "bin")))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "host"
    made.mkdir()
    prepare(made)
    return made


def options(command: list[str], name: str) -> list[str]:
    return [value for option, value in pairwise(command) if option == name]


def test_a_container_finds_the_treaty_and_cannot_change_its_inputs(containers: Containers, directory: Path) -> None:
    command = containers.command(directory, PROGRAM)
    opt_ml = directory / "opt_ml"
    assert options(command, "--volume") == [f"{opt_ml}:/opt/ml", f"{opt_ml}/input:/opt/ml/input:ro"]
    assert command[-2:] == ["registry/trains:1", "train"]
    assert options(command, "--name") == ["groundfog-host"]


def test_channels_with_programs_are_its_own(containers: Containers, directory: Path) -> None:
    volumes = options(containers.command(directory, replace(PROGRAM, scratch_channels=("sm_drivers",))), "--volume")
    opt_ml = directory / "opt_ml"
    assert volumes[1:] == [
        f"{opt_ml}/input/config:/opt/ml/input/config:ro",
        f"{opt_ml}/input/data:/opt/ml/input/data:ro",
        f"{opt_ml}/input/data/sm_drivers:/opt/ml/input/data/sm_drivers",
    ]


def test_its_processes_and_their_memory_are_limited(containers: Containers, directory: Path) -> None:
    limited = replace(containers, most_processes=7, most_bytes=1 << 30)
    command = limited.command(directory, PROGRAM)
    assert (options(command, "--pids-limit"), options(command, "--memory")) == (["7"], [str(1 << 30)])
    assert not options(containers.command(directory, PROGRAM), "--memory")


def test_nobody_reads_its_variables_from_a_command(containers: Containers, directory: Path) -> None:
    program = replace(PROGRAM, environment={"AWS_SECRET_ACCESS_KEY": "not for you", "DOCKER_HOST": "elsewhere"})
    command = containers.command(directory, program)
    assert not any("not for you" in part for part in command)
    (file,) = options(command, "--env-file")
    assert Path(file).read_text() == "AWS_SECRET_ACCESS_KEY=not for you\nDOCKER_HOST=elsewhere\n"
    assert Path(file).stat().st_mode & 0o777 == 0o600
    confined = Sandbox("none", containers=containers).confine(directory, program)
    assert confined.environment.keys() == {"PATH", "HOME"}


@pytest.mark.parametrize("environment", [{"A": "two\nlines"}, {"A\nB": ""}, {"A=B": ""}, {"": "x"}])
def test_what_a_container_cannot_be_told_is_refused(
    environment: dict[str, str], containers: Containers, directory: Path
) -> None:
    with pytest.raises(Unfit, match="cannot be told to a container"):
        containers.command(directory, replace(PROGRAM, environment=environment))


def test_it_reaches_nothing_unless_the_network_is_open(containers: Containers, directory: Path) -> None:
    both = replace(PROGRAM, hosts=("algo-1", "algo-2"))
    assert options(containers.command(directory, PROGRAM), "--network") == ["none"]
    with pytest.raises(Unfit, match="--network open"):
        containers.command(directory, both)
    reaching = containers.command(directory, replace(both, network="open"))
    assert options(reaching, "--network") == ["host"]
    assert options(reaching, "--add-host") == ["algo-1:127.0.0.2", "algo-2:127.0.0.3"]


def test_an_image_needs_containers(directory: Path) -> None:
    with pytest.raises(Unfit, match="--launcher container"):
        Sandbox("none").confine(directory, PROGRAM)


def test_a_container_ends_with_its_host(containers: Containers, tmp_path: Path) -> None:
    local = Local(tmp_path / "runs", sandbox=Sandbox("none", containers=containers))
    directory = local.make()
    local.start(directory, replace(PROGRAM, image="waits"))
    wait_until(lambda: "waiting" in (directory / "log").read_text())
    pid = int((tmp_path / "bin" / f"groundfog-{directory.name}").read_text())
    local.remove(directory)
    wait_until(lambda: not _lives(pid))
    local.close()


def test_a_container_is_asked_to_end(containers: Containers, tmp_path: Path) -> None:
    local = Local(tmp_path / "runs", sandbox=Sandbox("none", containers=containers))
    directory = local.make()
    local.start(directory, replace(PROGRAM, image="waits"))
    wait_until(lambda: "waiting" in (directory / "log").read_text())
    local.stop(directory)
    assert wait_for_the_end(local, directory).exit_code == 0
    assert (directory / "opt_ml" / "model" / "saved").exists()
    local.remove(directory)
    local.close()


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
