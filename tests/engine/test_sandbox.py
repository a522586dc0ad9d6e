import contextlib
import json
import os
import secrets
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine.hosts import log_of, program, wait_for_the_end, wait_until

from groundfog.engine.archive import pack
from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Program
from groundfog.engine.launch.local import Local
from groundfog.engine.sandbox import Sandbox, within


@pytest.fixture
def launcher(tmp_path: Path, walled: Sandbox) -> Iterator[Local]:
    local = Local(tmp_path / "runs", sandbox=walled)
    yield local
    local.close()


def test_a_program_cannot_get_out(launcher: Local, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "credentials").write_text("secret")
    other, directory, name = launcher.make(), launcher.make(), secrets.token_hex(8)
    (directory / "opt_ml" / "input" / "data" / "train").mkdir()
    (directory / "opt_ml" / "input" / "data" / "train" / "file").write_text("input")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0" + name)
        abstract.listen()
        environment = {
            "FORBIDDEN": ":".join(map(str, (tmp_path / "home", other, directory, tmp_path, Path.home() / ".ssh"))),
            "PORTS": str(server.getsockname()[1]),
            "ABSTRACT": name,
            **({"AS_ROOT": "1"} if os.geteuid() == 0 else {}),
        }
        launcher.start(directory, Program(module="hostile_program", arguments=(), environment=environment))
        assert wait_for_the_end(launcher, directory).exit_code == 0, log_of(directory)
    assert json.loads(log_of(directory)[-1].removeprefix("worked: ")) == []
    assert (directory / "opt_ml" / "input" / "data" / "train" / "file").read_text() == "input"
    packed = tmp_path / "model.tar.gz"
    pack([directory / "opt_ml" / "model"], packed)
    with tarfile.open(packed) as tar:
        assert sorted(tar.getnames()) == ["id", "weights"]


def test_what_a_program_leaves_in_a_folders_place_is_not_followed(launcher: Local, walled: Sandbox) -> None:
    directory = launcher.make()
    launcher.start(directory, program("leave_links"))
    assert wait_for_the_end(launcher, directory).exit_code == 0, log_of(directory)
    with pytest.raises(Unfit, match="/opt_ml/output is a symbolic link"):
        within(directory, directory / "opt_ml" / "output" / "failure")
    owner = Path("/etc").stat().st_uid
    with pytest.raises(Unfit, match="symbolic link"):
        walled.hand_over(directory)
    assert Path("/etc").stat().st_uid == owner
    launcher.remove(directory)
    assert not directory.exists() and Path("/etc/hosts").exists()


def test_no_mode_is_changed_along_a_link_that_a_program_left(launcher: Local, walled: Sandbox, tmp_path: Path) -> None:
    """It may write into channels that bring code, and is handed its folders again where its host was lost."""
    secret, directory = tmp_path / "secret", launcher.make()
    secret.touch(mode=0o600)
    for folder in ("input/data/code", "config"):
        (directory / "opt_ml" / folder).mkdir()
        (directory / "opt_ml" / folder / "link").symlink_to(secret)
        (directory / "opt_ml" / folder / "file").touch(mode=0o600)
    walled.hand_over(directory, Program(module="m", arguments=(), scratch_channels=("code",)))
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (directory / "opt_ml" / "config" / "file").stat().st_mode & 0o777 == 0o444


def test_folders_without_end_are_neither_packed_nor_left(launcher: Local, walled: Sandbox, tmp_path: Path) -> None:
    directory = launcher.make()
    launcher.start(directory, Program(module="leave_a_well", arguments=()))
    assert wait_for_the_end(launcher, directory).exit_code == 0, log_of(directory)
    with pytest.raises((Unfit, OSError)):
        pack([directory / "opt_ml" / "model"], tmp_path / "model.tar.gz")
    with contextlib.suppress(OSError):
        walled.hand_over(directory)
    launcher.remove(directory)
    assert not directory.exists()


def test_without_a_sandbox_user_code_is_refused_unless_the_settings_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    sandbox = Sandbox()
    assert sandbox.missing == "bubblewrap is not installed"
    assert "apt install bubblewrap" in sandbox.describe()
    launcher = Local(tmp_path / "runs", sandbox=sandbox)
    users, ours = (
        Program(module="json.tool", arguments=()),
        Program(module="json.tool", arguments=("-h",), trusted=True),
    )
    with pytest.raises(Unfit, match="User code is not run without a sandbox, and bubblewrap is not installed"):
        launcher.start(launcher.make(), users)
    directory = launcher.make()
    launcher.start(directory, ours)
    assert wait_for_the_end(launcher, directory).exit_code == 0
    launcher.close()

    told = Sandbox("none")
    assert told.confine(directory, users).nested == 0
    assert "because the settings say so" in told.describe()


