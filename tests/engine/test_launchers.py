"""The contract of every launcher."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from engine.hosts import log_of, program, wait_for_the_end, wait_until

from groundfog.engine.launch import Launcher


@pytest.fixture
def launcher(anew: Callable[[], Launcher]) -> Launcher:
    return anew()


def test_a_program_finds_the_layout_runs_and_ends(launcher: Launcher) -> None:
    directory = launcher.make()
    assert launcher.poll(directory).phase == "starting"
    before = time.time()
    launcher.start(directory, program("succeed"))
    host = wait_for_the_end(launcher, directory)
    assert (host.phase, host.exit_code, host.because) == ("exited", 0, "")
    assert host.started is not None and host.ended is not None
    assert before <= host.started <= host.ended <= time.time()
    assert (directory / "opt_ml" / "model" / "weights").read_text() == "42"
    assert log_of(directory) == ["to standard output", "to standard error"]


def test_an_exit_code_is_told_as_a_shell_tells_it(launcher: Launcher) -> None:
    for wish, code in ((("end", "7"), 7), (("kill_itself",), 137)):
        directory = launcher.make()
        launcher.start(directory, program(*wish))
        host = wait_for_the_end(launcher, directory)
        assert (host.exit_code, host.because) == (code, "")


def test_a_program_gets_its_arguments_and_a_clean_environment(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_SERVER", "x")
    directory = launcher.make()
    launcher.start(directory, program("show", "two words", environment={"TRAINING_JOB_NAME": "it's mine"}))
    wait_for_the_end(launcher, directory)
    shown = json.loads(log_of(directory)[0])
    assert shown["arguments"] == ["show", "two words"], shown
    assert shown["module"] == "__main__"
    assert shown["environment"]["TRAINING_JOB_NAME"] == "it's mine"
    assert "A_SECRET_OF_THE_SERVER" not in shown["environment"]


def test_processes_of_a_program_share_memory(launcher: Launcher) -> None:
    directory = launcher.make()
    launcher.start(directory, program("share"))
    assert wait_for_the_end(launcher, directory).exit_code == 0, log_of(directory)
    assert log_of(directory) == ["shared 7"]


def test_stop_asks_and_the_program_may_still_write(launcher: Launcher) -> None:
    directory = launcher.make()
    launcher.start(directory, program("wait_for_the_end"))
    wait_until(lambda: "waiting" in log_of(directory))
    asked = time.monotonic()
    launcher.stop(directory)
    host = wait_for_the_end(launcher, directory)
    assert time.monotonic() - asked < 2
    assert (host.exit_code, host.because) == (0, "stopped")
    assert (directory / "opt_ml" / "model" / "weights").read_text() == "best so far"
    assert log_of(directory)[-1] == "asked to end"


def test_who_does_not_listen_is_killed_after_the_grace(launcher: Launcher) -> None:
    directory = launcher.make()
    launcher.start(directory, program("not_listen", grace_seconds=0.3))
    wait_until(lambda: "waiting" in log_of(directory))
    launcher.stop(directory)
    host = wait_for_the_end(launcher, directory)
    assert (host.exit_code, host.because) == (137, "stopped")


def test_the_time_limit_ends_a_program(launcher: Launcher) -> None:
    directory = launcher.make()
    launcher.start(directory, program("wait_for_the_end", max_seconds=1.5))
    host = wait_for_the_end(launcher, directory)
    assert (host.exit_code, host.because) == (0, "time limit")
    assert host.started is not None and host.ended is not None
    assert 1.4 < host.ended - host.started < 4


def test_a_second_start_changes_nothing(launcher: Launcher) -> None:
    directory = launcher.make()
    launcher.start(directory, program("wait_for_the_end"))
    launcher.start(directory, program("end", "3"))
    wait_until(lambda: "waiting" in log_of(directory))
    launcher.stop(directory)
    assert wait_for_the_end(launcher, directory).exit_code == 0
    launcher.start(directory, program("end", "3"))
    assert launcher.poll(directory).exit_code == 0


def test_a_stop_before_the_program_is_up_is_not_forgotten(launcher: Launcher) -> None:
    directory = launcher.make()
    launcher.stop(directory)
    launcher.start(directory, program("wait_for_the_end"))
    host = wait_for_the_end(launcher, directory)
    assert host.because == "stopped"


def test_a_new_launcher_goes_on_where_one_died(launcher: Launcher, anew: Callable[[], Launcher]) -> None:
    directory = launcher.make()
    launcher.start(directory, program("wait_for_the_end"))
    wait_until(lambda: "waiting" in log_of(directory))
    again = anew()
    assert again.poll(directory).phase == "running"
    again.stop(directory)
    host = wait_for_the_end(again, directory)
    assert (host.exit_code, host.because) == (0, "stopped")


def test_a_killed_agent_takes_its_program_along_and_the_host_is_lost(launcher: Launcher) -> None:
    directory = launcher.make()
    launcher.start(directory, program("resume"))
    wait_until(lambda: "run 1" in log_of(directory))
    assert str(directory) in _command_lines() or "probe_program" in _command_lines()
    os.kill(_agent(directory), signal.SIGKILL)
    wait_until(lambda: launcher.poll(directory).phase == "lost")
    wait_until(lambda: str(directory) not in _command_lines())

    launcher.start(directory, program("resume"))
    host = wait_for_the_end(launcher, directory)
    assert (host.phase, host.exit_code) == ("exited", 0)
    assert (directory / "opt_ml" / "model" / "weights").read_text() == "after 2 runs"
    assert log_of(directory) == ["run 1", "run 2"]


def test_a_sweep_removes_what_was_made_and_neither_recorded_nor_started(
    launcher: Launcher, anew: Callable[[], Launcher]
) -> None:
    forgotten, recorded, running = launcher.make(), launcher.make(), launcher.make()
    launcher.start(running, program("wait_for_the_end"))
    again = anew()
    again.sweep(lambda directory: directory == recorded)
    assert not forgotten.exists()
    assert recorded.exists()
    assert again.poll(running).phase in ("starting", "running")


def test_remove_ends_what_runs_and_leaves_nothing(launcher: Launcher) -> None:
    directory = launcher.make()
    launcher.start(directory, program("not_listen"))
    wait_until(lambda: "waiting" in log_of(directory))
    launcher.remove(directory)
    assert not directory.exists()
    wait_until(lambda: str(directory) not in _command_lines())


def test_what_a_program_takes_of_its_machine_is_measured(launcher: Launcher) -> None:
    directory = launcher.make()
    launcher.start(directory, program("take_a_second"))
    wait_for_the_end(launcher, directory)
    looks = [json.loads(line) for line in (directory / "usage").read_text().splitlines()]
    assert any("CPUUtilization" in look for look in looks)
    assert [look["at"] for look in looks] == sorted({look["at"] for look in looks})


def test_lines_are_kept_whole_readable_and_in_time(launcher: Launcher) -> None:
    directory = launcher.make()
    launcher.start(directory, program("write_badly"))
    wait_for_the_end(launcher, directory)
    lines = log_of(directory)
    assert lines[0] == "bar 3"
    assert lines[1] == "\ufffd\ufffd bytes"
    assert "".join(lines[2:-1]) == "x" * 150_000 and len(lines[2:-1]) == 3
    assert lines[-1] == "no end"
    times = [int(line.split("\t")[0]) for line in (directory / "log").read_text().splitlines()]
    assert times == sorted(times)


def _agent(directory: Path) -> int:
    """Of a host on this machine, or on a node that is this machine."""
    on_node = sorted(Path(tempfile.gettempdir()).glob(f"groundfog-*/{directory.name}-*/runs/*/lock"))
    return int((on_node or [directory / "lock"])[-1].read_text())


def _command_lines() -> str:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                found.append((process / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(found)
