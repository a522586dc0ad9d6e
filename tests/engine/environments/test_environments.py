"""Layers: built once, kept, shared, collected. pip is real in the last tests only."""

import json
import os
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from served import wait_until

from groundfog.engine.channels import Interrupted
from groundfog.engine.environments import Environment, Environments, Recipe
from groundfog.engine.environments.index import Index
from groundfog.engine.environments.profiles import Profiles
from groundfog.engine.environments.pythons import find
from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Host, Program
from groundfog.engine.launch.local import Local
from groundfog.engine.sandbox import prepare

SITE = find([]).site_packages
NO_INDEX = Index({}, ())


class Pretending:
    """A launcher in whose hosts pip installs a module `<package>.py` for each argument, as soon as it may."""

    def __init__(self, runs: Path) -> None:
        self.runs, self.programs, self.exit_code = runs, list[Program](), 0
        self.may_end = threading.Event()
        self.may_end.set()

    def make(self, *, warm: bool = True) -> Path:
        assert not warm, "an environment needs no warm interpreter"
        directory = self.runs / str(len(self.programs))
        directory.mkdir(parents=True)
        prepare(directory)
        return directory

    def start(self, directory: Path, program: Program) -> None:
        self.programs.append(program)
        installed = directory / "opt_ml" / "model" / SITE
        installed.mkdir(parents=True)
        for package in program.arguments:
            (installed / f"{package.strip('-')}.py").write_text(f"NAME = {package!r}")
        (directory / "log").write_text("1\tCollecting\n2\tERROR: no such package\n3\tmore\n")

    def poll(self, directory: Path) -> Host:
        return Host(phase="exited", exit_code=self.exit_code) if self.may_end.is_set() else Host(phase="running")

    def remove(self, directory: Path) -> None:
        directory.rename(directory.with_name(f"{directory.name}.removed"))


@pytest.fixture
def launcher(tmp_path: Path) -> Pretending:
    return Pretending(tmp_path / "builders")