def test_a_spare_takes_the_next_program_with_all_that_it_has_loaded(tmp_path: Path, walled: Sandbox) -> None:
    launcher = Local(tmp_path / "runs", sandbox=walled, warm=1, modules=("sqlite3", "no_such_module"), rest=0.01)
    launcher.warm_up()
    (spare,) = (tmp_path / "runs").iterdir()
    directory = launcher.make()
    assert directory == spare
    (directory / "opt_ml" / "input" / "data" / "train").mkdir()
    (directory / "opt_ml" / "input" / "data" / "train" / "file").write_text("input")
    assert launcher.poll(directory).phase == "starting"
    wait_until(lambda: _loaded("groundfog.opt_ml.warm", "_sqlite3"))
    launcher.start(directory, program("show", "x", environment={"NAME": "value"}))
    host = wait_for_the_end(launcher, directory)
    assert (host.phase, host.exit_code) == ("exited", 0)
    shown = json.loads(log_of(directory)[0])
    assert shown["loaded"] == ["sqlite3"]
    assert (shown["arguments"], shown["module"]) == (["show", "x"], "__main__")
    assert shown["environment"]["NAME"] == "value"
    wait_until(lambda: len(list((tmp_path / "runs").iterdir())) == 2)
    launcher.close()
    assert list((tmp_path / "runs").iterdir()) == [directory]


def test_a_spare_in_use_is_stopped_and_limited_as_any_host(tmp_path: Path, walled: Sandbox) -> None:
    launcher = Local(tmp_path / "runs", sandbox=walled, warm=2, modules=(), rest=60)
    launcher.warm_up()
    for because in ("stopped", "time limit"):
        directory = launcher.make()
        launcher.start(directory, program("wait_for_the_end", max_seconds=None if because == "stopped" else 1.5))
        wait_until(lambda: "waiting" in log_of(directory))  # noqa: B023  called at once
        if because == "stopped":
            launcher.stop(directory)
        host = wait_for_the_end(launcher, directory)
        assert (host.exit_code, host.because) == (0, because)
    launcher.close()


def test_user_code_never_runs_in_a_spare(tmp_path: Path, walled: Sandbox) -> None:
    launcher = Local(tmp_path / "runs", sandbox=walled, warm=1, modules=("sqlite3",), rest=60)
    launcher.warm_up()
    directory = launcher.make()
    wait_until(lambda: _loaded("groundfog.opt_ml.warm", "_sqlite3"))
    launcher.start(directory, program("show", trusted=False))
    assert wait_for_the_end(launcher, directory).exit_code == 0
    assert json.loads(log_of(directory)[0])["loaded"] == []
    launcher.close()


@pytest.mark.parametrize(
    ("wish", "code", "last"),
    [
        (("end", "0"), 0, None),
        (("end", "7"), 7, None),
        (("succeed",), 0, "to standard error"),
        (("no_such_wish",), 1, "KeyError: 'no_such_wish'"),
        (("leave_a_thread",), 0, "the thread is done"),
    ],
)
def test_a_spare_ends_as_an_interpreter_does(
    tmp_path: Path, unwalled: Sandbox, wish: tuple[str, ...], code: int, last: str | None
) -> None:
    launcher = Local(tmp_path / "runs", sandbox=unwalled, warm=1, modules=("sqlite3",), rest=60)
    launcher.warm_up()
    directory = launcher.make()
    wait_until(lambda: _loaded("groundfog.opt_ml.warm", "_sqlite3"))
    launcher.start(directory, program(*wish))
    assert wait_for_the_end(launcher, directory).exit_code == code
    assert log_of(directory)[-1:] == ([] if last is None else [last])
    launcher.close()


def _loaded(module: str, library: str) -> bool:
    """Whether a process that runs the module has loaded the shared library."""
    for process in Path("/proc").iterdir():
        try:
            running = (process / "cmdline").read_bytes().split(b"\0")
            if module.encode() in running and library in (process / "maps").read_text():
                return True
        except OSError:
            continue
    return False
