"""What Docker is asked for; `tests/stories/test_containers.py` tells what comes of it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import fake_docker
import pytest
from engine.hosts import wait_for_the_end, wait_until
from engines import ENGINE, why_none

from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Program
from groundfog.engine.launch.agent.keeping import Keeper
from groundfog.engine.launch.local import Local
from groundfog.engine.sandbox import Containers, Door, Sandbox, prepare

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


def asked(containers: Containers) -> list[list[str]]:
    said = Path(containers.executable).with_name("asked.jsonl").read_text()
    return [json.loads(line) for line in said.splitlines()]


def command_of(containers: Containers, directory: Path, program: Program) -> list[str]:
    return containers.commands(directory, program, None)[1]


def test_a_container_finds_the_treaty_and_cannot_change_its_inputs(containers: Containers, directory: Path) -> None:
    command = command_of(containers, directory, PROGRAM)
    opt_ml = directory / "opt_ml"
    names = f"{directory / 'hosts'}:/etc/hosts:ro"
    assert options(command, "--volume") == [names, f"{opt_ml}:/opt/ml", f"{opt_ml}/input:/opt/ml/input:ro"]
    assert command[-2:] == ["registry/trains:1", "train"]


def test_channels_with_programs_are_its_own(containers: Containers, directory: Path) -> None:
    program = replace(PROGRAM, scratch_channels=("sm_drivers",))
    volumes = options(command_of(containers, directory, program), "--volume")
    opt_ml = directory / "opt_ml"
    assert volumes[2:] == [
        f"{opt_ml}/input/config:/opt/ml/input/config:ro",
        f"{opt_ml}/input/data:/opt/ml/input/data:ro",
        f"{opt_ml}/input/data/sm_drivers:/opt/ml/input/data/sm_drivers",
    ]


def test_its_processes_and_their_memory_are_limited(containers: Containers, directory: Path) -> None:
    limited = replace(containers, most_processes=7, most_bytes=1 << 30)
    command = command_of(limited, directory, PROGRAM)
    assert (options(command, "--pids-limit"), options(command, "--memory")) == (["7"], [str(1 << 30)])
    assert not options(command_of(containers, directory, PROGRAM), "--memory")


def test_nobody_reads_its_variables_from_a_command(containers: Containers, directory: Path) -> None:
    program = replace(PROGRAM, environment={"AWS_SECRET_ACCESS_KEY": "not for you", "DOCKER_HOST": "elsewhere"})
    keeper, command = containers.commands(directory, program, None)
    assert not any("not for you" in part for part in (*keeper, *command))
    (file,) = options(command, "--env-file")
    assert Path(file).read_text() == "AWS_SECRET_ACCESS_KEY=not for you\nDOCKER_HOST=elsewhere\n"
    assert Path(file).stat().st_mode & 0o777 == 0o600


def test_of_the_engine_the_one_who_runs_the_server_says_where_it_is(containers: Containers, directory: Path) -> None:
    here = replace(containers, around={"DOCKER_HOST": "unix:///here", "LD_PRELOAD": "x", "AWS_SESSION_TOKEN": "x"})
    program = replace(PROGRAM, environment={"DOCKER_HOST": "elsewhere"})
    confined = Sandbox("none", containers=here).confine(directory, program)
    assert confined.environment.keys() == {"PATH", "HOME", "DOCKER_HOST"}
    assert confined.environment["DOCKER_HOST"] == "unix:///here"


@pytest.mark.parametrize("environment", [{"A": "two\nlines"}, {"A\nB": ""}, {"A=B": ""}, {"": "x"}])
def test_what_a_container_cannot_be_told_is_refused(
    environment: dict[str, str], containers: Containers, directory: Path
) -> None:
    with pytest.raises(Unfit, match="cannot be told to a container"):
        containers.commands(directory, replace(PROGRAM, environment=environment), None)


def test_it_has_the_network_and_the_life_of_its_keeper(containers: Containers, directory: Path, tmp_path: Path) -> None:
    keeper, command = containers.commands(directory, PROGRAM, Door(4321, tmp_path / "door" / "server.sock"))
    (name,) = options(keeper, "--name")
    assert options(command, "--network") == options(command, "--pid") == [f"container:{name}"]
    assert options(keeper, "--network") == ["none"]
    assert options(keeper, "--cap-drop") == ["ALL"]
    wish = json.loads(keeper[-1])
    assert wish == {"door": "/groundfog/door/server.sock", "port": 4321, "number": 1, "count": 1, "neighbour": ""}
    mounts = options(keeper, "--mount")
    assert f"type=bind,source={tmp_path / 'door'},target=/groundfog/door,readonly" in mounts
    # Nothing that the program could change is where it may load code from.
    assert all(mount.endswith(",readonly") and str(directory) not in mount for mount in mounts)


def test_it_has_its_hosts_name(containers: Containers, directory: Path) -> None:
    docker = containers.commands(directory, PROGRAM, None)
    assert [options(command, "--hostname") for command in docker] == [["algo-1"], []], "Docker takes it from the keeper"
    called = Path(containers.executable).rename(Path(containers.executable).with_name("podman"))
    podman = Containers(str(called)).commands(directory, PROGRAM, None)
    assert [options(command, "--hostname") for command in podman] == [["algo-1"], ["algo-1"]]


def test_the_keepers_image_is_made_here_and_never_asked_for_elsewhere(containers: Containers, directory: Path) -> None:
    for _ in range(2):
        keeper, _ = containers.commands(directory, PROGRAM, None)
    assert options(keeper, "--pull") == ["never"]
    assert [question[0] for question in asked(containers) if question[0] != "ps"] == ["image", "import", "image"]


def test_without_an_engine_that_answers_it_cannot_run(directory: Path) -> None:
    with pytest.raises(Unfit, match="false runs no containers here"):
        Containers("false").commands(directory, PROGRAM, None)


def test_the_hosts_of_a_job_share_a_hub_and_names(containers: Containers, directory: Path, tmp_path: Path) -> None:
    hosts = replace(PROGRAM, hosts=("algo-1", "algo-2"))
    first, _ = containers.commands(directory, hosts, None)
    other = tmp_path / "other"
    other.mkdir()
    second, _ = containers.commands(other, replace(hosts, host="algo-2", neighbour=str(directory)), None)
    for keeper in (first, second):
        assert f"type=bind,source={directory / 'hub'},target=/groundfog/hub" in options(keeper, "--mount")
        assert json.loads(keeper[-1])["hub"] == "/groundfog/hub/socket"
    assert (options(first, "--hostname"), options(second, "--hostname")) == (["algo-1"], ["algo-2"])
    for host in (directory, other):
        assert {"10.0.0.1 algo-1", "10.0.0.2 algo-2"} <= set((host / "hosts").read_text().splitlines())


def test_an_open_network_is_the_machines(containers: Containers, directory: Path) -> None:
    program = replace(PROGRAM, network="open", hosts=("algo-1", "algo-2"))
    keeper, command = containers.commands(directory, program, Door(4321, Path("/nowhere/server.sock")))
    assert options(keeper, "--network") == options(command, "--network") == ["host"]
    assert options(keeper, "--cap-add") == ["DAC_OVERRIDE"] and keeper[-1] == "null"
    assert {"127.0.0.2 algo-1", "127.0.0.3 algo-2"} <= set((directory / "hosts").read_text().splitlines())


def test_where_hosts_have_a_network_of_their_own(containers: Containers) -> None:
    sandbox = Sandbox("none", containers=containers)
    assert (sandbox.is_apart(PROGRAM), sandbox.interface(PROGRAM)) == (True, "eth0")
    is_open = replace(PROGRAM, network="open")
    assert (sandbox.is_apart(is_open), sandbox.interface(is_open)) == (False, "lo")


def test_an_image_needs_containers(directory: Path) -> None:
    with pytest.raises(Unfit, match="--launcher container"):
        Sandbox("none").confine(directory, PROGRAM)


@pytest.fixture
def local(containers: Containers, tmp_path: Path) -> Iterator[Local]:
    local = Local(tmp_path / "runs", sandbox=Sandbox("none", containers=containers))
    yield local
    for directory in (tmp_path / "runs").iterdir():
        local.remove(directory)
    local.close()


def waiting(local: Local) -> Path:
    directory = local.make()
    local.start(directory, replace(PROGRAM, image="waits"))
    wait_until(lambda: "waiting" in (directory / "log").read_text())
    return directory


def there_are(containers: Containers) -> list[str]:
    return sorted(path.name for path in Path(containers.executable).with_name("containers").iterdir())


def test_a_container_ends_with_its_host(local: Local, containers: Containers) -> None:
    directory = waiting(local)
    assert len(there_are(containers)) == 2
    local.remove(directory)
    wait_until(lambda: there_are(containers) == [])


def test_a_container_ends_with_its_agent_whoever_is_there(local: Local, containers: Containers) -> None:
    directory = waiting(local)
    agent = int((directory / "lock").read_text())
    os.kill(agent, signal.SIGKILL)
    wait_until(lambda: there_are(containers) == [])
    wait_until(lambda: local.poll(directory).phase == "lost" and not Path(f"/proc/{agent}").exists())
    before = asked(containers)
    local.start(directory, replace(PROGRAM, image="waits"))
    wait_until(lambda: (directory / "log").read_text().count("waiting") == 2)
    names = [options(question, "--name")[0] for question in (before[-1], asked(containers)[-1])]
    assert names[0] != names[1], "an engine may still be at the earlier one"


def test_a_host_whose_keeper_ends_is_lost_and_says_so(local: Local, containers: Containers) -> None:
    directory = waiting(local)
    (keeper,) = (name for name in there_are(containers) if name.endswith("-keeper"))
    record = Path(containers.executable).with_name("containers") / keeper
    os.kill(json.loads(record.read_text())["pid"], signal.SIGTERM)
    wait_until(lambda: local.poll(directory).phase == "lost")
    assert "What keeps the network of this host's container ended" in (directory / "log").read_text()


def test_a_container_is_asked_to_end(local: Local, containers: Containers) -> None:
    directory = waiting(local)
    local.stop(directory)
    assert wait_for_the_end(local, directory).exit_code == 0
    assert (directory / "opt_ml" / "model" / "saved").exists()
    assert there_are(containers) == []


def test_what_an_engine_made_too_late_is_swept_away(local: Local, containers: Containers, tmp_path: Path) -> None:
    directory = waiting(local)
    records, last = Path(containers.executable).with_name("containers"), asked(containers)[-1]
    label, *_ = options(last, "--label")
    for host, whose in (("gone", label), ("elsewhere", f"groundfog={tmp_path / 'other'}")):
        with subprocess.Popen(["sleep", "60"]) as made:
            about = {"pid": made.pid, "label": whose, "keeper": ""}
            (records / f"groundfog-{host}-1234").write_text(json.dumps(about))
            local.sweep(lambda directory: True)
            if whose != label:
                made.kill()
    assert [name.split("-")[1] for name in there_are(containers)] == sorted([directory.name] * 2 + ["elsewhere"])


def test_a_server_that_is_no_root_gets_back_what_containers_wrote(
    containers: Containers, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert containers.afterwards(directory) == []
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    command = containers.afterwards(directory)
    assert options(command, "--network") == ["none"]
    assert f"type=bind,source={directory},target=/groundfog/host" in options(command, "--mount")
    assert command[-2:] == ["--reference=/groundfog/host", "/groundfog/host/opt_ml"]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or bool(why_none()), reason=why_none() or "not root")
def test_a_real_engine_gives_back_what_containers_wrote(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENGINE is not None
    containers = Containers(ENGINE, around=os.environ)
    containers.commands(directory, PROGRAM, None)
    left = directory / "opt_ml" / "model" / "deep"
    left.mkdir(mode=0o700)
    (left / "link").symlink_to(directory.parent)
    for path in (directory, directory / "variables"):
        os.chown(path, 4321, 4321)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    containers.remove(directory)
    owners = {path.lstat().st_uid for path in (directory / "opt_ml", *(directory / "opt_ml").rglob("*"))}
    assert owners == {4321}
    assert directory.parent.stat().st_uid == os.getuid() == 0


def test_a_keeper_that_cannot_be_had_says_why() -> None:
    command = ["sh", "-c", "echo 'WARNING: old'; echo 'docker: no such thing' >&2; exit 125"]
    with pytest.raises(OSError, match=r"^WARNING: old docker: no such thing$"):
        Keeper({"keeper": command, "environment": {"PATH": os.defpath}, "network": None})