@pytest.fixture
def make(tmp_path: Path, launcher: Any) -> Callable[..., Environments]:
    def make(
        room: int = 1 << 40, with_launcher: Any = launcher, index: Index = NO_INDEX, elsewhere: bool = False
    ) -> Environments:
        folder = tmp_path / "environments"
        return Environments(folder, with_launcher, profiles=Profiles(), room=room, index=index, elsewhere=elsewhere)

    return make


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Of a host that will use what is made."""
    made = tmp_path / "user"
    made.mkdir()
    return made


def said(directory: Path) -> str:
    return (directory / "log").read_text() if (directory / "log").exists() else ""


def python(environment: Environment, program: str) -> str:
    ran = subprocess.run([environment.python, "-c", program], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_a_layer_is_built_once(make: Callable[..., Environments], launcher: Pretending, directory: Path) -> None:
    recipe = Recipe(packages=("below",), variables={"A": "b"})
    first, second = make().ready(recipe, directory), make().ready(recipe, directory)
    assert first == second
    assert len(launcher.programs) == 1
    assert python(first, "import below; print(below.NAME)") == "below"
    assert first.variables["A"] == "b"
    assert said(directory).count("Preparing Python") == 1
    assert "Collecting" in said(directory)


def test_a_source_directory_adds_a_layer_over_it(
    make: Callable[..., Environments], launcher: Pretending, directory: Path
) -> None:
    recipe, code = Recipe(packages=("below",)), directory / "code"
    code.mkdir()
    (code / "requirements.txt").write_text("above")
    with_code = make().ready(recipe, directory, code=code)
    assert python(with_code, "import below, r; print(below.NAME, r.NAME)") == "below -r"
    assert launcher.programs[1].arguments == ("-r", "requirements.txt")
    assert (launcher.programs[1].network, launcher.programs[1].trusted) == ("open", False)
    assert make().ready(recipe, directory).python != with_code.python
    assert len(launcher.programs) == 2


@pytest.mark.parametrize("way", [Environment.around, Environment.beside])
def test_one_that_is_made_elsewhere_is_as_if_it_were_made_here(
    make: Callable[..., Environments],
    launcher: Pretending,
    directory: Path,
    way: Callable[[Environment, Program], Program],
) -> None:
    recipe, code = Recipe(packages=("below",), variables={"A": "b", "C": "d"}), directory / "opt_ml" / "code"
    code.mkdir(parents=True)
    (code / "requirements.txt").write_text("above")
    program = Program(module="m", arguments=("a",), environment={"A": "own"}, readable=("/further",))
    ordered = make(elsewhere=True).ready(recipe, directory, code=code)
    assert not launcher.programs and not (directory.parent / "environments").exists()
    sent = asdict(way(Environment.read(json.loads(json.dumps(asdict(ordered)))), program))
    received = Program.read(json.loads(json.dumps(sent)))
    completed = make().complete(received, directory, lambda: False)
    assert completed == way(make().ready(recipe, directory, code=code), program)
    assert make().complete(completed, directory, lambda: False) == completed


def test_what_cannot_be_installed_is_told_and_leaves_nothing(
    make: Callable[..., Environments], launcher: Pretending, directory: Path, tmp_path: Path
) -> None:
    launcher.exit_code = 1
    with pytest.raises(Unfit) as failed:
        make().ready(Recipe(packages=("below",)), directory)
    assert str(failed.value) == (
        'InstallRequirementsError:\nExitCode 1\nErrorMessage "ERROR: no such package"\nCommand "pip install below"'
    )
    assert not [path for path in (tmp_path / "environments").iterdir() if path.is_dir()]
    launcher.exit_code = 0
    assert python(make().ready(Recipe(packages=("below",)), directory), "import below") == ""


def test_who_needs_what_another_builds_waits_for_it(
    make: Callable[..., Environments], launcher: Pretending, tmp_path: Path
) -> None:
    directories = [tmp_path / str(number) for number in range(2)]
    for directory in directories:
        directory.mkdir()
    launcher.may_end.clear()
    made: list[Environment] = []

    def work(directory: Path) -> None:
        made.append(make().ready(Recipe(packages=("below",)), directory))

    threads = [threading.Thread(target=work, args=(directory,)) for directory in directories]
    for thread in threads:
        thread.start()
    wait_until(lambda: "Waiting for an environment" in "".join(map(said, directories)), "nobody waited")
    launcher.may_end.set()
    for thread in threads:
        thread.join(60)
    assert len(made) == 2
    assert made[0] == made[1]
    assert len(launcher.programs) == 1


def test_who_is_not_wanted_any_more_stops_building(
    make: Callable[..., Environments], launcher: Pretending, directory: Path
) -> None:
    launcher.may_end.clear()
    with pytest.raises(Interrupted):
        make().ready(Recipe(packages=("below",)), directory, interrupted=lambda: bool(launcher.programs))
    assert not list(launcher.runs.glob("0"))


def test_what_a_server_that_died_had_begun_is_swept(
    make: Callable[..., Environments], launcher: Pretending, directory: Path, tmp_path: Path
) -> None:
    make().ready(Recipe(packages=("whole",)), directory)
    builder, half = launcher.make(warm=False), tmp_path / "environments" / "half"
    half.mkdir()
    (half / "builder").write_text(str(builder))
    make().sweep()
    assert not half.exists()
    assert not builder.exists()
    make().ready(Recipe(packages=("whole",)), directory)
    assert len(launcher.programs) == 1


def test_what_was_not_used_for_longest_goes_and_what_is_in_use_stays(
    make: Callable[..., Environments], launcher: Pretending, tmp_path: Path
) -> None:
    users = {name: tmp_path / name for name in ("held", "old", "new")}
    made = {}
    for name, user in users.items():
        user.mkdir()
        made[name] = Path(make().ready(Recipe(packages=(name,)), user).python)
        time.sleep(0.02)
    for name in ("old", "new"):
        users[name].rename(tmp_path / f"{name}.gone")
    size = sum(int(path.lstat().st_size) for path in made["new"].parents[1].rglob("*") if not path.is_dir())
    make(room=int(size * 2.5)).collect()
    assert {name: python.exists() for name, python in made.items()} == {"held": True, "old": False, "new": True}
    make(room=0).collect()
    assert {name: python.exists() for name, python in made.items()} == {"held": True, "old": False, "new": False}


def test_a_layer_stays_while_another_stands_on_it(make: Callable[..., Environments], directory: Path) -> None:
    code = directory / "code"
    code.mkdir()
    (code / "requirements.txt").write_text("above")
    environment = make().ready(Recipe(packages=("below",)), directory, code=code)
    make(room=0).collect()
    assert python(environment, "import below, r") == ""


def test_what_the_server_has_is_lent_with_its_needs_and_nothing_else(
    make: Callable[..., Environments], directory: Path
) -> None:
    environment = make().ready(Recipe(shared=("hypothesis", "not-installed")), directory)
    assert python(environment, "import hypothesis, sortedcontainers; print(hypothesis.__name__)") == "hypothesis"
    assert python(environment, "import importlib.util; print(importlib.util.find_spec('pytest'))") == "None"
    listed = subprocess.run([environment.python, "-m", "pip", "list"], capture_output=True, text=True, timeout=60)
    assert "hypothesis" in listed.stdout


@pytest.fixture
def plain(tmp_path: Path, unwalled: Any) -> Iterator[Local]:
    local = Local(tmp_path / "runs", sandbox=unwalled)
    yield local
    local.close()


def test_pip_installs_what_a_wheel_brings_and_its_commands_see_all_layers(
    make: Callable[..., Environments], plain: Local, directory: Path, tmp_path: Path
) -> None:
    wheels = tmp_path / "a home" / "wheels"
    index = Index.of_this_machine({"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}, wheels)
    wheel(wheels, "below", "import above\ndef main(): print('below', above.NAME)", "say-it = below:main")
    wheel(wheels, "above", "NAME = 'above'")
    code = directory / "code"
    code.mkdir()
    (code / "requirements.txt").write_text("above\nbelow\n")
    environment = make(with_launcher=plain, index=index).ready(Recipe(packages=("below",)), directory, code=code)
    ran = subprocess.run(["say-it"], env=dict(environment.variables), capture_output=True, text=True, timeout=60)
    assert (ran.stdout, ran.stderr) == ("below above\n", "")
    assert "Successfully installed above-1.0\n" in said(directory)


def wheel(folder: Path, name: str, text: str, command: str = "") -> None:
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", text)
        about = f"{name}-1.0.dist-info"
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        if command:
            file.writestr(f"{about}/entry_points.txt", f"[console_scripts]\n{command}\n")
        file.writestr(f"{about}/RECORD", "")
