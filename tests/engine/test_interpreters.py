"""Programs under an interpreter that is not the server's."""

import json
import venv
from pathlib import Path

import pytest
from engine.hosts import log_of, program, wait_for_the_end

from groundfog.engine.launch import Program
from groundfog.engine.launch.local import Local


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environments") / "one"
    venv.create(folder, symlinks=True)
    return folder


def test_another_interpreter_finds_its_own_and_the_treaty(launcher: Local, environment: Path) -> None:
    directory = launcher.make()
    python = str(environment / "bin" / "python")
    launcher.start(directory, program("find", "groundfog.opt_ml.layout", "groundfog.app", "click", python=python))
    assert wait_for_the_end(launcher, directory).exit_code == 0, log_of(directory)
    found = json.loads(log_of(directory)[0])
    assert found["modules"] == ["groundfog.opt_ml.layout"]
    assert found["prefix"] == str(environment)
    assert found["path"].split(":")[0] == str(environment / "bin")


def test_folders_of_modules_that_the_user_names_come_after_ours(launcher: Local, environment: Path) -> None:
    directory = launcher.make()
    (directory / "opt_ml" / "model" / "users_own.py").write_text("")
    given = {"PYTHONPATH": f"/opt/ml/model:{directory}/opt_ml/model"}
    python = str(environment / "bin" / "python")
    names = ("users_own", "groundfog.opt_ml.layout")
    launcher.start(directory, program("find", *names, python=python, environment=given))
    assert wait_for_the_end(launcher, directory).exit_code == 0, log_of(directory)
    assert json.loads(log_of(directory)[0])["modules"] == list(names)


def test_readable_folders_are_read_and_not_written(launcher: Local, tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "file").write_text("what it says")
    directory = launcher.make()
    folders = (str(tmp_path / "layer"), str(tmp_path / "not there"))
    launcher.start(directory, program("read", str(tmp_path / "layer" / "file"), readable=folders))
    assert wait_for_the_end(launcher, directory).exit_code == 0, log_of(directory)
    assert log_of(directory)[0] == "what it says"


def test_a_program_is_read_back_from_what_was_recorded() -> None:
    one = Program(module="m", arguments=("a",), readable=("/x",), hosts=("algo-1", "algo-2"))
    assert Program.read(json.loads(json.dumps(vars(one)))) == one
    before = {"module": "m", "arguments": ["a"], "environment": {}, "max_seconds": None, "grace_seconds": 120.0}
    assert Program.read({**before, "trusted": False}).hosts == ("algo-1",)
