from collections.abc import Iterator
from pathlib import Path

import pytest
from engine.hosts import PROGRAMS
from engine.jobhouse import House

from groundfog.engine.launch.local import Local
from groundfog.engine.sandbox import Sandbox


@pytest.fixture(scope="session")
def walled() -> Sandbox:
    sandbox = Sandbox(modules=[PROGRAMS])
    if sandbox.missing:
        pytest.skip(sandbox.missing)
    return sandbox


@pytest.fixture(scope="session")
def unwalled() -> Sandbox:
    return Sandbox("none", modules=[PROGRAMS])


@pytest.fixture(params=["plain", "walled"])
def launcher(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Local]:
    """Every launcher passes the tests of test_launchers.py; a new one is added here."""
    sandbox = request.getfixturevalue("walled" if request.param == "walled" else "unwalled")
    local = Local(tmp_path / "runs", sandbox=sandbox)
    yield local
    local.close()
    for directory in (tmp_path / "runs").iterdir():
        local.remove(directory)


@pytest.fixture
def house(tmp_path: Path, unwalled: Sandbox) -> Iterator[House]:
    house = House(tmp_path, unwalled)
    house.jobs.start()
    yield house
    house.close()
